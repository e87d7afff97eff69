package audit

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

// accesses makes a row of each principal, those that read most first.
func (b *builder) accesses(s *subject, h *history, width time.Duration) []Access {
	rows := make(map[string]*accessBuilder)
	for _, f := range s.facts {
		if !f.isCall() {
			continue
		}
		row, ok := rows[f.who.id]
		if !ok {
			row = newAccess(f)
			rows[f.who.id] = row
		}
		row.add(f, b.label(f))
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
	flags                                             flags
	reads                                             []*fact
	sessions, ips, agents, regions, sources, onBehalf set
	labels                                            set
	versions                                          map[string]*VersionReads
}

// A set is a set of texts. Its zero value is empty.
type set map[string]bool

func (s *set) add(text string) {
	if text == "" {
		return
	}
	if *s == nil {
		*s = make(set)
	}
	(*s)[text] = true
}

// some lists the first texts of a set, and says how many others there are.
func some(s set) (list []string, more int) {
	all := slices.Sorted(maps.Keys(s))
	n := min(len(all), listed)
	return all[:n:n], len(all) - n
}

func newAccess(f *fact) *accessBuilder {
	return &accessBuilder{
		Access:   Access{Principal: f.who.id, Type: f.who.kind, First: f.at},
		versions: make(map[string]*VersionReads),
	}
}

func (a *accessBuilder) add(f *fact, label string) {
	a.Last = f.at
	a.flags |= f.who.flags
	if f.isCrossAccount() {
		a.flags |= flagCrossAccount
	}
	a.sessions.add(f.who.session)
	a.ips.add(f.ip)
	a.agents.add(f.agent)
	a.regions.add(f.region)
	a.sources.add(f.who.source)
	a.onBehalf.add(f.who.onBehalf)
	a.labels.add(label)
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
	if rotates {
		a.labels.add(labelRotator)
	}
	a.Labels = sortedSet(a.labels)
	a.Flags = a.flags.names()
	a.Timeline = timeline(slices.Values(a.reads), width)
	a.Sessions, a.More.Sessions = some(a.sessions)
	a.IPs, a.More.IPs = some(a.ips)
	a.UserAgents, a.More.UserAgents = some(a.agents)
	a.Regions, a.More.Regions = some(a.regions)
	a.SourceIdentities, a.More.SourceIdentities = some(a.sources)
	a.OnBehalfOf, a.More.OnBehalfOf = some(a.onBehalf)
	for _, v := range a.versions {
		a.Versions = append(a.Versions, *v)
	}
	slices.SortFunc(a.Versions, func(x, y VersionReads) int {
		return cmp.Or(x.Last.Compare(y.Last), x.First.Compare(y.First), strings.Compare(x.VersionID, y.VersionID))
	})
	return a.Access
}

func sortedSet(s set) []string { return slices.Sorted(maps.Keys(s)) }

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
