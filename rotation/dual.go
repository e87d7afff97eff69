package rotation

import (
	"context"
	"errors"
	"fmt"
)

// DualPassword rotates the password of one user at a server that takes two for
// it: the old one works on beside the new one until it is retired, so that no
// consumer meets a refused login.
//
// Where the server keeps the two only with the help of a superuser, that one
// acts for the user only if a stored password proves that the secret is the
// user's.
type DualPassword struct {
	// Database gives sessions that are [DualSession]s.
	Database Database
	// Superuser changes the passwords. If nil, the user does so itself.
	Superuser Superuser
}

var (
	_ Strategy = DualPassword{}
	_ Retirer  = DualPassword{}
	_ Prober   = DualPassword{}
	_ Namer    = DualPassword{}
)

// NameDualPassword is what operators call [DualPassword]: the word of the tag rekey:strategy.
const NameDualPassword = "dual-password"

// Name is [NameDualPassword].
func (DualPassword) Name() string { return NameDualPassword }

// Create makes a new password for the same user.
func (s DualPassword) Create(_ context.Context, c Change, supplied Value) (Value, error) {
	return nextInPlace(c, supplied)
}

// Set adds the pending password to one that works.
func (s DualPassword) Set(ctx context.Context, c Change) error {
	current, pending, err := pairInPlace(c)
	if err != nil {
		return err
	}
	if set, err := isSet(ctx, s.Database, pending); set || err != nil {
		return err
	}
	keep, err := proven(ctx, s.Database, c, current, func(user string) bool { return user == current.Username })
	if err != nil {
		return fmt.Errorf("no stored login works for %q: %w", current.Username, err)
	}
	return s.session(ctx, keep, func(session DualSession) error {
		return session.AddPassword(ctx, pending.Username, keep.Password, pending.Password)
	})
}

// Test logs in.
func (s DualPassword) Test(ctx context.Context, c Change) error { return s.Probe(ctx, c.Pending) }

// Probe logs in.
func (s DualPassword) Probe(ctx context.Context, v Value) error { return probe(ctx, s.Database, v) }

// Retire drops the superseded password, and those of versions that never came
// to be current.
func (s DualPassword) Retire(ctx context.Context, r Retirement) error {
	old, err := ParseCredential(r.Superseded)
	if err != nil {
		return err
	}
	keep, err := successor(ctx, r, old)
	if err != nil {
		return err
	}
	inUse := func(ctx context.Context) error {
		now, err := successor(ctx, r, old)
		if err == nil && (now.Username != keep.Username || now.Password.Reveal() != keep.Password.Reveal()) {
			err = fmt.Errorf("another version became current meanwhile: %w", ErrInUse)
		}
		return err
	}
	if keep.Username != old.Username { // it was another strategy's
		return retireUser(ctx, s.Database, s.Superuser, r)
	}
	drop := append(s.abandoned(ctx, r, keep), old)
	return s.session(ctx, keep, func(session DualSession) error {
		for _, d := range drop {
			if err := session.DropPassword(ctx, d.Username, d.Password, keep.Password, inUse); err != nil {
				return err
			}
		}
		return nil
	})
}

// maxAbandoned is for how many versions Retire looks that rotations which were
// given up may have left passwords of.
const maxAbandoned = 3

// abandoned are the newest logins of the user that lost their labels. What
// cannot be read is left for the next time.
func (s DualPassword) abandoned(ctx context.Context, r Retirement, keep Credential) []Credential {
	var found []Credential
	for v, err := range earlierValues(ctx, r.Store, r.Secret, r.VersionID) {
		c, parseErr := ParseCredential(v)
		if err != nil || len(found) == maxAbandoned {
			break
		}
		if parseErr == nil && c.Username == keep.Username && keep.sameServer(c) == nil && c.Password.Reveal() != keep.Password.Reveal() {
			found = append(found, c)
		}
	}
	return found
}

// successor is the current login, if it is another than the old one and no
// rotation is under way.
func successor(ctx context.Context, r Retirement, old Credential) (Credential, error) {
	if err := r.UnderWay(ctx); err != nil {
		return Credential{}, err
	}
	v, err := r.Store.Get(ctx, r.Secret.ARN, "", LabelCurrent)
	if err != nil {
		return Credential{}, err
	}
	current, err := ParseCredential(v)
	if err == nil && current.Username == old.Username && current.Password.Reveal() == old.Password.Reveal() {
		return Credential{}, fmt.Errorf("the version with %s has the same password: %w", LabelCurrent, ErrInUse)
	}
	return current, err
}

// session runs fn in a session that can change the user of a login: the
// superuser's, or where there is none or it may not, as with an administrator,
// the user's own.
func (s DualPassword) session(ctx context.Context, login Credential, fn func(DualSession) error) error {
	if s.Superuser == nil {
		return s.as(ctx, login, fn)
	}
	super, err := s.Superuser(ctx, login)
	if err == nil {
		err = s.as(ctx, super, fn)
	}
	if !errors.Is(err, ErrNoValue) && !errors.Is(err, ErrPermission) {
		return err
	}
	if ownErr := s.as(ctx, login, fn); ownErr != nil {
		return errors.Join(ownErr, err)
	}
	return nil
}

// as runs fn in a session of a login.
func (s DualPassword) as(ctx context.Context, login Credential, fn func(DualSession) error) error {
	login.AnyDatabase = true
	return use(ctx, s.Database, login, func(session Session) error {
		dual, ok := session.(DualSession)
		if !ok {
			return configurationf("the server has no two passwords for a user; choose another strategy")
		}
		return fn(dual)
	})
}
