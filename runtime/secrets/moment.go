package secrets

import (
	"sync"
	"sync/atomic"
	"time"
)

// goodFor is for how long readers share one reading of the clocks.
const goodFor = 10 * time.Millisecond

// A moment is a reading of the clocks that readers share, because reading them
// costs several times what a hit costs otherwise. What they share is the end
// of the time for which it is good: no deadline passes unseen within.
//
// A timer withdraws it at that end, and who comes then reads the clocks. So
// nothing ticks while nobody reads, and a hit writes no memory. The timer
// stands still with an environment that is frozen; there the moment is only
// shared if it is withdrawn at the start of every invocation.
type moment struct {
	clock   func() instant
	end     atomic.Pointer[instant] // nil where withdrawn
	allowed atomic.Bool

	mu   sync.Mutex
	last int64 // when the clocks were last read for a hit, on the monotonic one
}

// shared returns the end of the time for which the last reading is good, or
// nil.
func (m *moment) shared() *instant { return m.end.Load() }

// read reads the clocks, and shares that where reads follow each other fast
// enough for it to be worth a timer.
func (m *moment) read() instant {
	now := m.clock()
	if !m.allowed.Load() || !m.mu.TryLock() { // another reader shares its own
		return now
	}
	defer m.mu.Unlock()
	busy := now.mono-m.last < int64(goodFor)
	m.last = now.mono
	if busy && m.end.Load() == nil {
		m.share()
	}
	return now
}

// share reads the clocks again and shares that. The timer comes first: if the
// process is stopped in between, it is due by the time that anybody reads.
func (m *moment) share() {
	end := new(instant)
	time.AfterFunc(goodFor, func() {
		m.mu.Lock() // where it comes before end is stored
		defer m.mu.Unlock()
		m.end.CompareAndSwap(end, nil)
	})
	*end = m.clock().add(goodFor)
	m.end.Store(end)
}

// withdraw has the next reader read the clocks, and waits for one that is
// about to share a reading from before.
func (m *moment) withdraw() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.end.Store(nil)
}

// Wake tells the client that an invocation of a Lambda function begins: the
// execution environment may have been frozen until now, with no clock running
// but the wall's. The middleware of package invalidation calls it.
//
// Hits share a reading of the clocks for up to 10 ms, which is what makes them
// cheap. Where Options.Freezes is set they do so only after the first Wake; a
// function without the middleware has each of them read the clocks.
func (c *Client) Wake() {
	c.moment.withdraw()
	c.moment.allowed.Store(true)
}
