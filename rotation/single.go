package rotation

import (
	"context"
	"errors"
	"fmt"
	"iter"
)

// SingleUser rotates the password of one database user in place. Between
// setSecret and finishSecret only the pending password works: consumers get
// through that moment by trying AWSPENDING after a refused login.
type SingleUser struct {
	Database Database
	// Superuser helps where no stored password of the user works any more, or
	// where users may not change their own. It may be nil.
	Superuser Superuser
}

var (
	_ Strategy = SingleUser{}
	_ Restorer = SingleUser{}
	_ Retirer  = SingleUser{}
	_ Prober   = SingleUser{}
	_ Namer    = SingleUser{}
)

// NameSingleUser is what operators call [SingleUser]: the word of the tag rekey:strategy.
const NameSingleUser = "single-user"

// Name is [NameSingleUser].
func (SingleUser) Name() string { return NameSingleUser }

// Create makes a new password for the same user.
func (s SingleUser) Create(_ context.Context, c Change, supplied Value) (Value, error) {
	return nextInPlace(c, supplied)
}

// Set changes the password, with the first login that works: the current one,
// those before it, the superuser's. While the current one works the pending one
// is not set yet, so that usually no login is refused.
func (s SingleUser) Set(ctx context.Context, c Change) error {
	current, pending, err := pairInPlace(c)
	if err != nil {
		return err
	}
	return s.install(ctx, pending, s.logins(ctx, c, current))
}

// Test logs in.
func (s SingleUser) Test(ctx context.Context, c Change) error { return s.Probe(ctx, c.Pending) }

// Probe logs in.
func (s SingleUser) Probe(ctx context.Context, v Value) error { return probe(ctx, s.Database, v) }

// Restore sets the current password again, if it does not work any more.
func (s SingleUser) Restore(ctx context.Context, c Change) error {
	current, pending, err := pair(c)
	if err != nil {
		return err
	}
	err = works(ctx, s.Database, current)
	switch {
	case errors.Is(err, ErrPermission):
		return nil // the password is right, and what is wrong the test has said
	case !errors.Is(err, ErrAuth):
		return err // it works, or the server cannot be asked
	}
	return s.install(ctx, current, s.logins(ctx, c, pending))
}

// Retire finds the password replaced, unless the secret had another user.
func (s SingleUser) Retire(ctx context.Context, r Retirement) error {
	return retireUser(ctx, s.Database, s.Superuser, r)
}

// logins are those that may be able to change the password: first, then the
// earlier ones, then the superuser's.
func (s SingleUser) logins(ctx context.Context, c Change, first Credential) iter.Seq2[Credential, error] {
	return func(yield func(Credential, error) bool) {
		if !yield(first, nil) {
			return
		}
		sameUser := func(user string) bool { return user == first.Username }
		for login, err := range earlier(ctx, c, first, sameUser) {
			if !yield(login, err) {
				return
			}
		}
		if s.Superuser == nil {
			return
		}
		if super, err := s.Superuser(ctx, first); !errors.Is(err, ErrNoValue) {
			yield(super, err)
		}
	}
}

// install sets the password of a credential with the first login that can. It
// goes on to the next where one is refused or cannot be read, and stops where
// the server cannot be asked. Once the first is refused, it looks whether the
// password is set already.
func (s SingleUser) install(ctx context.Context, wanted Credential, logins iter.Seq2[Credential, error]) error {
	var refused error
	for login, err := range logins {
		if err != nil {
			refused = errors.Join(refused, err)
			continue
		}
		login.AnyDatabase = true
		err = use(ctx, s.Database, login, func(session Session) error {
			return session.SetPassword(ctx, wanted.Username, wanted.Password)
		})
		if !errors.Is(err, ErrAuth) && !errors.Is(err, ErrPermission) {
			return err
		}
		if refused == nil {
			if set, err := isSet(ctx, s.Database, wanted); set || err != nil {
				return err
			}
		}
		refused = errors.Join(refused, err)
	}
	if works(ctx, s.Database, wanted) == nil {
		return nil // the same step, run at the same time elsewhere, was faster
	}
	return fmt.Errorf("no stored login can set the password of %q: %w", wanted.Username, refused)
}
