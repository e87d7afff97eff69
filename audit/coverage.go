package audit

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// covered says what the report is based on, as the facts show it.
func (b *builder) covered() Coverage {
	out := Coverage{
		From: b.opts.From.UTC(), To: b.opts.To.UTC(),
		Malformed: b.malformed,
		Inventory: b.opts.Inventory != nil, Leases: b.opts.Leases != nil, Integrity: b.opts.Integrity,
		Notes: []string{},
	}
	var accounts, regions set
	days := make(map[time.Time]bool)
	changesOfKeys := 0
	for f := range b.facts.all() {
		if f.rare != nil && f.rare.replaced {
			out.Replaced++
		}
		if f.kind == kindKey {
			changesOfKeys++
			continue
		}
		if out.Events == 0 {
			out.FirstEvent = f.at()
		}
		out.Events++
		out.LastEvent = f.at()
		accounts.add(f.account)
		regions.add(f.region)
		days[f.at().Truncate(day)] = true
		if f.kind == kindRead && f.secret == nil {
			out.Unattributed++
		}
		switch f.kind {
		case kindRead, kindBatch, kindDescribe:
			out.ReadEvents = true
		case kindDecrypt, kindEncrypt:
			out.KMSEvents = true
		}
	}
	out.Duplicates = b.records - out.Events - out.Replaced - changesOfKeys
	out.Accounts, out.MoreAccounts = accounts.some()
	out.Regions, out.MoreRegions = regions.some()
	out.Skipped = b.skipped
	slices.SortFunc(out.Skipped, func(a, b Skipped) int {
		return cmp.Or(strings.Compare(a.What, b.What), strings.Compare(a.Why, b.Why))
	})
	b.missing = missingDays(out.FirstEvent, out.LastEvent, days)
	return out
}

// note says in words what a report did not see.
func (b *builder) note(r *Report) {
	out := &r.Coverage
	for i := range r.Secrets {
		for _, a := range r.Secrets[i].Accesses {
			for _, v := range a.Versions {
				if v.VersionID == "" {
					out.UnknownVersion += v.Reads
				}
			}
		}
	}
	out.Notes = append(out.Notes, b.notes(out)...)
	if out.Malformed > 0 {
		out.Notes = append(out.Notes, plural(out.Malformed, "record")+" could not be read")
	}
	for _, s := range out.Skipped {
		out.Notes = append(out.Notes, s.What+": "+s.Why)
	}
	if out.Integrity != nil {
		out.Notes = append(out.Notes, out.Integrity.Problems...)
	}
}

// notes are those on the events.
func (b *builder) notes(out *Coverage) []string {
	var notes []string
	note := func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }
	if out.Events == 0 {
		note("no event of Secrets Manager was seen")
		return notes
	}
	if !out.ReadEvents {
		note("no read event was seen: the trail may log writes only")
	}
	if out.ReadEvents && !out.KMSEvents {
		note("no KMS event was seen: the trail may leave them out, and which version a plain read got is not known")
	} else if out.UnknownVersion > 0 {
		note("the version that was read is not known in %s", plural(out.UnknownVersion, "case"))
	}
	if !out.From.IsZero() && out.FirstEvent.Sub(out.From) > day {
		note("the first event is of %s, long after the start that was asked for", out.FirstEvent.Format(time.RFC3339))
	}
	if missing := b.missing; len(missing) > 0 {
		note("%s between the first and the last event without any, the first of them %s", plural(len(missing), "day"), missing[0].Format(time.DateOnly))
	}
	if out.Unattributed > 0 {
		note("%s without the name of a secret", plural(out.Unattributed, "call"))
	}
	return notes
}

func missingDays(first, last time.Time, days map[time.Time]bool) []time.Time {
	var missing []time.Time
	for at := first.Truncate(day); !at.After(last); at = at.Add(day) {
		if !days[at] {
			missing = append(missing, at)
		}
	}
	return slices.Clip(missing)
}

func plural(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}
