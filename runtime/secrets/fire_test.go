package secrets

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/smithy-go"
)

func TestAValueThatIsRevokedWhileAReaderWaitsIsNotServed(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		news time.Duration // when it comes, after the reader did
	}{
		"before its patience ends": {news: 100 * time.Millisecond},
		"at the moment it does":    {news: 500*time.Millisecond - 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newStore()
				c := New(s, dev)
				value(t, c)
				time.Sleep(6 * time.Minute) // the value has run out
				s.set(func(s *store) { s.delay = 3 * time.Second })
				got := make(chan string)
				go func() { got <- value(t, c) }()
				time.Sleep(tt.news)
				version := s.rotate()
				go func() {
					_ = c.Invalidate(t.Context(), Rotated{SecretARN: dbARN, VersionID: version, Reason: ReasonCompromised})
				}()
				if got := <-got; got != "value-2" {
					t.Errorf("the reader got %q", got)
				}
				time.Sleep(time.Minute)
			})
		})
	}
}

func TestAnAnswerThatIsRevokedBeforeItIsReturnedIsNot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		c := New(s, dev)
		value(t, c)
		version := s.rotate()
		slow := make(chan struct{})
		defer c.OnChange("db", func(_, after *Secret) {
			if after.VersionID() == version { // reads of others go on, but the flight has not ended
				<-slow
			}
		})()
		time.Sleep(6 * time.Minute)
		got := make(chan string)
		go func() { got <- value(t, c, NoCache()) }() // it will be told v2
		synctest.Wait()
		next := s.rotate()
		if err := c.Invalidate(t.Context(), Rotated{SecretARN: dbARN, VersionID: next, Reason: ReasonCompromised}); err != nil {
			t.Fatal(err)
		}
		close(slow)
		if got := <-got; got != "value-3" {
			t.Errorf("the reader got %q, which is compromised", got)
		}
	})
}

func TestReadersAreHitsWhileAValueIsReadAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		c := New(s, dev)
		value(t, c)
		e := c.table.get(entryID{id: dbName})
		time.Sleep(4*time.Minute + 29*time.Second)
		s.set(func(s *store) { s.delay = 2 * time.Second })
		value(t, c) // begins the read
		if st := e.state.Load(); st.hit != st.fresh {
			t.Errorf("readers look for each other's sake: hits end at %v, the value at %v", st.hit, st.fresh)
		}
		time.Sleep(3 * time.Second)
		if st := e.state.Load(); st.hit != st.refresh || !c.now().before(st.refresh) {
			t.Error("the answer was not taken over")
		}
	})
}

// TestAHangEndsForEverybody has more values run out than may be read at once,
// from a Secrets Manager that does not answer.
func TestAHangEndsForEverybody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		c := New(s, dev)
		const all = 200
		for i := range all {
			_, _ = c.Get(t.Context(), fmt.Sprint("any", i))
		}
		before := s.reads()
		s.set(func(s *store) { s.delay = time.Hour })
		time.Sleep(6 * time.Minute)
		began := time.Now()
		for range 12 {
			for i := range all {
				if got, err := c.Get(t.Context(), fmt.Sprint("any", i)); err != nil || !got.Stale() {
					t.Fatalf("got %v, %v; want the old value as stale", got, err)
				}
			}
			time.Sleep(10 * time.Second)
		}
		if got, timeouts := s.reads()-before, int(time.Since(began)/(10*time.Second)); got > 8*(timeouts+1) {
			t.Errorf("%d reads in the time of %d timeouts, want at most 8 in each", got, timeouts)
		}
		s.set(func(s *store) { s.delay = 0 })
		time.Sleep(maxBackoff) // also the last reads that hang have ended
		for i := range all {
			_, _ = c.Get(t.Context(), fmt.Sprint("any", i))
		}
		synctest.Wait()
		if got, err := c.Get(t.Context(), "any7"); err != nil || got.Stale() {
			t.Errorf("after the hang: %v, %v", got, err)
		}
	})
}

func TestARefusalIsBridged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		c := New(s, dev)
		value(t, c)
		s.set(func(s *store) {
			s.err = &smithy.GenericAPIError{Code: "AccessDeniedException", Message: "a slip of a policy"}
		})
		time.Sleep(6 * time.Minute)
		if got := value(t, c, TTL(time.Hour)); got != "value-1" { // still young enough for this reader
			t.Errorf("got %q", got)
		}
		_, err := c.Get(t.Context(), "db", NoCache())
		if !errors.Is(err, ErrDenied) {
			t.Errorf("without the cache: %v, want ErrDenied", err)
		}
		if got := value(t, c); got != "stale value-1" || c.Stats().Stale == 0 {
			t.Errorf("got %q; %d counted as stale", got, c.Stats().Stale)
		}
		time.Sleep(time.Hour)
		if _, err := c.Get(t.Context(), "db"); !errors.Is(err, ErrDenied) {
			t.Errorf("beyond MaxStale: %v, want ErrDenied", err)
		}
	})
}

func TestAVersionThatVanishesBetweenItsEventAndTheRead(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(*store)
		want   string
		is     error
	}{
		"a rollback took its place":     {change: func(s *store) { s.rollback() }, want: "value-1"},
		"another rotation did":          {change: func(s *store) { s.rotate() }, want: "value-3"},
		"it was deleted with all else":  {change: func(s *store) { s.set(func(s *store) { s.deleted = true }) }, is: ErrDeleted},
		"the labels are gone":           {change: func(s *store) { s.set(func(s *store) { s.labels = map[string]string{} }) }, is: ErrNoValue},
		"Secrets Manager went with it":  {change: func(s *store) { s.set(func(s *store) { s.err = throttled() }) }, want: "value-1"},
		"its replica forgot everything": {change: func(s *store) { s.set(func(s *store) { s.lag = 100 }) }, want: "value-1"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newStore()
				c := New(s, dev)
				value(t, c)
				version := s.rotate()
				tt.change(s)
				err := c.Invalidate(t.Context(), Rotated{SecretARN: dbARN, VersionID: version, PreviousVersionID: "v1", Reason: "rotated"})
				if err != nil && !errors.Is(err, ErrThrottled) {
					t.Errorf("Invalidate: %v", err)
				}
				got, err := c.String(t.Context(), "db")
				if got != tt.want || !errors.Is(err, tt.is) {
					t.Errorf("got %q, %v; want %q, %v", got, err, tt.want, tt.is)
				}
			})
		})
	}
}

func TestAnswersInTheWrongOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		c := New(s, dev)
		value(t, c)
		// Ten versions come, and the read of each takes longer than that of the
		// next: the answers arrive backwards.
		for i := range 10 {
			s.set(func(s *store) { s.delay = time.Duration(10-i) * time.Second })
			version := s.rotate()
			go func() { _ = c.Invalidate(t.Context(), Rotated{SecretARN: dbARN, VersionID: version}) }()
			synctest.Wait()
		}
		last := ""
		for range 30 {
			time.Sleep(500 * time.Millisecond)
			got := value(t, c)
			if last != "" && last != "value-1" && got != last && got != "value-11" {
				t.Fatalf("reads went from %q to %q", last, got)
			}
			last = got
		}
		if last != "value-11" {
			t.Errorf("at the end %q, want value-11", last)
		}
	})
}

func TestACallersDeadlineIsItsOwn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		s.set(func(s *store) { s.delay = 2 * time.Second })
		c := New(s, dev)
		ended := make(chan error)
		for i := range 100 {
			go func() {
				wait := time.Duration(i+1) * 10 * time.Millisecond
				ctx, cancel := context.WithTimeout(t.Context(), wait)
				defer cancel()
				began := time.Now()
				_, err := c.Get(ctx, "db")
				if took := time.Since(began); took != wait {
					err = fmt.Errorf("it returned after %v, not after %v: %w", took, wait, err)
				}
				ended <- err
			}()
		}
		for range 100 {
			if err := <-ended; !errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "it returned") {
				t.Error(err)
			}
		}
		time.Sleep(2 * time.Second)
		if got := value(t, c); got != "value-1" || s.reads() != 1 || c.Stats().Joined != 99 {
			t.Errorf("then %q, after %d reads; %d joined", got, s.reads(), c.Stats().Joined)
		}
	})
}

func TestTheFirstLookIsDueByChance(t *testing.T) {
	t.Parallel()
	for phase, due := range map[float64]time.Duration{0.3: 3 * time.Second, 1: 10 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			c := watched(newStore(), newBoard())
			c.watch.phase = phase
			value(t, c)
			time.Sleep(due - time.Nanosecond)
			if c.Due() {
				t.Errorf("phase %v: due before %v", phase, due)
			}
			time.Sleep(time.Nanosecond)
			if !c.Due() {
				t.Errorf("phase %v: not due after %v", phase, due)
			}
		})
	}
}
