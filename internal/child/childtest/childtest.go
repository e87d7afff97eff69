// Package childtest starts real servers for tests, where the machine has them. A test
// that lacks one is skipped and says what to install; CI sets REQUIRE_ENGINES=1, which
// makes that a failure, so that nothing goes untested unseen.
package childtest

import (
	"context"
	"errors"
	"os"
	"testing"
)

// A Server ends when it is closed.
type Server interface{ Close() error }

// Required reports whether a test is to fail for what the machine lacks.
func Required() bool { return os.Getenv("REQUIRE_ENGINES") != "" }

// Missing ends a test for which the machine lacks something. The hint says how to
// install it.
func Missing(tb testing.TB, what error, hint string) {
	tb.Helper()
	if Required() {
		tb.Fatalf("%v; %s", what, hint)
	}
	tb.Skipf("NOT TESTED: %v; %s", what, hint)
}

// Start starts a server for the time of a test. Where the error of start is
// notFound it is [Missing].
func Start[S Server](tb testing.TB, start func(context.Context) (S, error), notFound error, hint string) S {
	tb.Helper()
	s, err := start(context.WithoutCancel(tb.Context()))
	if errors.Is(err, notFound) {
		Missing(tb, err, hint)
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
