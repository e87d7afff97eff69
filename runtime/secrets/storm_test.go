package secrets

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rekey-go/rekey/runtime/bulletin"
)

func TestAStormOfNewsChangesNothing(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		forge func(i int) Rotated
		want  int // reads of Secrets Manager in a minute, at most
	}{
		"of versions that were never made": {func(i int) Rotated { return Rotated{SecretARN: dbARN, VersionID: fmt.Sprint("forged-", i)} }, 75},
		"that call the value compromised": {func(i int) Rotated {
			return Rotated{SecretARN: dbARN, VersionID: fmt.Sprint("forged-", i), Reason: ReasonCompromised}
		}, 75},
		"that name no version":              {func(int) Rotated { return Rotated{SecretARN: dbARN} }, 75},
		"that say it was deleted":           {func(int) Rotated { return Rotated{SecretARN: dbARN, Reason: "deleted"} }, 75},
		"that was true once, again":         {func(int) Rotated { return Rotated{SecretARN: dbARN, VersionID: "v1"} }, 75},
		"in no order":                       {func(i int) Rotated { return Rotated{SecretARN: dbARN, VersionID: []string{"v1", "v2", "v3"}[i%3]} }, 75},
		"that is known":                     {func(int) Rotated { return Rotated{SecretARN: dbARN, VersionID: "v2"} }, 0},
		"of a secret that nobody has asked": {func(i int) Rotated { return Rotated{SecretARN: fmt.Sprintf("%s%d", dbARN, i), VersionID: "v9"} }, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newStore()
				s.rotate()
				s.set(func(s *store) { s.delay = 5 * time.Millisecond })
				c := New(s, dev)
				value(t, c)
				before := s.reads()
				var senders sync.WaitGroup
				for i := range 6000 { // a hundred a second
					senders.Go(func() {
						if err := c.Invalidate(t.Context(), tt.forge(i)); err != nil {
							t.Errorf("Invalidate: %v", err)
						}
					})
					time.Sleep(10 * time.Millisecond)
					if got := value(t, c); got != "value-2" {
						t.Fatalf("after %d pieces of news: %q", i, got)
					}
				}
				senders.Wait()
				time.Sleep(2 * newsEvery) // the last look
				if got := s.reads() - before; got > tt.want {
					t.Errorf("read Secrets Manager %d times in a minute, want at most %d", got, tt.want)
				}
			})
		})
	}
}

func TestTrueNewsComesThroughAStorm(t *testing.T) {
	t.Parallel()
	for name, reason := range map[string]string{"of a rotation": "rotated", "of a compromise": ReasonCompromised} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newStore()
				c := New(s, dev)
				value(t, c)
				for i := range 1000 {
					if err := c.Invalidate(t.Context(), Rotated{SecretARN: dbARN, VersionID: fmt.Sprint("forged-", i)}); err != nil {
						t.Fatal(err)
					}
				}
				if err := c.Invalidate(t.Context(), Rotated{SecretARN: dbARN, VersionID: s.rotate(), Reason: reason}); err != nil {
					t.Fatal(err)
				}
				time.Sleep(newsEvery + time.Millisecond)
				if got := value(t, c); got != "value-2" {
					t.Errorf("a second later: %q, want value-2", got)
				}
			})
		})
	}
}

func TestACompromiseIsBelievedInAStorm(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		c := New(s, dev)
		value(t, c)
		for i := range 1000 {
			if err := c.Invalidate(t.Context(), Rotated{SecretARN: dbARN, VersionID: fmt.Sprint("forged-", i)}); err != nil {
				t.Fatal(err)
			}
		}
		s.set(func(s *store) { s.err = unreachable() }) // nobody can say that it is not so
		if err := c.Invalidate(t.Context(), Rotated{SecretARN: dbARN, VersionID: "v2", Reason: ReasonCompromised}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(newsEvery + time.Millisecond)
		if got, err := c.Get(t.Context(), "db"); !errors.Is(err, ErrUnavailable) {
			t.Errorf("a second later: %v, %v; want ErrUnavailable rather than the compromised value", got, err)
		}
	})
}

func TestAStormDoesNotUndoWhatErrorsTaught(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		name    string
		options []ReadOption
	}{
		"a secret that is not there": {name: "missing"},
		"a label of its own":         {name: "db", options: []ReadOption{Stage("AWSPREVIOUS")}},
		"a version of its own":       {name: "db", options: []ReadOption{Version("v1")}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newStore()
				s.rotate()
				c := New(s, dev, func(o *Options) { o.NegativeTTL = time.Hour })
				_, _ = c.Get(t.Context(), tt.name, tt.options...)
				for i := range 1000 {
					if err := c.Invalidate(t.Context(), Rotated{Name: "dev-" + tt.name, VersionID: fmt.Sprint("forged-", i)}); err != nil {
						t.Fatal(err)
					}
					_, _ = c.Get(t.Context(), tt.name, tt.options...)
					time.Sleep(10 * time.Millisecond)
				}
				time.Sleep(2 * newsEvery)
				if got := s.reads(); got > 20 {
					t.Errorf("read Secrets Manager %d times in ten seconds", got)
				}
			})
		})
	}
}

func TestRapidRotationsAreAllFollowedAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		c := New(s, dev)
		value(t, c)
		for i := range 100 {
			version := s.rotate()
			if err := c.Invalidate(t.Context(), Rotated{SecretARN: dbARN, VersionID: version}); err != nil {
				t.Fatal(err)
			}
			if got, want := value(t, c), fmt.Sprint("value-", i+2); got != want {
				t.Fatalf("after rotation %d: %q, want %q", i, got, want)
			}
		}
		if got := s.reads(); got != 101 {
			t.Errorf("read %d times for 100 rotations", got)
		}
	})
}

// TestTheFleetDoesNotReadAtOnce starts a thousand processes in one instant, as
// a deployment may, and rotates a secret that all of them hold.
func TestTheFleetDoesNotReadAtOnce(t *testing.T) {
	t.Parallel()
	for name, reason := range map[string]string{"after a rotation": "rotated", "after a compromise": ReasonCompromised} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				const fleet = 1000
				s, b := newStore(), newBoard()
				for range fleet {
					c := watched(s, b)
					c.watch.phase = rand.Float64()
					go c.Run(t.Context())
					value(t, c)
				}
				time.Sleep(time.Duration(rand.Int64N(int64(time.Minute))))
				b.announce(bulletin.Entry{VersionID: s.rotate(), Reason: reason})
				most, before := 0, s.reads()
				for range 10 {
					last := s.reads()
					time.Sleep(time.Second)
					synctest.Wait()
					most = max(most, s.reads()-last)
				}
				time.Sleep(time.Millisecond)
				synctest.Wait()
				if got := s.reads() - before; got != fleet {
					t.Errorf("after CheckInterval %d of %d have read the new version", got, fleet)
				}
				if most > fleet/5 {
					t.Errorf("%d of %d read within one second of ten", most, fleet)
				}
			})
		})
	}
}

// TestAReaderThatIsLateReadsNothingAgain has a reader see that it is time to
// read, and a read of another end before it comes to start its own.
func TestAReaderThatIsLateReadsNothingAgain(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*Client, *entry, *state){
		"for want of a value":                 func(c *Client, e *entry, seen *state) { c.join(t.Context(), e, seen) },
		"for a value that is soon to be read": func(c *Client, e *entry, seen *state) { c.renew(t.Context(), e, seen) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore()
			c := New(s, dev)
			e := c.table.get(entryID{id: dbName})
			seen := e.state.Load()
			value(t, c)
			start(c, e, seen)
			if e.flight != nil {
				t.Error("Secrets Manager is read again")
			}
		})
	}
}
