package secrets

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestTTL(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		client  []func(*Options)
		options []ReadOption
		wait    time.Duration
		want    string
		reads   int
	}{
		"served within the TTL":             {wait: 3 * time.Minute, want: "value-1", reads: 1},
		"read again at the TTL":             {wait: 5 * time.Minute, want: "value-2", reads: 2},
		"a shorter TTL for one read":        {options: []ReadOption{TTL(time.Minute)}, wait: time.Minute, want: "value-2", reads: 2},
		"a longer TTL for one read":         {options: []ReadOption{TTL(time.Hour)}, wait: 40 * time.Minute, want: "value-1", reads: 1},
		"no cache for one read":             {options: []ReadOption{NoCache()}, want: "value-2", reads: 2},
		"a TTL of nothing is no cache":      {options: []ReadOption{TTL(0)}, want: "value-2", reads: 2},
		"a client without a cache":          {client: []func(*Options){func(o *Options) { o.TTL = -1 }}, want: "value-2", reads: 2},
		"no cache for one of its reads too": {client: []func(*Options){func(o *Options) { o.TTL = -1 }}, options: []ReadOption{TTL(time.Minute)}, want: "value-1", reads: 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newStore()
				c := New(s, append(tt.client, dev)...)
				value(t, c)
				s.rotate()
				time.Sleep(tt.wait)
				if got := value(t, c, tt.options...); got != tt.want {
					t.Errorf("after %v: got %q, want %q", tt.wait, got, tt.want)
				}
				if got := s.reads(); got != tt.reads {
					t.Errorf("Secrets Manager was read %d times, want %d", got, tt.reads)
				}
			})
		})
	}
}

func TestASteadyReaderNeverWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		c := New(s, dev)
		value(t, c)
		s.set(func(s *store) { s.delay = 2 * time.Second })
		start := time.Now()
		for time.Since(start) < time.Hour {
			asked := time.Now()
			if got := value(t, c); got != "value-1" {
				t.Fatalf("got %q", got)
			}
			if waited := time.Since(asked); waited != 0 {
				t.Fatalf("a read after %v waited %v", asked.Sub(start), waited)
			}
			time.Sleep(time.Second)
		}
		time.Sleep(2 * time.Second) // a refresh that is on its way ends with the bubble's time
		if got := s.reads(); got < 12 || got > 17 {
			t.Errorf("read %d times in an hour, want about 14", got)
		}
	})
}

func TestOneReadForAllWhoWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		s.delay = 50 * time.Millisecond
		c := New(s, dev)
		var all sync.WaitGroup
		for range 1000 {
			all.Go(func() {
				if got := value(t, c); got != "value-1" {
					t.Errorf("got %q", got)
				}
			})
		}
		all.Wait()
		if got := s.reads(); got != 1 {
			t.Errorf("1000 readers caused %d reads", got)
		}
	})
}

func TestACallerThatGivesUpHarmsNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		s.delay = 2 * time.Second
		c := New(s, dev)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		start := time.Now()
		first := make(chan error)
		go func() {
			_, err := c.Get(ctx, "db")
			first <- err
		}()
		synctest.Wait()
		second := make(chan error)
		go func() {
			_, err := c.Get(t.Context(), "db")
			second <- err
		}()
		if err := <-first; !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 100*time.Millisecond {
			t.Errorf("the first: %v after %v, want its own deadline", err, time.Since(start))
		}
		if err := <-second; err != nil {
			t.Errorf("the second: %v", err)
		}
		if got := s.reads(); got != 1 {
			t.Errorf("read %d times, want once", got)
		}
	})
}

func TestAHangAtExpiryIsBridged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		c := New(s, dev)
		value(t, c)
		time.Sleep(10 * time.Minute) // nobody read, nothing was refreshed
		s.set(func(s *store) { s.delay = time.Hour })
		start := time.Now()
		if got := value(t, c); got != "stale value-1" || time.Since(start) > 500*time.Millisecond {
			t.Errorf("got %q after %v, want the old value as stale within Patience", got, time.Since(start))
		}
		start = time.Now()
		for range 100 {
			value(t, c)
		}
		if time.Since(start) != 0 {
			t.Errorf("further reads waited %v", time.Since(start))
		}
		time.Sleep(time.Minute) // the read that hangs ends by its own timeout
	})
}

func TestStaleIfError(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		err  func() error
		wait time.Duration
		want string
		is   error
	}{
		"unreachable, within the TTL":    {err: unreachable, wait: 4*time.Minute + 20*time.Second, want: "value-1"},
		"unreachable, after the TTL":     {err: unreachable, wait: 6 * time.Minute, want: "stale value-1"},
		"throttled, after the TTL":       {err: throttled, wait: 30 * time.Minute, want: "stale value-1"},
		"unreachable, beyond MaxStale":   {err: unreachable, wait: 66 * time.Minute, is: ErrUnavailable},
		"throttled, beyond MaxStale":     {err: throttled, wait: 66 * time.Minute, is: ErrThrottled},
		"reachable again is a new value": {err: func() error { return nil }, wait: 6 * time.Minute, want: "value-2"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newStore()
				c := New(s, dev)
				value(t, c)
				s.rotate()
				s.set(func(s *store) { s.err = tt.err() })
				time.Sleep(tt.wait)
				got, err := c.Get(t.Context(), "db")
				if !errors.Is(err, tt.is) {
					t.Fatalf("got error %v, want %v", err, tt.is)
				}
				if tt.is != nil {
					return
				}
				synctest.Wait()
				if text := value(t, c); text != tt.want {
					t.Errorf("got %v %q, want %q", got, text, tt.want)
				}
			})
		})
	}
}

func TestASecretThatIsGoneIsNotServed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		c := New(s, dev)
		value(t, c)
		s.set(func(s *store) { s.deleted = true })
		time.Sleep(6 * time.Minute)
		if _, err := c.Get(t.Context(), "db"); !errors.Is(err, ErrDeleted) {
			t.Fatalf("got %v, want ErrDeleted", err)
		}
		s.set(func(s *store) { s.deleted = false }) // restored
		time.Sleep(time.Second)
		if got := value(t, c); got != "value-1" {
			t.Errorf("after it was restored: %q", got)
		}
	})
}

func TestErrorsAreRememberedShortly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		c := New(s, dev)
		for range 1000 {
			if _, err := c.Get(t.Context(), "missing"); !errors.Is(err, ErrNotFound) {
				t.Fatalf("got %v, want ErrNotFound", err)
			}
		}
		if got := s.reads(); got != 1 {
			t.Errorf("a loop caused %d reads", got)
		}
		time.Sleep(time.Second)
		_, _ = c.Get(t.Context(), "missing")
		if got := s.reads(); got != 2 {
			t.Errorf("after NegativeTTL: %d reads, want 2", got)
		}
	})
}

func TestRefreshesAreSpread(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		c := New(s, dev)
		names := numbered(1000)
		for _, name := range names {
			if _, err := c.Get(t.Context(), name); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(4*time.Minute + 29*time.Second) // all are due, none has run out
		s.set(func(s *store) { s.delay, s.mostBusy = 50*time.Millisecond, 0 })
		began := time.Now()
		for _, name := range names {
			if _, err := c.Get(t.Context(), name); err != nil {
				t.Fatal(err)
			}
		}
		if waited := time.Since(began); waited != 0 {
			t.Errorf("a thousand reads of values that were due waited %v", waited)
		}
		time.Sleep(time.Minute)
		if s.reads() != 2000 || s.mostBusy > 8 {
			t.Errorf("%d reads, at most %d at once; want 2000, at most 8", s.reads(), s.mostBusy)
		}
	})
}
