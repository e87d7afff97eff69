package audit

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
	"time"
)

// listed is how many texts a list of a report has at most.
const listed = 10

// report makes the report of all facts.
func (c *collector) report() *Report {
	facts := c.distinct()
	c.settle()
	subjects := c.resolve(facts)
	for _, s := range subjects {
		s.wanted, s.decoy = c.wanted(s), c.isDecoy(s)
		joinVersions(s)
	}
	b := newBuilder(c, facts, subjects)
	r := &Report{
		Generated:  c.opts.Now.UTC(),
		Secrets:    b.secrets(),
		Principals: b.principals(),
		Denied:     b.denials(),
		Changes:    b.changes(),
	}
	r.FirstSeen, r.Baseline = b.compare()
	r.Findings = b.findings(r)
	r.Coverage = b.covered(r)
	return r
}

// A builder makes the parts of a report.
type builder struct {
	*collector
	facts    []*fact // one of each event, in the order of time
	asked    []*fact // those of the principals that the report is of
	subjects []*subject
	networks map[string]string // :: address -> network
	tools    map[string]string // :: user agent -> label
	agents   map[string]string // :: user agent -> family
	bits     map[string]actions
	// functions are the names of the functions that rotate secrets.
	functions map[string]bool
}

func newBuilder(c *collector, facts []*fact, subjects []*subject) *builder {
	b := &builder{
		collector: c, facts: facts, asked: c.asked(facts), subjects: subjects,
		networks: make(map[string]string), tools: make(map[string]string), agents: make(map[string]string), functions: make(map[string]bool), bits: actionBits(),
	}
	b.findFunctions()
	return b
}

// secrets makes the part of each secret that was asked for, those with most
// proven laggards first.
func (b *builder) secrets() []Secret {
	out := []Secret{}
	for _, s := range b.subjects {
		if s.wanted && b.isAsked(s) {
			out = append(out, b.secret(s))
		}
	}
	slices.SortStableFunc(out, func(a, b Secret) int {
		return cmp.Or(-cmp.Compare(proven(a.Laggards), proven(b.Laggards)), strings.Compare(a.Name, b.Name))
	})
	return out
}

func proven(list []Laggard) int {
	n := 0
	for _, l := range list {
		if l.Proven {
			n++
		}
	}
	return n
}

// wanted reports whether a secret was asked for.
func (c *collector) wanted(s *subject) bool {
	return len(c.opts.Secrets) == 0 || s.isOneOf(c.opts.Secrets)
}

// isOneOf reports whether a list names a secret, by its name or its ARN.
func (s *subject) isOneOf(list []string) bool {
	return slices.ContainsFunc(list, func(id string) bool { return id != "" && (id == s.arn || id == s.name) })
}

// isDecoy reports whether nobody has a reason to touch a secret.
func (c *collector) isDecoy(s *subject) bool {
	if s.state != nil {
		if _, ok := s.state.Tags[cmp.Or(c.opts.DecoyTag, "rekey:decoy")]; ok {
			return true
		}
	}
	return s.isOneOf(c.opts.Decoys)
}

// sortFacts puts facts in the order of time. Within a second, which is as fine
// as CloudTrail tells, a rotation starts before and ends after what it did.
func sortFacts(facts []*fact) {
	slices.SortFunc(facts, func(a, b *fact) int {
		return cmp.Or(a.at().Compare(b.at()), cmp.Compare(rank(a.action), rank(b.action)), bytes.Compare(a.id[:], b.id[:]))
	})
}

func rank(action string) int {
	switch action {
	case "CreateSecret":
		return 0
	case "RotateSecret":
		return 1
	case "RotationStarted":
		return 2
	case "RotationSucceeded", "RotationFailed", "RotationAbandoned":
		return 4
	}
	return 3
}

// secret makes one secret's part.
func (b *builder) secret(s *subject) Secret {
	h := newHistory(s, cmp.Or(b.opts.CurrentVersions[s.arn], b.opts.CurrentVersions[s.name]))
	out := Secret{
		Name: s.name, ARN: s.arn, Account: s.account, Region: s.region, Decoy: s.decoy,
		Current: h.current, CurrentSince: h.since,
		State:     s.state,
		Deletions: b.deletions(s),
		Leases:    sortedLeases(s.leases),
		Controls:  b.controls(s),
	}
	out.Rotations, out.Steps = b.rotations(s)
	for _, f := range s.facts {
		switch {
		case !f.isCall() || !f.who.asked:
		case f.denied:
			out.Denied++
		case f.failed:
			out.Errors++
		case f.kind == kindRead:
			out.Reads++
			out.LastRead, out.LastReader = f.at(), f.who.id
		case f.kind == kindOther:
			out.Writes++
		}
	}
	out.LastUsed = out.LastRead
	if s.state != nil && s.state.Accessed.After(out.LastUsed) {
		out.LastUsed = s.state.Accessed
	}
	width := interval(s, h)
	out.Accesses = b.accesses(s, h, width)
	out.Versions = h.versions(b.opts.Now)
	out.Laggards = b.laggards(h)
	out.Timeline = timeline(s.reads(), width)
	if len(out.Timeline) > 0 {
		out.TimelineStep = int(width / time.Second)
	}
	return out
}

func sortedLeases(leases []Lease) []Lease {
	return slices.SortedFunc(slices.Values(leases), func(a, b Lease) int {
		return cmp.Or(strings.Compare(a.Consumer, b.Consumer), strings.Compare(a.VersionID, b.VersionID))
	})
}
