package secrets

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// A flight is one read of Secrets Manager, for all who wait for it. It goes on
// when they have given up.
type flight struct {
	gen     int64
	version string // asked for by id, together with the label; empty for any
	refused string // version that a caller could not use
	patient bool   // waits for its turn: others wait less for what it brings
	asked   instant
	dead    instant // when it must have ended, unless the environment was frozen

	done chan struct{}
	// Set when done is closed:
	secret    *Secret
	err       error
	overtaken bool // an invalidation came in between; the answer does not count
}

// counts reports whether the answer is still the last word on the entry.
func (f *flight) counts(e *entry) bool { return !f.overtaken && f.gen == e.gen.Load() }

func (f *flight) ended() bool {
	select {
	case <-f.done:
		return true
	default:
		return false
	}
}

// join returns the read of an entry that is under way, and starts one if there
// is none. It returns nil where one has ended since the caller saw a state: what
// it brought may be served.
func (c *Client) join(ctx context.Context, e *entry, seen *state) *flight {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.flight == nil && e.state.Load() != seen {
		return nil
	}
	if !c.begun(ctx, e) {
		c.counts.joined.Add(1)
	}
	return e.flight
}

// renew reads a value again in the background, while what is in memory is
// served. So that readers need not come here for each other's sake, it is all
// they look at until it runs out or the answer is there.
func (c *Client) renew(ctx context.Context, e *entry, s *state) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.state.Load() != s { // another reader came first
		return
	}
	c.begun(ctx, e)
	next := *s
	next.refresh, next.hit = s.fresh, s.fresh
	e.state.Store(&next) // nobody needs to hear of it
}

// begun starts a read unless one is under way, and reports whether it did. It
// holds e.mu.
func (c *Client) begun(ctx context.Context, e *entry) bool {
	switch {
	case e.flight == nil:
		c.launch(ctx, e, &flight{})
	case !c.now().before(e.flight.dead):
		// The environment was frozen while it was under way, and its
		// connection is lost by now.
		c.pursue(ctx, e, e.flight.version)
	default:
		return false
	}
	return true
}

// follow returns a read that has not begun yet when it is called. All who call
// while one is under way share the next.
func (c *Client) follow(ctx context.Context, e *entry, refused string) *flight {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.flight == nil:
		c.launch(ctx, e, &flight{refused: refused})
		return e.flight
	case e.queued == nil:
		e.queued = &flight{refused: refused, done: make(chan struct{})}
	default:
		c.counts.joined.Add(1)
	}
	return e.queued
}

// pursue starts a read of the version that an invalidation names, beside any
// that is under way: those do not count any more. It holds e.mu.
func (c *Client) pursue(ctx context.Context, e *entry, version string) *flight {
	e.gen.Add(1)
	e.wanted = version
	c.launch(ctx, e, &flight{version: version})
	return e.flight
}

// launch starts a flight and makes it the entry's. It holds e.mu.
func (c *Client) launch(ctx context.Context, e *entry, f *flight) {
	c.take(e, f)
	go c.fly(context.WithoutCancel(ctx), e, f)
}

// take makes a flight the entry's. It holds e.mu.
func (c *Client) take(e *entry, f *flight) {
	s := e.state.Load()
	if s != nil && s.secret != nil && s.hold == usable && f.version == "" {
		f.patient = true
	}
	if f.done == nil {
		f.done = make(chan struct{})
	}
	f.gen, f.asked = e.gen.Load(), c.now()
	f.dead = f.asked.add(c.opts.Timeout + time.Second)
	if f.patient {
		f.dead = f.dead.add(c.opts.Timeout)
	}
	e.flight = f
}

// fly runs a flight to its end.
func (c *Client) fly(ctx context.Context, e *entry, f *flight) {
	if f.patient {
		if f.err = c.turn(e.id); f.err != nil {
			c.land(ctx, e, f)
			return
		}
		defer func() { <-c.refreshes }()
	}
	asking, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	if f.version == "" {
		f.secret, f.err = c.fetch(asking, e.entryID)
	} else {
		f.secret, f.err = c.fetchNamed(asking, e, f)
	}
	c.land(ctx, e, f)
}

// turn waits until there are few enough reads under way, for as long as one of
// them may take. Who got it takes one out of refreshes again.
func (c *Client) turn(id string) error {
	timer := time.NewTimer(c.opts.Timeout)
	defer timer.Stop()
	select {
	case c.refreshes <- struct{}{}:
		return nil
	case <-timer.C:
		return fmt.Errorf("reading secret %s: %w: all reads that may be under way at once hang", id, ErrUnavailable)
	}
}

// land keeps the answer to a flight, tells those who have to know, and lets
// the next one start.
func (c *Client) land(ctx context.Context, e *entry, f *flight) {
	var l landing
	if f.err == nil {
		if c.watch != nil {
			c.watch.begin(f.asked)
		}
		if l = e.keep(f, f.secret, c.now(), &c.opts); l.counts {
			f.secret = l.kept
		}
		if !l.counts || l.lags {
			c.counts.ignored.Add(1)
		}
	} else {
		l.counts = e.fail(f, f.err, c.now(), &c.opts)
	}
	f.overtaken = !l.counts
	if l.before != nil {
		e.tell(l.before, f.secret)
	}
	if l.news && c.watch != nil {
		c.watch.register(ctx, e)
	}
	e.mu.Lock()
	e.landed = true
	if e.flight == f {
		e.flight = nil
		if next := e.queued; next != nil {
			e.queued = nil
			c.launch(ctx, e, next)
		}
	}
	e.mu.Unlock()
	close(f.done)
}

// fetch reads Secrets Manager.
func (c *Client) fetch(ctx context.Context, id entryID) (*Secret, error) {
	in := &secretsmanager.GetSecretValueInput{SecretId: &id.id}
	if id.stage != "" {
		in.VersionStage = &id.stage
	}
	if id.version != "" {
		in.VersionId = &id.version
	}
	c.counts.fetched.Add(1)
	out, err := c.api.GetSecretValue(ctx, in)
	if err != nil {
		c.counts.failed.Add(1)
		return nil, answered("reading", id.id, err)
	}
	return newSecret(out), nil
}

func newSecret(out *secretsmanager.GetSecretValueOutput) *Secret {
	value := aws.ToString(out.SecretString)
	if out.SecretString == nil {
		value = string(out.SecretBinary)
	}
	return &Secret{
		value: &value, arn: aws.ToString(out.ARN), name: aws.ToString(out.Name),
		version: aws.ToString(out.VersionId), created: aws.ToTime(out.CreatedDate),
		labels: out.VersionStages, binary: out.SecretString == nil,
	}
}

const (
	// namedTries is how often a version that an event names is asked for.
	namedTries = 5
	// namedWait is the first wait between these; each is twice the last.
	namedWait = 50 * time.Millisecond
)

// fetchNamed reads the version that an event names, with the label AWSCURRENT,
// so that the answer cannot be an older one. If it does not carry the label,
// either the event is late, or forged, or Secrets Manager's replica has not
// heard yet: then what it says is current is taken if that is news, and if not
// the named version is asked for again, for as long as the event is worth it.
func (c *Client) fetchNamed(ctx context.Context, e *entry, f *flight) (*Secret, error) {
	named := entryID{id: e.id, stage: current, version: f.version}
	s, err := c.fetch(ctx, named)
	if !errors.Is(err, ErrNoValue) {
		return s, err
	}
	known, err := c.fetch(ctx, e.entryID)
	if err != nil || e.isNews(known) {
		return known, err
	}
	wait := namedWait
	for range namedTries - 1 {
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return known, nil
		case <-timer.C:
			wait *= 2
		}
		if !c.worth(e) {
			return known, nil
		}
		if s, err = c.fetch(ctx, named); !errors.Is(err, ErrNoValue) {
			return s, err
		}
	}
	return known, nil
}
