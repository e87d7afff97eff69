package rotation

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/arn"
)

// Options configure a [Rotator].
type Options struct {
	Choose Chooser
	// OnPromoted is called each time finishSecret ends with the new version
	// current, also when it is repeated. Its error fails the step, so that
	// Secrets Manager repeats it. If nil, nothing is called.
	OnPromoted func(ctx context.Context, p Promotion) error
	// FunctionName is the name of the function that this runs in. Secrets
	// that another function rotates are refused. If empty, none is.
	FunctionName string
	// Accounts are those, beside the function's own, whose secrets it rotates.
	Accounts []string
	// Logger gets one line per step. If nil, it is [slog.Default].
	Logger *slog.Logger
}

// A Promotion tells that a version became current.
type Promotion struct {
	SecretARN, Name              string
	VersionID, PreviousVersionID string
	At                           time.Time
}

// A Rotator runs the steps of rotations. It is safe for concurrent use, also
// for the same step of the same rotation.
type Rotator struct {
	store Store
	opts  Options

	mu    sync.Mutex
	known map[string]known // :: secret id -> what is known here of its rotation
}

// New returns a rotator over a store.
func New(store Store, opts Options) *Rotator {
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	return &Rotator{store: store, opts: opts, known: make(map[string]known)}
}

// Step runs one step. The error is a [*StepError].
func (r *Rotator) Step(ctx context.Context, e Event) error {
	began := time.Now()
	name, err := r.step(ctx, e)
	log := r.opts.Logger.With("step", string(e.Step), "secret", e.SecretID, "name", name,
		"version", e.Token, "ms", time.Since(began).Milliseconds())
	if err != nil {
		x := Explain(err)
		log.ErrorContext(ctx, "rotation step failed", "error", err, "class", x.Class, "code", x.Code, "next", x.Next)
		return &StepError{Step: e.Step, SecretID: e.SecretID, VersionID: e.Token, Err: err}
	}
	log.InfoContext(ctx, "rotation step done")
	return nil
}

func (r *Rotator) step(ctx context.Context, e Event) (name string, err error) {
	secret, err := r.store.Describe(ctx, e.SecretID)
	if err != nil {
		return "", err
	}
	if err := r.check(secret, e); err != nil {
		return secret.Name, err
	}
	if secret.Has(e.Token, LabelCurrent) && e.Step != StepFinish {
		return secret.Name, nil // the rotation came to its end before
	}
	c := Change{Secret: secret, VersionID: e.Token, Store: r.store, Earlier: func(ctx context.Context) iter.Seq2[Value, error] {
		return earlierValues(ctx, r.store, secret, "")
	}}
	switch e.Step {
	case StepCreate:
		err = r.create(ctx, e, c)
	case StepSet:
		err = r.set(ctx, e, c)
	case StepTest:
		_, err = r.test(ctx, e, c)
	default:
		err = r.finish(ctx, e, c)
	}
	return secret.Name, err
}

// check refuses what did not come from Secrets Manager's rotation of a secret
// that is ours, or comes too late.
func (r *Rotator) check(s Secret, e Event) error {
	switch e.Step {
	case StepCreate, StepSet, StepTest, StepFinish:
	default:
		return fmt.Errorf("%w %q", ErrUnknownStep, e.Step)
	}
	labels, known := s.Versions[e.Token]
	switch {
	case !s.RotationEnabled:
		return ErrRotationDisabled
	case !r.owns(s.FunctionARN):
		return fmt.Errorf("%w: %s", ErrNotOurs, s.FunctionARN)
	case !r.near(s.ARN, e.FunctionARN):
		return fmt.Errorf("%w: %s is of another account or region", ErrNotOurs, s.ARN)
	case !known:
		return ErrUnknownToken
	case !s.Has(e.Token, LabelCurrent) && !s.Has(e.Token, LabelPending):
		return fmt.Errorf("%w, but as %v", ErrNotPending, labels)
	}
	return nil
}

// owns reports whether an ARN is the one of this function, of whatever version
// or alias. A secret that names no function is not another one's.
func (r *Rotator) owns(functionARN string) bool {
	_, name, _ := strings.Cut(functionARN, ":function:")
	name, _, _ = strings.Cut(name, ":")
	return r.opts.FunctionName == "" || functionARN == "" || name == r.opts.FunctionName
}

// near reports whether a secret is of the account and region of the function
// that runs, or of an account that was named beside it. The ARN of the function
// is empty where it is not known.
func (r *Rotator) near(secretARN, functionARN string) bool {
	secret, err := arn.Parse(secretARN)
	function, functionErr := arn.Parse(functionARN)
	if err != nil || functionErr != nil {
		return functionARN == ""
	}
	return secret.Region == function.Region &&
		(secret.AccountID == function.AccountID || slices.Contains(r.opts.Accounts, secret.AccountID))
}

// create makes sure that a pending value exists. Where one is there already
// it is kept: it may be installed in the database by now.
func (r *Rotator) create(ctx context.Context, e Event, c Change) (err error) {
	if c.Current, err = r.current(ctx, e, c.Secret); err != nil {
		return err
	}
	var supplied Value
	if version, _ := c.Secret.supplied(e.Token); version != "" && version != e.Token {
		if supplied, err = r.store.Get(ctx, e.SecretID, version, ""); err != nil {
			return err
		}
	}
	strategy, err := r.opts.Choose(ctx, c.Secret, c.Current)
	if err != nil {
		return err
	}
	pending, err := strategy.Create(ctx, c, supplied)
	if err != nil {
		return err
	}
	switch err := r.store.PutPending(ctx, e, pending); {
	case errors.Is(err, ErrExists):
		return nil
	case err != nil:
		return err
	}
	r.know(e.SecretID, e.Token, func(k *known) { k.pending = pending })
	return nil
}

// set has the strategy install the pending value.
func (r *Rotator) set(ctx context.Context, e Event, c Change) (err error) {
	if c.Pending, err = r.pending(ctx, e); err != nil {
		return err
	}
	if c.Current, err = r.current(ctx, e, c.Secret); err != nil {
		return err
	}
	strategy, err := r.opts.Choose(ctx, c.Secret, c.Pending)
	if err != nil {
		return err
	}
	return strategy.Set(ctx, c)
}
