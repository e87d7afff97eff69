package audit

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"
)

// findings lists what somebody should look at, the gravest and latest first: what
// was found, and what the report shows. The ids are the principals' that it is of.
func (b *builder) findings(r *Report, found []Finding, ids map[string]bool) []Finding {
	n := 0 // counted first: there may be many, and none is held twice
	for list := range b.found(r, found) {
		n += len(list)
	}
	out := make([]Finding, 0, n)
	for list := range b.found(r, found) {
		out = append(out, list...)
	}
	if out = b.askedFindings(out, ids); out == nil {
		out = []Finding{}
	}
	labels := make(map[string][]string, len(r.Principals))
	for i := range r.Principals {
		labels[r.Principals[i].ID] = r.Principals[i].Labels
	}
	for i := range out {
		out[i].Labels = labels[out[i].Principal]
	}
	weight := map[string]int{High: 0, Medium: 1, Low: 2}
	slices.SortStableFunc(out, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(weight[a.Severity], weight[b.Severity]), b.At.Compare(a.At),
			strings.Compare(a.Kind, b.Kind), strings.Compare(a.Secret, b.Secret), strings.Compare(a.SecretARN, b.SecretARN),
			strings.Compare(a.Principal, b.Principal), strings.Compare(a.Text, b.Text))
	})
	return out
}

// found yields the lists of what was found, and of what the report shows.
func (b *builder) found(r *Report, found []Finding) iter.Seq[[]Finding] {
	return func(yield func([]Finding) bool) {
		if !yield(r.Findings) || !yield(found) || !yield(firstSeenFindings(r.FirstSeen)) || !yield(changeFindings(r.Changes)) {
			return
		}
		for i := range r.Secrets {
			if !yield(b.secretFindings(&r.Secrets[i])) {
				return
			}
		}
		for i := range r.Denied {
			if !yield([]Finding{deniedFinding(&r.Denied[i])}) {
				return
			}
		}
	}
}

// finding fills in the evidence of a finding: facts in the order of time.
func (b *builder) finding(f Finding, facts []*fact) Finding {
	shown := facts[max(len(facts)-listed, 0):]
	for _, fact := range shown {
		f.Events = append(f.Events, b.eventID(fact))
	}
	f.MoreEvents = len(facts) - len(shown)
	f.At = facts[len(facts)-1].at()
	return f
}

// factFindings lists what the facts of a secret show that its part of the report
// does not hold.
func (b *builder) factFindings(s *subject) []Finding {
	out := b.endpoints(s)
	if s.decoy {
		out = append(out, b.touches(s)...)
	}
	return out
}

// secretFindings lists what one secret's part of the report has to be looked at
// for.
func (b *builder) secretFindings(s *Secret) []Finding {
	out := slices.Concat(laggardFindings(s), b.rotationFindings(s), b.deletionFindings(s), b.stateFindings(s))
	for i := range out {
		out[i].Secret, out[i].SecretARN = s.Name, s.ARN
	}
	return out
}

func laggardFindings(s *Secret) []Finding {
	var out []Finding
	next := statusCommand(s)
	for _, l := range s.Laggards {
		f := Finding{Kind: KindLaggard, Principal: l.Principal, VersionID: l.VersionID, At: l.LastRead, Next: next}
		switch l.Class {
		case ReadsOld:
			f.Severity, f.Text = High, l.Evidence+" after it was superseded"
		case HoldsOld:
			f.Severity, f.At = Medium, l.Since
			f.Text = fmt.Sprintf("%s holds a lease on an old version until %s", l.Consumer, l.Expires.UTC().Format(time.RFC3339))
		default:
			f.Severity, f.Text = Low, "has not read the secret since its version changed"
		}
		if l.Event != "" {
			f.Events = []string{l.Event}
		}
		out = append(out, f)
	}
	return out
}

// stuckAfter is how long a rotation runs before it is reported.
const stuckAfter = time.Hour

func (b *builder) rotationFindings(s *Secret) []Finding {
	var out []Finding
	for i := range s.Rotations {
		r := &s.Rotations[i]
		f := Finding{Severity: High, Kind: KindRotationFailed, VersionID: r.VersionID, At: r.Ended, Events: r.Events, Next: rotationCommand(s, r)}
		switch {
		case r.Status == Failed:
			f.Text = strings.TrimSpace("rotation failed " + prefixed("in ", r.Step))
		case r.Status == Abandoned:
			f.Text = "rotation was abandoned"
		case r.Status == Running && b.opts.Now.Sub(r.Started) > stuckAfter:
			f.Kind, f.At, f.Text = KindRotationStuck, r.Started, "rotation started and has not ended"
		case r.Failures > 0:
			f.Severity, f.Text = Low, fmt.Sprintf("rotation failed %s before it %s", times(r.Failures), r.Status)
		default:
			continue
		}
		out = append(out, f)
	}
	return out
}

// stateFindings are what only Secrets Manager itself can tell.
func (b *builder) stateFindings(s *Secret) []Finding {
	state := s.State
	if state == nil || !state.Deleted.IsZero() || state.isReplica() {
		return nil
	}
	var out []Finding
	add := func(severity, kind, version, text, next string) {
		out = append(out, Finding{Severity: severity, Kind: kind, VersionID: version, At: b.opts.Now.UTC(), Text: text, Next: next})
	}
	if pending := state.labelled("AWSPENDING"); pending != "" && pending != state.labelled("AWSCURRENT") && !s.rotatesNow(b.opts.Now) {
		add(Medium, KindRotationStuck, pending, "AWSPENDING was left on a version that is not current: no rotation can start", doctorCommand(s))
	}
	if by := b.overdue(state); by > 0 {
		add(High, KindRotationOverdue, "", fmt.Sprintf("was to rotate %s, %s ago", state.Next.UTC().Format(time.DateOnly), plural(int(by/day), "day")), rotateCommand(s))
	}
	if state.Rotated.IsZero() && state.Owner == "" && b.opts.Now.Sub(state.Created) > b.opts.rotatedWithin() {
		next := rotateCommand(s)
		if !state.Rotation {
			next = describe(s.ARN, s.Name, s.Region)
		}
		add(Low, KindNeverRotated, "", "has never rotated", next)
	}
	last := s.LastUsed
	if last.IsZero() {
		last = state.Created
	}
	if idle := b.opts.Now.Sub(last); !last.IsZero() && idle > b.opts.unusedAfter() {
		text := "was never used in " + plural(int(idle/day), "day")
		if !s.LastUsed.IsZero() {
			text = fmt.Sprintf("was last used %s ago, %s", plural(int(idle/day), "day"), s.LastUsed.UTC().Format(time.DateOnly))
		}
		add(Low, KindUnused, "", text, secretCommand("delete-secret", s.ARN, s.Name, s.Region)+" --recovery-window-in-days 30")
	}
	return out
}

// rotatesNow reports whether a rotation has been running for no longer than
// one may.
func (s *Secret) rotatesNow(now time.Time) bool {
	n := len(s.Rotations)
	return n > 0 && s.Rotations[n-1].Status == Running && now.Sub(s.Rotations[n-1].Started) <= stuckAfter
}

// dueSoon is how long before a secret is gone that becomes graver: the shortest
// recovery window that there is.
const dueSoon = 7 * day

func (b *builder) deletionFindings(s *Secret) []Finding {
	var out []Finding
	restore := secretCommand("restore-secret", s.ARN, s.Name, s.Region)
	for i := range s.Deletions {
		d := &s.Deletions[i]
		left := d.Due.Sub(b.opts.Now)
		switch {
		case d.Forced:
			out = append(out, Finding{
				Severity: Medium, Kind: KindForcedDeletion, Principal: d.By, At: d.Scheduled, Events: d.Events[:1],
				Text: "was deleted for good, without a recovery window", Next: describe(s.ARN, s.Name, s.Region),
			})
		case d.Restored.IsZero() && left > 0:
			severity := Low
			if left <= dueSoon {
				severity = Medium
			}
			out = append(out, Finding{
				Severity: severity, Kind: KindDeletionDue, Principal: d.By, At: d.Scheduled, Events: d.Events[:1],
				Text: fmt.Sprintf("will be gone in %s, %s", plural(int(left/day), "day"), d.Due.UTC().Format(time.RFC3339)), Next: restore,
			})
		}
		if d.Attempts == 0 {
			continue
		}
		who := strings.Join(d.Principals, ", ")
		if d.MorePrincipals > 0 {
			who += fmt.Sprintf(" and %d more", d.MorePrincipals)
		}
		next := restore
		if d.Forced || left <= 0 || !d.Restored.IsZero() {
			next = describe(s.ARN, s.Name, s.Region)
		}
		shown := d.Events[1:]
		out = append(out, Finding{
			Severity: High, Kind: KindReadAfterDeletion, Principal: who, At: d.Scheduled, Events: shown, MoreEvents: d.Attempts - len(shown),
			Text: fmt.Sprintf("was asked for %s after its deletion", times(d.Attempts)), Next: next,
		})
	}
	return out
}

// touches reports who touched a decoy: whatever the call, and however it ended.
func (b *builder) touches(s *subject) []Finding {
	byWho := make(map[string][]*fact)
	for _, f := range s.facts {
		if f.isCall() && f.who.asked {
			byWho[f.who.id] = append(byWho[f.who.id], f)
		}
	}
	var out []Finding
	for _, who := range sortedKeys(byWho) {
		facts := byWho[who]
		out = append(out, b.finding(Finding{
			Severity: High, Kind: KindDecoy, Secret: s.name, SecretARN: s.arn, Principal: who,
			Text: fmt.Sprintf("touched a decoy %s, last by %s", times(len(facts)), facts[len(facts)-1].action),
			Next: containCommand(who, facts),
		}, facts))
	}
	return out
}

func deniedFinding(d *Denied) Finding {
	text := "without a secret's name"
	if d.Secret != "" {
		text = "on " + d.Secret
	}
	return Finding{
		Severity: Medium, Kind: KindDenied, Secret: d.Secret, SecretARN: d.SecretARN, Principal: d.Principal, At: d.Last,
		Text:   fmt.Sprintf("%s was refused %s %s", d.Action, times(d.Count), text),
		Events: d.Events, MoreEvents: d.Count - len(d.Events), Next: simulateCommand(d),
	}
}

// firstSeenFindings puts together what a principal brought that was new to a
// secret.
func firstSeenFindings(list []FirstSeen) []Finding {
	type key struct{ secret, arn, principal string }
	found := make(map[key]*Finding)
	var order []key
	for _, n := range list {
		k := key{n.Secret, n.SecretARN, n.Principal}
		f, ok := found[k]
		if !ok {
			f = &Finding{
				Severity: Low, Kind: KindFirstSeen, Secret: n.Secret, SecretARN: n.SecretARN, Principal: n.Principal,
				Next: secretCommand("get-resource-policy", n.SecretARN, n.Secret, regionOf(n.SecretARN)),
			}
			found[k], order = f, append(order, k)
		}
		f.At = n.At
		if n.Kind == NewPrincipal {
			f.Severity = Medium
		}
		if count := len(f.Events); count == 0 || f.Events[count-1] != n.Event {
			f.Events = append(f.Events, n.Event)
		}
		if f.Text == "" {
			f.Text = "first seen:"
		} else {
			f.Text += ","
		}
		f.Text += " " + n.Kind
		if n.Kind != NewPrincipal {
			f.Text += " " + n.Value
		}
	}
	out := make([]Finding, 0, len(order))
	for _, k := range order {
		f := found[k]
		if n := len(f.Events); n > listed {
			f.MoreEvents, f.Events = n-listed, f.Events[n-listed:]
		}
		out = append(out, *f)
	}
	return out
}

// changeFindings are the changes that may lock consumers out, or let others in.
func changeFindings(list []Change) []Finding {
	var out []Finding
	for i := range list {
		c := &list[i]
		severity := Low
		next := secretCommand("describe-secret", c.SecretARN, c.Secret, regionOf(c.SecretARN))
		switch c.Action {
		case "DisableKey", "ScheduleKeyDeletion":
			severity = High
		case "PutResourcePolicy", "DeleteResourcePolicy":
			severity = Medium
			next = secretCommand("get-resource-policy", c.SecretARN, c.Secret, regionOf(c.SecretARN))
		case "CancelRotateSecret", "RemoveRegionsFromReplication", "StopReplicationToReplica":
			severity = Medium
		case "EnableKey", "CancelKeyDeletion", "RotateSecret":
			continue // these set something right, or are what is wanted
		}
		text := strings.TrimSpace(c.Action + " " + c.Detail)
		if c.Failed {
			severity, text = Low, text+", which failed"
		}
		out = append(out, Finding{
			Severity: severity, Kind: KindChange, Secret: c.Secret, SecretARN: c.SecretARN, Principal: c.Principal,
			At: c.At, Text: text, Events: []string{c.Event}, Next: next,
		})
	}
	return out
}

func prefixed(prefix, text string) string {
	if text == "" {
		return ""
	}
	return prefix + text
}
