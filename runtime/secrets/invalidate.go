package secrets

import (
	"context"
	"errors"
	"strings"
)

// Invalidate takes the news that a secret changed. If the secret is in memory,
// the named version is fetched by its id; reads go on with the one before
// until it is there, unless that was revoked or compromised. Invalidate
// returns when reads give the new version. A secret that was never read is
// not read now. News that is old, or known already, changes nothing.
//
// The error is that of the read of Secrets Manager, or of ctx. A secret that
// was deleted, or has no value, is no error: reads say so.
func (c *Client) Invalidate(ctx context.Context, r Rotated) error {
	var flights []*flight
	for _, e := range *c.entries.Load() {
		if !e.isAbout(r) {
			continue
		}
		if e.stage != "" || e.version != "" {
			c.drop(e)
			continue
		}
		if f := c.supersede(ctx, e, r); f != nil {
			flights = append(flights, f)
		}
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

// supersede starts the read of the version that is current now, and returns
// nil where there is nothing to read.
func (c *Client) supersede(ctx context.Context, e *entry, r Rotated) *flight {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.strike(r)
	s := e.state.Load()
	switch {
	case s == nil && e.flight == nil:
		return nil
	case s == nil: // the first read is under way; it may get the version before
		return c.pursue(ctx, e, r.VersionID)
	case s.secret == nil: // an error is remembered
		e.gen++
		e.state.Store(nil)
		if e.flight == nil {
			return nil
		}
		return c.pursue(ctx, e, r.VersionID)
	}
	if r.VersionID != "" && s.secret.version == r.VersionID && s.hold == usable && s.failures == 0 {
		// Known. A read that is under way must not bring back the one before.
		e.gen++
		e.wanted = r.VersionID
		return nil
	}
	e.condemn(r.against(s.secret.version))
	if r.VersionID != "" && e.flight != nil && e.flight.version == r.VersionID && e.flight.gen == e.gen {
		return e.flight
	}
	return c.pursue(ctx, e, r.VersionID)
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
