package secrets

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestInvalidate(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(*store)
		event  Rotated
		want   string
		gets   []string // beyond the first
	}{
		"a rotation is fetched by id and label": {
			change: func(s *store) { s.rotate() },
			event:  Rotated{SecretARN: dbARN, VersionID: "v2"},
			want:   "value-2", gets: []string{"v2/AWSCURRENT"},
		},
		"by name": {
			change: func(s *store) { s.rotate() },
			event:  Rotated{Name: dbName, VersionID: "v2"},
			want:   "value-2", gets: []string{"v2/AWSCURRENT"},
		},
		"of the primary, where this is a replica in another Region": {
			change: func(s *store) { s.rotate(); s.set(func(s *store) { s.lag = 1 }) },
			event:  Rotated{SecretARN: strings.Replace(dbARN, "us-east-1", "eu-west-1", 1), Name: dbName, VersionID: "v2"},
			want:   "value-2", gets: []string{"v2/AWSCURRENT", "/"},
		},
		"without a version": {
			change: func(s *store) { s.rotate() },
			event:  Rotated{SecretARN: dbARN},
			want:   "value-2", gets: []string{"/"},
		},
		"of a version that is known": {
			event: Rotated{SecretARN: dbARN, VersionID: "v1"},
			want:  "value-1",
		},
		"of another secret": {
			change: func(s *store) { s.rotate() },
			event:  Rotated{SecretARN: dbARN + "x", Name: "dev-other", VersionID: "v2"},
			want:   "value-1",
		},
		"that is late: a newer version is current by now": {
			change: func(s *store) { s.rotate(); s.rotate() },
			event:  Rotated{SecretARN: dbARN, VersionID: "v2"},
			want:   "value-3", gets: []string{"v2/AWSCURRENT", "/"},
		},
		"that is early: the replica has not heard yet": {
			change: func(s *store) { s.rotate(); s.set(func(s *store) { s.lag = 4 }) },
			event:  Rotated{SecretARN: dbARN, VersionID: "v2"},
			want:   "value-2", gets: []string{"v2/AWSCURRENT", "/", "v2/AWSCURRENT", "v2/AWSCURRENT", "v2/AWSCURRENT"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newStore()
				c := New(s, dev)
				value(t, c)
				if tt.change != nil {
					tt.change(s)
				}
				if err := c.Invalidate(t.Context(), tt.event); err != nil {
					t.Errorf("Invalidate: %v", err)
				}
				if got := value(t, c); got != tt.want {
					t.Errorf("got %q, want %q", got, tt.want)
				}
				if diff := cmp.Diff(tt.gets, append([]string(nil), s.gets[1:]...)); diff != "" {
					t.Errorf("reads of Secrets Manager (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestARollbackIsFollowed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		c := New(s, dev)
		value(t, c)
		s.rotate()
		if err := c.Invalidate(t.Context(), Rotated{SecretARN: dbARN, VersionID: "v2"}); err != nil {
			t.Fatal(err)
		}
		s.rollback()
		if err := c.Invalidate(t.Context(), Rotated{SecretARN: dbARN, VersionID: "v1"}); err != nil {
			t.Fatal(err)
		}
		if got := value(t, c); got != "value-1" {
			t.Errorf("after the news of a rollback: %q, want value-1", got)
		}
	})
}

func TestAnOlderAnswerIsNotBelievedAtFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		c := New(s, dev)
		value(t, c)
		time.Sleep(time.Second)
		s.rotate()
		if err := c.Invalidate(t.Context(), Rotated{SecretARN: dbARN, VersionID: "v2"}); err != nil {
			t.Fatal(err)
		}
		s.set(func(s *store) { s.lag = 1 }) // another replica, still behind
		if got := value(t, c, NoCache()); got != "value-2" || s.lag != 0 || c.Stats().Ignored != 1 {
			t.Errorf("after the replica's answer: %q, ignored %d", got, c.Stats().Ignored)
		}
		if got := value(t, c); got != "value-2" {
			t.Errorf("the cache went back to %q", got)
		}
		s.rollback() // nobody tells
		time.Sleep(5 * time.Minute)
		if got := value(t, c); got != "value-1" {
			t.Errorf("after a rollback that nobody told of: %q, want value-1", got)
		}
	})
}

func TestAReadUnderWayDoesNotOverwriteTheNewer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		s.delay = time.Second
		c := New(s, dev)
		first := make(chan string)
		go func() { first <- value(t, c) }() // it will be answered v1
		synctest.Wait()
		s.rotate()
		s.set(func(s *store) { s.delay = 0 })
		if err := c.Invalidate(t.Context(), Rotated{SecretARN: dbARN, VersionID: "v2"}); err != nil {
			t.Fatal(err)
		}
		if got := value(t, c); got != "value-2" {
			t.Errorf("after Invalidate: %q", got)
		}
		if got := <-first; got != "value-2" {
			t.Errorf("the reader that came before got %q, want the newer", got)
		}
		if got := value(t, c); got != "value-2" {
			t.Errorf("after the slow read: %q", got)
		}
	})
}

func TestReadsGoOnUntilTheNewVersionIsThere(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		event Rotated
		waits bool
	}{
		"after a rotation":                   {event: Rotated{SecretARN: dbARN, VersionID: "v2", PreviousVersionID: "v1"}},
		"not after a compromise":             {event: Rotated{SecretARN: dbARN, VersionID: "v2", Reason: ReasonCompromised}, waits: true},
		"not after it was revoked":           {event: Rotated{SecretARN: dbARN, VersionID: "v2", PreviousVersionID: "v1", Reason: ReasonRetired}, waits: true},
		"after one before it was revoked":    {event: Rotated{SecretARN: dbARN, VersionID: "v2", PreviousVersionID: "v0", Reason: ReasonRetired}},
		"after something without an account": {event: Rotated{SecretARN: dbARN}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newStore()
				c := New(s, dev)
				value(t, c)
				s.rotate()
				s.set(func(s *store) { s.delay = 3 * time.Second })
				done := make(chan error)
				go func() { done <- c.Invalidate(t.Context(), tt.event) }()
				synctest.Wait()
				start := time.Now()
				got := value(t, c)
				if waited := time.Since(start) > 0; waited != tt.waits || (got == "value-2") != tt.waits {
					t.Errorf("got %q after %v", got, time.Since(start))
				}
				if err := <-done; err != nil {
					t.Error(err)
				}
				if got := value(t, c); got != "value-2" {
					t.Errorf("at the end: %q", got)
				}
			})
		})
	}
}

func TestARevokedVersionIsNeverServed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		c := New(s, dev)
		value(t, c)
		s.set(func(s *store) { s.err = unreachable() })
		if err := c.Invalidate(t.Context(), Rotated{SecretARN: dbARN, VersionID: "v2", Reason: ReasonCompromised}); !errors.Is(err, ErrUnavailable) {
			t.Errorf("Invalidate: %v, want ErrUnavailable", err)
		}
		if got, err := c.Get(t.Context(), "db"); !errors.Is(err, ErrUnavailable) {
			t.Errorf("got %v, %v; want ErrUnavailable rather than the compromised value", got, err)
		}
	})
}

func TestOnChange(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		c := New(s, dev)
		var calls atomic.Int32
		stop := c.OnChange("db", func(before, after *Secret) {
			calls.Add(1)
			if before.VersionID() != "v1" || after.VersionID() != "v2" {
				t.Errorf("from %v to %v", before, after)
			}
			if now, err := c.Get(t.Context(), "db"); err != nil || now.VersionID() != "v2" {
				t.Errorf("reads give %v, %v by then", now, err)
			}
		})
		value(t, c)
		s.rotate()
		time.Sleep(time.Hour)
		value(t, c)
		stop()
		s.rotate()
		time.Sleep(time.Hour)
		value(t, c)
		if got := calls.Load(); got != 1 {
			t.Errorf("called %d times, want once", got)
		}
	})
}

func TestRefreshSkipsARefusedVersion(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		c := New(s, dev)
		refused, err := c.Get(t.Context(), "db")
		if err != nil {
			t.Fatal(err)
		}
		s.rotate()
		s.set(func(s *store) { s.delay = time.Second })
		got := make(chan *Secret)
		for range 100 {
			go func() {
				fresh, err := c.Refresh(t.Context(), "db", refused)
				if err != nil {
					t.Error(err)
				}
				got <- fresh
			}()
		}
		for range 100 {
			if fresh := <-got; fresh.VersionID() != "v2" {
				t.Errorf("got %v", fresh)
			}
		}
		if n := s.reads(); n > 3 {
			t.Errorf("100 who were refused caused %d reads", n-1)
		}
		before := s.reads()
		if _, err := c.Refresh(t.Context(), "db", refused); err != nil || s.reads() != before {
			t.Errorf("a later one caused a read, or failed: %v", err)
		}
	})
}

func TestAFreshReadBeginsAfterItWasAskedFor(t *testing.T) {
	t.Parallel()
	tests := map[string]func(c *Client, refused *Secret) (*Secret, error){
		"without the cache": func(c *Client, _ *Secret) (*Secret, error) { return c.Get(context.Background(), "db", NoCache()) },
		"by label":          func(c *Client, _ *Secret) (*Secret, error) { return c.FetchStage(context.Background(), "db", current) },
		"after a refusal": func(c *Client, refused *Secret) (*Secret, error) {
			return c.Refresh(context.Background(), "db", refused)
		},
	}
	for name, ask := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newStore()
				c := New(s, dev)
				refused, err := c.Get(t.Context(), "db")
				if err != nil {
					t.Fatal(err)
				}
				s.set(func(s *store) { s.delay = time.Second })
				time.Sleep(4*time.Minute + 29*time.Second)
				value(t, c) // begins a read in the background, whose answer will be v1
				synctest.Wait()
				s.rotate()
				if got, err := ask(c, refused); err != nil || got.VersionID() != "v2" {
					t.Errorf("got %v, %v; want v2, not the answer to a read from before", got, err)
				}
				time.Sleep(time.Minute)
			})
		})
	}
}
