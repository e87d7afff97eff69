// Package mysqltest runs a real MariaDB on the loopback interface, for the time of
// a test.
//
// The server is as strict as one in production: it takes TLS connections and
// passwords only. It runs from the binaries that are on the machine. It ends with
// the test, and also where the test's process is killed.
package mysqltest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"errors"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/rekey-go/rekey/internal/child/childtest"
)

// Start starts a server for the time of a test. Where there is no MariaDB the
// test is skipped and says so; with REQUIRE_ENGINES set it fails.
func Start(tb testing.TB, opts Options) *Server {
	tb.Helper()
	return childtest.Start(tb, func(ctx context.Context) (*Server, error) { return start(ctx, opts) }, errNotFound, installHint)
}

// Login opens a session over verified TLS and closes it with the test.
func Login(tb testing.TB, s *Server, user, password, database string) (*sql.Conn, error) {
	tb.Helper()
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(s.CA))
	cfg := mysql.NewConfig()
	cfg.Net, cfg.Addr = "tcp", s.Addr()
	cfg.User, cfg.Passwd, cfg.DBName = user, password, database
	cfg.TLS = &tls.Config{RootCAs: pool, ServerName: s.Host, MinVersion: tls.VersionTLS12}
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	db := sql.OpenDB(connector)
	tb.Cleanup(func() { _ = db.Close() })
	conn, err := db.Conn(tb.Context())
	for range 2 { // the driver breaks one login of a user of ed25519 in 256 off
		if !errors.Is(err, mysql.ErrMalformPkt) {
			break
		}
		conn, err = db.Conn(tb.Context())
	}
	return conn, err
}

// Exec runs statements as the superuser.
func Exec(tb testing.TB, s *Server, statements ...string) {
	tb.Helper()
	conn, err := Login(tb, s, s.User, s.Password, "")
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	for _, sql := range statements {
		if _, err := conn.ExecContext(tb.Context(), sql); err != nil {
			tb.Fatalf("%s: %v", sql, err)
		}
	}
}
