package secrets

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rekey-go/rekey/runtime/bulletin"
)

// board is a bulletin in memory that counts.
type board struct {
	mu     sync.Mutex
	posted bulletin.Board
	leases map[string]bulletin.Lease // :: by ARN
	reads  int
	err    error // of reading
	deny   error // of renewing
	delay  time.Duration
	late   time.Duration // by which the next renewal alone arrives
}

func newBoard() *board {
	return &board{posted: bulletin.Board{Entries: map[string]bulletin.Entry{}}, leases: map[string]bulletin.Lease{}}
}

func (b *board) Read(ctx context.Context) (bulletin.Board, error) {
	b.mu.Lock()
	b.reads++
	posted := bulletin.Board{Epoch: b.posted.Epoch, Entries: maps.Clone(b.posted.Entries)}
	err, delay := b.err, b.delay
	b.mu.Unlock()
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return bulletin.Board{}, ctx.Err()
		}
	}
	return posted, err
}

func (b *board) Renew(_ context.Context, leases ...bulletin.Lease) error {
	b.mu.Lock()
	late := b.late
	b.late = 0
	b.mu.Unlock()
	time.Sleep(late)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.deny != nil {
		return b.deny
	}
	for _, l := range leases {
		b.leases[l.SecretARN] = l
	}
	return nil
}

func (b *board) Release(_ context.Context, arn, _ string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.leases, arn)
	return nil
}

func (b *board) announce(e bulletin.Entry) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e.SecretARN, e.Name, e.At = dbARN, dbName, time.Now()
	b.posted.Epoch++
	b.posted.Entries[dbARN] = e
}

func (b *board) set(change func(*board)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change(b)
}

func (b *board) lease() bulletin.Lease {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.leases[dbARN]
}

func (b *board) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.reads
}

func watched(s *store, b *board) *Client {
	c := New(s, dev, func(o *Options) {
		o.Bulletin, o.Consumer, o.Logger = b, "test/1/x", slog.New(slog.DiscardHandler)
		o.Freezes = true
	})
	c.watch.phase = 1
	return c
}

// freeze has the wall clock go on while the monotonic one stands still.
func freeze(c *Client, d time.Duration) {
	synctest.Wait() // what goes on in the background has read the clocks
	running := c.now
	c.now = func() instant {
		now := running()
		now.wall += int64(d)
		return now
	}
}

func TestTheBoardIsFollowed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, b := newStore(), newBoard()
		c := watched(s, b)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go c.Run(ctx)
		value(t, c)
		if _, err := c.Get(t.Context(), "any"); err != nil { // a second secret, the same read of the board
			t.Fatal(err)
		}
		b.announce(bulletin.Entry{VersionID: s.rotate(), PreviousVersionID: "v1"})
		time.Sleep(10*time.Second + time.Millisecond)
		if got := value(t, c); got != "value-2" {
			t.Errorf("after CheckInterval: %q, want value-2", got)
		}
		gets := s.reads()
		time.Sleep(50 * time.Second)
		if got := b.count(); got != 6 {
			t.Errorf("the board was read %d times in a minute, want 6", got)
		}
		if got := s.reads(); got != gets {
			t.Errorf("an announcement that was followed caused %d more reads", got-gets)
		}
	})
}

func TestLeases(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, b := newStore(), newBoard()
		c := watched(s, b)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go c.Run(ctx)
		start := time.Now()
		value(t, c)
		want := bulletin.Lease{SecretARN: dbARN, Consumer: "test/1/x", VersionID: "v1", Since: start, Expires: start.Add(time.Minute)}
		if diff := cmp.Diff(want, b.lease()); diff != "" {
			t.Errorf("with the first value (-want +got):\n%s", diff)
		}
		time.Sleep(30*time.Second + time.Millisecond)
		want.Expires = start.Add(90 * time.Second)
		if diff := cmp.Diff(want, b.lease()); diff != "" {
			t.Errorf("renewed (-want +got):\n%s", diff)
		}
		s.rotate()
		moved := time.Now()
		if err := c.Invalidate(t.Context(), Rotated{SecretARN: dbARN, VersionID: "v2"}); err != nil {
			t.Fatal(err)
		}
		want.VersionID, want.Since, want.Expires = "v2", moved, moved.Add(time.Minute)
		if diff := cmp.Diff(want, b.lease()); diff != "" {
			t.Errorf("after a rotation (-want +got):\n%s", diff)
		}
		if err := c.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if got := b.lease(); got != (bulletin.Lease{}) {
			t.Errorf("after Close: %+v", got)
		}
	})
}

func TestAFrozenEnvironmentLooksBeforeItServes(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		frozen time.Duration
		change func(*store, *board)
		want   string
		looks  int
		is     error
	}{
		"its lease still runs": {
			frozen: 59 * time.Second,
			change: func(s *store, b *board) { b.announce(bulletin.Entry{VersionID: s.rotate()}) },
			want:   "value-1",
		},
		"its lease has run out": {
			frozen: time.Minute,
			change: func(s *store, b *board) { b.announce(bulletin.Entry{VersionID: s.rotate()}) },
			want:   "value-2", looks: 1,
		},
		"nothing changed": {
			frozen: 2 * time.Minute,
			change: func(*store, *board) {},
			want:   "value-1", looks: 1,
		},
		"the new version cannot be read": {
			frozen: 2 * time.Minute,
			change: func(s *store, b *board) {
				b.announce(bulletin.Entry{VersionID: s.rotate()})
				s.set(func(s *store) { s.err = unreachable() })
			},
			want: "stale value-1", looks: 1,
		},
		"the new version cannot be read, the old is compromised": {
			frozen: 2 * time.Minute,
			change: func(s *store, b *board) {
				b.announce(bulletin.Entry{VersionID: s.rotate(), Reason: ReasonCompromised})
				s.set(func(s *store) { s.err = unreachable() })
			},
			is: ErrUnavailable, looks: 1,
		},
		"the secret was deleted": {
			frozen: 2 * time.Minute,
			change: func(s *store, b *board) {
				b.announce(bulletin.Entry{Deleted: true})
				s.set(func(s *store) { s.deleted = true })
			},
			is: ErrDeleted, looks: 1,
		},
		"the board cannot be read": {
			frozen: 2 * time.Minute,
			change: func(s *store, b *board) {
				s.rotate()
				b.set(func(b *board) { b.err = errors.New("no route") })
			},
			want: "value-1", looks: 2,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, b := newStore(), newBoard()
				c := watched(s, b)
				value(t, c)
				freeze(c, tt.frozen)
				tt.change(s, b)
				got, err := c.Get(t.Context(), "db")
				if !errors.Is(err, tt.is) {
					t.Fatalf("got error %v, want %v", err, tt.is)
				}
				if tt.is == nil {
					if text := value(t, c); text != tt.want {
						t.Errorf("got %v %q, want %q", got, text, tt.want)
					}
				}
				if got := b.count(); got != tt.looks {
					t.Errorf("the board was read %d times, want %d", got, tt.looks)
				}
			})
		})
	}
}

func TestWithoutTheBoardReadsGoOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, b := newStore(), newBoard()
		c := watched(s, b)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go c.Run(ctx)
		value(t, c)
		b.set(func(b *board) { b.delay, b.deny = time.Hour, errors.New("no route") })
		for range 200 {
			time.Sleep(time.Second)
			start := time.Now()
			if got := value(t, c); got != "value-1" || time.Since(start) != 0 {
				t.Fatalf("got %q after %v", got, time.Since(start))
			}
		}
		if stats := c.Stats(); stats.FailedChecks < 19 {
			t.Errorf("stats %+v: want every check counted as failed", stats)
		}
		time.Sleep(time.Second)
	})
}

func TestALookThatWasFrozenIsGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, b := newStore(), newBoard()
		c := watched(s, b)
		value(t, c)
		time.Sleep(11 * time.Second)
		b.set(func(b *board) { b.delay = 400 * time.Millisecond })
		go c.Check(t.Context()) // it has the board of before in its hands
		synctest.Wait()
		b.announce(bulletin.Entry{VersionID: s.rotate()})
		b.set(func(b *board) { b.delay = 0 })
		freeze(c, 2*time.Minute) // longer than the lease, shorter than the TTL
		if got := value(t, c); got != "value-2" {
			t.Errorf("after the thaw: %q, want value-2", got)
		}
		time.Sleep(time.Minute)
	})
}

func TestARestoredSecretIsReadAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, b := newStore(), newBoard()
		c := watched(s, b)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go c.Run(ctx)
		value(t, c)
		b.announce(bulletin.Entry{Deleted: true})
		s.set(func(s *store) { s.deleted = true })
		time.Sleep(11 * time.Second)
		if _, err := c.Get(t.Context(), "db"); !errors.Is(err, ErrDeleted) {
			t.Fatalf("got %v, want ErrDeleted", err)
		}
		s.set(func(s *store) { s.deleted = false })
		time.Sleep(time.Second)
		value(t, c)
		gets := s.reads()
		for range 5 { // the board still says deleted
			if got := value(t, c); got != "value-1" {
				t.Errorf("after it was restored: %q", got)
			}
			time.Sleep(10 * time.Second)
		}
		if got := s.reads() - gets; got > 1 {
			t.Errorf("an entry that was looked into caused %d reads", got)
		}
	})
}

// TestTheLeaseNamesTheVersionBeforeUntilHooksAreDone has a hook take longer
// than the next looks at the board, which renew the leases.
func TestTheLeaseNamesTheVersionBeforeUntilHooksAreDone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, b := newStore(), newBoard()
		c := watched(s, b)
		value(t, c)
		done := make(chan struct{})
		c.OnChange("db", func(_, _ *Secret) { <-done })
		for range 2 { // the second comes while the first is being taken over
			go func() { _ = c.Invalidate(t.Context(), Rotated{Name: dbName, VersionID: s.rotate()}) }()
			synctest.Wait()
		}
		time.Sleep(11 * time.Second)
		go c.Check(t.Context())
		synctest.Wait()
		if got := b.lease(); got.VersionID != "v1" || !got.Expires.After(time.Now().Add(59*time.Second)) {
			t.Errorf("while hooks run the lease is on %s until %v", got.VersionID, got.Expires)
		}
		close(done)
		synctest.Wait()
		if got := b.lease().VersionID; got != "v3" {
			t.Errorf("after the hooks the lease is on %s", got)
		}
	})
}

// TestALeaseThatArrivesLateIsWrittenAgain has a version come while the lease
// on the one before is on its way, and overtake it.
func TestALeaseThatArrivesLateIsWrittenAgain(t *testing.T) {
	t.Parallel()
	for name, write := range map[string]func(context.Context, *Client, *store){
		"of a version that was just read": func(ctx context.Context, c *Client, s *store) {
			_ = c.Invalidate(ctx, Rotated{Name: dbName, VersionID: s.rotate()})
		},
		"of a look at the board": func(ctx context.Context, c *Client, _ *store) { c.Check(ctx) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, b := newStore(), newBoard()
				c := watched(s, b)
				value(t, c)
				time.Sleep(11 * time.Second)
				b.set(func(b *board) { b.late = 500 * time.Millisecond })
				go write(t.Context(), c, s)
				time.Sleep(250 * time.Millisecond)
				latest := s.rotate()
				_ = c.Invalidate(t.Context(), Rotated{Name: dbName, VersionID: latest})
				time.Sleep(time.Second)
				if got := b.lease().VersionID; got != latest {
					t.Errorf("the lease is on %s, want %s", got, latest)
				}
			})
		})
	}
}
