package mysql

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/rekey-go/rekey/rotation"
)

type session struct {
	pool  *sql.DB // of the one connection
	conn  *sql.Conn
	db    *Database
	login rotation.Credential

	// Known once a lock was taken.
	server server
	own    name // the account that the session is logged in to
}

var _ rotation.DualSession = (*session)(nil)

// classify gives an error of the session its meaning.
func (s *session) classify(doing string, err error) error { return s.db.classify(doing, s.login, err) }

// Ping asks the server for an answer.
func (s *session) Ping(ctx context.Context) error {
	var one int
	if err := s.conn.QueryRowContext(ctx, "SELECT 1").Scan(&one); err != nil {
		return s.classify("using the login", err)
	}
	return nil
}

// Close ends the session.
func (s *session) Close(context.Context) error { return errors.Join(s.conn.Close(), s.pool.Close()) }

// SetPassword makes a password the only one of a user.
func (s *session) SetPassword(ctx context.Context, user string, password rotation.Value) error {
	return s.locked(ctx, user, func() error {
		if user == s.login.Username {
			return s.server.setOwn(ctx, s, password.Reveal())
		}
		a, err := s.ordinary(ctx, user)
		if err != nil {
			return err
		}
		return s.only(ctx, a, password)
	})
}

// only makes a password the only one of an account.
func (s *session) only(ctx context.Context, a account, password rotation.Value) error {
	plugin, err := a.plugin()
	if err != nil {
		return err
	}
	m, err := newMethod(plugin, password.Reveal())
	if err != nil {
		return err
	}
	return s.exec(ctx, "setting the password of "+a.String(), s.server.only(a, m)...)
}

// AddPassword makes the server accept a password beside keep.
func (s *session) AddPassword(ctx context.Context, user string, keep, password rotation.Value) error {
	return s.locked(ctx, user, func() error {
		a, err := s.dual(ctx, user)
		switch {
		case errors.Is(err, errBlind):
			return addOwn(ctx, s, keep.Reveal(), password.Reveal())
		case err != nil:
			return err
		}
		kept, ok := a.by(keep.Reveal())
		if !ok {
			return a.changed()
		}
		if _, ok := a.by(password.Reveal()); ok && len(a.methods) == 2 {
			return nil // a step that is repeated
		}
		added, err := newMethod(kept.plugin, password.Reveal())
		if err != nil {
			return err
		}
		statements, err := s.server.both(a, added, kept)
		if err != nil {
			return err
		}
		return s.exec(ctx, "adding a password to "+a.String(), statements...)
	})
}

// DropPassword makes the server refuse a password, and go on to accept keep.
func (s *session) DropPassword(ctx context.Context, user string, old, keep rotation.Value, inUse func(ctx context.Context) error) error {
	return s.locked(ctx, user, func() error {
		a, err := s.dual(ctx, user)
		blind := errors.Is(err, errBlind)
		if err != nil && !blind {
			return err
		}
		if _, ok := a.by(old.Reveal()); !ok && !blind {
			return nil
		}
		if err := inUse(ctx); err != nil {
			return err
		}
		if blind {
			return dropOwn(ctx, s, keep.Reveal())
		}
		kept, ok := a.by(keep.Reveal())
		if !ok {
			return a.changed()
		}
		return s.exec(ctx, "dropping a password of "+a.String(), s.server.only(a, kept)...)
	})
}

// dual is the account whose passwords are added and dropped: the session's own
// or one that is no administrator's.
func (s *session) dual(ctx context.Context, user string) (account, error) {
	if user == s.login.Username {
		return s.server.read(ctx, s, s.own)
	}
	return s.ordinary(ctx, user)
}

// Revoke gives a user a password that nobody knows. Sessions that are open go
// on.
func (s *session) Revoke(ctx context.Context, user string, inUse func(ctx context.Context) error) error {
	return s.locked(ctx, user, func() error {
		a, err := s.ordinary(ctx, user)
		if errors.Is(err, errNoAccount) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := inUse(ctx); err != nil {
			return err
		}
		return s.only(ctx, a, rotation.NewPassword())
	})
}

// prepare makes statements mean the same whatever the server's settings are:
// no character set and no SQL mode changes where a string ends.
const prepare = "SET NAMES utf8mb4, SESSION sql_mode = '', SESSION sql_quote_show_create = 1"

// lockWait bounds the wait for a lock where the context does not.
const lockWait = 30 * time.Second

// locked runs fn while the session holds the lock on a user's name.
func (s *session) locked(ctx context.Context, user string, fn func() error) error {
	doing := fmt.Sprintf("locking the user %q", user)
	if err := s.exec(ctx, doing, prepare); err != nil {
		return err
	}
	wait := lockWait
	if deadline, ok := ctx.Deadline(); ok {
		wait = max(0, min(wait, time.Until(deadline)/2)) // the rest is for the change
	}
	sum := sha256.Sum256([]byte(user)) // the name of a lock is 64 characters at most
	lock := fmt.Sprintf("rekey:%x", sum[:16])
	var held sql.NullInt64
	var version, own string
	err := s.conn.QueryRowContext(ctx, "SELECT GET_LOCK(?, ?), VERSION(), CURRENT_USER()", lock, int(wait.Seconds())).Scan(&held, &version, &own)
	if err != nil {
		return s.classify(doing, err)
	}
	if held.Int64 != 1 {
		return fmt.Errorf("%s: %w: another session holds the lock", doing, rotation.ErrConflict)
	}
	defer func() { _, _ = s.conn.ExecContext(ctx, "DO RELEASE_LOCK(?)", lock) }() // else the end of the session does it
	if s.server, err = serverOf(version); err != nil {
		return err
	}
	s.own = parseName(own)
	return fn()
}

// exec runs statements, one after the other.
func (s *session) exec(ctx context.Context, doing string, statements ...string) error {
	for _, sql := range statements {
		if _, err := s.conn.ExecContext(ctx, sql); err != nil {
			return s.classify(doing, err)
		}
	}
	return nil
}

// each calls row for every row of a query, after it was scanned into dest.
func (s *session) each(ctx context.Context, doing string, row func(), dest []any, query string, args ...any) error {
	rows, err := s.conn.QueryContext(ctx, query, args...)
	if err != nil {
		return s.classify(doing, err)
	}
	defer func() { _ = rows.Close() }() // it was read to its end, or the error says why not
	for rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return s.classify(doing, err)
		}
		row()
	}
	if err := rows.Err(); err != nil {
		return s.classify(doing, err)
	}
	return nil
}

// row scans the only row of a query about an account.
func (s *session) row(ctx context.Context, doing string, of name, dest []any, query string) error {
	err := s.conn.QueryRowContext(ctx, query, of.user, of.host).Scan(dest...)
	switch {
	case errors.Is(err, sql.ErrNoRows): // it was there a moment ago
		return fmt.Errorf("%s: %w: %v has gone", doing, rotation.ErrConflict, of)
	case err != nil:
		return s.classify(doing, err)
	}
	return nil
}
