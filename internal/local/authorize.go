package local

import (
	"net/http"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/rekey-go/rekey/internal/local/iam"
	"github.com/rekey-go/rekey/internal/local/template"
	"github.com/rekey-go/rekey/internal/local/wire"
)

// An access is who may do what on the engine. Templates fill it while their
// resources are made.
type access struct {
	// off says that nobody is refused. What would have been is in the ledger.
	off     bool
	roles   index[string, *role]       // :: ARN
	managed index[string, *iam.Policy] // :: ARN of a managed policy of the template
	keys    index[string, *iam.Policy] // :: ARN of a KMS key
	buses   index[string, *iam.Policy] // :: ARN of a bus
	parsed  policyCache
	// administrators has the policy of those who may do everything.
	administrators []*iam.Policy
	// delegating is the policy of a key that the template says nothing about:
	// who may use it is left to the account's own policies.
	delegating *iam.Policy
	// holders are the resources of the template that hold the policy of
	// another.
	holders index[string, template.Resource] // :: ARN of what has the policy
	// hashKeys are the partition keys of tables, by which conditions ask.
	hashKeys index[string, string] // :: table
	ledger   ledger
}

func newAccess(off bool) (*access, error) {
	a := &access{off: off}
	everything, err := iam.ManagedPolicy("AdministratorAccess", 0)
	if err != nil {
		return nil, err
	}
	a.administrators = []*iam.Policy{everything}
	a.delegating, err = iam.ParseResourceJSON([]byte(`{"Statement":{"Effect":"Allow","Principal":{"AWS":"` + Account + `"},"Action":"kms:*","Resource":"*"}}`))
	return a, err
}

// authorize refuses what a caller may not do, in AWS's words.
func (e *Engine) authorize(c *wire.Call) error {
	for _, r := range e.requests(c) {
		if d := e.decide(c.Caller, &r.Request); d.Verdict != iam.Allow {
			return e.refuse(d, &r)
		}
	}
	return nil
}

// refuse notes a refusal and answers with it, unless nobody is refused.
func (e *Engine) refuse(d iam.Decision, r *judged) error {
	e.note(d, &r.Request)
	if e.access.off {
		return nil
	}
	return denied(d, r)
}

// decide judges a request of a caller. People may do everything, as
// administrators of the account; so may a role that the template does not have.
func (e *Engine) decide(caller wire.Principal, r *iam.Request) iam.Decision {
	policies := iam.Policies{Identity: e.access.administrators, Resource: e.resourcePolicy(r.Resource)}
	if role := e.access.roles.get(caller.RoleARN); role != nil {
		policies.Identity, policies.Boundary = role.policies, role.boundary
	}
	if key := strings.HasPrefix(r.Action, "kms:"); key {
		policies.Resource, policies.KeyPolicy = e.keyPolicy(r.Resource), true
	}
	d := policies.Evaluate(r)
	e.access.ledger.count(d.Used)
	return d
}

// denied is a refusal as each service words it.
func denied(d iam.Decision, r *judged) *wire.Error {
	action := r.Action
	service, _, _ := strings.Cut(action, ":")
	if service == "sqs" {
		action = strings.ToLower(action)
	}
	on := ""
	if r.named != "" {
		on = " on resource: " + r.named
	}
	refusal := wire.Unmodelled("AccessDeniedException", "User: %s is not authorized to perform: %s%s %s", r.Party.ARN+r.Party.Service, action, on, d.Reason(action))
	switch service {
	case "lambda":
		refusal.Status, refusal.Modelled = http.StatusForbidden, true
	case "sqs":
		refusal.Status, refusal.Modelled, refusal.QueryCode = http.StatusForbidden, true, "AccessDenied"
	}
	return refusal
}

// callerAccess asks on behalf of the secrets' service.
type callerAccess struct{ engine *Engine }

// Read judges the reading of one secret of a batch.
func (a callerAccess) Read(c *wire.Call, secretID string) error {
	read := *c
	read.Operation = "GetSecretValue"
	all := asked{engine: a.engine, call: &read}
	all.secret("secretsmanager:GetSecretValue", secretID, new(secretInput))
	r := &all.requests[0]
	if d := a.engine.decide(c.Caller, &r.Request); d.Verdict != iam.Allow {
		return a.engine.refuse(d, r)
	}
	return nil
}

// UseKey judges the use of a KMS key, which comes through the service with the
// secret and its version as encryption context.
func (a callerAccess) UseKey(c *wire.Call, use wire.KMSUse) error {
	r := judged{iam.Request{Party: partyOf(c.Caller), Action: "kms:" + use.Operation, Resource: use.KeyARN, Context: a.engine.keyUse(c, use)}, use.KeyARN}
	if d := a.engine.decide(c.Caller, &r.Request); d.Verdict != iam.Allow {
		return a.engine.refuse(d, &r)
	}
	return nil
}

// The services that call others by themselves.
const (
	eventsService  = "events.amazonaws.com"
	secretsService = "secretsmanager.amazonaws.com"
	lambdaService  = "lambda.amazonaws.com"
	trailService   = "cloudtrail.amazonaws.com"
)

// permit asks whether a rule may reach a function or a queue, by the policy of
// that. What is not there is for the delivery to find out.
func (e *Engine) permit(ruleARN, targetARN string) error {
	r := judged{named: targetARN}
	r.Request = iam.Request{Party: iam.Party{Service: eventsService}, Resource: targetARN, Context: serviceContext(eventsService, ruleARN, nil)}
	switch service := serviceOf(targetARN); service {
	case "sqs":
		text, ok := e.Queues.Policy(targetARN)
		if !ok {
			return nil
		}
		r.Action = "sqs:SendMessage"
		d := iam.Policies{Resource: e.access.parsed.policy(text)}.Evaluate(&r.Request)
		e.access.ledger.count(d.Used)
		if d.Verdict != iam.Allow {
			return e.refuse(d, &r)
		}
	case "lambda":
		r.Action = "lambda:InvokeFunction"
		if e.Lambda.Has(targetARN) && !e.Lambda.Allows(targetARN, eventsService, ruleARN) {
			return e.refuse(iam.Decision{Kind: iam.Resource}, &r)
		}
	}
	return nil
}

// serviceOf is the service in an ARN.
func serviceOf(arn string) string {
	const service = 2
	parts := strings.SplitN(arn, ":", service+2)
	if len(parts) <= service {
		return ""
	}
	return parts[service]
}

// parseAt reads a policy of the template, of a role or of a resource. The
// error is a [*template.Error] with the place of the fault.
func (e *deployment) parseAt(owner string, node *yaml.Node, read func(*yaml.Node) (*iam.Policy, error)) (*iam.Policy, error) {
	p, err := read(node)
	if err != nil {
		return nil, e.policyFault(owner, err)
	}
	return p, nil
}
