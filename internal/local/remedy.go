package local

import (
	"fmt"
	"strings"

	"github.com/rekey-go/rekey/internal/local/iam"
)

// note puts a refusal in the ledger, with what would mend it.
func (e *Engine) note(d iam.Decision, r *iam.Request) {
	who := r.Party.ARN + r.Party.Service
	own := e.access.roles.get(r.Party.RoleARN)
	if own != nil {
		who = own.resource.ID
	}
	reason := d.Reason(r.Action)
	e.access.ledger.refuse(refusedCall{who, r.Action, r.Resource, reason}, e.clock.Now().UTC(), func() PolicyRefusal {
		about := PolicyRefusal{Who: who, Action: r.Action, Resource: r.Resource, Reason: reason}
		switch {
		case d.Verdict == iam.ExplicitDeny:
			if n := e.access.ledger.of.get(d.By); n != nil {
				about.Near = fmt.Sprintf("%s:%d denies it", n.resource.File, n.statement.Line)
			}
		case d.Kind == iam.Identity && own != nil:
			e.mendRole(&about, own, r)
		case d.Kind == iam.Boundary:
			about.Into, about.Statement = "the permissions boundary of "+who, e.statement(r, "")
		case d.Kind == iam.Resource:
			e.mendResource(&about, r)
		}
		return about
	})
}

// mendRole says what a role lacks.
func (e *Engine) mendRole(about *PolicyRefusal, own *role, r *iam.Request) {
	about.File, about.Line = own.resource.File, own.line
	about.Into, about.Statement = "the policies of "+own.resource.ID, e.statement(r, "")
	if own.line == 0 { // there is no list of statements yet
		about.Line = own.resource.Line
		about.Statement = "Policies:\n  - Version: \"2012-10-17\"\n    Statement:\n" + indented(about.Statement, "      ")
	}
	for _, policy := range own.policies {
		e.nearMiss(about, policy, r)
	}
}

// mendResource says what the policy of a resource lacks.
func (e *Engine) mendResource(about *PolicyRefusal, r *iam.Request) {
	source := ""
	if arns := r.Context.Get("aws:sourcearn"); len(arns) == 1 {
		source = arns[0]
	}
	switch serviceOf(r.Resource) {
	case "lambda":
		about.Into = "the resources, as one of its own"
		about.Statement = e.permission(r.Resource, r.Party.Service, source)
		return
	case "kms":
		about.Into = "the KeyPolicy"
		e.nearMiss(about, e.keyPolicy(r.Resource), r)
		about.Statement = e.statement(r, "\n  Principal: {AWS: !Sub \"arn:aws:iam::${AWS::AccountId}:root\"}")
	default:
		about.Into = "the policy of " + e.named(r.Resource)
		e.nearMiss(about, e.resourcePolicy(r.Resource), r)
		about.Statement = e.statement(r, "\n  Principal: {Service: "+r.Party.Service+"}") +
			"  Condition: {ArnEquals: {\"aws:SourceArn\": " + e.named(source) + "}}\n"
	}
	if holder := e.access.holders.get(r.Resource); holder.ID != "" {
		about.File, about.Line = holder.File, holder.Line
		about.Into = "the policy in " + holder.ID
	}
}

// nearMiss tells of a statement that allows the request but for its principal
// or conditions.
func (e *Engine) nearMiss(about *PolicyRefusal, policy *iam.Policy, r *iam.Request) {
	if policy == nil {
		return
	}
	for _, s := range policy.Statements {
		if n := e.access.ledger.of.get(s); n != nil && !s.Deny && s.Covers(r) {
			about.Near = fmt.Sprintf("%s:%d would allow it, but its conditions do not hold", n.resource.File, s.Line)
		}
	}
}

// statement is the statement that allows a request, as YAML. The principal is
// a line of its own, or empty.
func (e *Engine) statement(r *iam.Request, principal string) string {
	resource := e.named(r.Resource)
	if principal != "" && serviceOf(r.Resource) == "kms" {
		resource = `"*"`
	}
	return fmt.Sprintf("- Effect: Allow%s\n  Action: %s\n  Resource: %s\n", principal, r.Action, resource)
}

// permission is the resource that lets a service invoke a function.
func (e *Engine) permission(functionARN, service, sourceARN string) string {
	return fmt.Sprintf(`Type: AWS::Lambda::Permission
Properties:
  Action: lambda:InvokeFunction
  FunctionName: %s
  Principal: %s
  SourceArn: %s
`, e.named(functionARN), service, e.named(sourceARN))
}

// named is an ARN as the template writes it.
func (e *Engine) named(arn string) string {
	for d := range e.deployed.each {
		if reference := d.plan.Reference(arn); reference != "" {
			return reference
		}
	}
	const suffix = "-??????"
	if serviceOf(arn) == "secretsmanager" && len(arn) > len(suffix) {
		arn = arn[:len(arn)-len(suffix)] + suffix
	}
	return `"` + arn + `"`
}

func indented(text, by string) string {
	return by + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n"+by) + "\n"
}
