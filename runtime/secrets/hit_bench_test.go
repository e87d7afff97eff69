//go:build unix

package secrets

import (
	"encoding/json"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/maypok86/otter/v2"
)

// hits are ways to have a secret from memory: ours, those that users build, and
// one like that of AWS's caching clients. Each returns whether it was there.
func hits(b *testing.B) []hit {
	b.Helper()
	ctx := b.Context()
	c := benchClient(b, withBoard)
	ref := Bind[credentials](c, "db")
	s, err := c.Get(ctx, "db")
	if err != nil {
		b.Fatal(err)
	}
	plain := map[string]*Secret{dbName: s}
	var syncMap sync.Map
	syncMap.Store(dbName, s)
	var atomicMap atomic.Pointer[map[string]*Secret]
	atomicMap.Store(&plain)
	cache := otter.Must(&otter.Options[string, *Secret]{
		MaximumSize: 1024, ExpiryCalculator: otter.ExpiryWriting[string, *Secret](5 * time.Minute),
	})
	cache.Set(dbName, s)
	lock := newLocked(credentialStore(), 5*time.Minute)
	return []hit{
		{"Get", func() bool { s, err := c.Get(ctx, dbName); return err == nil && s != nil }},
		{"Get logical", func() bool { s, err := c.Get(ctx, "db"); return err == nil && s != nil }},
		{"Ref", func() bool { _, err := ref.Get(ctx); return err == nil }},
		{"sync.Map", func() bool { v, ok := syncMap.Load(dbName); return ok && v.(*Secret) != nil }},
		{"atomic map", func() bool { return (*atomicMap.Load())[dbName] != nil }},
		{"otter", func() bool { v, ok := cache.GetIfPresent(dbName); return ok && v != nil }},
		{"mutex per item", func() bool { v, err := lock.get(ctx, dbName); return err == nil && v != "" }},
		{"mutex per item and JSON", func() bool {
			var v credentials
			text, err := lock.get(ctx, dbName)
			return err == nil && json.Unmarshal([]byte(text), &v) == nil && v.Username == "u"
		}},
	}
}

// reportCPU reports the processor's time beside the clock's, which on a busy
// machine is mostly that of others. What it does not depend on is the number of
// cores, unless they wait for each other.
func reportCPU(b *testing.B) (stop func()) {
	b.Helper()
	b.ReportAllocs()
	spent := func() int64 {
		var r syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
			b.Fatal(err)
		}
		return r.Utime.Nano() + r.Stime.Nano()
	}
	began := spent()
	return func() { b.ReportMetric(float64(spent()-began)/float64(b.N), "cpu-ns/op") }
}

type hit struct {
	name string
	read func() bool
}

func BenchmarkHit(b *testing.B) {
	for _, h := range hits(b) {
		b.Run(h.name, func(b *testing.B) {
			defer reportCPU(b)()
			for b.Loop() {
				if !h.read() {
					b.Fatal("it was not there")
				}
			}
		})
	}
}

func BenchmarkHitParallel(b *testing.B) {
	for _, h := range hits(b) {
		b.Run(h.name, func(b *testing.B) {
			defer reportCPU(b)()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if !h.read() {
						b.Error("it was not there")
					}
				}
			})
		})
	}
}

// BenchmarkHitFrozen is Get where nothing tells of invocations, so that each
// hit reads the clocks.
func BenchmarkHitFrozen(b *testing.B) {
	c := benchClient(b, withBoard, func(o *Options) { o.Freezes = true })
	ctx := b.Context()
	defer reportCPU(b)()
	for b.Loop() {
		if _, err := c.Get(ctx, dbName); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkHitClock is what reading the clocks costs alone.
func BenchmarkHitClock(b *testing.B) {
	now := clock()
	defer reportCPU(b)()
	for b.Loop() {
		_ = now()
	}
}
