package audit

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	day = 24 * time.Hour
	// defaultDays is Security Hub's default of unusedForDays and of
	// maxDaysSinceRotation.
	defaultDays = 90 * day
	// late is how long after its date a rotation counts as overdue: Secrets
	// Manager rotates any time within a window that ends with the day, and tries
	// again.
	late = day
)

func (o *Options) unusedAfter() time.Duration   { return cmp.Or(o.UnusedAfter, defaultDays) }
func (o *Options) rotatedWithin() time.Duration { return cmp.Or(o.RotatedWithin, defaultDays) }

// controls gives Security Hub's verdicts on a secret whose state is known, by the
// definitions, severities and defaults of "Security Hub CSPM controls for Secrets
// Manager" in the AWS Security Hub User Guide:
//
//   - SecretsManager.1, secrets should have automatic rotation enabled:
//     maximumAllowedRotationFrequency has no default
//   - SecretsManager.2, secrets configured with automatic rotation should rotate
//     successfully: only those are looked at
//   - SecretsManager.3, remove unused secrets: unusedForDays is 90
//   - SecretsManager.4, secrets should be rotated within a specified number of
//     days: maxDaysSinceRotation is 90
//   - SecretsManager.5, secrets should be tagged: requiredTagKeys has no default,
//     and tags that begin with aws: do not count
func (b *builder) controls(s *subject) []Control {
	state := s.state
	if state == nil {
		return nil
	}
	verdict := func(id, severity string, judge func() (status, reason string)) Control {
		c := Control{ID: id, Severity: severity, Status: NotAvailable}
		switch {
		case !state.Deleted.IsZero():
			c.Reason = "it is scheduled for deletion"
		case state.isReplica() && id != "SecretsManager.5" && id != "SecretsManager.3":
			c.Reason = "it is a replica, which rotates with its primary in " + state.Primary
		default:
			c.Status, c.Reason = judge()
		}
		return c
	}
	return []Control{
		verdict("SecretsManager.1", Medium, func() (string, string) { return b.rotates(state) }),
		verdict("SecretsManager.2", Medium, func() (string, string) { return b.onSchedule(state) }),
		verdict("SecretsManager.3", Medium, func() (string, string) { return b.isUsed(state) }),
		verdict("SecretsManager.4", Medium, func() (string, string) { return b.rotatedLately(state) }),
		verdict("SecretsManager.5", Low, func() (string, string) { return b.isTagged(state) }),
	}
}

// isReplica reports whether a secret is a replica of one in another Region.
func (s *State) isReplica() bool {
	region, _, ok := parseARN(s.ARN)
	return ok && s.Primary != "" && s.Primary != region
}

// rotates is SecretsManager.1: automatic rotation is on, and not rarer than
// allowed.
func (b *builder) rotates(s *State) (status, reason string) {
	most := b.opts.MaxInterval
	every := time.Duration(s.EveryDays) * day
	switch {
	case !s.Rotation:
		return ControlFailed, "automatic rotation is off"
	case most > 0 && every > most:
		return ControlFailed, fmt.Sprintf("it rotates every %d days, and %d are allowed", s.EveryDays, most/day)
	case most > 0 && every == 0:
		return ControlFailed, "its interval is not known"
	}
	return Passed, "automatic rotation is on"
}

// onSchedule is SecretsManager.2: what has rotation on rotated when it was to.
func (b *builder) onSchedule(s *State) (status, reason string) {
	switch {
	case !s.Rotation:
		return NotAvailable, "automatic rotation is off"
	case b.overdue(s) > 0:
		return ControlFailed, "its rotation was due " + s.Next.UTC().Format(time.DateOnly)
	case s.Next.IsZero() && s.Rotated.IsZero():
		return ControlFailed, "it has never rotated"
	}
	return Passed, "it rotated as scheduled"
}

// overdue is how long ago a secret was to rotate.
func (b *builder) overdue(s *State) time.Duration {
	if !s.Rotation || s.Next.IsZero() || s.isReplica() || !s.Deleted.IsZero() {
		return 0
	}
	if by := b.opts.Now.Sub(s.Next); by > late {
		return by
	}
	return 0
}

// isUsed is SecretsManager.3. A secret that was never accessed counts from its
// making.
func (b *builder) isUsed(s *State) (status, reason string) {
	most := b.opts.unusedAfter()
	last := cmp.Or(s.Accessed, s.Created)
	if b.opts.Now.Sub(last) <= most {
		return Passed, fmt.Sprintf("it was accessed, or made, in the last %d days", most/day)
	}
	if s.Accessed.IsZero() {
		return ControlFailed, "it has never been accessed"
	}
	return ControlFailed, "it was last accessed " + s.Accessed.UTC().Format(time.DateOnly)
}

// rotatedLately is SecretsManager.4. A secret that has never rotated counts
// from its making.
func (b *builder) rotatedLately(s *State) (status, reason string) {
	most := b.opts.rotatedWithin()
	if b.opts.Now.Sub(cmp.Or(s.Rotated, s.Created)) <= most {
		return Passed, fmt.Sprintf("it rotated, or was made, in the last %d days", most/day)
	}
	if s.Rotated.IsZero() {
		return ControlFailed, "it has never rotated"
	}
	return ControlFailed, "it last rotated " + s.Rotated.UTC().Format(time.DateOnly)
}

// isTagged is SecretsManager.5. AWS's own tags do not count.
func (b *builder) isTagged(s *State) (status, reason string) {
	own := 0
	for key := range s.Tags {
		if !strings.HasPrefix(key, "aws:") {
			own++
		}
	}
	var missing []string
	for _, key := range b.opts.RequiredTags {
		if _, ok := s.Tags[key]; !ok {
			missing = append(missing, key)
		}
	}
	slices.Sort(missing)
	switch {
	case own == 0:
		return ControlFailed, "it has no tag"
	case len(missing) > 0:
		return ControlFailed, "it lacks the tag " + strings.Join(missing, ", ")
	}
	return Passed, "it is tagged"
}
