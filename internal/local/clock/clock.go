// Package clock keeps the engine's time.
//
// Schedules, recovery windows, visibility timeouts and the ages of versions
// all follow one [Clock]. It runs with the real time until it is frozen; it
// can be advanced, and then everything that falls due on the way happens, in
// order, before [Clock.Advance] returns. Functions that the engine runs are
// processes of their own and keep real time.
//
// # Order
//
// Timers fire in the order of their times, and those of one time in the order
// in which they were made. While the clock is advanced it stands at the time
// of the timer that fires, and goes on only when the timer's function has
// returned and nothing is [Clock.Busy] any more. So many small steps have the
// same effects as one large one, and work that was under way when the time was
// moved sees the time at which it began.
//
// # Cost
//
// Timers lie in a heap: making, stopping and firing one among n takes log n
// steps, however far the clock is moved.
package clock

import (
	"container/heap"
	"context"
	"sync"
	"time"
)

// A Clock is safe for concurrent use.
type Clock struct {
	mu     sync.Mutex
	offset time.Duration // what is added to real time while it runs
	frozen bool
	at     time.Time // the time that it shows while it is frozen
	due    timers
	seq    uint64
	wake   *time.Timer // real timer for the first of due, while it runs
	busy   int
	rested chan struct{} // closed when busy is zero again; nil if nobody waits
	// advancing serializes calls of Advance.
	advancing sync.Mutex
}

// New returns a clock that shows the real time.
func New() *Clock { return &Clock{} }

// A State is what a clock has to know to go on where another one stopped. Its
// zero value is that of a clock that shows the real time.
type State struct {
	// Offset is what a running clock is ahead of the real time.
	Offset time.Duration `json:",omitzero"`
	// Stands is the time at which a frozen clock stands; zero if it runs.
	Stands time.Time `json:",omitzero"`
}

// Restore returns a clock that goes on from a state.
func Restore(s State) *Clock {
	return &Clock{offset: s.Offset, frozen: !s.Stands.IsZero(), at: s.Stands}
}

// State returns what [Restore] needs.
func (c *Clock) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.frozen {
		return State{Stands: c.at}
	}
	return State{Offset: c.offset}
}

// Now is the time that the clock shows.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nowLocked()
}

func (c *Clock) nowLocked() time.Time {
	if c.frozen {
		return c.at
	}
	return time.Now().Add(c.offset)
}

// A Timer calls a function once, at its time.
type Timer struct {
	clock *Clock
	when  time.Time
	seq   uint64 // orders timers of the same time by their making
	fn    func()
	index int // in the heap; -1 when it is not in it
}

// AfterFunc calls f when d has passed on the clock: in a goroutine of its own
// while the clock runs, and before Advance returns when it is advanced.
func (c *Clock) AfterFunc(d time.Duration, f func()) *Timer {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.startLocked(c.nowLocked().Add(d), f)
}

// At calls f when the clock shows t or later.
func (c *Clock) At(t time.Time, f func()) *Timer {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.startLocked(t, f)
}

func (c *Clock) startLocked(when time.Time, f func()) *Timer {
	c.seq++
	t := &Timer{clock: c, when: when, seq: c.seq, fn: f}
	heap.Push(&c.due, t)
	if t.index == 0 {
		c.rearmLocked()
	}
	return t
}

// Stop keeps the timer from firing. It reports whether it did: false means
// that the timer has fired or was stopped before.
func (t *Timer) Stop() bool {
	c := t.clock
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.index < 0 {
		return false
	}
	first := t.index == 0
	heap.Remove(&c.due, t.index)
	if first {
		c.rearmLocked()
	}
	return true
}

// rearmLocked sets the real timer for the first timer that is due.
func (c *Clock) rearmLocked() {
	if c.wake != nil {
		c.wake.Stop()
		c.wake = nil
	}
	if c.frozen || len(c.due) == 0 {
		return
	}
	c.wake = time.AfterFunc(c.due[0].when.Sub(c.nowLocked()), c.fire)
}

// fire starts everything that is due in real time.
func (c *Clock) fire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.frozen {
		return
	}
	now := c.nowLocked()
	for len(c.due) > 0 && !c.due[0].when.After(now) {
		t := heap.Pop(&c.due).(*Timer) //nolint:errcheck // the heap holds nothing else.
		go t.fn()
	}
	c.rearmLocked()
}

// Freeze stops the clock at the time it shows.
func (c *Clock) Freeze() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.nowLocked()
	c.frozen = true
	c.rearmLocked()
}

// Resume lets a frozen clock run on from the time it shows.
func (c *Clock) Resume() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.frozen {
		return
	}
	c.frozen = false
	c.offset = time.Until(c.at)
	c.rearmLocked()
}

// Frozen reports whether the clock stands still.
func (c *Clock) Frozen() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.frozen
}

// Advance moves the clock forward by d and calls what falls due on the way,
// one after the other in the order of time, each with the clock at its own
// time. It returns when all were called and nothing is busy, or when ctx is
// done: the clock then stands where it came to. A clock that ran before runs
// on. A timer's function must not call it.
func (c *Clock) Advance(ctx context.Context, d time.Duration) error {
	return c.advance(ctx, func(now time.Time) time.Time { return now.Add(d) })
}

// AdvanceTo is [Clock.Advance] to a time. It does nothing if the clock shows a
// later one.
func (c *Clock) AdvanceTo(ctx context.Context, t time.Time) error {
	return c.advance(ctx, func(time.Time) time.Time { return t })
}

func (c *Clock) advance(ctx context.Context, target func(now time.Time) time.Time) error {
	c.advancing.Lock()
	defer c.advancing.Unlock()
	ran := !c.Frozen()
	c.Freeze()
	if ran {
		defer c.Resume()
	}
	until := target(c.Now())
	for {
		if err := c.rest(ctx); err != nil {
			return err
		}
		t := c.nextUntil(until)
		if t == nil {
			return c.rest(ctx)
		}
		t.fn()
	}
}

// Busy keeps an advancing clock from going on until done is called: something
// is under way that the time must not run away from. It must not wait for the
// clock before it calls done.
func (c *Clock) Busy() (done func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy++
	return c.unbusy
}

func (c *Clock) unbusy() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy--
	if c.busy == 0 && c.rested != nil {
		close(c.rested)
		c.rested = nil
	}
}

// rest waits until nothing is busy.
func (c *Clock) rest(ctx context.Context) error {
	c.mu.Lock()
	if c.busy > 0 && c.rested == nil {
		c.rested = make(chan struct{})
	}
	rested := c.rested
	c.mu.Unlock()
	if rested == nil {
		return ctx.Err()
	}
	select {
	case <-rested:
		return c.rest(ctx) // more may have begun meanwhile
	case <-ctx.Done():
		return ctx.Err()
	}
}

// nextUntil takes the next timer that is due by target and sets the clock to
// its time. Where there is none it sets the clock to target.
func (c *Clock) nextUntil(target time.Time) *Timer {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.due) == 0 || c.due[0].when.After(target) {
		if target.After(c.at) {
			c.at = target
		}
		return nil
	}
	t := heap.Pop(&c.due).(*Timer) //nolint:errcheck // the heap holds nothing else.
	if t.when.After(c.at) {
		c.at = t.when
	}
	return t
}

// timers is a heap of timers by time.
type timers []*Timer

func (h timers) Len() int { return len(h) }

func (h timers) Less(i, j int) bool {
	if !h[i].when.Equal(h[j].when) {
		return h[i].when.Before(h[j].when)
	}
	return h[i].seq < h[j].seq
}

func (h timers) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push is for package heap.
func (h *timers) Push(x any) {
	t := x.(*Timer) //nolint:errcheck // as above.
	t.index = len(*h)
	*h = append(*h, t)
}

// Pop is for package heap.
func (h *timers) Pop() any {
	old := *h
	last := len(old) - 1
	t := old[last]
	old[last] = nil
	t.index = -1
	*h = old[:last]
	return t
}
