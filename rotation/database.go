package rotation

import (
	"context"
	"errors"
	"fmt"
	"iter"
)

// A Database is a kind of database server. Its errors wrap one of [ErrAuth],
// [ErrNetwork], [ErrTLS], [ErrPermission] and [ErrConfiguration] where one
// fits, and never hold a password.
type Database interface {
	// Login opens a session with a credential.
	Login(ctx context.Context, c Credential) (Session, error)
}

// A Session is a login that is open. Changes are idempotent: repeated, also at
// the same time, they come to the same end.
type Session interface {
	// Ping does what the simplest consumer does.
	Ping(ctx context.Context) error
	// SetPassword changes the password of a user. Another user's is changed
	// only if that one is no administrator: a secret's value, which names the
	// user, must not lead a superuser to hand its own rights over.
	SetPassword(ctx context.Context, user string, password Value) error
	// EnsureClone makes sure that there is a user that can do exactly what
	// the original can, with the given password. The clone may be the original
	// itself; then only its password changes.
	EnsureClone(ctx context.Context, original, clone string, password Value) error
	// Revoke takes a user's password away, unless inUse, which is called when
	// nobody else can change the user, fails: with that error it ends. A user
	// that is not there has none, and an administrator is left alone.
	Revoke(ctx context.Context, user string, inUse func(ctx context.Context) error) error
	// Close ends the session.
	Close(ctx context.Context) error
}

// A DualSession is a [Session] at a server where a user may have two passwords
// at a time.
type DualSession interface {
	Session
	// AddPassword makes the server accept a password of a user beside keep,
	// which it accepts now. Any third that the server cannot hold goes.
	// Another user's is changed only if that one is no administrator, as by
	// SetPassword.
	AddPassword(ctx context.Context, user string, keep, password Value) error
	// DropPassword makes the server refuse a password of a user, and go on to
	// accept keep, unless inUse, which is called when nobody else can change
	// the user, fails: with that error it ends. A password that the user does
	// not have is dropped already.
	DropPassword(ctx context.Context, user string, old, keep Value, inUse func(ctx context.Context) error) error
}

// A Superuser returns the login that may change other users' passwords, for
// the database of a credential. The error wraps [ErrNoValue] where there is
// none.
type Superuser func(ctx context.Context, c Credential) (Credential, error)

// pair reads the two credentials of a change and checks that they fit.
func pair(c Change) (current, pending Credential, err error) {
	if current, err = ParseCredential(c.Current); err != nil {
		return current, pending, err
	}
	if pending, err = ParseCredential(c.Pending); err != nil {
		return current, pending, err
	}
	return current, pending, current.sameServer(pending)
}

// next makes the pending value: the current one with another user and a new
// password, or with the password that an operator supplied.
func next(current Credential, user string, supplied Value) (Value, error) {
	if supplied.Empty() {
		return current.With(user, NewPassword())
	}
	wanted, err := ParseCredential(supplied)
	if err != nil {
		return Value{}, fmt.Errorf("reading the supplied value: %w", err)
	}
	wanted = wanted.over(current)
	if err := wanted.sameServer(current); err != nil {
		return Value{}, err
	}
	if wanted.Username != user && wanted.Username != current.Username {
		return Value{}, configurationf("the supplied value is for another user")
	}
	if err := checkPassword(wanted.Password); err != nil {
		return Value{}, err
	}
	return wanted.With(user, wanted.Password)
}

// nextInPlace makes the pending value of a user whose name stays.
func nextInPlace(c Change, supplied Value) (Value, error) {
	current, err := ParseCredential(c.Current)
	if err != nil {
		return Value{}, err
	}
	return next(current, current.Username, supplied)
}

// pairInPlace is pair for a user whose name stays.
func pairInPlace(c Change) (current, pending Credential, err error) {
	if current, pending, err = pair(c); err != nil {
		return current, pending, err
	}
	if current.Username != pending.Username {
		return current, pending, configurationf("the pending value is for another user than the current one, and the strategy rotates one user in place")
	}
	return current, pending, checkPassword(pending.Password)
}

// proven returns a login that works: the current one, or where its password
// was changed behind the secret's back, an earlier one of a user that fits.
func proven(ctx context.Context, db Database, c Change, current Credential, fits func(user string) bool) (Credential, error) {
	current.AnyDatabase = true
	refused := works(ctx, db, current)
	if !errors.Is(refused, ErrAuth) {
		return current, refused
	}
	for login, err := range earlier(ctx, c, current, fits) {
		if err == nil {
			login.AnyDatabase = true
			err = works(ctx, db, login)
		}
		if err == nil || errors.Is(err, ErrNetwork) {
			return login, err
		}
		refused = errors.Join(refused, err)
	}
	return Credential{}, refused
}

// use opens a session, runs fn with it and closes it.
func use(ctx context.Context, db Database, c Credential, fn func(Session) error) error {
	session, err := db.Login(ctx, c)
	if err != nil {
		return err
	}
	return errors.Join(fn(session), session.Close(ctx))
}

// An opening is a session that is opened while something else is done. It ends
// with use or giveUp.
type opening struct {
	cancel  context.CancelFunc
	done    chan struct{} // closed when it is open, or cannot be
	session Session
	err     error
}

// open begins to open a session with the login that get returns.
func open(ctx context.Context, db Database, get func(context.Context) (Credential, error)) *opening {
	ctx, cancel := context.WithCancel(ctx)
	o := &opening{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(o.done)
		var c Credential
		if c, o.err = get(ctx); o.err == nil {
			o.session, o.err = db.Login(ctx, c)
		}
	}()
	return o
}

// use runs fn with the session and closes it.
func (o *opening) use(ctx context.Context, fn func(Session) error) error {
	defer o.cancel()
	<-o.done
	if o.err != nil {
		return o.err
	}
	return errors.Join(fn(o.session), o.session.Close(ctx))
}

// giveUp closes the session unused.
func (o *opening) giveUp(ctx context.Context) {
	o.cancel()
	<-o.done
	if o.err == nil {
		_ = o.session.Close(ctx) // nothing was done with it
	}
}

// works tries a login out.
func works(ctx context.Context, db Database, c Credential) error {
	return use(ctx, db, c, func(s Session) error { return s.Ping(ctx) })
}

// isSet reports whether the server accepts a login. One that is let in nowhere
// is accepted all the same: its password is right, and the test will say what
// it lacks, and restore.
func isSet(ctx context.Context, db Database, c Credential) (bool, error) {
	switch err := works(ctx, db, c); {
	case err == nil, errors.Is(err, ErrPermission):
		return true, nil
	case errors.Is(err, ErrAuth):
		return false, nil
	default:
		return false, err
	}
}

// probe tries the login of a value out.
func probe(ctx context.Context, db Database, v Value) error {
	c, err := ParseCredential(v)
	if err != nil {
		return err
	}
	return works(ctx, db, c)
}

// earlier gives the logins of earlier versions that are at the same server and
// of a user that fits, each once: a login that was refused is not tried again.
// Where they cannot be read, it ends with the error.
func earlier(ctx context.Context, c Change, current Credential, fits func(user string) bool) iter.Seq2[Credential, error] {
	return func(yield func(Credential, error) bool) {
		type key struct{ user, password string }
		seen := map[key]bool{{current.Username, current.Password.Reveal()}: true}
		for v, err := range c.Earlier(ctx) {
			if err != nil {
				yield(Credential{}, err)
				return
			}
			login, err := ParseCredential(v)
			if err != nil || !fits(login.Username) || current.sameServer(login) != nil {
				continue // it was another login then
			}
			k := key{login.Username, login.Password.Reveal()}
			if seen[k] {
				continue
			}
			seen[k] = true
			if !yield(login, nil) {
				return
			}
		}
	}
}
