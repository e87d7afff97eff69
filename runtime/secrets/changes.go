package secrets

import (
	"context"
	"iter"
	"slices"
	"sync"
	"time"
)

// OnChange calls fn each time another version of a secret becomes the one that
// reads return, and once reads do. Until fn has returned, the lease names the
// version before; so fn should let go of what was made with that, and be
// quick. The first read is no change. The returned function ends the calls.
func (c *Client) OnChange(name string, fn func(before, after *Secret)) (stop func()) {
	e := c.table.pin(entryID{id: c.physical(name)})
	hook := &fn
	e.mu.Lock()
	defer e.mu.Unlock()
	e.hooks = append(e.hooks, hook)
	return sync.OnceFunc(func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.unhook(hook)
		e.pins.Add(-1)
	})
}

func (e *entry) unhook(hook *func(before, after *Secret)) {
	e.hooks = slices.DeleteFunc(slices.Clone(e.hooks), func(h *func(before, after *Secret)) bool { return h == hook })
}

func (e *entry) tell(before, after *Secret) {
	e.mu.Lock()
	hooks := e.hooks
	e.mu.Unlock()
	for _, hook := range hooks {
		(*hook)(before, after)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.hooking--; e.hooking == 0 {
		e.letting = nil
	}
}

// leased returns what the lease is to name.
func (e *entry) leased() *state {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.letting != nil {
		return e.letting
	}
	return e.state.Load()
}

// Watch yields the current version of a secret at once, and each that becomes
// current afterwards; of several that come while the loop's body runs, the
// last. It reads the secret again when its time is over, so that nobody else
// has to, and hears at once of what [Client.Invalidate] or the bulletin brings.
// What cannot be read is yielded as an error, once, and tried again. It ends
// with ctx.
//
//	for s, err := range client.Watch(ctx, "jwt-configuration") {
func (c *Client) Watch(ctx context.Context, name string) iter.Seq2[*Secret, error] {
	return c.watched(ctx, entryID{id: c.physical(name)})
}

func (c *Client) watched(ctx context.Context, id entryID) iter.Seq2[*Secret, error] {
	return func(yield func(*Secret, error) bool) {
		e := c.table.pin(id)
		defer e.pins.Add(-1)
		was := ""
		for {
			s, err := c.read(ctx, e)
			if ctx.Err() != nil {
				return
			}
			is := "an error"
			if err == nil {
				is = "version " + s.version
			}
			if is != was && !yield(s, err) {
				return
			}
			was = is
			c.awaitChange(ctx, e, s)
		}
	}
}

// watchEvery is the least time between two reads of a watch that bring nothing
// new.
const watchEvery = time.Second

// awaitChange waits until reads give something else than s, or it is time to
// read again.
func (c *Client) awaitChange(ctx context.Context, e *entry, s *Secret) {
	changed := e.changes()
	wait := watchEvery
	if now := e.state.Load(); now != nil {
		if now.secret != nil && (s == nil || now.secret.version != s.version) {
			return // it came after s was read
		}
		wait = max(wait, time.Duration(now.refresh.mono-c.now().mono))
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-changed:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// changes is closed when another state takes the place of the present one.
func (e *entry) changes() <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.changed == nil {
		e.changed = make(chan struct{})
	}
	return e.changed
}
