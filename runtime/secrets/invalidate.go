package secrets

import (
	"context"
	"errors"
	"strings"
	"time"
)

// Invalidate takes the news that a secret changed. If the secret is in memory,
// the named version is fetched by its id; reads go on with the one before
// until it is there, unless that was revoked or compromised. Invalidate
// returns when reads give the new version. A secret that was never read is
// not read now. News that is old, or known already, changes nothing.
//
// News may be forged or repeated. What proves false costs a few reads of
// Secrets Manager at first, and then one each second for each secret: more is
// looked into together within a second, for which Invalidate does not wait.
//
// The error is that of the read of Secrets Manager, or of ctx. A secret that
// was deleted, or has no value, is no error: reads say so.
func (c *Client) Invalidate(ctx context.Context, r Rotated) error {
	var flights []*flight
	heard := false
	for _, e := range c.table.all() {
		if !e.isAbout(r) {
			continue
		}
		heard = true
		if f := c.hear(ctx, e, r); f != nil {
			flights = append(flights, f)
		}
	}
	if heard {
		c.counts.invalidations.Add(1)
	}
	var errs []error
	for _, f := range flights {
		select {
		case <-f.done:
		case <-ctx.Done():
			return waited(ctx, r.Name)
		}
		if f.err != nil && !definite(f.err) {
			errs = append(errs, f.err)
		}
	}
	return errors.Join(errs...)
}

const (
	// newsEvery is how often news of a secret is looked into that never proves
	// true.
	newsEvery = time.Second
	// newsAtOnce is how often it is at first.
	newsAtOnce = namedTries
)

// news is what an entry heard, and what may still be spent on that. The
// entry's mu guards it.
type news struct {
	paid    int64 // until when the looks so far last, on the monotonic clock
	waiting bool  // a look follows as soon as it may
	alleged hold  // what the news since the last look says against the value
}

// spend takes a look from the account, or returns how long it is until there
// is one. The next is spoken for where a look is waiting.
func (n *news) spend(now instant) (wait time.Duration) {
	if n.waiting {
		return newsEvery
	}
	paid := max(n.paid, now.mono) + int64(newsEvery)
	if over := paid - now.mono - int64(newsAtOnce*newsEvery); over > 0 {
		return time.Duration(over)
	}
	n.paid = paid
	return 0
}

// proved restores the account: a secret may truly change often.
func (n *news) proved() { n.paid = 0 }

// worth reports whether another look at the version that an event names may be
// spent.
func (c *Client) worth(e *entry) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.news.spend(c.now()) == 0
}

// hear takes news that anybody may have sent. It returns nil where there is
// nothing to wait for.
func (c *Client) hear(ctx context.Context, e *entry, r Rotated) *flight {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.strike(r)
	s := e.state.Load()
	known := s != nil && s.holds(r.VersionID)
	if e.flight == nil && (known || s == nil) {
		return nil
	}
	if f := e.pursuit(r.VersionID); f != nil {
		e.condemn(e.alleged(r))
		return f
	}
	wait := e.news.spend(c.now())
	if wait == 0 {
		return c.supersede(ctx, e, r)
	}
	if !known {
		e.news.alleged = max(e.news.alleged, e.alleged(r))
		c.later(ctx, e, wait)
	}
	return nil
}

// alleged returns what news says against the value in memory.
func (e *entry) alleged(r Rotated) hold {
	if s := e.state.Load(); s != nil && s.secret != nil {
		return r.against(s.secret.version)
	}
	return usable
}

// pursuit returns the read of a version that is under way already, because the
// same news came before. It holds mu.
func (e *entry) pursuit(version string) *flight {
	if f := e.flight; version != "" && f != nil && f.version == version && f.gen == e.gen.Load() {
		return f
	}
	return nil
}

// later looks what is current when that may be spent, once for all news that
// comes until then. It holds e.mu.
func (c *Client) later(ctx context.Context, e *entry, wait time.Duration) {
	c.counts.deferred.Add(1)
	if e.news.waiting {
		return
	}
	e.news.waiting = true
	ctx = context.WithoutCancel(ctx)
	time.AfterFunc(wait, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.condemn(e.news.alleged)
		e.news.waiting, e.news.alleged = false, usable
		e.news.spend(c.now())
		c.supersede(ctx, e, Rotated{})
	})
}

// holds reports whether a version is what reads return, with nothing against
// it.
func (s *state) holds(version string) bool {
	return version != "" && s.secret != nil && s.secret.version == version && s.hold == usable && s.failures == 0
}

// supersede starts the read of the version that is current now, and returns
// nil where there is nothing to read. It holds e.mu.
func (c *Client) supersede(ctx context.Context, e *entry, r Rotated) *flight {
	s := e.state.Load()
	switch {
	case s == nil && e.flight == nil:
		return nil
	case !e.current(): // the next reader asks again
		e.forget()
		return nil
	case s == nil: // the first read is under way; it may get the version before
		return c.pursue(ctx, e, r.VersionID)
	case s.secret == nil: // an error is remembered
		e.forget()
		if e.flight == nil {
			return nil
		}
		return c.pursue(ctx, e, r.VersionID)
	case s.holds(r.VersionID):
		// A read of whatever is current that is under way must not bring back the
		// version before. One of a version that was named cannot, and may be of the
		// one after: this news is late then.
		if f := e.flight; f == nil || f.version == "" {
			e.gen.Add(1)
			e.wanted = r.VersionID
		}
		return nil
	}
	e.condemn(e.alleged(r))
	if f := e.pursuit(r.VersionID); f != nil {
		return f
	}
	return c.pursue(ctx, e, r.VersionID)
}

// forget drops what is in memory, and the answer to a read that is under way.
// It holds mu.
func (e *entry) forget() {
	e.gen.Add(1)
	e.wanted = ""
	e.set(nil)
}

// isAbout reports whether news is about the entry.
func (e *entry) isAbout(r Rotated) bool {
	if r.Name != "" && e.id == r.Name {
		return true
	}
	if r.SecretARN != "" && (e.id == r.SecretARN || named(e.id, r.SecretARN)) {
		return true
	}
	s := e.state.Load()
	return s != nil && s.secret != nil &&
		(r.SecretARN != "" && s.secret.arn == r.SecretARN || r.Name != "" && s.secret.name == r.Name)
}

// suffix is the length of what Secrets Manager puts after a name in an ARN: a
// hyphen and six characters.
const suffix = 7

// named reports whether an id is that of an ARN without its suffix, or the
// name in it.
func named(id, arn string) bool {
	short := arn[:max(len(arn)-suffix, 0)]
	_, name, ok := strings.Cut(short, ":secret:")
	return ok && (id == short || id == name)
}
