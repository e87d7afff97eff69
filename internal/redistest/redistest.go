// Package redistest runs a real Redis on the loopback interface, for the time of a
// test.
//
// The server is as strict as one in production: it takes TLS connections only, and
// its users come from an ACL file. It ends with the test, and also where the test's
// process is killed.
package redistest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"testing"

	"github.com/gomodule/redigo/redis"

	"github.com/rekey-go/rekey/internal/child/childtest"
)

// Start starts a server for the time of a test. Where there is no Redis the
// test is skipped and says so; with REQUIRE_ENGINES set it fails.
func Start(tb testing.TB, opts Options) *Server {
	tb.Helper()
	return childtest.Start(tb, func(ctx context.Context) (*Server, error) { return start(ctx, opts) }, errNotFound, installHint)
}

// Login opens a connection over verified TLS, as a consumer does. The caller
// closes it.
func Login(ctx context.Context, s *Server, user, password string) (redis.Conn, error) {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(s.CA))
	return redis.DialContext(ctx, "tcp", s.Addr(), redis.DialUsername(user), redis.DialPassword(password), redis.DialUseTLS(true),
		redis.DialTLSConfig(&tls.Config{RootCAs: pool, ServerName: s.Host, MinVersion: tls.VersionTLS12}))
}

// Do runs a command as the superuser.
func Do(tb testing.TB, s *Server, command string, args ...any) any {
	tb.Helper()
	conn, err := Login(tb.Context(), s, s.User, s.Password)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	reply, err := redis.DoContext(conn, tb.Context(), command, args...)
	if err != nil {
		tb.Fatalf("%s: %v", command, err)
	}
	return reply
}
