package keyset

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/rekey-go/rekey/rotation"
)

// Strategy rotates a key set.
type Strategy struct {
	// Algorithm is that of new keys. If empty, it is the current key's.
	Algorithm Algorithm
	// Publish is for how long a key is in the set before it signs, at least: the
	// longest time for which a verifier goes on with what it has read. If zero,
	// it may sign at the next rotation, whenever that is.
	Publish time.Duration
}

var (
	_ rotation.Strategy = Strategy{}
	_ rotation.Planner  = Strategy{}
	_ rotation.Retirer  = Strategy{}
	_ rotation.Namer    = Strategy{}
)

// Name is what operators call the [Strategy]: the word of the tag
// rekey:strategy.
const Name = "key-set"

// Name is [Name].
func (Strategy) Name() string { return Name }

// Create makes the set in which the next key signs. Where there is none, or
// where an operator has supplied the key to sign with, it makes a next key for
// the rotation after this one. A next key that is dropped for a supplied one
// has signed nothing: whoever supplies a key may do so because all of the value
// is known to others. Where the next key may sign soon, Create waits for that.
func (s Strategy) Create(ctx context.Context, c rotation.Change, supplied rotation.Value) (rotation.Value, error) {
	held, err := Parse(c.Current)
	if err != nil {
		return rotation.Value{}, err
	}
	version := c.Secret.VersionWith(rotation.LabelCurrent)
	switch {
	case supplied.Reveal() == Compromised:
		err = held.replace(s.algorithm(held), version)
	case !supplied.Empty():
		err = held.supply(supplied, version)
	case held.Next != nil:
		next := published(held, c.Secret)
		if c.Secret.Now, err = s.ripen(ctx, next, c.Secret.Now); err == nil {
			held.succeed(next, version)
		}
	}
	if err != nil {
		return rotation.Value{}, err
	}
	if held.Next == nil {
		next, err := NewKey(s.algorithm(held), c.Secret.Now)
		if err != nil {
			return rotation.Value{}, err
		}
		held.Next = &next
	}
	held.trimmedFrom = ""
	return held.Value()
}

// published returns the next key with the time since when consumers know it.
func published(held *Set, secret rotation.Secret) Key {
	next := *held.Next
	next.Published = next.Created
	if secret.LastRotated.After(next.Created) {
		next.Published = secret.LastRotated.UTC()
	}
	return next
}

func (s Strategy) algorithm(held *Set) Algorithm {
	if s.Algorithm != "" {
		return s.Algorithm
	}
	return held.Current.Algorithm
}

// Compromised is what an operator supplies in place of a value where all of the
// current one is known to others, the next key with it: a key that is made then
// signs at once, by the algorithm of the one before, and the next key is dropped.
// Verifiers learn of it as they do of a supplied key.
const Compromised = `{"compromised":true}`

// replace makes a new key current that nobody has seen.
func (s *Set) replace(algorithm Algorithm, version string) error {
	k, err := NewKey(algorithm, time.Time{})
	if err != nil {
		return err
	}
	k.Created, k.Published = time.Time{}, time.Time{} // it signs before anybody knows it
	s.succeed(k, version)
	s.Next = nil
	return nil
}

// supply makes the signing_key of a supplied value current. What else the value
// has is taken over.
func (s *Set) supply(supplied rotation.Value, version string) error {
	wanted, err := Parse(supplied)
	if err != nil {
		return fmt.Errorf("reading the supplied value: %w", err)
	}
	if secret, ok := (*wanted.Current.material).([]byte); ok && len(secret) < minHMAC {
		return configurationf("the supplied signing key has fewer than %d bytes", minHMAC)
	}
	same := wanted.Current.ID == s.Current.ID
	if same && wanted.Issuer != "" && wanted.Issuer != s.Issuer {
		return configurationf("the supplied value has another issuer and the same signing key, under which the tokens of the old issuer would end; supply a new key with it")
	}
	if !same {
		k := wanted.Current
		k.Created, k.Published = time.Time{}, time.Time{}
		s.succeed(k, version)
		s.Next = nil
	}
	if wanted.Issuer != "" {
		s.Issuer = wanted.Issuer
	}
	maps.Copy(*s.members, *wanted.members) // those with a meaning are written anew
	return nil
}

// Set has nothing to do: the value is all that there is.
func (Strategy) Set(_ context.Context, c rotation.Change) error {
	_, err := Parse(c.Pending)
	return err
}

// Test signs with every key that can, and verifies as consumers do. A key that
// signs now has to have been published long enough ago.
func (s Strategy) Test(ctx context.Context, c rotation.Change) error {
	set, err := Parse(c.Pending)
	if err != nil {
		return err
	}
	for _, k := range set.all() {
		if !k.signs() {
			continue
		}
		token, err := k.sign(jwt.RegisteredClaims{Issuer: set.issuer(k)})
		if err != nil {
			return configurationf("%v cannot sign", k)
		}
		if err := set.Verify(token, &jwt.RegisteredClaims{}); err != nil {
			return configurationf("a token that %v signed is refused", k)
		}
	}
	_, err = s.ripen(ctx, set.Current, c.Secret.Now)
	return err
}

// Plan tells whether the key that a rotation would sign with may sign.
func (s Strategy) Plan(ctx context.Context, c rotation.Change) []rotation.Check {
	held, err := Parse(c.Current)
	detail := "the one of before; the rotation publishes the next"
	if err == nil && held.Next != nil {
		next := published(held, c.Secret)
		detail = fmt.Sprint(next)
		if !s.awaits(ctx, next, c.Secret.Now) {
			err = s.ripe(next, c.Secret.Now)
		}
	}
	return []rotation.Check{rotation.NewCheck("the key that is to sign may", detail, err)}
}

// ripe says from when on a key may sign, if it may not yet.
func (s Strategy) ripe(k Key, now time.Time) error {
	from := k.Published.Add(s.Publish)
	if s.unripe(k, now) == 0 {
		return nil
	}
	return fmt.Errorf("%w: consumers know %v since %s, and it may sign from %s on; rotate again then, or supply a key, which signs at once",
		rotation.ErrConflict, k, k.Published.Format(time.RFC3339), from.Format(time.RFC3339))
}

// unripe is for how long a key may not sign yet.
func (s Strategy) unripe(k Key, now time.Time) time.Duration {
	if k.Published.IsZero() {
		return 0
	}
	return max(k.Published.Add(s.Publish).Sub(now), 0)
}

// spare is what a step keeps of its time for what follows a wait.
const spare = 10 * time.Second

// awaits reports whether a step has the time to wait until a key may sign.
func (s Strategy) awaits(ctx context.Context, k Key, now time.Time) bool {
	end, limited := ctx.Deadline()
	return limited && s.unripe(k, now) <= time.Until(end)-spare
}

// ripen waits until a key may sign, if the step has the time, and returns the
// time then.
func (s Strategy) ripen(ctx context.Context, k Key, now time.Time) (time.Time, error) {
	wait := s.unripe(k, now)
	if wait == 0 || !s.awaits(ctx, k, now) {
		return now, s.ripe(k, now)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return now.Add(wait), nil
	case <-ctx.Done():
		return now, context.Cause(ctx)
	}
}
