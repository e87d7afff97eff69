package local

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rekey-go/rekey/internal/local/iam"
	"github.com/rekey-go/rekey/internal/local/template"
)

// A ledger counts what each statement of the template has allowed, and keeps
// what was refused. Statements are added while the system is made.
type ledger struct {
	of index[*iam.Statement, *entry]

	mu      sync.Mutex
	entries []*entry                       // :: mu
	refused map[refusedCall]*PolicyRefusal // :: mu
}

// maxRefusals bounds the kinds of refusals that are kept.
const maxRefusals = 1000

// An entry is a statement with what it has allowed.
type entry struct {
	resource  template.Resource
	statement *iam.Statement
	uses      atomic.Uint64
	actions   []atomic.Uint64 // by the statement's actions
	resources []atomic.Uint64
}

// A refusedCall tells refusals apart.
type refusedCall struct{ who, action, resource, reason string }

func (l *ledger) add(r template.Resource, policy *iam.Policy) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range policy.Statements {
		n := &entry{resource: r, statement: s, actions: make([]atomic.Uint64, len(s.Actions)), resources: make([]atomic.Uint64, len(s.Resources))}
		l.entries = append(l.entries, n)
		l.of.set(s, n)
	}
}

// forget drops the statements of a resource, which is removed or made anew.
func (l *ledger) forget(file, id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = slices.DeleteFunc(l.entries, func(n *entry) bool {
		gone := n.resource.File == file && n.resource.ID == id
		if gone {
			l.of.remove(n.statement)
		}
		return gone
	})
}

// count notes what allowed a request.
func (l *ledger) count(used []iam.Match) {
	for _, m := range used {
		n := l.of.get(m.Statement)
		if n == nil {
			continue // not of the template
		}
		n.uses.Add(1)
		if m.Action >= 0 {
			n.actions[m.Action].Add(1)
		}
		if m.Resource >= 0 {
			n.resources[m.Resource].Add(1)
		}
	}
}

// refuse notes a refusal; about says what is known of it where it is new.
func (l *ledger) refuse(key refusedCall, now time.Time, about func() PolicyRefusal) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refused == nil {
		l.refused = make(map[refusedCall]*PolicyRefusal)
	}
	known := l.refused[key]
	if known == nil {
		if len(l.refused) >= maxRefusals {
			return
		}
		known = new(about())
		known.First = now
		l.refused[key] = known
	}
	known.Count++
	known.Last = now
}

// report lists the statements in the order of the file, and the refusals in
// that of their time.
func (l *ledger) report() ([]PolicyStatement, []PolicyRefusal) {
	l.mu.Lock()
	defer l.mu.Unlock()
	entries := slices.SortedStableFunc(slices.Values(l.entries), func(a, b *entry) int {
		return cmp.Or(cmp.Compare(a.resource.Line, b.resource.Line), cmp.Compare(a.statement.Line, b.statement.Line))
	})
	statements := make([]PolicyStatement, 0, len(entries))
	for _, n := range entries {
		statements = append(statements, n.report())
	}
	refusals := make([]PolicyRefusal, 0, len(l.refused))
	for _, r := range slices.Collect(maps.Values(l.refused)) {
		refusals = append(refusals, *r)
	}
	slices.SortFunc(refusals, func(a, b PolicyRefusal) int {
		return cmp.Or(a.First.Compare(b.First), cmp.Compare(a.Action, b.Action))
	})
	return statements, refusals
}

func (n *entry) report() PolicyStatement {
	s := PolicyStatement{
		File: n.resource.File, Line: n.statement.Line, Of: n.resource.ID, Sid: n.statement.Sid, Deny: n.statement.Deny,
		Actions: n.statement.Actions, Resources: n.statement.Resources, Uses: n.uses.Load(),
		Elsewhere: !slices.ContainsFunc(n.statement.Actions, judgedHere),
	}
	if s.Uses > 0 {
		s.UnusedActions = unused(s.Actions, n.actions)
		s.UnusedResources = unused(s.Resources, n.resources)
	}
	return s
}

// judgedHere reports whether an action is of a service that the engine has.
func judgedHere(action string) bool {
	service, _, _ := strings.Cut(strings.ToLower(action), ":")
	switch service {
	case "secretsmanager", "kms", "events", "sqs", "dynamodb", "lambda", "cloudtrail", "sts", "s3":
		return true
	default:
		return strings.ContainsAny(service, "*?")
	}
}

// unused are those of several that were not used, where at least one was: in a
// NotAction none is.
func unused(names []string, uses []atomic.Uint64) []string {
	var idle []string
	for i := range uses {
		if uses[i].Load() == 0 {
			idle = append(idle, names[i])
		}
	}
	if len(idle) == len(names) {
		return nil
	}
	return idle
}
