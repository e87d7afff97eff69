package audit

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// versions lists the versions that were current, read, labelled or leased.
func (h *history) versions(now time.Time) []Version {
	v := &versionList{byID: make(map[string]*Version), last: make(map[string]string), moved: make(map[move]bool)}
	for i, p := range h.promotions {
		one := v.get(p.version)
		one.Since, one.By, one.Until = p.at, p.by, time.Time{}
		if i+1 < len(h.promotions) {
			one.Until = h.promotions[i+1].at
		}
	}
	for f := range h.subject.reads() {
		if f.version() != "" {
			v.read(f)
		}
	}
	if state := h.subject.state; state != nil {
		for id, labels := range state.Versions {
			if len(labels) > 0 {
				v.get(id).Labels = slices.Sorted(slices.Values(labels))
			}
		}
	}
	for _, l := range h.subject.leases {
		if l.Expires.After(now) {
			v.get(l.VersionID).Leases++
		}
	}
	return v.sorted()
}

// A move is a principal taking up a version.
type move struct{ principal, version string }

// A versionList follows the reads of a secret in the order of time.
type versionList struct {
	byID  map[string]*Version
	last  map[string]string // :: principal -> version that it read last
	moved map[move]bool
}

func (v *versionList) get(id string) *Version {
	one, ok := v.byID[id]
	if !ok {
		one = &Version{VersionID: id}
		v.byID[id] = one
	}
	return one
}

// read counts a read. Who reads another version than before moves to it.
func (v *versionList) read(f *fact) {
	one := v.get(f.version())
	if one.Reads == 0 {
		one.FirstRead = f.at()
	}
	one.Reads++
	one.LastRead = f.at()
	before, known := v.last[f.who.id]
	if known && before == f.version() {
		return
	}
	if known {
		v.get(before).Holders--
	}
	v.last[f.who.id] = f.version()
	one.Holders++
	if m := (move{f.who.id, f.version()}); !v.moved[m] {
		v.moved[m] = true
		one.Readers++
		one.Adoption = append(one.Adoption, Adoption{At: f.at(), Principal: f.who.id, From: before, On: one.Holders, Of: len(v.last)})
	}
}

func (v *versionList) sorted() []Version {
	out := make([]Version, 0, len(v.byID))
	for _, one := range v.byID {
		one.Adoption = slices.Clone(one.Adoption)
		out = append(out, *one)
	}
	slices.SortFunc(out, func(a, b Version) int {
		return cmp.Or(a.Since.Compare(b.Since), a.FirstRead.Compare(b.FirstRead), strings.Compare(a.VersionID, b.VersionID))
	})
	return out
}
