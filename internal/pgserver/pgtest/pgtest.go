// Package pgtest gives tests a real PostgreSQL.
package pgtest

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/rekey-go/rekey/internal/child/childtest"
	"github.com/rekey-go/rekey/internal/pgserver"
)

// Start starts a server for the time of a test. Where there is no PostgreSQL
// the test is skipped and says so; with REQUIRE_ENGINES set it fails.
func Start(tb testing.TB, opts pgserver.Options) *pgserver.Server {
	tb.Helper()
	start := func(ctx context.Context) (*pgserver.Server, error) { return pgserver.Start(ctx, opts) }
	return childtest.Start(tb, start, pgserver.ErrNotFound, pgserver.InstallHint)
}

// Need skips a test that starts PostgreSQL by other means where it is not installed.
// With REQUIRE_ENGINES set the test goes on: one may be downloaded.
func Need(tb testing.TB) {
	tb.Helper()
	if _, err := pgserver.Find(); err != nil && !childtest.Required() {
		childtest.Missing(tb, err, pgserver.InstallHint)
	}
}

// Login opens a session over verified TLS and closes it with the test.
func Login(tb testing.TB, s *pgserver.Server, user, password, database string) (*pgx.Conn, error) {
	tb.Helper()
	conn, err := s.Login(tb.Context(), user, password, database)
	if err != nil {
		return nil, err
	}
	tb.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn, nil
}

// Exec runs statements as the superuser.
func Exec(tb testing.TB, s *pgserver.Server, database string, statements ...string) {
	tb.Helper()
	conn, err := Login(tb, s, s.User, s.Password, database)
	if err != nil {
		tb.Fatal(err)
	}
	for _, sql := range statements {
		if _, err := conn.Exec(tb.Context(), sql); err != nil {
			tb.Fatalf("%s: %v", sql, err)
		}
	}
}
