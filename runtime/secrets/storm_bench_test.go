package secrets

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
)

// The benchmarks below set a client beside one like AWS's, in the situations
// in which reads used to fail or to wait. Each reports what one reader met.

// a source is a client under measurement.
type source struct {
	read   func(ctx context.Context, name string) error
	expire func() // the values in memory are due to be read again
}

// sources make a new client on a Secrets Manager.
func sources() map[string]func(*store) source {
	return map[string]func(*store) source{
		"rekey": func(s *store) source {
			c := New(s, dev)
			return source{
				read: func(ctx context.Context, name string) error { _, err := c.Get(ctx, name); return err },
				expire: func() {
					running, shift := c.now, 4*time.Minute+29*time.Second
					c.now = func() instant { return running().add(shift) }
					c.moment.withdraw()
				},
			}
		},
		"mutex per item": func(s *store) source {
			l := newLocked(s, 5*time.Minute)
			return source{
				read:   func(ctx context.Context, name string) error { _, err := l.get(ctx, "dev-"+name); return err },
				expire: l.expire,
			}
		},
	}
}

// waits are how long readers waited.
type waits struct {
	mu  sync.Mutex
	all []time.Duration
}

func (w *waits) add(began time.Time) {
	took := time.Since(began)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, took)
}

// report gives percentiles and the longest wait, in milliseconds.
func (w *waits) report(b *testing.B) {
	b.Helper()
	slices.Sort(w.all)
	for unit, at := range map[string]int{"p50-ms": len(w.all) / 2, "p99-ms": len(w.all) * 99 / 100, "max-ms": len(w.all) - 1} {
		b.ReportMetric(float64(w.all[at])/1e6, unit)
	}
	b.ReportMetric(0, "ns/op") // the time is that of Secrets Manager
}

// BenchmarkCold has a thousand readers ask for a secret that nobody has read,
// of a Secrets Manager that takes 50 ms.
func BenchmarkCold(b *testing.B) {
	for name, open := range sources() {
		b.Run(name, func(b *testing.B) {
			var w waits
			calls := 0
			for b.Loop() {
				s := newStore()
				s.delay = 50 * time.Millisecond
				client := open(s)
				var readers sync.WaitGroup
				for range 1000 {
					readers.Go(func() {
						began := time.Now()
						if err := client.read(b.Context(), "db"); err != nil {
							b.Error(err)
						}
						w.add(began)
					})
				}
				readers.Wait()
				calls += s.reads()
			}
			w.report(b)
			b.ReportMetric(float64(calls)/float64(b.N), "calls/op")
		})
	}
}

// BenchmarkExpiry has four readers go through a thousand secrets that are all
// due at once, until each has been read again.
func BenchmarkExpiry(b *testing.B) {
	const all = 1000
	for name, open := range sources() {
		b.Run(name, func(b *testing.B) {
			var w waits
			most, calls := 0, 0
			for b.Loop() {
				s := newStore()
				client := open(s)
				for i := range all {
					if err := client.read(b.Context(), fmt.Sprint("any", i)); err != nil {
						b.Fatal(err)
					}
				}
				client.expire()
				s.set(func(s *store) { s.delay, s.mostBusy = 50*time.Millisecond, 0 })
				var readers sync.WaitGroup
				for r := range 4 {
					readers.Go(func() {
						for i := 0; i < all || s.reads() < 2*all; i++ {
							began := time.Now()
							if err := client.read(b.Context(), fmt.Sprint("any", (i+r*all/4)%all)); err != nil {
								b.Error(err)
							}
							w.add(began)
							time.Sleep(10 * time.Microsecond)
						}
					})
				}
				readers.Wait()
				time.Sleep(60 * time.Millisecond) // the last answers
				most = max(most, s.mostBusy)
				calls += s.reads() - all
			}
			w.report(b)
			b.ReportMetric(float64(most), "most-in-flight")
			b.ReportMetric(float64(calls)/float64(b.N), "calls/op")
		})
	}
}

// BenchmarkHang has a hundred readers of one secret meet a Secrets Manager
// that takes two seconds when the value is due.
func BenchmarkHang(b *testing.B) {
	for name, open := range sources() {
		b.Run(name, func(b *testing.B) {
			var w waits
			for b.Loop() {
				s := newStore()
				client := open(s)
				if err := client.read(b.Context(), "db"); err != nil {
					b.Fatal(err)
				}
				client.expire()
				s.set(func(s *store) { s.delay = 2 * time.Second })
				ends := time.Now().Add(2100 * time.Millisecond)
				var readers sync.WaitGroup
				for range 100 {
					readers.Go(func() {
						for time.Now().Before(ends) {
							began := time.Now()
							if err := client.read(b.Context(), "db"); err != nil {
								b.Error(err)
							}
							w.add(began)
							time.Sleep(10 * time.Millisecond)
						}
					})
				}
				readers.Wait()
			}
			w.report(b)
		})
	}
}

// BenchmarkDeadline has a hundred readers with 100 ms wait for a read that
// takes two seconds, and reports by how much they came back too late.
func BenchmarkDeadline(b *testing.B) {
	for name, open := range sources() {
		b.Run(name, func(b *testing.B) {
			var w waits
			for b.Loop() {
				s := newStore()
				s.delay = 2 * time.Second
				client := open(s)
				go func() { _ = client.read(b.Context(), "db") }() // it has the time
				for s.reads() == 0 {
					time.Sleep(time.Millisecond)
				}
				var readers sync.WaitGroup
				for range 100 {
					readers.Go(func() {
						ctx, cancel := context.WithTimeout(b.Context(), 100*time.Millisecond)
						defer cancel()
						due := time.Now().Add(100 * time.Millisecond)
						if err := client.read(ctx, "db"); err != nil && !errors.Is(err, context.DeadlineExceeded) {
							b.Error(err)
						}
						w.add(due)
					})
				}
				readers.Wait()
			}
			w.report(b)
		})
	}
}

// BenchmarkNews is the time from the news of a rotation until reads return the
// new version, with a Secrets Manager that answers at once.
func BenchmarkNews(b *testing.B) {
	s := newStore()
	c := New(s, dev)
	ref := c.table.get(entryID{id: dbName})
	if _, err := c.Get(b.Context(), "db"); err != nil {
		b.Fatal(err)
	}
	var w waits
	for b.Loop() {
		version := s.rotate()
		began := time.Now()
		if err := c.Invalidate(b.Context(), Rotated{SecretARN: dbARN, VersionID: version}); err != nil {
			b.Fatal(err)
		}
		if got, err := c.read(b.Context(), ref); err != nil || got.version != version {
			b.Fatalf("got %v, %v", got, err)
		}
		w.add(began)
	}
	w.report(b)
}
