package local

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/rekey-go/rekey/internal/local/iam"
	"github.com/rekey-go/rekey/internal/local/template"
)

// A role is what the engine knows of a role of the template.
type role struct {
	// resource is where the template defines it: a role, or the function that
	// SAM makes the role for.
	resource template.Resource
	// line is where its first list of statements stands, zero without one.
	line     int
	policies []*iam.Policy
	boundary *iam.Policy // nil where it has none
	trust    *iam.Policy // who may assume it; nil where Lambda may
	tags     map[string]string
}

func roleARN(path, name string) string {
	return "arn:aws:iam::" + Account + ":role" + slashed(path) + name
}

// slashed is an IAM path with a slash on either side.
func slashed(path string) string {
	if path = strings.Trim(path, "/"); path == "" {
		return "/"
	}
	return "/" + path + "/"
}

// roleOf makes the role of a function: the one that it names, or one of its
// own with the function's policies.
func (e *deployment) roleOf(r template.Resource, p *functionProperties) (string, error) {
	if p.Role == "" {
		arn := roleARN(p.RolePath, p.FunctionName)
		own := &role{resource: r}
		if err := e.makeOwnRole(own, p); err != nil {
			return "", err
		}
		e.access.roles.set(arn, own)
		e.undo(func() error { e.access.roles.remove(arn); return nil })
		return arn, nil
	}
	e.afterwards = append(e.afterwards, func() error { return e.checkRole(r, p) })
	if !p.Policies.IsZero() {
		e.warn(r.File, p.Policies.Line, p.Policies.Column, "%s has a Role: its Policies have no effect, as with SAM", r.ID)
	}
	return p.Role, nil
}

// makeOwnRole fills a function's own role as SAM does: with its policies, and
// with what its queues want.
func (e *deployment) makeOwnRole(own *role, p *functionProperties) error {
	own.tags = p.Tags
	for name := range p.Events {
		if p.Events[name].Type == "SQS" {
			if err := e.addManaged(own, "AWSLambdaSQSQueueExecutionRole", &yaml.Node{}); err != nil {
				return err
			}
			break
		}
	}
	if arn := p.DeadLetterQueue.TargetARN; arn != "" {
		name := arn[strings.LastIndexByte(arn, ':')+1:]
		policy, err := iam.SAMPolicy("SQSSendMessagePolicy", map[string]string{"QueueName": name}, Region, Account, 0)
		if err != nil {
			return err
		}
		own.policies = append(own.policies, policy)
	}
	if err := e.setBoundary(own, p.PermissionsBoundary); err != nil {
		return err
	}
	return e.addPolicies(own, &p.Policies)
}

// addPolicies reads SAM's Policies: a name, a document or one of SAM's
// templates, or a list of them.
func (e *deployment) addPolicies(own *role, node *yaml.Node) error {
	switch {
	case node.IsZero() || node.ShortTag() == "!!null":
		return nil
	case node.Kind == yaml.ScalarNode:
		return e.addManaged(own, node.Value, node)
	case node.Kind == yaml.MappingNode:
		return e.addDocument(own, node)
	}
	for _, part := range node.Content {
		if err := e.addPolicies(own, part); err != nil {
			return err
		}
	}
	return nil
}

// addDocument reads a policy document, or one of SAM's templates with its
// parameters.
func (e *deployment) addDocument(own *role, node *yaml.Node) error {
	const one = 2 // nodes of a mapping with one key
	if len(node.Content) != one || node.Content[0].Value == "Statement" {
		return e.addStatements(own, node)
	}
	name, parameters := node.Content[0], map[string]string{}
	if err := node.Content[1].Decode(&parameters); err != nil {
		return own.resource.Errorf("write "+name.Value+": {Parameter: value}", "the parameters of the policy template %s are no texts", name.Value)
	}
	policy, err := iam.SAMPolicy(name.Value, parameters, Region, Account, name.Line)
	switch {
	case err != nil:
		return e.policyFault(own.resource.ID, err)
	case policy == nil:
		e.warn(own.resource.File, name.Line, name.Column, "the engine does not have the policy template %s; for %s it is left out", name.Value, own.resource.ID)
		return nil
	}
	e.give(own, policy)
	return nil
}

// addStatements reads a policy document.
func (e *deployment) addStatements(own *role, node *yaml.Node) error {
	policy, err := e.parseAt(own.resource.ID, node, iam.Parse)
	if err != nil {
		return err
	}
	if own.line == 0 && len(policy.Statements) > 0 {
		own.line = policy.Statements[0].Line
	}
	e.give(own, policy)
	return nil
}

// give adds a policy to a role, and its statements to the ledger.
func (e *deployment) give(own *role, policy *iam.Policy) {
	own.policies = append(own.policies, policy)
	e.access.ledger.add(own.resource, policy)
}

// addManaged adds a managed policy, of the template or AWS's.
func (e *deployment) addManaged(own *role, nameOrARN string, at *yaml.Node) error {
	if policy := e.access.managed.get(nameOrARN); policy != nil {
		own.policies = append(own.policies, policy)
		return nil
	}
	policy, err := iam.ManagedPolicy(nameOrARN, at.Line)
	switch {
	case err != nil:
		return err
	case policy == nil:
		e.warn(own.resource.File, at.Line, at.Column, "the engine does not know the managed policy %s; for %s it is left out, and allows nothing", nameOrARN, own.resource.ID)
	default:
		own.policies = append(own.policies, policy)
	}
	return nil
}

// setBoundary limits a role by a managed policy.
func (e *deployment) setBoundary(own *role, nameOrARN string) error {
	if nameOrARN == "" {
		return nil
	}
	own.boundary = e.access.managed.get(nameOrARN)
	if own.boundary != nil {
		return nil
	}
	policy, err := iam.ManagedPolicy(nameOrARN, own.resource.Line)
	if err == nil && policy == nil {
		e.warn(own.resource.File, own.resource.Line, own.resource.Column,
			"the engine does not know the permissions boundary %s of %s: nothing is limited by it", nameOrARN, own.resource.ID)
	}
	own.boundary = policy
	return err
}

// warn says what of the template has no effect here.
func (e *deployment) warn(file string, line, column int, format string, args ...any) {
	e.warnings = append(e.warnings, fmt.Sprintf("%s:%d:%d: %s", file, line, column, fmt.Sprintf(format, args...)))
}

// checkRole refuses a function whose role it cannot work with, in the words of
// AWS, which refuses the deployment.
func (e *deployment) checkRole(r template.Resource, p *functionProperties) error {
	own := e.access.roles.get(p.Role)
	if own == nil {
		e.warn(r.File, r.Line, r.Column, "the role %s of %s is not in the template: it may do everything", p.Role, r.ID)
		return nil
	}
	if e.access.off {
		return nil
	}
	if own.trust != nil {
		d := iam.Policies{Resource: own.trust}.Evaluate(&iam.Request{Party: iam.Party{Service: lambdaService}, Action: "sts:AssumeRole", Resource: "*"})
		if d.Verdict != iam.Allow {
			return r.Errorf("let the service "+lambdaService+" sts:AssumeRole in the role's AssumeRolePolicyDocument",
				"function %q: the role defined for the function cannot be assumed by Lambda", r.ID)
		}
	}
	for _, need := range p.needs() {
		d := iam.Policies{Identity: own.policies, Boundary: own.boundary}.Evaluate(&iam.Request{Party: iam.Party{RoleARN: p.Role, Account: Account}, Action: need.action, Resource: need.queue})
		if d.Verdict != iam.Allow {
			_, operation, _ := strings.Cut(need.action, ":")
			return r.Errorf("allow "+need.action+" on "+e.named(need.queue)+" in the policies of "+own.resource.ID,
				"function %q: the provided execution role does not have permissions to call %s on SQS", r.ID, operation)
		}
	}
	return nil
}

// A need is what Lambda does with a queue in the name of a function's role.
type need struct{ action, queue string }

func (p *functionProperties) needs() []need {
	var all []need
	if arn := p.DeadLetterQueue.TargetARN; arn != "" {
		all = append(all, need{"sqs:SendMessage", arn})
	}
	for _, source := range p.Events {
		var queue struct {
			Queue string `yaml:"Queue"`
		}
		if source.Type != "SQS" || source.Properties.Decode(&queue) != nil {
			continue
		}
		for _, operation := range []string{"ReceiveMessage", "DeleteMessage", "GetQueueAttributes"} {
			all = append(all, need{"sqs:" + operation, queue.Queue})
		}
	}
	return all
}

// CredentialsOf are those of an environment of a function, or of a session of a
// role, with a logical id of the template: who calls with them may do what its
// policies allow. It panics if there is neither.
func (e *Engine) CredentialsOf(id string) iam.Credentials {
	if arn := e.Function(id); arn != "" {
		return e.keys.AssumeRole(e.Lambda.RoleOf(arn), arn[strings.LastIndexByte(arn, ':')+1:])
	}
	for arn, role := range e.access.roles.each {
		if role.resource.ID == id {
			return e.keys.AssumeRole(arn, id)
		}
	}
	panic("no role of " + id)
}
