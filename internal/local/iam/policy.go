package iam

import (
	"slices"
	"strings"
)

// A Policy is a policy document that was read and found good. It does not
// change.
type Policy struct {
	Statements []*Statement
}

// A Statement allows or denies actions on resources.
type Statement struct {
	Sid  string
	Deny bool
	// Line is where the statement begins in its document.
	Line int
	// Actions and Resources are the patterns as they were written, of
	// NotAction and NotResource too.
	Actions, Resources []string

	who        *principals // nil in an identity-based policy
	actions    []glob      // in lower case
	resources  []pattern
	notAction  bool
	notTarget  bool // NotResource
	conditions []condition
}

// A Request is a call to judge.
type Request struct {
	Party Party
	// Action is for example "secretsmanager:GetSecretValue".
	Action string
	// Resource is an ARN, or "*" where the action knows none.
	Resource string
	// Context has the condition keys.
	Context Context
}

// A Match says which of a statement's actions and resources took a request in:
// indexes into Actions and Resources, -1 where that was by NotAction or
// NotResource.
type Match struct {
	Statement        *Statement
	Action, Resource int
}

// about reports whether a statement's action and resource take a request in,
// whatever its principals and conditions say. The action is in lower case.
func (s *Statement) about(r *Request, action string) (m Match, ok bool) {
	m = Match{Statement: s, Action: s.findAction(action), Resource: -1}
	if (m.Action >= 0) == s.notAction {
		return m, false
	}
	m.Resource = s.findResource(r)
	return m, (m.Resource >= 0) != s.notTarget
}

func (s *Statement) findAction(action string) int {
	for i, pattern := range s.actions {
		if pattern.match(action) {
			return i
		}
	}
	return -1
}

func (s *Statement) findResource(r *Request) int {
	for i := range s.resources {
		g, ok := s.resources[i].glob, true
		if len(s.resources[i].variables) > 0 {
			g, ok = s.resources[i].expand(r.Context)
		}
		if ok && (arnLike(g, r.Resource) || g.text == r.Resource) {
			return i
		}
	}
	return -1
}

// holds reports whether all conditions of a statement hold.
func (s *Statement) holds(r *Request) bool {
	for i := range s.conditions {
		if !s.conditions[i].holds(r.Context) {
			return false
		}
	}
	return true
}

// Covers reports whether a statement takes in an action on a resource by those
// alone: what then keeps it from applying is its principal or a condition.
func (s *Statement) Covers(r *Request) bool {
	_, ok := s.about(r, strings.ToLower(r.Action))
	return ok
}

// Public reports whether a policy allows something to everyone without a
// condition.
func (p *Policy) Public() bool {
	return slices.ContainsFunc(p.Statements, func(s *Statement) bool {
		return !s.Deny && s.who != nil && s.who.everyone && !s.who.except && len(s.conditions) == 0
	})
}
