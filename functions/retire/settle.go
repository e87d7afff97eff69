package retire

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rekey-go/rekey/rotation"
	"github.com/rekey-go/rekey/runtime/invalidation"
	"github.com/rekey-go/rekey/runtime/secrets"
)

// TagGrace is the tag of a secret that says how long a superseded login lives
// on at least, as a duration such as "1h". Without it REKEY_GRACE does.
const TagGrace = "rekey:grace"

// skew is how far the clocks of consumers may be apart from ours.
const skew = 2 * time.Second

type verdict int

const (
	retired verdict = iota // it is revoked
	wait                   // look again after the delay
	forget                 // there is nothing to revoke any more
	abandon                // the deadline is over
)

// A decision is what becomes of a superseded version, and why.
type decision struct {
	verdict verdict
	delay   time.Duration
	reason  string
}

// settle revokes the version that a rotation superseded, if it is time to.
func (f *function) settle(ctx context.Context, r invalidation.Rotated, now time.Time) (decision, error) {
	secret, err := f.describe(ctx, r.SecretARN)
	if err != nil {
		return decision{}, err
	}
	for _, label := range []string{rotation.LabelCurrent, rotation.LabelPending} {
		if secret.Has(r.PreviousVersionID, label) {
			return decision{verdict: forget, reason: "the version carries " + label + " again"}, nil
		}
	}
	grace, err := f.graceOf(secret, r)
	if err != nil {
		return decision{}, err
	}
	if left := r.At.Add(grace).Sub(now); grace > 0 && left > 0 {
		return decision{verdict: wait, delay: left, reason: "the grace period"}, nil
	}
	left := r.At.Add(max(f.deadline, grace)).Sub(now)
	holders, err := f.holders(ctx, secret, r)
	if err != nil {
		return decision{}, err
	}
	if len(holders) > 0 {
		return f.until(left, "held by "+strings.Join(holders, ", ")), nil
	}
	return f.revoked(ctx, r, left)
}

// revoked revokes, and says what came of it; left is the time to the deadline.
func (f *function) revoked(ctx context.Context, r invalidation.Rotated, left time.Duration) (decision, error) {
	err := f.revoke(ctx, r.SecretARN, r.PreviousVersionID)
	switch {
	case err == nil:
		return decision{reason: "no consumer holds it"}, nil
	case errors.Is(err, rotation.ErrReplaced):
		return decision{reason: "no consumer holds it, and the new version took its place"}, nil
	case errors.Is(err, rotation.ErrInUse):
		return f.until(left, "a version that is current or pending needs it"), nil
	case errors.Is(err, rotation.ErrManual):
		return decision{verdict: abandon, reason: err.Error()}, nil
	case errors.Is(err, rotation.ErrNoValue):
		return decision{verdict: abandon, reason: "its value is gone, and with it the name of the user to revoke"}, nil
	default:
		return decision{}, fmt.Errorf("revoking version %s of %s: %w", r.PreviousVersionID, r.Name, err)
	}
}

// until waits for something, but not longer than what is left to the deadline.
func (f *function) until(left time.Duration, reason string) decision {
	if left <= 0 {
		return decision{verdict: abandon, reason: "at the deadline: " + reason}
	}
	return decision{verdict: wait, delay: min(f.poll, left), reason: reason}
}

// graceOf is how long the superseded version lives on at least. One that
// leaked has no grace: consumers drop it as soon as they hear of it.
func (f *function) graceOf(secret rotation.Secret, r invalidation.Rotated) (time.Duration, error) {
	text, ok := secret.Tags[TagGrace]
	switch {
	case r.Reason == secrets.ReasonCompromised:
		return 0, nil
	case !ok:
		return f.grace, nil
	}
	grace, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("the tag %s of %s is not a duration such as 1h: %q", TagGrace, secret.Name, text)
	}
	return grace, nil
}

// holders are the consumers whose lease runs and is on a version that is
// neither the new one nor one that came after it. Leases end by the clocks of
// those who hold them, which ours is like.
func (f *function) holders(ctx context.Context, secret rotation.Secret, r invalidation.Rotated) ([]string, error) {
	if f.leases == nil {
		return nil, nil
	}
	leases, err := f.leases(ctx, r.SecretARN)
	if err != nil {
		return nil, err
	}
	var holders []string
	for _, l := range leases {
		isNew := l.VersionID == r.VersionID ||
			secret.Has(l.VersionID, rotation.LabelCurrent) || secret.Has(l.VersionID, rotation.LabelPending)
		if !isNew && time.Now().Before(l.Expires.Add(skew)) {
			holders = append(holders, l.Consumer)
		}
	}
	slices.Sort(holders)
	return holders, nil
}
