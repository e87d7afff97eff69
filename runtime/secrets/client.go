package secrets

import (
	"context"
	"log/slog"
	"maps"
	"os"
	"strings"
	"sync"
	"sync/atomic"
)

// A Client reads secrets and keeps them in memory. It is safe for concurrent
// use. One per process is enough, and the cheapest.
type Client struct {
	api  SecretsManager
	opts Options
	log  *slog.Logger
	now  func() instant

	moment moment

	mu      sync.Mutex                         // held to change entries
	entries atomic.Pointer[map[entryID]*entry] // replaced, never changed
	names   atomic.Pointer[map[string]*entry]  // likewise: current versions by name as given

	// refreshes limits how many values are read again at once. A first read
	// does not wait for it.
	refreshes chan struct{}
	watch     *watch // nil without a bulletin

	fetched, failed atomic.Int64
}

// An entryID is what a value is kept under.
type entryID struct {
	id      string // physical name or ARN
	stage   string // empty for AWSCURRENT
	version string
}

const (
	current = "AWSCURRENT"
	// refreshesAtOnce bounds the load on Secrets Manager, and this process's,
	// when all values expire together.
	refreshesAtOnce = 8
)

// New returns a client. It makes no call: secrets are read when they are first
// asked for.
func New(api SecretsManager, optFns ...func(*Options)) *Client {
	opts := Options{Freezes: os.Getenv(functionName) != ""}
	for _, fn := range optFns {
		fn(&opts)
	}
	opts.setDefaults()
	c := &Client{
		api: api, opts: opts, log: opts.Logger, now: clock(),
		refreshes: make(chan struct{}, refreshesAtOnce),
	}
	c.moment.clock = func() instant { return c.now() }
	c.moment.allowed.Store(!opts.Freezes)
	c.entries.Store(&map[entryID]*entry{})
	c.names.Store(&map[string]*entry{})
	if opts.Bulletin != nil {
		c.watch = newWatch(c, opts)
	}
	return c
}

// Get returns a secret. Unless options say otherwise it is the version that
// carries AWSCURRENT, at most TTL old. The error wraps one of this package's,
// or that of ctx if it ended first.
func (c *Client) Get(ctx context.Context, name string, options ...ReadOption) (*Secret, error) {
	if len(options) == 0 && c.opts.TTL > 0 {
		if e := (*c.names.Load())[name]; e != nil {
			return c.read(ctx, e)
		}
		return c.read(ctx, c.name(name))
	}
	var r read
	for _, option := range options {
		option(&r)
	}
	if r.stage == current && r.version == "" {
		r.stage = ""
	}
	e := c.entry(entryID{id: c.physical(name), stage: r.stage, version: r.version})
	var s *Secret
	var err error
	if r.noCache || c.opts.TTL < 0 && r.ttl == 0 {
		s, err = c.fresh(ctx, e, "")
	} else {
		s, err = c.readSlow(ctx, e, r.ttl)
	}
	if err == nil && r.field != "" {
		return s.field(r.field)
	}
	return s, err
}

// String returns a secret's value as text. See [Client.Get].
func (c *Client) String(ctx context.Context, name string, options ...ReadOption) (string, error) {
	s, err := c.Get(ctx, name, options...)
	if err != nil {
		return "", err
	}
	return s.Reveal(), nil
}

// FetchStage asks Secrets Manager for the version with a label now, whatever
// is in memory. Callers that ask at once share one answer, which was asked for
// after each of them came. It is for those whose credential was refused.
func (c *Client) FetchStage(ctx context.Context, name, stage string) (*Secret, error) {
	return c.Get(ctx, name, Stage(stage), NoCache())
}

// Refresh returns the current version in place of one that was refused: the
// one in memory if it is another by now, else what Secrets Manager answers.
// That may be the refused one again, when it is still current.
func (c *Client) Refresh(ctx context.Context, name string, refused *Secret) (*Secret, error) {
	e := c.entry(entryID{id: c.physical(name)})
	if s := e.state.Load(); s != nil && s.secret != nil && s.hold == usable && s.secret.version != refused.version {
		return s.secret, nil
	}
	return c.fresh(ctx, e, refused.version)
}

// OnChange calls fn each time another version of a secret becomes the one that
// reads return, and once reads do. Until fn has returned, the lease names the
// version before; so fn should let go of what was made with that, and be
// quick. The first read is no change. The returned function ends the calls.
func (c *Client) OnChange(name string, fn func(before, after *Secret)) (stop func()) {
	e := c.entry(entryID{id: c.physical(name)})
	hook := &fn
	e.mu.Lock()
	defer e.mu.Unlock()
	e.hooks = append(e.hooks, hook)
	return func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.unhook(hook)
	}
}

// Stats count what a client did since it was made.
type Stats struct {
	// Fetches are the reads of Secrets Manager, FailedFetches those without a
	// value.
	Fetches, FailedFetches int64
	// Checks are the reads of the board, FailedChecks those that failed, and
	// those after which the leases could not be renewed.
	Checks, FailedChecks int64
}

// Stats returns the counts.
func (c *Client) Stats() Stats {
	s := Stats{Fetches: c.fetched.Load(), FailedFetches: c.failed.Load()}
	if c.watch != nil {
		s.Checks, s.FailedChecks = c.watch.checks.Load(), c.watch.failures.Load()
	}
	return s
}

// physical puts the stage before a logical name.
func (c *Client) physical(name string) string {
	stage := c.opts.Stage
	if stage == "" || strings.HasPrefix(name, "arn:") ||
		len(name) > len(stage) && name[len(stage)] == '-' && name[:len(stage)] == stage {
		return name
	}
	return stage + "-" + name
}

// name returns the entry of a name as a caller gives it, and remembers it, so
// that a hit does not put the stage before it again.
func (c *Client) name(name string) *entry {
	e := c.entry(entryID{id: c.physical(name)})
	c.mu.Lock()
	defer c.mu.Unlock()
	next := maps.Clone(*c.names.Load())
	next[name] = e
	c.names.Store(&next)
	return e
}

// entry returns the entry of an id, and makes it if there is none.
func (c *Client) entry(id entryID) *entry {
	if e := (*c.entries.Load())[id]; e != nil {
		return e
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := (*c.entries.Load())[id]; e != nil {
		return e
	}
	next := maps.Clone(*c.entries.Load())
	e := &entry{entryID: id}
	next[id] = e
	c.entries.Store(&next)
	return e
}

// drop forgets an entry.
func (c *Client) drop(e *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	next := maps.Clone(*c.entries.Load())
	delete(next, e.entryID)
	c.entries.Store(&next)
}
