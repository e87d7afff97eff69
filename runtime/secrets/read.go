package secrets

import (
	"context"
	"time"
)

// read returns the value of an entry. What it does first is all that a hit
// costs: a few loads and comparisons.
func (c *Client) read(ctx context.Context, e *entry) (*Secret, error) {
	if end := c.moment.shared(); end != nil {
		if s := e.state.Load(); s != nil && end.before(s.hit) && c.leased(*end) {
			e.use()
			return s.secret, s.err
		}
	}
	now := c.moment.read()
	if s := e.state.Load(); s != nil && now.before(s.hit) && c.leased(now) {
		e.use()
		return s.secret, s.err
	}
	return c.readSlow(ctx, e, 0)
}

// leased reports whether what is in memory may be served without a look at
// the board.
func (c *Client) leased(now instant) bool {
	return c.watch == nil || now.before(c.watch.lease.load())
}

// readSlow is read where the value may have to be read first. The TTL is the
// client's where zero.
func (c *Client) readSlow(ctx context.Context, e *entry, ttl time.Duration) (*Secret, error) {
	e.use()
	for {
		if !c.leased(c.now()) && e.state.Load() != nil {
			if err := c.watch.await(ctx, e.id); err != nil {
				return nil, err
			}
		}
		s := e.state.Load()
		if c.mayServe(ctx, e, s, ttl) {
			return c.serve(s)
		}
		f := c.join(ctx, e, s)
		if f == nil {
			continue
		}
		if old := c.wait(ctx, e, f, s); old != nil {
			return c.serve(old)
		}
		switch {
		case !f.ended():
			if ctx.Err() != nil {
				return nil, waited(ctx, e.id)
			}
		case !f.counts(e): // an invalidation came in between
		case f.err == nil:
			return f.secret, nil
		default:
			// The value from before, as stale, or the error.
			if s := e.state.Load(); s != nil && s.secret != nil && s.hold != revoked {
				return c.serve(s)
			}
			return nil, f.err
		}
	}
}

// mayServe reports whether what is in memory is young enough, and begins to
// read it again when that is due.
func (c *Client) mayServe(ctx context.Context, e *entry, s *state, ttl time.Duration) bool {
	if s == nil {
		return false
	}
	now := c.now()
	refresh, fresh := s.window(ttl)
	if now.before(refresh) {
		return true
	}
	if now.before(fresh) {
		c.renew(ctx, e, s)
		return true
	}
	return false
}

// serve returns what a state says, and counts what is stale.
func (c *Client) serve(s *state) (*Secret, error) {
	if s.secret != nil && s.secret.stale {
		c.counts.stale.Add(1)
	}
	return s.secret, s.err
}

// wait waits for a flight, and for no longer than ctx allows. A reader that
// has a value which may still be served waits for a moment only, and gets that
// value as stale; where reads have failed before, it does not wait at all.
func (c *Client) wait(ctx context.Context, e *entry, f *flight, s *state) *state {
	var patience <-chan time.Time
	now := c.now()
	if s != nil && s.secret != nil && s.hold != revoked && now.before(s.until) {
		left := time.Duration(f.asked.mono-now.mono) + c.opts.Patience
		switch {
		case s.failures > 0, s.hold == usable && left <= 0 && !f.ended():
			return s.asStale()
		case s.hold == usable:
			timer := time.NewTimer(left)
			defer timer.Stop()
			patience = timer.C
		}
	}
	select {
	case <-f.done:
	case <-ctx.Done():
	case <-patience:
		// What is in memory may be another by now, or known to be revoked.
		if now := e.state.Load(); now != nil && now.secret != nil && now.secret.version == s.secret.version && now.hold == usable {
			return s.asStale()
		}
	}
	return nil
}

// asStale returns the state with a value that says that it is beyond its time.
func (s *state) asStale() *state { return &state{secret: s.secret.asStale()} }

// fresh returns what Secrets Manager answers to a read that begins after the
// call. Refused is the id of a version that the caller could not use.
func (c *Client) fresh(ctx context.Context, e *entry, refused string) (*Secret, error) {
	e.use()
	return c.answer(ctx, e, c.follow(ctx, e, refused))
}

// answer waits for a flight and returns what it brings, or what an
// invalidation has brought since.
func (c *Client) answer(ctx context.Context, e *entry, f *flight) (*Secret, error) {
	select {
	case <-f.done:
	case <-ctx.Done():
		return nil, waited(ctx, e.id)
	}
	if !f.counts(e) {
		return c.readSlow(ctx, e, 0)
	}
	return f.secret, f.err
}
