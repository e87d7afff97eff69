// Package secretsmanager is AWS Secrets Manager on the engine: secrets, their
// versions and labels, and rotation by Lambda functions.
//
// # Versions and labels
//
// What may become of the versions of a secret is decided by a state machine
// without any input or output, the type versions. A write asks it for the
// state that follows, stores that state, and only then puts it in the place
// of the old one and answers. Reads take the state that stands at the moment;
// they wait for nobody.
//
// # Rotation
//
// RotateSecret makes an empty version with the label AWSPENDING and answers.
// Then, on its own time, the service invokes the secret's function four times:
// createSecret, setSecret, testSecret, finishSecret. When a step fails, the
// whole rotation is tried again with the same token, after growing pauses;
// when the tries are used up, AWSPENDING stays where it is, and the next
// RotateSecret or the next window of the schedule takes that rotation up
// again. A rotation that was under way when the process ended goes on when
// the service is made anew.
//
// # What it tells
//
// Each move of a label other than AWSPENDING and AWSPREVIOUS is published as
// the event "Secret Label Updated". Rotations and deletions leave service
// events in the trail. Neither ever holds a value.
//
// # What is not here
//
// Replication to other regions and managed rotation: the front door refuses
// their operations by name.
package secretsmanager

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/rekey-go/rekey/internal/local/clock"
	"github.com/rekey-go/rekey/internal/local/store"
	"github.com/rekey-go/rekey/internal/local/wire"
)

// An Invoker runs rotation functions.
type Invoker interface {
	// Invoke runs a function and waits for its result. The functionError is
	// not empty if the function ran and failed; err is what kept it from
	// running.
	Invoke(ctx context.Context, functionARN string, payload []byte) (result []byte, functionError string, err error)
	// Allows reports whether the function exists, and its policy lets the
	// principal invoke it on behalf of the source.
	Allows(functionARN, principal, sourceARN string) bool
}

// A Publisher puts events on the default bus. It returns at once.
type Publisher interface {
	Publish(source, detailType string, resources []string, detail any)
}

// A Trail keeps what the service does by itself.
type Trail interface {
	ServiceEvent(wire.ServiceEvent)
}

// Options configure a [Service].
type Options struct {
	Account, Region string
	Clock           *clock.Clock
	// Store keeps secrets with their versions and rotations. Nil keeps
	// nothing.
	Store *store.Store
	// Invoker runs rotation functions. If nil, no secret can be rotated.
	Invoker Invoker
	// Publisher and Trail may be nil: then nobody is told.
	Publisher Publisher
	Trail     Trail
	// Access says what callers may do beyond the call itself. If nil, all of
	// it.
	Access Access
	// RetryBackoff are the pauses before a failed rotation is tried again,
	// on the clock; there are as many retries. If nil, they are 1s, 2s, 4s
	// and 8s.
	RetryBackoff []time.Duration
	// Logger gets what cannot be told to a caller. If nil, it is not logged.
	Logger *slog.Logger
}

var defaultBackoff = [...]time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second}

// A Service is Secrets Manager of one account and region. It is safe for
// concurrent use.
type Service struct {
	opts      Options
	arnPrefix string // of all secrets
	ctx       context.Context
	cancel    context.CancelFunc
	work      sync.WaitGroup // what runs beside the callers

	// making is held while a secret comes to be or goes for good. It is taken
	// before an entry's writing lock.
	making sync.Mutex

	mu     sync.RWMutex
	closed bool              // :: mu
	byName map[string]*entry // :: mu
	byARN  map[string]*entry // :: mu
}

// New returns the service with what the store holds. Schedules run from then
// on, and rotations that were under way go on.
func New(opts Options) (*Service, error) {
	if opts.RetryBackoff == nil {
		opts.RetryBackoff = defaultBackoff[:]
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Service{
		opts:      opts,
		arnPrefix: "arn:aws:secretsmanager:" + opts.Region + ":" + opts.Account + ":secret:",
		byName:    make(map[string]*entry),
		byARN:     make(map[string]*entry),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if err := s.load(); err != nil {
		s.cancel()
		return nil, fmt.Errorf("loading secrets: %w", err)
	}
	for _, e := range s.byName {
		s.arm(e)
		s.resume(e)
	}
	return s, nil
}

// Close stops schedules and rotations, and waits for what is running. A
// rotation under way goes on when the service is made anew from its store.
func (s *Service) Close() {
	s.mu.Lock()
	s.closed = true
	entries := make([]*entry, 0, len(s.byName))
	for _, e := range s.byName {
		entries = append(entries, e)
	}
	s.mu.Unlock()
	s.cancel()
	for _, e := range entries {
		e.stopTimers()
	}
	s.work.Wait()
}

// enter counts the caller among what Close waits for. It is false when the
// service is closed.
func (s *Service) enter() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return false
	}
	s.work.Add(1)
	return true
}

// background runs f beside the caller, unless the service is closed. Time that
// is moved waits for it.
func (s *Service) background(f func()) {
	if s.enter() {
		done := s.opts.Clock.Busy()
		go func() {
			defer s.work.Done()
			defer done()
			f()
		}()
	}
}

// find returns the secret that an id names: its name, its ARN, or its ARN
// without the six characters at the end.
func (s *Service) find(id string) *entry {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if e := s.byARN[id]; e != nil {
		return e
	}
	name, isARN := strings.CutPrefix(id, s.arnPrefix)
	if isARN && endsLikeARN(name) {
		return nil // a whole ARN, of a secret that there is not
	}
	return s.byName[name]
}

// endsLikeARN reports whether a text ends as ARNs of secrets do.
func endsLikeARN(text string) bool {
	i := len(text) - suffixLength - 1
	return i >= 0 && text[i] == '-' && !strings.ContainsFunc(text[i+1:], func(r rune) bool {
		return !strings.ContainsRune(alphanumerics, r)
	})
}

// resolve finds a secret for a call and notes it as what the call is about.
func (s *Service) resolve(c *wire.Call, id string) (*entry, *secret, error) {
	e := s.find(id)
	if e == nil {
		return nil, nil, notFound()
	}
	c.Resources = append(c.Resources, s.resource(e.arn))
	return e, e.state.Load(), nil
}

// live is resolve for operations that a deleted secret refuses.
func (s *Service) live(c *wire.Call, id string) (*entry, *secret, error) {
	e, st, err := s.resolve(c, id)
	if err == nil && st.deleted() {
		return nil, nil, markedDeleted()
	}
	return e, st, err
}

func (s *Service) resource(arn string) wire.Resource {
	return wire.Resource{ARN: arn, Type: "AWS::SecretsManager::Secret", AccountID: s.opts.Account}
}

// errUnchanged is what a change returns to update when there is nothing to do.
var errUnchanged = errors.New("nothing to change")

// update makes the next state of a secret: it applies change to a copy,
// stores it, and puts it in place. Change may set the fields of the copy, and
// must not touch what they refer to. Where it fails nothing has changed.
func (s *Service) update(e *entry, change func(next *secret) error) (*secret, error) {
	e.writing.Lock()
	defer e.writing.Unlock()
	before := e.state.Load()
	if e.gone {
		return nil, notFound()
	}
	next := *before
	switch err := change(&next); {
	case errors.Is(err, errUnchanged):
		return before, nil
	case err != nil:
		return nil, err
	}
	if err := s.save(e, before, &next); err != nil {
		return nil, err
	}
	e.state.Store(&next)
	s.announceLabels(before, &next)
	if !next.Deletion.Equal(before.Deletion) || next.Rotation != before.Rotation {
		s.arm(e)
	}
	return &next, nil
}

// change is update for operations that a deleted secret refuses. It sets the
// time of the last change.
func (s *Service) change(e *entry, fn func(next *secret) error) (*secret, error) {
	return s.update(e, func(next *secret) error {
		if next.deleted() {
			return markedDeleted()
		}
		next.Changed = s.opts.Clock.Now()
		return fn(next)
	})
}
