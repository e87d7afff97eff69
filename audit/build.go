package audit

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

// report makes the report of all facts.
func (c *collector) report() *Report {
	r := &Report{
		Generated: c.opts.Now.UTC(), Secrets: []Secret{}, Principals: []Principal{}, Denied: []Denied{},
		Changes: []Change{}, FirstSeen: []FirstSeen{}, Findings: []Finding{},
	}
	subjects := slices.DeleteFunc(c.resolve(), func(s *subject) bool { return len(s.facts) == 0 || !c.wanted(s) })
	for _, s := range subjects {
		sortFacts(s.facts)
		joinVersions(s)
		r.Secrets = append(r.Secrets, c.secret(s))
	}
	slices.SortStableFunc(r.Secrets, func(a, b Secret) int {
		return cmp.Or(-cmp.Compare(proven(a.Laggards), proven(b.Laggards)), strings.Compare(a.Name, b.Name))
	})
	r.Denied = c.denials()
	r.Findings = c.findings(r)
	r.Coverage = c.covered(r)
	return r
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
	return len(c.opts.Secrets) == 0 || slices.ContainsFunc(c.opts.Secrets, func(want string) bool {
		return want == s.arn || want == s.name
	})
}

// sortFacts puts facts in the order of time. Within a second, which is as fine
// as CloudTrail tells, a rotation starts before and ends after what it did.
func sortFacts(facts []*fact) {
	slices.SortFunc(facts, func(a, b *fact) int {
		return cmp.Or(a.at.Compare(b.at), cmp.Compare(rank(a.action), rank(b.action)), bytes.Compare(a.id[:], b.id[:]))
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
func (c *collector) secret(s *subject) Secret {
	h := newHistory(s, cmp.Or(c.opts.CurrentVersions[s.arn], c.opts.CurrentVersions[s.name]))
	out := Secret{
		Name: s.name, ARN: s.arn, Account: s.account, Region: s.region,
		Current: h.current, CurrentSince: h.since,
		Rotations: rotations(s),
		Deletions: deletions(s),
		Laggards:  []Laggard{},
	}
	for _, f := range s.facts {
		switch {
		case f.kind == kindDecrypt || f.kind == kindEncrypt || f.kind == kindRotation:
		case f.denied:
			out.Denied++
		case f.failed:
			out.Errors++
		case f.kind == kindRead:
			out.Reads++
			out.LastRead, out.LastReader = f.at, f.who.id
		case f.kind == kindOther:
			out.Writes++
		}
	}
	width := interval(s, h)
	out.Accesses = accesses(s, h, width)
	out.Versions = h.versions()
	if l := h.laggards(); l != nil {
		out.Laggards = l
	}
	out.Timeline = timeline(slices.Values(s.facts), width)
	if len(out.Timeline) > 0 {
		out.TimelineStep = int(width / time.Second)
	}
	return out
}

// accesses makes a row of each principal, those that read most first.
func accesses(s *subject, h *history, width time.Duration) []Access {
	rows := make(map[string]*accessBuilder)
	for _, f := range s.facts {
		if f.kind == kindDecrypt || f.kind == kindEncrypt || f.kind == kindRotation {
			continue
		}
		row, ok := rows[f.who.id]
		if !ok {
			row = newAccess(f)
			rows[f.who.id] = row
		}
		row.add(f)
	}
	out := make([]Access, 0, len(rows))
	for _, row := range rows {
		out = append(out, row.done(h.rotators[row.Principal], width))
	}
	slices.SortFunc(out, func(a, b Access) int {
		return cmp.Or(-cmp.Compare(a.Reads, b.Reads), strings.Compare(a.Principal, b.Principal))
	})
	return out
}

// An accessBuilder counts what one principal did.
type accessBuilder struct {
	Access
	flags                          flags
	reads                          []*fact
	sessions, ips, agents, regions map[string]bool
	versions                       map[string]*VersionReads
}

func newAccess(f *fact) *accessBuilder {
	return &accessBuilder{
		Access:   Access{Principal: f.who.id, Type: f.who.kind, First: f.at},
		sessions: make(map[string]bool), ips: make(map[string]bool),
		agents: make(map[string]bool), regions: make(map[string]bool),
		versions: make(map[string]*VersionReads),
	}
}

func (a *accessBuilder) add(f *fact) {
	a.Last = f.at
	a.flags |= f.who.flags
	a.sessions[f.who.session] = true
	a.ips[f.ip] = true
	a.agents[f.agent] = true
	a.regions[f.region] = true
	switch {
	case f.denied:
		a.Denied++
	case f.failed:
		a.Errors++
	case f.kind == kindRead:
		a.Reads++
		a.read(f)
	case f.kind == kindBatch:
		a.Batches++
	case f.kind == kindDescribe:
		a.Describes++
	default:
		a.Writes++
	}
}

func (a *accessBuilder) read(f *fact) {
	a.reads = append(a.reads, f)
	v, ok := a.versions[f.version]
	if !ok {
		v = &VersionReads{VersionID: f.version, First: f.at}
		a.versions[f.version] = v
	}
	v.Reads++
	v.Last = f.at
	if f.explicit {
		v.Explicit++
	}
}

func (a *accessBuilder) done(rotates bool, width time.Duration) Access {
	a.Rotates = rotates
	a.Flags = a.flags.names()
	a.Timeline = timeline(slices.Values(a.reads), width)
	a.Sessions, a.IPs, a.UserAgents, a.Regions = some(a.sessions), some(a.ips), some(a.agents), some(a.regions)
	for _, v := range a.versions {
		a.Versions = append(a.Versions, *v)
	}
	slices.SortFunc(a.Versions, func(x, y VersionReads) int {
		return cmp.Or(x.Last.Compare(y.Last), x.First.Compare(y.First), strings.Compare(x.VersionID, y.VersionID))
	})
	return a.Access
}

// some lists the first ten texts of a set.
func some(set map[string]bool) []string {
	delete(set, "")
	all := slices.Sorted(maps.Keys(set))
	return all[:min(len(all), 10)]
}

// denials groups the refused calls.
func (c *collector) denials() []Denied {
	type key struct{ secret, principal, action string }
	groups := make(map[key]*Denied)
	for i := range c.facts {
		f := &c.facts[i]
		if !f.denied || f.kind == kindDecrypt || f.kind == kindEncrypt {
			continue
		}
		k := key{principal: f.who.id, action: f.action}
		if f.secret != nil {
			k.secret = f.secret.name
		}
		if len(c.opts.Secrets) > 0 && (f.secret == nil || !c.wanted(f.secret)) {
			continue
		}
		d, ok := groups[k]
		if !ok {
			d = &Denied{Secret: k.secret, Principal: k.principal, Action: k.action, First: f.at, Last: f.at}
			groups[k] = d
		}
		d.Count++
		if f.at.Before(d.First) {
			d.First = f.at
		}
		if !f.at.Before(d.Last) && f.rare != nil {
			d.Last, d.Message = f.at, f.rare.message
		}
	}
	out := make([]Denied, 0, len(groups))
	for _, d := range groups {
		out = append(out, *d)
	}
	slices.SortFunc(out, func(a, b Denied) int {
		return cmp.Or(b.Last.Compare(a.Last), strings.Compare(a.Secret, b.Secret),
			strings.Compare(a.Principal, b.Principal), strings.Compare(a.Action, b.Action))
	})
	return out
}
