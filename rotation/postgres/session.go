package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/rekey-go/rekey/rotation"
)

type session struct {
	conn  *pgx.Conn
	db    *Database
	login rotation.Credential
}

// classify gives an error of the session its meaning.
func (s *session) classify(doing string, err error) error { return s.db.classify(doing, s.login, err) }

// Ping asks the server for an answer.
func (s *session) Ping(ctx context.Context) error {
	if _, err := s.conn.Exec(ctx, "SELECT 1"); err != nil {
		return s.classify("using the login", err)
	}
	return nil
}

// Close ends the session, also where the caller's time is over.
func (s *session) Close(ctx context.Context) error {
	return s.conn.Close(context.WithoutCancel(ctx))
}

// SetPassword changes a password by its verifier.
func (s *session) SetPassword(ctx context.Context, user string, password rotation.Value) error {
	secret, err := verifier(password)
	if err != nil {
		return err
	}
	return s.locked(ctx, user, func() error {
		if user == s.login.Username {
			return s.exec(ctx, "setting the own password", "ALTER ROLE "+quote(user)+" PASSWORD "+literal(secret))
		}
		if _, err := s.ordinary(ctx, user); err != nil {
			return err
		}
		return s.setPassword(ctx, user, secret)
	})
}

// setPassword also lets the user log in, which it may not do for itself.
func (s *session) setPassword(ctx context.Context, user, secret string) error {
	return s.exec(ctx, fmt.Sprintf("setting the password of %q", user), "ALTER ROLE "+quote(user)+" LOGIN PASSWORD "+literal(secret))
}

// Revoke takes a user's password away. Sessions that are open go on.
func (s *session) Revoke(ctx context.Context, user string, inUse func(ctx context.Context) error) error {
	return s.locked(ctx, user, func() error {
		exists, err := s.ordinary(ctx, user)
		if err != nil || !exists {
			return err
		}
		if err := inUse(ctx); err != nil {
			return err
		}
		return s.exec(ctx, fmt.Sprintf("revoking the password of %q", user), "ALTER ROLE "+quote(user)+" PASSWORD NULL")
	})
}

// Rights is nil if the session's login may change the password of a user.
func (s *session) Rights(ctx context.Context, user string) error {
	exists, err := s.ordinary(ctx, user)
	if err != nil {
		return err
	}
	// From PostgreSQL 16 on CREATEROLE counts for the roles alone that the login
	// has been given ADMIN OPTION on.
	const sql = `SELECT rolsuper, rolcreaterole, current_setting('server_version_num')::int < 160000 OR NOT $2 OR EXISTS (
			SELECT FROM pg_auth_members m WHERE m.member = r.oid AND m.admin_option AND m.roleid = (SELECT oid FROM pg_roles WHERE rolname = $1))
		FROM pg_roles r WHERE rolname = current_user`
	var super, createRole, admin bool
	if err := s.conn.QueryRow(ctx, sql, user, exists).Scan(&super, &createRole, &admin); err != nil {
		return s.classify("reading the rights of the login", err)
	}
	switch {
	case super:
		return nil
	case !createRole:
		return fmt.Errorf("%w: %q has no CREATEROLE", rotation.ErrPermission, s.login.Username)
	case !admin:
		return fmt.Errorf("%w: %q has no ADMIN OPTION on %q", rotation.ErrPermission, s.login.Username, user)
	}
	return nil
}

// ordinary reports whether a user exists. For one that is an administrator,
// or may act as the session's own user, it returns an error.
func (s *session) ordinary(ctx context.Context, user string) (exists bool, err error) {
	var admin bool
	const sql = `SELECT rolsuper OR rolcreaterole OR rolreplication OR rolbypassrls OR pg_has_role(oid, current_user, 'MEMBER') FROM pg_roles WHERE rolname = $1`
	err = s.conn.QueryRow(ctx, sql, user).Scan(&admin)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return false, nil
	case err != nil:
		return false, s.classify(fmt.Sprintf("looking for the user %q", user), err)
	case admin:
		return true, fmt.Errorf("%w: %q is an administrator, whose password nobody else changes here", rotation.ErrPermission, user)
	}
	return true, nil
}

// locked runs fn in a transaction that holds the lock on a user's name.
//
// In it the session acts as the login itself: a clone's session acts as the
// original, which may not change the clone. And names are looked for in the
// system's schema alone: whoever owns the database could have put functions of
// the same names elsewhere, for a superuser to run.
func (s *session) locked(ctx context.Context, user string, fn func() error) error {
	const begin = "BEGIN; SET LOCAL ROLE NONE; SET LOCAL search_path = pg_catalog; SET LOCAL standard_conforming_strings = on; SELECT pg_advisory_xact_lock(hashtextextended("
	if err := s.exec(ctx, fmt.Sprintf("locking the user %q", user), begin+literal("rekey:"+user)+", 0))"); err != nil {
		return err
	}
	if err := fn(); err != nil {
		_, _ = s.conn.Exec(ctx, "ROLLBACK") // else the end of the session does it
		return err
	}
	return s.exec(ctx, "committing the change", "COMMIT")
}

// exec runs statements.
func (s *session) exec(ctx context.Context, doing, sql string) error {
	if _, err := s.conn.Exec(ctx, sql); err != nil {
		return s.classify(doing, err)
	}
	return nil
}

// sqlState is the server's code for an error, or empty.
func sqlState(err error) string {
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok {
		return refused.Code
	}
	return ""
}
