// Package mysql changes logins on MySQL 8 and on MariaDB, for the strategies
// of package rotation. Which of the two a server is, its VERSION() tells. It
// has to be MySQL 8.0.14, MariaDB 10.4 or later, or an Aurora like these.
//
// Connections are over TLS 1.2 or later with a certificate that is verified;
// there is no falling back, and no login by a plugin that sends the password
// in the clear.
//
// # Passwords in logs
//
// Another user's password reaches the server as the hash that it stores, which
// is computed here (caching_sha2_password, mysql_native_password, ed25519): no
// log can hold the text. So does the own one on MariaDB. On MySQL a user
// without CREATE USER can change its own password only as text; the server
// writes it as <secret> to its logs, unless it runs with --log-raw.
//
// # Two passwords
//
// MySQL keeps a second password beside the first (RETAIN CURRENT PASSWORD, and
// DISCARD OLD PASSWORD to end it). MariaDB has no such thing, but takes
// alternatives: IDENTIFIED VIA ... OR ... with the hash of each, which are those
// of mysql_native_password. Its clients have to follow when the server goes on
// to the second one, which Go's driver does. What a statement here does not
// name stays as it is: REQUIRE, limits, expiry, lock.
//
// # Two users with the same rights
//
// The clone of a user gets the original's rights one by one, by what SHOW
// GRANTS lists, each time that its password is set: also roles, rights with
// GRANT OPTION and on columns, REQUIRE, limits, expiry, lock and host. What the
// original has lost since is taken from the clone. Objects have no owner here,
// but views, routines, triggers and events run with the rights of their
// DEFINER: one that the clone has made names the clone, and goes on to work for
// as long as the clone is there.
//
// # Accounts
//
// The server knows accounts, user and host, and a secret only users. Where a
// user has several accounts its password is not changed for it: which of them
// its consumers get depends on where they connect from.
//
// # Locks
//
// Changes of one user hold a lock on its name (GET_LOCK), so that steps that
// run twice at once wait for each other. There are no transactions over
// accounts: each change is a single statement, or an order of them in which
// every moment is a safe one, and the password comes last.
package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"strconv"

	"github.com/go-sql-driver/mysql"

	"github.com/rekey-go/rekey/rotation"
)

const (
	// MaxName is the longest name of a MySQL user, in characters.
	MaxName = 32
	// MaxNameMariaDB is the longest name of a MariaDB user, in characters.
	MaxNameMariaDB = 80
)

const defaultPort = 3306

// A Database is any MySQL or MariaDB server that a credential names.
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
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, fmt.Errorf("preparing the connection: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, d.reach.Timeout())
	defer cancel()
	pool := sql.OpenDB(connector)
	var conn *sql.Conn
	for range loginTries {
		if conn, err = pool.Conn(ctx); !errors.Is(err, mysql.ErrMalformPkt) {
			break
		}
	}
	if err != nil {
		doing := fmt.Sprintf("logging in to MySQL at %s as %q", c.Host, c.Username)
		return nil, errors.Join(d.refusedLogin(doing, c, err), pool.Close())
	}
	return &session{pool: pool, conn: conn, db: d, login: c}, nil
}

// loginTries is how often a login is tried that the driver breaks off. It takes a
// zero byte off the end of what a user of ed25519 has to sign, which is random: one
// login in 256 fails so.
const loginTries = 3

func (d *Database) config(c rotation.Credential) (*mysql.Config, error) {
	switch c.Engine {
	case "", "mysql", "aurora-mysql", "mariadb":
	default:
		return nil, fmt.Errorf("%w: the secret's engine is %q, not mysql or mariadb", rotation.ErrConfiguration, c.Engine)
	}
	cfg := mysql.NewConfig() // it forbids old and clear-text passwords
	cfg.Net, cfg.Addr = "tcp", net.JoinHostPort(c.Host, strconv.Itoa(d.reach.Port(c, defaultPort)))
	cfg.User, cfg.Passwd = c.Username, c.Password.Reveal()
	if !c.AnyDatabase {
		cfg.DBName = d.reach.Database(c)
	}
	cfg.TLS = d.reach.TLS(c)
	cfg.DialFunc = d.reach.Dial
	cfg.Timeout = d.reach.Timeout()
	cfg.ConnectionAttributes = "program_name:rekey"
	cfg.InterpolateParams = true    // a query with values takes one round trip
	cfg.Logger = &mysql.NopLogger{} // what it would log, the errors say
	return cfg, nil
}
