package secrets

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rekey-go/rekey/runtime/bulletin"
)

// dropping is a board that was full: it has no entries, but knows since when.
type dropping struct{ *board }

func (d dropping) Read(ctx context.Context) (bulletin.Board, error) {
	posted, err := d.board.Read(ctx)
	d.mu.Lock()
	defer d.mu.Unlock()
	posted.Since = d.posted.Since
	return posted, err
}

func TestAnEnvironmentThatWasFrozenReadsWhatTheBoardHasDropped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, b := newStore(), newBoard()
		c := watched(s, b)
		c.watch.board = dropping{b}
		value(t, c)
		freeze(c, 2*time.Minute) // longer than the lease, shorter than the TTL
		s.rotate()
		b.set(func(b *board) { b.posted.Since = time.Now().Add(2 * time.Minute) })
		if got := value(t, c); got != "value-2" {
			t.Errorf("after the thaw: %q, want value-2", got)
		}
		gets := s.reads()
		freeze(c, 2*time.Minute)
		if got := value(t, c); got != "value-2" || s.reads() != gets {
			t.Errorf("after the next: %q with %d reads, want none", got, s.reads()-gets)
		}
	})
}
