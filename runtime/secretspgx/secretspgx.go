// Package secretspgx is a PostgreSQL connection pool whose login is a secret,
// and which lives through the rotations of that secret.
//
//	pool, err := secretspgx.NewPool(client, "database-credentials", secretspgx.FromEnv(os.Getenv))
//	...
//	err = pool.QueryRow(ctx, "SELECT count(*) FROM orders").Scan(&n)
//
// The pool is pgx's. Each new connection logs in with the secret as it is at
// that moment. When another version becomes current, idle connections are
// replaced; those in use are closed when they come back, so no query fails.
//
// # The ladder
//
// While a single user's password is rotated, there is a moment in which only
// the pending password works, and AWSCURRENT is still the one before. So when
// PostgreSQL refuses a login (SQLSTATE 28P01 or 28000), the pool climbs the
// [secrets.Ladder] of the secret, which finds the version that works: with at
// most three logins, and no longer than the caller's context allows. When all
// are refused, the pool goes on with the connections that it has and tries no
// login for a second, and longer after each time: accounts are not locked.
//
// # The value
//
// The value is a JSON object as AWS's rotation templates use it, or a shorter
// one:
//
//	{"engine", "host", "port", "username", "password", "dbname"}
//	{"host", "username", "password", "database"}
//
// Port and database come from [Options] where the value has none. Connections
// are encrypted and the server's certificate is verified, whatever the value
// says; see [Options.AllowPlaintext] for the one exception. No error holds a
// password.
package secretspgx

import (
	"crypto/x509"
	"errors"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Options configure a [Pool].
type Options struct {
	// Port is the server's where the value has none. If zero, it is 5432.
	Port uint16
	// Database is the one to connect to where the value has none.
	Database string
	// CA are PEM certificates that the server's is verified with, beside the
	// system's.
	CA string
	// AllowPlaintext lets a value with "ssl": false connect unencrypted, as
	// to a database on the same machine.
	AllowPlaintext bool
	// Configure changes the pool's configuration, such as MaxConns. BeforeConnect
	// and ShouldPing are set afterwards. If nil, pgx's defaults hold.
	Configure func(*pgxpool.Config)

	err error // of FromEnv
}

// FromEnv takes the options from the environment: REKEY_DATABASE_PORT,
// REKEY_DATABASE_NAME, REKEY_DATABASE_CA and REKEY_ALLOW_PLAINTEXT.
func FromEnv(getenv func(string) string) func(*Options) {
	return func(o *Options) {
		if text := getenv("REKEY_DATABASE_PORT"); text != "" {
			port, err := strconv.ParseUint(text, 10, 16)
			if err != nil {
				o.err = fmt.Errorf("REKEY_DATABASE_PORT is %q: want a port number", text)
			}
			o.Port = uint16(port)
		}
		o.Database = getenv("REKEY_DATABASE_NAME")
		o.CA = getenv("REKEY_DATABASE_CA")
		o.AllowPlaintext = getenv("REKEY_ALLOW_PLAINTEXT") == "true"
	}
}

// roots returns the certificates to verify servers with.
func (o *Options) roots() (*x509.CertPool, error) {
	if o.CA == "" {
		return nil, nil // the system's
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM([]byte(o.CA)) {
		return nil, errors.New("REKEY_DATABASE_CA holds no PEM certificate")
	}
	return pool, nil
}
