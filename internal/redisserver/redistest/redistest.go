// Package redistest gives tests a real Redis.
package redistest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"testing"

	"github.com/gomodule/redigo/redis"

	"github.com/rekey-go/rekey/internal/child/childtest"
	"github.com/rekey-go/rekey/internal/redisserver"
)

// Start starts a server for the time of a test. Where there is no Redis the
// test is skipped and says so; with REQUIRE_ENGINES set it fails.
func Start(tb testing.TB, opts redisserver.Options) *redisserver.Server {
	tb.Helper()
	start := func(ctx context.Context) (*redisserver.Server, error) { return redisserver.Start(ctx, opts) }
	return childtest.Start(tb, start, redisserver.ErrNotFound, redisserver.InstallHint)
}

// Login opens a connection over verified TLS, as a consumer does. The caller
// closes it.
func Login(ctx context.Context, s *redisserver.Server, user, password string) (redis.Conn, error) {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(s.CA))
	return redis.DialContext(ctx, "tcp", s.Addr(), redis.DialUsername(user), redis.DialPassword(password), redis.DialUseTLS(true),
		redis.DialTLSConfig(&tls.Config{RootCAs: pool, ServerName: s.Host, MinVersion: tls.VersionTLS12}))
}

// Do runs a command as the superuser.
func Do(tb testing.TB, s *redisserver.Server, command string, args ...any) any {
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
