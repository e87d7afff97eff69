package secrets

import (
	"context"
	"log/slog"
	"os"
	"strings"
)

// A Client reads secrets and keeps them in memory. It is safe for concurrent
// use. One per process is enough, and the cheapest.
type Client struct {
	api  SecretsManager
	opts Options
	log  *slog.Logger
	now  func() instant

	table  table
	moment moment
	watch  *watch // nil without a bulletin
	counts counts

	// refreshes limits how many values are read again at once. A first read
	// does not wait for it.
	refreshes chan struct{}
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
	c.table.init(opts.MaxSecrets)
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
		e := c.table.named(name)
		if e == nil {
			e = c.table.name(name, c.physical(name))
		}
		return c.read(ctx, e)
	}
	var r read
	for _, option := range options {
		option(&r)
	}
	if r.stage == current && r.version == "" {
		r.stage = ""
	}
	e := c.table.get(entryID{id: c.physical(name), stage: r.stage, version: r.version})
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
	e := c.table.get(entryID{id: c.physical(name)})
	if s := e.state.Load(); s != nil && s.secret != nil && s.hold == usable && s.secret.version != refused.version {
		return s.secret, nil
	}
	return c.fresh(ctx, e, refused.version)
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
