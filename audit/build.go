package audit

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// listed is how many texts a list of a report has at most.
const listed = 10

// report makes the report of all facts.
func (c *collector) report() *Report {
	subjects := c.settle()
	for _, s := range subjects {
		s.wanted, s.decoy = c.wanted(s), c.isDecoy(s)
	}
	b := newBuilder(c, subjects)
	r := &Report{
		Generated:  c.opts.Now.UTC(),
		Principals: b.principals(),
		Denied:     b.denials(),
		Changes:    b.changes(),
		Coverage:   b.covered(),
	}
	r.FirstSeen, r.Baseline = b.compare()
	found := slices.Concat(b.circumstances(), b.bulk())
	ids := b.askedIDs()
	r.Secrets, r.Findings = b.secrets() // from here on there are no facts
	r.Findings = b.findings(r, found, ids)
	b.note(r)
	return r
}

// A builder makes the parts of a report.
type builder struct {
	*collector
	subjects []*subject
	networks map[string]string // :: address -> network
	tools    map[string]string // :: user agent -> label
	agents   map[string]string // :: user agent -> family
	bits     map[string]actions
	// missing are the days without an event between the first and the last one.
	missing []time.Time
	// functions are the names of the functions that rotate secrets.
	functions map[string]bool
}

func newBuilder(c *collector, subjects []*subject) *builder {
	b := &builder{
		collector: c, subjects: subjects,
		networks: make(map[string]string), tools: make(map[string]string), agents: make(map[string]string), functions: make(map[string]bool), bits: actionBits(),
	}
	b.findFunctions()
	return b
}

// secrets makes the part of each secret that was asked for, those with most
// proven laggards first, and lists what is found by the facts of each.
func (b *builder) secrets() ([]Secret, []Finding) {
	out, found := []Secret{}, []Finding{}
	for s := range b.bySecret(b.subjects) {
		if !s.wanted || !b.isAsked(s) {
			continue
		}
		out, found = append(out, b.secret(s)), append(found, b.factFindings(s)...)
	}
	slices.SortStableFunc(out, func(a, b Secret) int {
		return cmp.Or(-cmp.Compare(proven(a.Laggards), proven(b.Laggards)), strings.Compare(a.Name, b.Name))
	})
	return out, found
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
