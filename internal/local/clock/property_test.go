package clock_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rekey-go/rekey/internal/local/clock"
)

var epoch = time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)

// A world has timers that make and stop further timers, by a plan that follows
// from a seed alone.
type world struct {
	clock  *clock.Clock
	random *rand.Rand
	timers []*clock.Timer
	log    []string
}

func newWorld(seed uint64) *world {
	w := &world{clock: clock.Restore(clock.State{Stands: epoch}), random: rand.New(rand.NewPCG(seed, 1))}
	for range 20 {
		w.start()
	}
	return w
}

func (w *world) start() {
	n := len(w.timers)
	after := time.Duration(w.random.IntN(50)) * time.Hour // often the same time for several
	w.timers = append(w.timers, w.clock.AfterFunc(after, func() { w.fire(n) }))
}

func (w *world) fire(n int) {
	w.log = append(w.log, fmt.Sprintf("%s timer %d", w.clock.Now().Format(time.DateTime), n))
	switch w.random.IntN(4) {
	case 0:
		w.start()
	case 1:
		w.timers[w.random.IntN(len(w.timers))].Stop()
	case 2: // beside the clock, as a rotation runs
		done := w.clock.Busy()
		go func() {
			defer done()
			w.start()
		}()
	}
}

func TestManySmallStepsAreOneLargeOne(t *testing.T) {
	t.Parallel()
	const whole = 200 * time.Hour
	for seed := range uint64(200) {
		large, small := newWorld(seed), newWorld(seed)
		if err := large.clock.Advance(t.Context(), whole); err != nil {
			t.Fatal(err)
		}
		steps := rand.New(rand.NewPCG(seed, 2))
		for left := whole; left > 0; {
			step := min(left, time.Duration(steps.Int64N(int64(10*time.Hour))))
			left -= step
			if err := small.clock.Advance(t.Context(), step); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(large.log, small.log); diff != "" {
			t.Fatalf("seed %d: in one step and in many (-one +many):\n%s", seed, diff)
		}
		if !slices.IsSorted(dates(large.log)) {
			t.Fatalf("seed %d: not in the order of time: %q", seed, large.log)
		}
		if got := small.clock.Now(); !got.Equal(epoch.Add(whole)) {
			t.Fatalf("seed %d: the clock shows %v", seed, got)
		}
	}
}

func dates(log []string) []string {
	var list []string
	for _, line := range log {
		list = append(list, line[:len(time.DateTime)])
	}
	return list
}

func TestTimeDoesNotRunAwayFromWork(t *testing.T) {
	t.Parallel()
	c := clock.Restore(clock.State{Stands: epoch})
	done := c.Busy()
	fired := make(chan time.Time, 1)
	c.AfterFunc(time.Hour, func() { fired <- c.Now() })
	ended := make(chan error, 1)
	go func() { ended <- c.Advance(t.Context(), 2*time.Hour) }()
	later := c.AfterFunc(30*time.Minute, func() {}) // the work goes on, at the time at which it began
	if got := c.Now(); !got.Equal(epoch) {
		t.Errorf("the clock shows %v while there is work, want %v", got, epoch)
	}
	select {
	case at := <-fired:
		t.Errorf("a timer fired at %v while there was work", at)
	default:
	}
	done()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if later.Stop() {
		t.Error("what the work made for later has not fired")
	}
}

func TestAClockGoesOnWhereAnotherOneStopped(t *testing.T) {
	t.Parallel()
	c := clock.New()
	if err := c.Advance(t.Context(), 90*24*time.Hour); err != nil {
		t.Fatal(err)
	}
	again := clock.Restore(c.State())
	if ahead := again.Now().Sub(c.Now()); again.Frozen() || ahead < -time.Minute || ahead > time.Minute {
		t.Errorf("a running clock: restored %v apart, frozen %t", ahead, again.Frozen())
	}
	c.Freeze()
	again = clock.Restore(c.State())
	if !again.Frozen() || !again.Now().Equal(c.Now()) {
		t.Errorf("a frozen clock: restored to %v, want %v", again.Now(), c.Now())
	}
}

func TestAClockNeverGoesBack(t *testing.T) {
	t.Parallel()
	c := clock.Restore(clock.State{Stands: epoch})
	if err := c.AdvanceTo(t.Context(), epoch.Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	if got := c.Now(); !got.Equal(epoch) {
		t.Errorf("after AdvanceTo an earlier time: %v, want %v", got, epoch)
	}
	if err := c.AdvanceTo(t.Context(), epoch.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if got := c.Now(); !got.Equal(epoch.Add(time.Hour)) {
		t.Errorf("after AdvanceTo: %v, want an hour later", got)
	}
}

// BenchmarkAdvance fires 1,000 timers, each of which makes its next one, for
// 365 days.
func BenchmarkAdvance(b *testing.B) {
	for b.Loop() {
		c := clock.Restore(clock.State{Stands: epoch})
		for range 1000 {
			var daily func()
			daily = func() { c.AfterFunc(24*time.Hour, daily) }
			daily()
		}
		if err := c.Advance(b.Context(), 365*24*time.Hour); err != nil {
			b.Fatal(err)
		}
	}
}
