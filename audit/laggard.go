package audit

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// A reader is what is known of one principal's reads of one secret when its
// laggards are looked for.
type reader struct {
	before  *fact // the latest read before the current version became so
	since   *fact // the latest read after, whose version is known or not
	version *fact // the latest read after that shows a version
	console bool
}

// laggards lists who may still use a superseded version. Only those whose
// latest read shows an old version are proven by the records: who asked for the
// old version once and for the new one later has moved on.
func (c *collector) laggards(h *history) []Laggard {
	out := []Laggard{}
	old := h.superseded()
	if h.current == "" {
		return out
	}
	for who, r := range h.readers() {
		if h.rotators[who] || len(old) == 0 {
			continue
		}
		l := Laggard{Principal: who, Since: h.since}
		var seen *fact
		switch {
		case r.version != nil && (old[r.version.version()] || r.version.stage == "AWSPREVIOUS"):
			l.Class, l.Evidence, l.Proven = ReadsOld, GotOld, true
			if r.version.explicit || r.version.stage == "AWSPREVIOUS" {
				l.Evidence = AskedForOld
			}
			seen = r.version
		case r.since == nil && r.before != nil && !r.console && !h.since.IsZero():
			l.Class, l.Evidence = Silent, NoReadSince
			seen = r.before
		default:
			continue
		}
		l.VersionID, l.LastRead, l.Event = seen.version(), seen.at(), c.eventID(seen)
		out = append(out, l)
	}
	for _, l := range h.subject.leases {
		if c.opts.Principal == "" && h.isOld(l.VersionID, old) && l.Expires.After(c.opts.Now) {
			out = append(out, Laggard{
				Consumer: l.Consumer, Class: HoldsOld, Evidence: LeaseOnOld, Proven: true,
				VersionID: l.VersionID, Since: h.since, Expires: l.Expires,
			})
		}
	}
	slices.SortFunc(out, func(a, b Laggard) int {
		return cmp.Or(cmp.Compare(classOrder(a.Class), classOrder(b.Class)), b.LastRead.Compare(a.LastRead),
			strings.Compare(a.Principal, b.Principal), strings.Compare(a.Consumer, b.Consumer))
	})
	return out
}

func classOrder(class string) int {
	return slices.Index([]string{ReadsOld, HoldsOld, Silent}, class)
}

// isOld reports whether a lease's version was superseded. Where nobody told
// which version is current, one that the records do not know may be newer than
// they are.
func (h *history) isOld(version string, old map[string]bool) bool {
	if version == "" || version == h.current {
		return false
	}
	return old[version] || h.told && version != h.subject.state.labelled("AWSPENDING")
}

// superseded lists the versions that were current before the one that is,
// those that were read before it, and those that are older than the records.
func (h *history) superseded() map[string]bool {
	old := make(map[string]bool)
	seen := false // whether the records show the call that made it current
	for _, p := range h.promotions {
		old[p.version] = true
		seen = seen || p.version == h.current && p.by != firstRead && !p.at.IsZero()
	}
	made := h.made()
	for _, f := range h.subject.facts {
		if f.kind != kindRead || f.version() == "" {
			continue
		}
		// The records would show how a newer one was made.
		if f.at().Before(h.since) || seen && !made[f.version()] {
			old[f.version()] = true
		}
	}
	old[h.subject.state.labelled("AWSPREVIOUS")] = true
	delete(old, "")
	delete(old, h.current)
	return old
}

// made lists the versions whose making the records show.
func (h *history) made() map[string]bool {
	made := rotationTokens(h.subject)
	for _, f := range h.subject.facts {
		switch {
		case f.kind == kindEncrypt:
			made[f.version()] = true
		case f.rare != nil:
			made[f.rare.token], made[f.rare.madeResult] = true, true
		}
	}
	return made
}

// readers sorts the successful reads by principal. CloudTrail tells time in
// seconds: a read in the second in which the version changed is after it if it
// got the new version, or if nothing is known of it, and before it otherwise.
func (h *history) readers() map[string]*reader {
	readers := make(map[string]*reader)
	for f := range h.subject.reads() {
		r, ok := readers[f.who.id]
		if !ok {
			r = &reader{}
			readers[f.who.id] = r
		}
		r.console = r.console || f.who.flags&flagConsole != 0
		if h.isBefore(f) {
			r.before = f
			continue
		}
		r.since = f
		if (f.version() != "" || f.stage == "AWSPREVIOUS") && !h.movedOn(r.version, f) {
			r.version = f
		}
	}
	return readers
}

// movedOn reports whether a principal read the current version in the second
// in which it also read another: which came first cannot be told, and whoever
// revokes a version reads the old and the current one.
func (h *history) movedOn(known, f *fact) bool {
	return known != nil && known.version() == h.current && known.at().Truncate(time.Second).Equal(f.at().Truncate(time.Second))
}

func (h *history) isBefore(f *fact) bool {
	if h.since.IsZero() {
		return false
	}
	sameSecond := f.at().Truncate(time.Second).Equal(h.since.Truncate(time.Second))
	if sameSecond {
		return f.version() != "" && f.version() != h.current
	}
	return f.at().Before(h.since)
}
