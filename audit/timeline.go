package audit

import (
	"cmp"
	"iter"
	"slices"
	"strings"
	"time"
)

// intervals is how many intervals a timeline has at most.
const intervals = 96

// steps are the widths that the intervals of a timeline may have.
func steps() []time.Duration {
	const day = 24 * time.Hour
	return []time.Duration{
		time.Second, 2 * time.Second, 5 * time.Second, 15 * time.Second, 30 * time.Second,
		time.Minute, 2 * time.Minute, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute,
		time.Hour, 2 * time.Hour, 6 * time.Hour, 12 * time.Hour, day, 2 * day, 7 * day, 14 * day, 28 * day,
	}
}

// interval is how wide the intervals of a secret's timeline are: no wider than
// its span asks for.
func interval(s *subject, h *history) time.Duration {
	var first, last time.Time
	stretch := func(t time.Time) {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
		if t.After(last) {
			last = t
		}
	}
	for _, p := range h.promotions {
		stretch(p.at)
	}
	for f := range s.reads() {
		stretch(f.at())
	}
	for _, step := range steps() {
		if last.Sub(first) <= step*intervals {
			return step
		}
	}
	return slices.Max(steps())
}

// timeline counts reads of each version in intervals of a width. The facts
// come in the order of time.
func timeline(reads iter.Seq[*fact], width time.Duration) []ReadCount {
	out := []ReadCount{}
	for f := range reads {
		at := f.at().Truncate(width)
		i := len(out) - 1
		for i >= 0 && out[i].At.Equal(at) && out[i].VersionID != f.version() {
			i--
		}
		if i < 0 || !out[i].At.Equal(at) {
			i = len(out)
			out = append(out, ReadCount{At: at, VersionID: f.version()})
		}
		out[i].Reads++
	}
	slices.SortFunc(out, func(a, b ReadCount) int {
		return cmp.Or(a.At.Compare(b.At), strings.Compare(a.VersionID, b.VersionID))
	})
	return slices.Clone(out) // as long as it is, as there are many of them
}
