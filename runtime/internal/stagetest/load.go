package stagetest

import (
	"sync"
	"sync/atomic"
	"testing"
)

// A Load is some clients that do something all the time.
type Load struct {
	tb            testing.TB
	done          []chan struct{} // one for each client, which hears of its calls
	calls, failed atomic.Int64
	stop          chan struct{}
	once          sync.Once
	running       sync.WaitGroup
}

// NewLoad starts it, and waits until each client has done something. The first
// errors fail the test.
func NewLoad(tb testing.TB, clients int, do func() error) *Load {
	tb.Helper()
	l := &Load{tb: tb, done: make([]chan struct{}, clients), stop: make(chan struct{})}
	for i := range l.done {
		l.done[i] = make(chan struct{})
		l.running.Go(func() { l.run(l.done[i], do) })
	}
	tb.Cleanup(func() { l.Stop() })
	l.During()
	return l
}

func (l *Load) run(done chan<- struct{}, do func() error) {
	for {
		err := do()
		if l.calls.Add(1); err != nil && l.failed.Add(1) < 4 {
			l.tb.Errorf("a client's call failed: %v", err)
		}
		select {
		case <-l.stop:
			return
		case done <- struct{}{}:
		default:
		}
	}
}

// During waits until each client has begun and ended a call from now on.
func (l *Load) During() {
	for range 2 { // the first may have begun before
		for _, done := range l.done {
			select {
			case <-done:
			case <-l.tb.Context().Done():
			}
		}
	}
}

// Stop ends it, and returns how many calls there were and how many failed.
func (l *Load) Stop() (calls, failed int64) {
	l.once.Do(func() { close(l.stop) })
	l.running.Wait()
	return l.calls.Load(), l.failed.Load()
}
