package secrets

import (
	"context"
	"errors"
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
	asked   instant

	done chan struct{}
	// Set when done is closed:
	secret    *Secret
	err       error
	overtaken bool // an invalidation came in between; the answer does not count
}

func (f *flight) ended() bool {
	select {
	case <-f.done:
		return true
	default:
		return false
	}
}

// join returns the read of an entry that is under way, and starts one if there
// is none.
func (c *Client) join(ctx context.Context, e *entry) *flight {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.flight == nil:
		c.launch(ctx, e, &flight{})
	case !c.now().before(e.flight.asked.add(c.opts.Timeout + time.Second)):
		// The environment was frozen while it was under way, and its
		// connection is dead by now.
		c.pursue(ctx, e, e.flight.version)
	}
	return e.flight
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
	}
	return e.queued
}

// pursue starts a read of the version that an invalidation names, beside any
// that is under way: those do not count any more. It holds e.mu.
func (c *Client) pursue(ctx context.Context, e *entry, version string) *flight {
	e.gen++
	e.wanted = version
	c.launch(ctx, e, &flight{version: version})
	return e.flight
}

// launch starts a flight and makes it the entry's. It holds e.mu.
func (c *Client) launch(ctx context.Context, e *entry, f *flight) {
	f.gen, f.asked = e.gen, c.now()
	if f.done == nil {
		f.done = make(chan struct{})
	}
	e.flight = f
	go c.fly(context.WithoutCancel(ctx), e, f)
}

// fly runs a flight to its end.
func (c *Client) fly(ctx context.Context, e *entry, f *flight) {
	if s := e.state.Load(); s != nil && s.secret != nil && s.hold == usable && f.version == "" {
		c.refreshes <- struct{}{} // those who have a place give it up by their timeout
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

// land keeps the answer to a flight, tells those who have to know, and lets
// the next one start.
func (c *Client) land(ctx context.Context, e *entry, f *flight) {
	var l landing
	if f.err == nil {
		if c.watch != nil {
			c.watch.begin(f.asked)
		}
		l = e.keep(f, f.secret, c.now(), &c.opts)
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

func (e *entry) tell(before, after *Secret) {
	e.mu.Lock()
	hooks := e.hooks
	e.mu.Unlock()
	for _, hook := range hooks {
		(*hook)(before, after)
	}
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
	c.fetched.Add(1)
	out, err := c.api.GetSecretValue(ctx, in)
	if err != nil {
		c.failed.Add(1)
		return nil, answered("reading", id.id, err)
	}
	value := aws.ToString(out.SecretString)
	if out.SecretString == nil {
		value = string(out.SecretBinary)
	}
	return &Secret{
		value: &value, arn: aws.ToString(out.ARN), name: aws.ToString(out.Name),
		version: aws.ToString(out.VersionId), created: aws.ToTime(out.CreatedDate),
		labels: out.VersionStages, binary: out.SecretString == nil,
	}, nil
}

const (
	// namedTries is how often a version that an event names is asked for.
	namedTries = 5
	// namedWait is the first wait between these; each is twice the last.
	namedWait = 50 * time.Millisecond
)

// fetchNamed reads the version that an event names, with the label AWSCURRENT,
// so that the answer cannot be an older one. If it does not carry the label,
// either the event is late, or Secrets Manager's replica has not heard yet:
// then what it says is current is taken if that is news, and asked again if
// not.
func (c *Client) fetchNamed(ctx context.Context, e *entry, f *flight) (*Secret, error) {
	named := entryID{id: e.id, stage: current, version: f.version}
	wait := namedWait
	for try := 1; ; try++ {
		s, err := c.fetch(ctx, named)
		if !errors.Is(err, ErrNoValue) {
			return s, err
		}
		s, err = c.fetch(ctx, e.entryID)
		if err != nil || try == namedTries || e.isNews(s) {
			return s, err
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return s, nil
		case <-timer.C:
			wait *= 2
		}
	}
}
