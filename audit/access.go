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
		if !f.isCall() || !f.who.asked {
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
}

// A set is a set of texts. Its zero value is empty. Most have one text or a few,
// and there are several for each pair of a principal and a secret: a list is
// enough until it is long.
type set struct {
	list  []string
	index map[string]bool
}

const shortSet = 16

func (s *set) add(text string) {
	if text == "" || s.has(text) {
		return
	}
	s.list = append(s.list, text)
	switch {
	case s.index != nil:
		s.index[text] = true
	case len(s.list) > shortSet:
		s.index = make(map[string]bool, 2*shortSet)
		for _, one := range s.list {
			s.index[one] = true
		}
	}
}

func (s *set) has(text string) bool {
	if s.index != nil {
		return s.index[text]
	}
	return slices.Contains(s.list, text)
}

// sorted lists the texts in the order of the alphabet.
func (s *set) sorted() []string { return slices.Sorted(slices.Values(s.list)) }

// some lists the first texts of a set, and says how many others there are.
func (s *set) some() (list []string, more int) {
	all := s.sorted()
	n := min(len(all), listed)
	return slices.Clip(all[:n]), len(all) - n
}

func newAccess(f *fact) *accessBuilder {
	return &accessBuilder{
		Access: Access{Principal: f.who.id, Type: f.who.kind, First: f.at()},
	}
}

func (a *accessBuilder) add(f *fact, label string) {
	a.Last = f.at()
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

// read counts a read.
func (a *accessBuilder) read(f *fact) {
	a.reads = append(a.reads, f)
	a.Versions = countRead(a.Versions, f)
}

// countRead counts a read with those of its version. A secret has few versions,
// and the one that is read is mostly the one that was read before.
func countRead(versions []VersionReads, f *fact) []VersionReads {
	i := len(versions) - 1
	for i >= 0 && versions[i].VersionID != f.version() {
		i--
	}
	if i < 0 {
		i = len(versions)
		versions = append(versions, VersionReads{VersionID: f.version(), First: f.at()})
	}
	v := &versions[i]
	v.Reads++
	v.Last = f.at()
	if f.explicit {
		v.Explicit++
	}
	return versions
}

// sortVersions puts the version that was read last at the end.
func sortVersions(versions []VersionReads) {
	slices.SortFunc(versions, func(x, y VersionReads) int {
		return cmp.Or(x.Last.Compare(y.Last), x.First.Compare(y.First), strings.Compare(x.VersionID, y.VersionID))
	})
}

func (a *accessBuilder) done(rotates bool, width time.Duration) Access {
	a.Rotates = rotates
	if rotates {
		a.labels.add(labelRotator)
	}
	a.Labels = a.labels.sorted()
	a.Flags = a.flags.names()
	a.Timeline = timeline(slices.Values(a.reads), width)
	a.Sessions, a.More.Sessions = a.sessions.some()
	a.IPs, a.More.IPs = a.ips.some()
	a.UserAgents, a.More.UserAgents = a.agents.some()
	a.Regions, a.More.Regions = a.regions.some()
	a.SourceIdentities, a.More.SourceIdentities = a.sources.some()
	a.OnBehalfOf, a.More.OnBehalfOf = a.onBehalf.some()
	sortVersions(a.Versions)
	a.Versions = slices.Clone(a.Versions)
	return a.Access
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
