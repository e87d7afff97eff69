package secrets

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// watching collects what a watch yields until ctx ends: values, and "error".
func watching(ctx context.Context, c *Client, body func()) (seen func() []string) {
	var all []string
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for s, err := range c.Watch(ctx, "db") {
			if err != nil {
				all = append(all, "error")
			} else {
				all = append(all, s.Reveal())
			}
			body()
		}
	}()
	return func() []string { <-ended; return all }
}

func TestWatch(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		run  func(t *testing.T, s *store, c *Client)
		body time.Duration // how long the loop's body takes
		want []string
	}{
		"the first value comes at once": {
			run:  func(*testing.T, *store, *Client) {},
			want: []string{"value-1"},
		},
		"what an event brings comes at once": {
			run: func(t *testing.T, s *store, c *Client) {
				t.Helper()
				_ = c.Invalidate(t.Context(), Rotated{SecretARN: dbARN, VersionID: s.rotate()})
			},
			want: []string{"value-1", "value-2"},
		},
		"nobody else has to read": {
			run:  func(_ *testing.T, s *store, _ *Client) { s.rotate(); time.Sleep(5 * time.Minute) },
			want: []string{"value-1", "value-2"},
		},
		"of several the last comes": {
			run: func(t *testing.T, s *store, c *Client) {
				t.Helper()
				for range 10 {
					_ = c.Invalidate(t.Context(), Rotated{SecretARN: dbARN, VersionID: s.rotate()})
				}
				time.Sleep(time.Minute)
			},
			body: time.Second,
			want: []string{"value-1", "value-11"},
		},
		"the same version is not yielded again": {
			run:  func(*testing.T, *store, *Client) { time.Sleep(time.Hour) },
			want: []string{"value-1"},
		},
		"an error comes once, and the value when it is back": {
			run: func(t *testing.T, s *store, c *Client) {
				t.Helper()
				s.set(func(s *store) { s.deleted = true })
				_ = c.Invalidate(t.Context(), Rotated{SecretARN: dbARN, Reason: "deleted"})
				time.Sleep(time.Minute)
				s.set(func(s *store) { s.deleted = false })
				time.Sleep(2 * time.Second)
			},
			want: []string{"value-1", "error", "value-1"},
		},
		"a failure that is bridged is no news": {
			run: func(_ *testing.T, s *store, _ *Client) {
				s.set(func(s *store) { s.err = throttled() })
				time.Sleep(30 * time.Minute)
			},
			want: []string{"value-1"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newStore()
				c := New(s, dev)
				ctx, cancel := context.WithCancel(t.Context())
				seen := watching(ctx, c, func() { time.Sleep(tt.body) })
				synctest.Wait()
				tt.run(t, s, c)
				synctest.Wait()
				cancel()
				if diff := cmp.Diff(tt.want, seen()); diff != "" {
					t.Errorf("yielded (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestAWatchReadsNoMoreThanItHasTo(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		ttl  time.Duration
		most int // reads in an hour
	}{
		"with a cache":    {ttl: 5 * time.Minute, most: 17},
		"without a cache": {ttl: -1, most: 3601},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newStore()
				c := New(s, dev, func(o *Options) { o.TTL = tt.ttl })
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour-time.Second/2) // between two reads
				defer cancel()
				watching(ctx, c, func() {})()
				if got := s.reads(); got > tt.most {
					t.Errorf("%d reads in an hour, want at most %d", got, tt.most)
				}
			})
		})
	}
}

// TestAWatchEndsCleanly leaves it to synctest to find what goes on.
func TestAWatchEndsCleanly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := New(newStore(), dev)
		for s, err := range c.Watch(context.Background(), "db") {
			if err != nil || s.Reveal() != "value-1" {
				t.Errorf("got %v, %v", s, err)
			}
			break
		}
		if pins := c.table.get(entryID{id: dbName}).pins.Load(); pins != 0 {
			t.Errorf("%d still hold the entry", pins)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		for s, err := range c.Watch(ended, "other") {
			t.Errorf("after its context had ended: %v, %v", s, err)
		}
	})
}

func TestARefIsWatchedDecoded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		s.values["v1"] = `{"username":"u1"}`
		c := New(s, dev)
		ref := Bind[credentials](c, "db")
		var users []string
		for v, err := range ref.Watch(t.Context()) {
			if err != nil {
				if !errors.Is(err, ErrDecode) || strings.Contains(err.Error(), "value-2") {
					t.Errorf("got %v, want ErrDecode without the value", err)
				}
				break
			}
			users = append(users, v.Username)
			go func() { _ = c.Invalidate(t.Context(), Rotated{SecretARN: dbARN, VersionID: s.rotate()}) }()
		}
		if diff := cmp.Diff([]string{"u1"}, users); diff != "" {
			t.Errorf("yielded (-want +got):\n%s", diff)
		}
	})
}
