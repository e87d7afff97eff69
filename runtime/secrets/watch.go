package secrets

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rekey-go/rekey/runtime/bulletin"
)

// A watch looks at the bulletin for a client, and keeps its leases.
type watch struct {
	c     *Client
	board Bulletin
	lease deadline // until when what is in memory may be served without a look
	due   deadline // when the next look is due
	phase float64  // part of CheckInterval after which the first look is due

	mu      sync.Mutex
	looking *look                     // the board is being read
	noted   map[string]bulletin.Entry // what needs no second look, by ARN
	closed  bool
	writing sync.WaitGroup // added to while mu is held and closed is false

	checks, failures atomic.Int64
	failing          atomic.Bool // the last look failed, and was logged
}

// A look is one reading of the board with what follows from it.
type look struct {
	started instant
	read    chan struct{} // closed when the board was read, or could not be
	done    chan struct{} // closed when reads have changed over, and leases say so
}

func newWatch(c *Client, opts Options) *watch {
	return &watch{c: c, board: opts.Bulletin, phase: rand.Float64(), noted: make(map[string]bulletin.Entry)} //nolint:gosec // spreads load, guards nothing
}

// Due reports whether the board is to be read: values are in memory, and the
// last look at it is longer ago than CheckInterval, on the wall clock or on
// the monotonic one. Without a bulletin it never is.
func (c *Client) Due() bool {
	return c.watch != nil && !c.now().before(c.watch.due.load()) && len(c.held()) > 0
}

// Check looks at the board if that is due, fetches what is newer than the
// values in memory, and renews the leases. It returns when that is done, or
// when ctx ends; what was begun goes on. If the board cannot be read, the
// client goes on with what it has.
//
// In a Lambda function the middleware of package invalidation calls it, in a
// process that runs for long [Client.Run].
func (c *Client) Check(ctx context.Context) {
	if !c.Due() {
		return
	}
	select {
	case <-c.watch.start(ctx).done:
	case <-ctx.Done():
	}
}

// Run looks at the board every CheckInterval until ctx ends. It is for
// processes that run for long, on a goroutine of its own. Without a bulletin
// it does nothing but wait. The first look comes after a part of CheckInterval
// that chance decides: processes that were started together do not look, and
// then read a new version, all at once.
func (c *Client) Run(ctx context.Context) {
	if c.watch == nil {
		<-ctx.Done()
		return
	}
	ticks := time.NewTicker(max(part(c.opts.CheckInterval, c.watch.phase), 1))
	defer ticks.Stop()
	for first := true; ; first = false {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
			if first {
				ticks.Reset(c.opts.CheckInterval)
			}
			if len(c.held()) > 0 {
				<-c.watch.start(ctx).read
			}
		}
	}
}

// Close gives up all leases, so that nobody waits for this process. A client
// may be used afterwards, but holds no lease any more.
func (c *Client) Close(ctx context.Context) error {
	if c.watch == nil {
		return nil
	}
	c.watch.mu.Lock()
	c.watch.closed = true
	c.watch.mu.Unlock()
	c.watch.writing.Wait() // no longer than CheckTimeout
	var errs []error
	for _, s := range c.held() {
		errs = append(errs, c.watch.board.Release(ctx, s.secret.arn, c.opts.Consumer))
	}
	return errors.Join(errs...)
}

// held returns the current versions in memory, by entry.
func (c *Client) held() map[*entry]*state {
	var all map[*entry]*state
	for id, e := range c.table.all() {
		if s := e.state.Load(); id.current() && s != nil && s.secret != nil {
			if all == nil {
				all = make(map[*entry]*state)
			}
			all[e] = s
		}
	}
	return all
}

// await waits until the board was read.
func (w *watch) await(ctx context.Context, id string) error {
	select {
	case <-w.start(ctx).read:
		return nil
	case <-ctx.Done():
		return waited(ctx, id)
	}
}

// start begins a look, or returns the one that is under way. One that was
// under way when the environment was frozen is given up.
func (w *watch) start(ctx context.Context) *look {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.c.now()
	if w.looking == nil || !now.before(w.looking.started.add(lookTries*w.c.opts.CheckTimeout+time.Second)) {
		w.looking = &look{started: now, read: make(chan struct{}), done: make(chan struct{})}
		go w.run(context.WithoutCancel(ctx), w.looking)
	}
	return w.looking
}

func (w *watch) run(ctx context.Context, l *look) {
	defer close(l.done)
	pursuits, err := w.read(ctx, l.started)
	if given := w.ended(l, err); given {
		close(l.read)
		return
	}
	close(l.read)
	if err == nil {
		err = w.renew(ctx, l.started)
	}
	w.report(ctx, err)
	for arn, p := range pursuits {
		<-p.flight.done
		if p.flight.err == nil || definite(p.flight.err) {
			w.note(arn, p.entry)
		}
	}
}

// ended sets what follows from a reading of the board, and reports whether it
// was given up in the meantime. After one that failed, what is in memory is
// served until the next.
func (w *watch) ended(l *look, err error) (givenUp bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.looking != l {
		return true
	}
	w.looking = nil
	if err == nil {
		w.lease.store(l.started.add(w.c.opts.Lease))
		w.due.store(l.started.add(w.c.opts.CheckInterval))
		return false
	}
	next := w.c.now().add(w.c.opts.CheckInterval)
	w.due.store(next)
	w.lease.extend(next)
	return false
}

// report logs that the bulletin cannot be reached, once, and that it can be
// again.
func (w *watch) report(ctx context.Context, err error) {
	if err != nil {
		w.failures.Add(1)
	}
	switch was := w.failing.Swap(err != nil); {
	case err != nil && !was:
		w.c.log.WarnContext(ctx, "the bulletin cannot be reached; going on with the values in memory", "error", err)
	case err == nil && was:
		w.c.log.InfoContext(ctx, "the bulletin can be reached again")
	}
}

// begin starts the time of the lease with the first value of all: nothing
// else is in memory that would need a look.
func (w *watch) begin(asked instant) {
	if w.lease.load() == (instant{}) {
		w.lease.store(asked.add(w.c.opts.Lease))
		w.due.store(asked.add(part(w.c.opts.CheckInterval, w.phase)))
	}
}

// register writes the lease of a version that was just read. One write may be
// overtaken by another, so who wrote looks whether that is still what the lease
// is to name.
func (w *watch) register(ctx context.Context, e *entry) {
	if !e.current() {
		return
	}
	written := ""
	for s := e.leased(); s.names(written); s = e.leased() {
		if err := w.write(ctx, w.leaseOn(s, w.c.now())); err != nil {
			w.report(ctx, err)
			return
		}
		written = s.secret.version
	}
	w.report(ctx, nil)
}

// names reports whether a lease on the state names another version than the
// one that was written.
func (s *state) names(written string) bool {
	return s != nil && s.secret != nil && s.secret.version != written
}

// renew writes the leases of all values in memory. If that fails, they count
// as run out at the next look.
func (w *watch) renew(ctx context.Context, started instant) error {
	var leases []bulletin.Lease
	written := make(map[*entry]string)
	for e, s := range w.c.held() {
		if s.hold != revoked {
			lease := w.leaseOn(e.leased(), started)
			leases, written[e] = append(leases, lease), lease.VersionID
		}
	}
	if err := w.write(ctx, leases...); err != nil {
		w.lease.store(started.add(w.c.opts.CheckInterval))
		return err
	}
	for e, version := range written {
		if e.leased().names(version) {
			w.register(ctx, e)
		}
	}
	return nil
}

func (w *watch) leaseOn(s *state, from instant) bulletin.Lease {
	return bulletin.Lease{
		SecretARN: s.secret.arn, Consumer: w.c.opts.Consumer, VersionID: s.secret.version,
		Since: s.since, Expires: from.add(w.c.opts.Lease).time(),
	}
}

func (w *watch) write(ctx context.Context, leases ...bulletin.Lease) error {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return nil
	}
	w.writing.Add(1)
	w.mu.Unlock()
	defer w.writing.Done()
	ctx, cancel := context.WithTimeout(ctx, w.c.opts.CheckTimeout)
	defer cancel()
	if err := w.board.Renew(ctx, leases...); err != nil {
		return fmt.Errorf("renewing leases: %w", err)
	}
	return nil
}
