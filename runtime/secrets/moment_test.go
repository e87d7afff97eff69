package secrets

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rekey-go/rekey/runtime/bulletin"
)

// warm reads often enough for hits to share a reading of the clocks.
func warm(t *testing.T, c *Client) {
	t.Helper()
	for range 2 {
		value(t, c)
	}
	value(t, c)
}

func TestHitsShareAReadingOfTheClocks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := New(newStore(), dev)
		var readings atomic.Int32
		running := c.now
		c.now = func() instant { readings.Add(1); return running() }
		warm(t, c)
		before := readings.Load()
		for range 1000 {
			value(t, c)
		}
		if got := readings.Load() - before; got != 0 {
			t.Errorf("1000 hits read the clocks %d times", got)
		}
		time.Sleep(goodFor)
		synctest.Wait() // the timer, due at the same instant
		value(t, c)
		if got := readings.Load() - before; got == 0 {
			t.Error("a hit went by a reading that was 10 ms old")
		}
		time.Sleep(time.Second)
		for range 10 {
			value(t, c)
			if c.moment.shared() != nil {
				t.Fatal("a reader that comes now and then made the client share a reading")
			}
			time.Sleep(2 * goodFor)
		}
	})
}

func TestNoDeadlinePassesWithinASharedReading(t *testing.T) {
	t.Parallel()
	for name, limit := range map[string]func(*Options){
		"the TTL":   func(o *Options) { o.TTL, o.MaxStale = 50*time.Millisecond, -1 },
		"the lease": func(o *Options) { o.Bulletin, o.Lease = newBoard(), 50*time.Millisecond },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := New(newStore(), dev, limit)
				value(t, c)
				first := *c.table.get(entryID{id: dbName}).state.Load()
				for {
					value(t, c)
					now := c.now()
					if now.mono >= int64(60*time.Millisecond) {
						break
					}
					end := c.moment.shared()
					if end != nil && end.before(first.fresh) && !now.before(first.fresh) {
						t.Fatalf("at %v a hit would be served past %v", now, first.fresh)
					}
					time.Sleep(time.Millisecond)
				}
				after := c.table.get(entryID{id: dbName}).state.Load()
				if name == "the TTL" && after.fetched == first.fetched {
					t.Error("the value was not read again in time")
				}
				if name == "the lease" && c.Stats().Checks == 0 {
					t.Error("the board was not read when the lease had run out")
				}
			})
		})
	}
}

func TestAFrozenMomentIsNotUsed(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		woken bool // before the freeze, by an invocation
		wake  bool // after it
	}{
		"where nothing tells of invocations, hits read the clocks": {},
		"an invocation withdraws what was shared before":           {woken: true, wake: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, b := newStore(), newBoard()
				c := watched(s, b)
				if tt.woken {
					c.Wake()
				}
				warm(t, c)
				if got := c.moment.shared() != nil; got != tt.woken {
					t.Fatalf("a reading is shared: %v, want %v", got, tt.woken)
				}
				freeze(c, 2*time.Minute) // no timer fires meanwhile
				b.announce(bulletin.Entry{VersionID: s.rotate()})
				if tt.wake {
					c.Wake()
				}
				if got := value(t, c); got != "value-2" {
					t.Errorf("after the thaw: %q, want value-2", got)
				}
			})
		})
	}
}

func TestAReadingFromBeforeAFreezeIsNotSharedAfterIt(t *testing.T) {
	t.Parallel()
	var m moment
	m.allowed.Store(true)
	var readings int
	var invocation sync.WaitGroup
	m.clock = func() instant {
		if readings++; readings == 3 { // the one to share: the freeze comes before it is stored
			invocation.Go(m.withdraw)
		}
		return instant{wall: 1, mono: 1}
	}
	m.read()
	m.read()
	invocation.Wait()
	if got := m.shared(); readings < 3 || got != nil {
		t.Errorf("after %d readings %v is shared, though an invocation began since", readings, got)
	}
}

func TestNoHitReturnsARevokedVersion(t *testing.T) {
	t.Parallel()
	s := newStore()
	c := New(s, dev)
	ref := Bind[string](c, "db")
	s.set(func(s *store) { s.values["v1"] = `"value-1"` })
	warm(t, c)
	var revoked atomic.Bool
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for range 2000 {
				known := revoked.Load()
				got, err := c.String(t.Context(), "db")
				typed, refErr := ref.Get(t.Context())
				if err != nil || refErr != nil || known && (got != `"value-2"` || typed != "value-2") {
					t.Errorf("after the news: %s %s, %v, %v", got, typed, err, refErr)
					return
				}
			}
		})
	}
	s.set(func(s *store) { s.delay = 2 * time.Millisecond })
	ended, cancel := context.WithCancel(t.Context())
	cancel() // Invalidate returns when the news is known, before the new version is there
	news := Rotated{SecretARN: dbARN, VersionID: s.rotate(), Reason: ReasonCompromised}
	s.set(func(s *store) { s.values["v2"] = `"value-2"` })
	if err := c.Invalidate(ended, news); !errors.Is(err, context.Canceled) {
		t.Errorf("Invalidate: %v, want it not to have waited", err)
	}
	revoked.Store(true)
	readers.Wait()
}
