package rotation

import (
	"context"
	"errors"
	"fmt"
)

// AlternatingUsers rotates between two users with the same rights: while one
// is current, the other gets a new password. Both work until the superseded
// one is revoked, so that no consumer meets a refused login.
//
// The second user is made by the first rotation, as a clone of the first, and
// is called after it with "_clone" at the end. The superuser acts for a user
// only if a stored password proves that the secret is that user's: else
// whoever may write the secret could have the superuser hand over any other.
type AlternatingUsers struct {
	Database Database
	// Superuser makes the clone and changes the passwords.
	Superuser Superuser
	// MaxName is the longest name of a user in bytes; 63 if zero, as in
	// PostgreSQL. The clone of a user with a long name has a shortened one.
	MaxName int
}

var (
	_ Strategy = AlternatingUsers{}
	_ Retirer  = AlternatingUsers{}
	_ Prober   = AlternatingUsers{}
	_ Namer    = AlternatingUsers{}
)

// NameAlternatingUsers is what operators call [AlternatingUsers]: the word of the tag rekey:strategy.
const NameAlternatingUsers = "alternating-users"

// Name is [NameAlternatingUsers].
func (AlternatingUsers) Name() string { return NameAlternatingUsers }

// Create makes a new password for the other user.
func (s AlternatingUsers) Create(ctx context.Context, c Change, supplied Value) (Value, error) {
	current, err := ParseCredential(c.Current)
	if err != nil {
		return Value{}, err
	}
	users, err := s.users(ctx, c, current)
	if err != nil {
		return Value{}, err
	}
	return next(current, users.other(current.Username), supplied)
}

// Set makes sure that the other user is there with the pending password. Where
// it is, it is set again: to look first would be a refused login in every
// rotation.
func (s AlternatingUsers) Set(ctx context.Context, c Change) error {
	current, pending, err := pair(c)
	if err != nil {
		return err
	}
	users, err := s.users(ctx, c, current)
	if err != nil {
		return err
	}
	if pending.Username != users.other(current.Username) {
		return configurationf("the pending value is not for the other one of the two users")
	}
	if err := checkPassword(pending.Password); err != nil {
		return err
	}
	// The superuser logs in meanwhile, and does nothing before the proof is there.
	super := open(ctx, s.Database, func(ctx context.Context) (Credential, error) { return superuser(ctx, s.Superuser, current) })
	if _, err := proven(ctx, s.Database, c, current, users.has); err != nil {
		super.giveUp(ctx)
		if set, _ := isSet(ctx, s.Database, pending); set {
			return nil
		}
		return fmt.Errorf("no stored login works for %q or %q, so the superuser changes neither: %w", users.original, users.clone, err)
	}
	return super.use(ctx, func(session Session) error {
		return session.EnsureClone(ctx, users.original, pending.Username, pending.Password)
	})
}

// Test logs in as the other user.
func (s AlternatingUsers) Test(ctx context.Context, c Change) error { return s.Probe(ctx, c.Pending) }

// Probe logs in.
func (s AlternatingUsers) Probe(ctx context.Context, v Value) error {
	return probe(ctx, s.Database, v)
}

// Retire takes the password of the superseded user away.
func (s AlternatingUsers) Retire(ctx context.Context, r Retirement) error {
	return retireUser(ctx, s.Database, s.Superuser, r)
}

// superuser reads the superuser's login.
func superuser(ctx context.Context, get Superuser, c Credential) (Credential, error) {
	if get == nil {
		return Credential{}, configurationf("alternating users need a superuser's login")
	}
	super, err := get(ctx, c)
	if errors.Is(err, ErrNoValue) {
		return Credential{}, configurationf("alternating users need a superuser's login: %v", err)
	}
	return super, err
}
