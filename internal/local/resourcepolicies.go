package local

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"

	"github.com/rekey-go/rekey/internal/local/iam"
	"github.com/rekey-go/rekey/internal/local/template"
)

// A policyCache holds the policies of resources by their text, so that each is
// read once. Those of the template are put in as they are read, and with their
// place in the file.
type policyCache struct {
	mu     sync.RWMutex
	byText map[string]*iam.Policy // :: mu
}

// policy is a document that its service took; nil where there is none.
func (c *policyCache) policy(text string) *iam.Policy {
	if text == "" {
		return nil
	}
	c.mu.RLock()
	found := c.byText[text]
	c.mu.RUnlock()
	if found != nil {
		return found
	}
	p, err := iam.ParseResourceJSON([]byte(text))
	if err != nil {
		return nil // services take none that cannot be read
	}
	p, _ = c.keep(text, p)
	return p
}

// keep keeps what a text was read as, unless it was read before: then it
// returns what it was read as then.
func (c *policyCache) keep(text string, p *iam.Policy) (kept *iam.Policy, isNew bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if before := c.byText[text]; before != nil {
		return before, false
	}
	if c.byText == nil || len(c.byText) >= maxCached {
		c.byText = make(map[string]*iam.Policy)
	}
	c.byText[text] = p
	return p, true
}

// maxCached bounds the cache where policies change all the time.
const maxCached = 4096

// resourcePolicy is the policy of what a request is about, or nil. Keys have
// theirs in keyPolicy.
func (e *Engine) resourcePolicy(arn string) *iam.Policy {
	switch serviceOf(arn) {
	case "secretsmanager":
		return e.access.parsed.policy(e.Secrets.Facts(arn).Policy)
	case "sqs":
		text, _ := e.Queues.Policy(arn)
		return e.access.parsed.policy(text)
	case "events":
		return e.access.buses.get(arn)
	case "s3":
		return e.access.parsed.policy(e.Objects.Policy(arn))
	default:
		return nil
	}
}

func (e *Engine) keyPolicy(arn string) *iam.Policy {
	if p := e.access.keys.get(arn); p != nil {
		return p
	}
	return e.access.delegating
}

// resourceDocument reads a policy that the template gives to a resource, and
// writes it as the JSON that services take.
func (e *deployment) resourceDocument(r template.Resource, node *yaml.Node) (*iam.Policy, string, error) {
	p, err := e.parseAt(r.ID, node, iam.ParseResource)
	if err != nil {
		return nil, "", err
	}
	var document any
	if err := node.Decode(&document); err != nil {
		return nil, "", fmt.Errorf("reading the policy of %s: %w", r.ID, err)
	}
	text, err := json.Marshal(document)
	if err != nil {
		return nil, "", fmt.Errorf("writing the policy of %s as JSON: %w", r.ID, err)
	}
	p, isNew := e.access.parsed.keep(string(text), p)
	if isNew {
		e.access.ledger.add(r, p)
	}
	return p, string(text), nil
}

// policyFault gives an error of a policy its place in the template.
func (e *deployment) policyFault(owner string, err error) error {
	fault, ok := errors.AsType[*iam.ParseError](err)
	if !ok {
		return err
	}
	return &template.Error{
		File: e.file, Line: fault.Line, Column: fault.Column,
		Message: fmt.Sprintf("policy of %q: %s", owner, fault.Message),
		Hint:    "look the element up in the IAM reference of policy elements",
	}
}

func (e *deployment) makeKey(r template.Resource) error {
	var p struct {
		KeyPolicy yaml.Node `yaml:"KeyPolicy"`
	}
	if err := e.plan.Properties(r.ID, &p); err != nil {
		return err
	}
	key := cmp.Or(e.kept[r.ID], e.nameFor(r.ID))
	arn := arnOf("kms", "key/"+key)
	e.plan.Set(r.ID, key, map[string]string{"Arn": arn, "KeyId": key})
	e.undo(func() error { e.access.keys.remove(arn); e.access.holders.remove(arn); return nil })
	if p.KeyPolicy.IsZero() {
		return nil
	}
	policy, _, err := e.resourceDocument(r, &p.KeyPolicy)
	if err == nil {
		e.access.keys.set(arn, policy)
		e.access.holders.set(arn, r)
	}
	return err
}

func (e *deployment) makeSecretPolicy(r template.Resource) error {
	var p struct {
		SecretID          string    `yaml:"SecretId"`
		ResourcePolicy    yaml.Node `yaml:"ResourcePolicy"`
		BlockPublicPolicy bool      `yaml:"BlockPublicPolicy"`
	}
	if err := e.plan.Properties(r.ID, &p); err != nil {
		return err
	}
	_, text, err := e.resourceDocument(r, &p.ResourcePolicy)
	if err != nil {
		return err
	}
	e.plan.Set(r.ID, p.SecretID, nil)
	e.undo(func() error { return e.Secrets.DropPolicy(p.SecretID) })
	return refused(r, e.Secrets.PutPolicy(p.SecretID, text, p.BlockPublicPolicy))
}

func (e *deployment) makeQueuePolicy(r template.Resource) error {
	var p struct {
		Queues         []string  `yaml:"Queues"`
		PolicyDocument yaml.Node `yaml:"PolicyDocument"`
	}
	if err := e.plan.Properties(r.ID, &p); err != nil {
		return err
	}
	_, text, err := e.resourceDocument(r, &p.PolicyDocument)
	if err != nil {
		return err
	}
	e.plan.Set(r.ID, e.nameFor(r.ID), nil)
	for _, url := range p.Queues {
		arn := arnOf("sqs", url[strings.LastIndexByte(url, '/')+1:])
		e.access.holders.set(arn, r)
		e.undo(func() error {
			e.access.holders.remove(arn)
			_ = e.Queues.SetPolicy(url, "") // the queue may be gone
			return nil
		})
		if err := e.Queues.SetPolicy(url, text); err != nil {
			return refused(r, err)
		}
	}
	return nil
}

// makeBusPolicy takes one statement, as the resource type has it.
func (e *deployment) makeBusPolicy(r template.Resource) error {
	var p struct {
		EventBusName string    `yaml:"EventBusName"`
		Statement    yaml.Node `yaml:"Statement"`
	}
	if err := e.plan.Properties(r.ID, &p); err != nil {
		return err
	}
	policy, err := e.parseAt(r.ID, iam.Document(&p.Statement), iam.ParseResource)
	if err != nil {
		return err
	}
	e.plan.Set(r.ID, r.ID, nil)
	e.access.ledger.add(r, policy)
	arn := arnOf("events", "event-bus/"+busName(p.EventBusName))
	all := &iam.Policy{Statements: policy.Statements}
	if before := e.access.buses.get(arn); before != nil {
		all.Statements = append(all.Statements, before.Statements...)
	}
	e.access.buses.set(arn, all)
	e.undoPart(r.ID, func() error {
		left := slices.DeleteFunc(slices.Clone(e.access.buses.get(arn).Statements), func(s *iam.Statement) bool {
			return slices.Contains(policy.Statements, s)
		})
		e.access.buses.set(arn, &iam.Policy{Statements: left})
		return nil
	})
	return nil
}

func (e *deployment) makeBucketPolicy(r template.Resource) error {
	var p struct {
		Bucket         string    `yaml:"Bucket"`
		PolicyDocument yaml.Node `yaml:"PolicyDocument"`
	}
	if err := e.plan.Properties(r.ID, &p); err != nil {
		return err
	}
	_, text, err := e.resourceDocument(r, &p.PolicyDocument)
	if err != nil {
		return err
	}
	arn := bucketARN(p.Bucket)
	e.plan.Set(r.ID, p.Bucket, nil)
	e.access.holders.set(arn, r)
	e.undo(func() error {
		e.access.holders.remove(arn)
		return e.Objects.DropPolicy(p.Bucket)
	})
	return refused(r, e.Objects.PutPolicy(p.Bucket, text))
}
