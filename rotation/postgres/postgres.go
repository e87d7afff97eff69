// Package postgres changes logins on PostgreSQL, for the strategies of package
// rotation.
//
// Connections are over TLS 1.2 or later with a certificate that is verified;
// there is no falling back. A password reaches the server as a SCRAM-SHA-256
// verifier that is computed here, so that no log of the server can hold it.
//
// # Two users with the same rights
//
// The clone of a user is a role of its own that is a member of the original
// and acts as the original from its login on (ALTER ROLE ... SET role): it can
// do exactly what the original can, now and later, and what either makes
// belongs to the original. No grant is copied, and no object changes its
// owner, for which it would have to be locked under load; only what a clone of
// another tool has made for itself is given to the original. What belongs to
// the login is copied: connection limit, expiry, CREATEDB and settings.
//
// # Locks
//
// Changes of one user are made in a transaction that holds an advisory lock on
// its name, so that steps that run twice at once wait for each other.
package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/rekey-go/rekey/rotation"
)

// A Database is any PostgreSQL server that a credential names.
type Database struct{ reach *rotation.Reach }

var _ rotation.Database = (*Database)(nil)

// New returns a Database whose servers are reached so.
func New(reach *rotation.Reach) *Database { return &Database{reach} }

// Login opens a session.
func (d *Database) Login(ctx context.Context, c rotation.Credential) (rotation.Session, error) {
	cfg, err := d.config(c)
	if err != nil {
		return nil, err
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if c.AnyDatabase {
		for _, database := range maintenance {
			if state := sqlState(err); state != insufficientPrivilege && state != unknownDatabase {
				break
			}
			cfg.Database = database
			conn, err = pgx.ConnectConfig(ctx, cfg)
		}
	}
	if err != nil {
		return nil, d.classify(fmt.Sprintf("logging in to PostgreSQL at %s as %q", cfg.Host, c.Username), c, err)
	}
	return &session{conn: conn, db: d, login: c}, nil
}

// maintenance are the databases that every server has, and that let every
// login in unless they were closed.
//
//nolint:gochecknoglobals // a constant list.
var maintenance = []string{"postgres", "template1"}

// config is built by hand: nothing of the process's PG* variables, service
// files or password files may leak into a rotation.
func (d *Database) config(c rotation.Credential) (*pgx.ConnConfig, error) {
	if c.Engine != "" && c.Engine != "postgres" && c.Engine != "postgresql" && c.Engine != "aurora-postgresql" {
		return nil, fmt.Errorf("%w: the secret's engine is %q, not postgres", rotation.ErrConfiguration, c.Engine)
	}
	cfg, err := pgx.ParseConfig("host=localhost user=nobody passfile='' sslmode=disable")
	if err != nil {
		return nil, fmt.Errorf("preparing the connection: %w", err)
	}
	cfg.Host, cfg.Port = c.Host, uint16(d.reach.Port(c, 5432)) //nolint:gosec // a port.
	cfg.User, cfg.Password, cfg.Database = c.Username, c.Password.Reveal(), d.reach.Database(c)
	cfg.ConnectTimeout = d.reach.Timeout()
	cfg.Fallbacks = nil
	cfg.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	cfg.RuntimeParams = map[string]string{"application_name": "rekey"}
	cfg.TLSConfig = d.reach.TLS(c)
	cfg.DialFunc = d.reach.Dial
	cfg.LookupFunc = func(_ context.Context, host string) ([]string, error) { return []string{host}, nil } // Dial looks it up
	return cfg, nil
}
