package secrets

import (
	"context"
	"time"
)

// read returns the value of an entry. What it does first is all that a hit
// costs: a few loads and comparisons.
func (c *Client) read(ctx context.Context, e *entry) (*Secret, error) {
	if end := c.moment.shared(); end != nil {
		if s := e.state.Load(); s != nil && end.before(s.refresh) && c.leased(*end) {
			return s.secret, s.err
		}
	}
	now := c.moment.read()
	if s := e.state.Load(); s != nil && now.before(s.refresh) && c.leased(now) {
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
	for {
		if !c.leased(c.now()) && e.state.Load() != nil {
			if err := c.watch.await(ctx, e.id); err != nil {
				return nil, err
			}
		}
		now, s := c.now(), e.state.Load()
		if s != nil {
			refresh, fresh := s.window(ttl)
			if now.before(refresh) {
				return s.secret, s.err
			}
			if now.before(fresh) {
				c.join(ctx, e)
				return s.secret, s.err
			}
		}
		f := c.join(ctx, e)
		if served := c.wait(ctx, f, s); served != nil {
			return served, nil
		}
		switch {
		case !f.ended():
			return nil, waited(ctx, e.id)
		case f.overtaken: // an invalidation came in between
			continue
		case f.err == nil:
			return f.secret, nil
		}
		// The value from before, as stale, or the error.
		if s := e.state.Load(); s != nil && s.secret != nil {
			return s.secret, nil
		}
		return nil, f.err
	}
}

// wait waits for a flight, and for no longer than ctx allows. A reader that
// has a value which may still be served waits for a moment only, and gets that
// value as stale; where reads have failed before, it does not wait at all.
func (c *Client) wait(ctx context.Context, f *flight, s *state) *Secret {
	var patience <-chan time.Time
	now := c.now()
	if s != nil && s.secret != nil && s.hold != revoked && now.before(s.until) {
		left := time.Duration(f.asked.mono-now.mono) + c.opts.Patience
		switch {
		case s.failures > 0, s.hold == usable && left <= 0 && !f.ended():
			return s.secret.asStale()
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
		return s.secret.asStale()
	}
	return nil
}

// fresh returns what Secrets Manager answers to a read that begins after the
// call. Refused is the id of a version that the caller could not use.
func (c *Client) fresh(ctx context.Context, e *entry, refused string) (*Secret, error) {
	f := c.follow(ctx, e, refused)
	select {
	case <-f.done:
	case <-ctx.Done():
		return nil, waited(ctx, e.id)
	}
	if f.overtaken {
		return c.readSlow(ctx, e, 0)
	}
	return f.secret, f.err
}
