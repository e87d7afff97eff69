package iam

import "strings"

// A Verdict is what policies say of a request.
type Verdict int

// The verdicts. Without a statement that allows it, a request is refused.
const (
	ImplicitDeny Verdict = iota
	Allow
	ExplicitDeny
)

// A Kind is a kind of policy.
type Kind int

// The kinds that have a say within one account.
const (
	Identity Kind = iota
	Resource
	Boundary
)

// String is the kind in the words of a refusal.
func (k Kind) String() string {
	return [...]string{"identity-based policy", "resource-based policy", "permissions boundary"}[k]
}

// article is "a" or "an", as the kind wants it.
func (k Kind) article() string {
	if k == Identity {
		return "an"
	}
	return "a"
}

// Policies are those that have a say in a request.
type Policies struct {
	// Identity are the policies of the party's own.
	Identity []*Policy
	// Boundary limits them. If nil, nothing does.
	Boundary *Policy
	// Resource is the policy of what the request is about, or nil.
	Resource *Policy
	// KeyPolicy says that the resource is a KMS key: the party's own policies
	// count only where the key's policy delegates to the account.
	KeyPolicy bool
}

// A Decision is a verdict with what brought it about.
type Decision struct {
	Verdict Verdict
	// Kind is the kind of the policy that denied, or that allowed nothing.
	Kind Kind
	// By is the statement that denied explicitly.
	By *Statement
	// Used are the statements that allowed the request. It is empty where the
	// request is denied.
	Used []Match
}

// Reason is why a request is denied, in AWS's words.
func (d Decision) Reason(action string) string {
	if d.Verdict == ExplicitDeny {
		return "with an explicit deny in " + d.Kind.article() + " " + d.Kind.String()
	}
	return "because no " + d.Kind.String() + " allows the " + action + " action"
}

// Evaluate judges a request as IAM does within one account: an explicit deny
// anywhere wins; else the party's own policies or that of the resource has to
// allow the request, and a boundary what they allow.
func (p Policies) Evaluate(r *Request) Decision {
	e := evaluation{request: r, action: strings.ToLower(r.Action)}
	for _, policy := range p.Identity {
		e.judge(Identity, policy)
	}
	e.judge(Resource, p.Resource)
	e.judge(Boundary, p.Boundary)
	if e.deny.By != nil {
		return e.deny
	}
	return p.decide(&e)
}

// decide weighs what the policies allow.
func (p Policies) decide(e *evaluation) Decision {
	within := p.Boundary == nil || e.allowed[Boundary]
	switch {
	case e.reach == exact, e.reach == limited && within:
		return Decision{Verdict: Allow, Used: e.used}
	case e.request.Party.Service != "", p.KeyPolicy && e.reach == unreached:
		return Decision{Kind: Resource}
	case !e.allowed[Identity]:
		return Decision{Kind: Identity}
	case !within:
		return Decision{Kind: Boundary}
	default:
		return Decision{Verdict: Allow, Used: e.used}
	}
}

// An evaluation collects what statements say of a request.
type evaluation struct {
	request *Request
	action  string // in lower case
	allowed [Boundary + 1]bool
	reach   reach // the farthest with which the resource's policy allows
	used    []Match
	deny    Decision
}

func (e *evaluation) judge(kind Kind, policy *Policy) {
	if policy == nil || e.deny.By != nil {
		return
	}
	for _, s := range policy.Statements {
		m, ok := s.about(e.request, e.action)
		if !ok {
			continue
		}
		reached := exact
		if s.who != nil {
			reached = s.who.reach(&e.request.Party)
		}
		if reached == unreached || !s.holds(e.request) {
			continue
		}
		if s.Deny {
			e.deny = Decision{Verdict: ExplicitDeny, Kind: kind, By: s}
			return
		}
		e.allowed[kind] = true
		e.used = append(e.used, m)
		if kind == Resource {
			e.reach = max(e.reach, reached)
		}
	}
}
