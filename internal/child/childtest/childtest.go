// Package childtest starts real servers for tests.
package childtest

import (
	"context"
	"errors"
	"os"
	"testing"
)

// A Server ends when it is closed.
type Server interface{ Close() error }

// Start starts a server for the time of a test. Where the error of start is
// notFound the test is skipped and says so, with a hint how to install the
// server; with REQUIRE_ENGINES set it fails.
func Start[S Server](tb testing.TB, start func(context.Context) (S, error), notFound error, hint string) S {
	tb.Helper()
	s, err := start(context.WithoutCancel(tb.Context()))
	if errors.Is(err, notFound) {
		if os.Getenv("REQUIRE_ENGINES") == "" {
			tb.Skipf("NOT TESTED: %v; %s", err, hint)
		}
		tb.Fatalf("%v; %s", err, hint)
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}
