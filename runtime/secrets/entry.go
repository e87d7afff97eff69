package secrets

import (
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// An entry is one value in memory: what reads return of it, and the read of
// Secrets Manager that is under way.
type entry struct {
	entryID
	state atomic.Pointer[state]
	used  atomic.Bool  // read since the table last looked
	pins  atomic.Int32 // of those whom the table must not take it from

	// gen grows with every invalidation, while mu is held. The answer to a
	// read that began before one is not kept, unless it is the version that it
	// named.
	gen atomic.Int64

	mu      sync.Mutex
	wanted  string
	flight  *flight       // the read under way, whose answer will be kept
	queued  *flight       // follows flight, for those who need a later answer
	landed  bool          // one has come to its end; before, one is about to begin
	changed chan struct{} // closed with the state; nil where nobody waits
	hooks   []*func(before, after *Secret)
	news    news
	struck  []string // versions that were revoked, the latest last
	// While hooks let go of what they made with a version, the lease goes on
	// naming it: the first of them, where another came in between.
	hooking int
	letting *state

	ladder atomic.Pointer[Ladder] // nil until it is asked for
}

// use notes that the entry was read, so that others are evicted first.
func (e *entry) use() {
	if !e.used.Load() {
		e.used.Store(true)
	}
}

// set replaces the state. It holds mu.
func (e *entry) set(s *state) {
	if s != nil {
		if s.hit = s.refresh; s.secret != nil && s.secret.stale {
			s.hit = instant{}
		}
	}
	e.state.Store(s)
	if e.changed != nil {
		close(e.changed)
		e.changed = nil
	}
}

// A hold says what is known against the value of a state.
type hold int

const (
	// usable: nothing.
	usable hold = iota
	// superseded: another version is current, and this one may have been
	// revoked. It is served only, as stale, if that one cannot be read.
	superseded
	// revoked: it is not served any more.
	revoked
)

// A state is what reads return. It does not change: another takes its place.
type state struct {
	secret *Secret // nil where err is not
	err    error

	hit     instant // until when reads are hits: refresh, unless they are counted
	fetched instant // when Secrets Manager was asked
	// Until refresh the value is served without a thought; from then on it is
	// read again in the background; from fresh on a reader waits for that;
	// from until on the value is not served at all.
	refresh, fresh, until instant
	jitter                float64   // how much of the TTL counts
	since                 time.Time // from when this version is held
	adopted               instant   // the same, for disbelieving older answers
	failures              int       // reads that failed in a row
	hold                  hold
}

// window returns the deadlines refresh and fresh for a read that wants a TTL
// of its own.
func (s *state) window(ttl time.Duration) (refresh, fresh instant) {
	if ttl == 0 || s.secret == nil || s.failures > 0 || s.hold != usable {
		return s.refresh, s.fresh
	}
	return s.fetched.add(part(ttl, s.jitter*refreshAt)), s.fetched.add(part(ttl, s.jitter))
}

const (
	// maxJitter is by how much a TTL is cut at most.
	maxJitter = 0.1
	// refreshAt is the part of the TTL after which a value is read again in
	// the background.
	refreshAt = 0.8
	// settle is for how long after a version was adopted an older one is not
	// believed: Secrets Manager's answers are eventually consistent. Later it
	// is a rollback.
	settle = 30 * time.Second
	// recheck is when Secrets Manager is asked again after such an answer.
	recheck = time.Second
	// maxBackoff bounds the time between reads that fail.
	maxBackoff = 30 * time.Second
)

func part(d time.Duration, share float64) time.Duration { return time.Duration(float64(d) * share) }

func jitter() float64 { return 1 - maxJitter*rand.Float64() } //nolint:gosec // spreads load, guards nothing

// holding returns the state of a secret that was just read.
func holding(s *Secret, asked instant, opts *Options) *state {
	j := jitter()
	ttl := max(opts.TTL, 0)
	fresh := asked.add(part(ttl, j))
	return &state{
		secret: s, fetched: asked, jitter: j,
		refresh: asked.add(part(ttl, j*refreshAt)), fresh: fresh,
		until: fresh.add(max(opts.MaxStale, 0)),
	}
}

// A landing is what became of the answer to a flight.
type landing struct {
	counts bool    // it was not overtaken by an invalidation
	lags   bool    // it was older than what is in memory, which stays
	news   bool    // reads return another version than before, or the first
	before *Secret // the version that they returned before
	kept   *Secret // the version that they return now
}

// keep takes the answer to a flight.
func (e *entry) keep(f *flight, s *Secret, now instant, opts *Options) landing {
	e.mu.Lock()
	defer e.mu.Unlock()
	if f.gen < e.gen.Load() && s.version != e.wanted {
		return landing{}
	}
	l := landing{counts: true, kept: s}
	old, next := e.state.Load(), holding(s, f.asked, opts)
	switch {
	case old == nil || old.secret == nil:
		l.news = true
	case old.secret.version == s.version:
		s.value = old.secret.value // the same pointer: a Ref has decoded it
		next.since, next.adopted = old.since, old.adopted
	case f.lags(old, s, now):
		next = new(*old)
		next.refresh = now.add(recheck)
		l.lags, l.kept = true, old.secret
	default:
		l.news, l.before = true, old.secret
		e.news.proved()
		if e.hooking++; e.letting == nil {
			e.letting = old
		}
	}
	if l.news {
		next.since, next.adopted = now.time(), now
	}
	e.set(next)
	return l
}

// lags reports whether an answer is that of a replica which has not heard of
// the version in memory.
func (f *flight) lags(old *state, s *Secret, now instant) bool {
	return s.version != f.version && old.hold == usable && f.refused != old.secret.version &&
		s.created.Before(old.secret.created) && now.before(old.adopted.add(settle))
}

// noValueTTL is how long a placeholder is taken for one: somebody is about to
// store its first value, and who does expects the next request to see it. The
// calls are bounded by what one takes, since readers share it.
const noValueTTL = 2 * time.Millisecond

// fail takes an error as the answer to a flight.
func (e *entry) fail(f *flight, err error, now instant, opts *Options) (counts bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if f.gen < e.gen.Load() {
		return false
	}
	old := e.state.Load()
	servable := old != nil && old.secret != nil && old.hold != revoked && now.before(old.until)
	if definite(err) || !servable {
		remember := opts.NegativeTTL
		if errors.Is(err, ErrNoValue) {
			remember = min(remember, noValueTTL)
		}
		retry := now.add(remember)
		e.set(&state{err: err, refresh: retry, fresh: retry})
		return true
	}
	next := *old
	next.failures++
	next.refresh = earlier(now.add(backoff(next.failures)), old.until)
	if old.hold != usable || !now.before(old.fresh) {
		next.secret = old.secret.asStale()
	} else {
		next.refresh = earlier(next.refresh, old.fresh)
	}
	e.set(&next)
	return true
}

// backoff returns the time until the next try, after so many that failed.
func backoff(failures int) time.Duration {
	return part(min(time.Second<<min(failures-1, 10), maxBackoff), jitter())
}

// condemn marks the value in memory, so that reads wait for the next. It holds
// mu.
func (e *entry) condemn(h hold) {
	old := e.state.Load()
	if old == nil || old.secret == nil || old.hold >= h {
		return
	}
	next := *old
	next.hold, next.refresh, next.fresh = h, instant{}, instant{}
	e.set(&next)
}

// isNews reports whether a secret is newer than the version in memory.
func (e *entry) isNews(s *Secret) bool {
	old := e.state.Load()
	return old == nil || old.secret == nil || old.secret.version != s.version && !s.created.Before(old.secret.created)
}
