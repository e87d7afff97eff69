// Package polltest waits in tests for what another process, or the engine, brings
// about in its own time: a queue that is removed, a key that is revoked.
//
// It is the last resort. Where there is an event, such as a channel or a line of
// output, a test waits for that; where there is only time, it runs in the virtual
// time of testing/synctest or of the engine's clock.
package polltest

import (
	"testing"
	"time"
)

const (
	// every is how often it is looked.
	every = 20 * time.Millisecond
	// patience is how long it is waited. It is long, for machines under load, and
	// waited out only by a test that fails.
	patience = 3 * time.Minute
)

// A Test is one that can be ended: a [testing.T], or the state of a test script.
type Test interface {
	Fatalf(format string, args ...any)
}

// Until returns as soon as holds does with true, which it is asked at once and then
// again and again. After three minutes it ends the test, with what did not come to hold:
// a clause such as "the key is revoked".
func Until(t Test, what string, holds func() bool) {
	if tb, ok := t.(testing.TB); ok {
		tb.Helper()
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !holds(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v in vain until %s", patience, what)
		}
	}
}
