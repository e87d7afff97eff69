package main

import (
	"fmt"
	"sync"
	"time"

	"github.com/rekey-go/rekey/audit/source"
)

// How often a line of progress is written anew: on a terminal in its place, and
// elsewhere below the last one.
const (
	redrawEvery = 200 * time.Millisecond
	repeatEvery = 5 * time.Second
)

// tells reports whether to tell how far a reading is.
func (a *app) tells(r reading) bool { return a.terminal || r.progress }

// tell writes a line to standard error again and again until the function that
// it returns is called. On a terminal nothing is left of it then.
func (p *printer) tell(line func() string) (stop func()) {
	every, begin, end := repeatEvery, "", "\n"
	if p.terminal {
		every, begin, end = redrawEvery, "\r\x1b[K", ""
	}
	write := func() {
		if text := line(); text != "" {
			fmt.Fprint(p.stderr, begin+text+end)
		}
	}
	done := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		ticks := time.NewTicker(every)
		defer ticks.Stop()
		for {
			select {
			case <-ticks.C:
				write()
			case <-done:
				return
			}
		}
	})
	return func() {
		close(done)
		running.Wait()
		if p.terminal {
			fmt.Fprint(p.stderr, begin)
			return
		}
		write()
	}
}

// latest is a value that one goroutine sets and another gets.
type latest[T any] struct {
	mu    sync.Mutex
	value T
}

func (l *latest[T]) set(value T) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.value = value
}

func (l *latest[T]) get() T {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.value
}

// filesRead is the line about log files.
func filesRead(p source.Progress) string {
	files := count(float64(p.Files))
	if p.Of > 0 {
		files += " of " + count(float64(p.Of))
	}
	const mib = 1 << 20
	return left(fmt.Sprintf("%s files, %s MiB at %d MiB/s, %s records", files, count(float64(p.Bytes/mib)), p.PerSecond/mib, count(float64(p.Records))), p.Left)
}

// eventsLookedUp is the line about an event history; nothing before its first
// page.
func eventsLookedUp(p source.LookupProgress) string {
	if p.Pages == 0 {
		return ""
	}
	return left(fmt.Sprintf("%s pages, %s events, back to %s", count(float64(p.Pages)), count(float64(p.Events)), p.At.UTC().Format(time.RFC3339)), p.Left)
}

// left adds how long the rest takes, where that is known.
func left(text string, d time.Duration) string {
	if d <= 0 {
		return text
	}
	return fmt.Sprintf("%s, %s left", text, max(d, time.Second).Round(time.Second))
}
