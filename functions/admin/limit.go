package admin

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// maxBuckets is how many buckets are kept before all are emptied, which lets
// everybody begin anew.
const maxBuckets = 10_000

// buckets are token buckets by a key: a principal or a secret. They are those
// of one environment of the function.
type buckets struct {
	every time.Duration
	burst int

	mu sync.Mutex
	by map[string]*rate.Limiter // :: key -> its bucket
}

// take takes a token, or tells after which time there is one.
func (b *buckets) take(key string) (wait time.Duration, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.by == nil || len(b.by) > maxBuckets {
		b.by = make(map[string]*rate.Limiter)
	}
	limiter, there := b.by[key]
	if !there {
		limiter = rate.NewLimiter(rate.Every(b.every), b.burst)
		b.by[key] = limiter
	}
	r := limiter.Reserve()
	if wait = r.Delay(); wait > 0 {
		r.Cancel()
		return wait, false
	}
	return 0, true
}
