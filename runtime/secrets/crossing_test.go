package secrets

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rekey-go/rekey/runtime/bulletin"
)

// News of the version in memory, from a board that was read a moment too early or
// in an event that is repeated, does not undo the read of the one that is new.
func TestOldNewsDoesNotStopTheReadOfTheNewVersion(t *testing.T) {
	t.Parallel()
	for name, hear := range map[string]func(t *testing.T, c *Client, b *board){
		"a repeated event": func(t *testing.T, c *Client, _ *board) {
			if err := c.Invalidate(t.Context(), Rotated{SecretARN: dbARN, VersionID: "v1"}); err != nil {
				t.Error(err)
			}
		},
		"a board from before": func(t *testing.T, c *Client, b *board) {
			b.announce(bulletin.Entry{VersionID: "v1"})
			<-c.watch.start(t.Context()).read
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, b := newStore(), newBoard()
				c := watched(s, b)
				value(t, c)
				version := s.rotate()
				s.set(func(s *store) { s.delay = 50 * time.Millisecond })
				var all sync.WaitGroup
				all.Go(func() {
					if err := c.Invalidate(t.Context(), Rotated{SecretARN: dbARN, VersionID: version}); err != nil {
						t.Error(err)
					}
				})
				time.Sleep(10 * time.Millisecond) // its read is under way
				hear(t, c, b)
				all.Wait()
				if got := value(t, c); got != "value-2" {
					t.Errorf("after the event reads give %q, want value-2", got)
				}
			})
		})
	}
}
