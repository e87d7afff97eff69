package rotationtest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"

	"github.com/rekey-go/rekey/rotation"
)

//nolint:gochecknoglobals // a constant table.
var steps = []rotation.Step{rotation.StepCreate, rotation.StepSet, rotation.StepTest, rotation.StepFinish}

// A run is a secret with its target and what was announced of it.
type run struct {
	target Target
	store  *Store
	token  string

	mu        sync.Mutex
	announced []string // :: version ids
}

func newRun(t *testing.T, target Target) *run {
	t.Helper()
	r := &run{target: target, store: NewStore(target.Value, nil), token: "version-2"}
	r.checkAccepted(t)
	return r
}

// A process is one execution environment of the rotation function.
type process struct {
	run     *run
	rotator *rotation.Rotator
	crash   *crash
	refuse  error // with which the test of a credential fails
}

// process starts one that nobody kills.
func (r *run) process() *process { return r.processWith(&crash{left: 1 << 30}) }

func (r *run) processWith(c *crash) *process {
	p := &process{run: r, crash: c}
	strategy := refusing{r.target.Strategy(c.do), p}
	p.rotator = rotation.New(store{r.store, c}, rotation.Options{
		Choose: func(context.Context, rotation.Secret, rotation.Value) (rotation.Strategy, error) {
			return strategy, nil
		},
		OnPromoted: func(_ context.Context, p rotation.Promotion) error {
			return c.do(func() error { r.announce(p.VersionID); return nil })
		},
		Logger: slog.New(slog.DiscardHandler),
	})
	return p
}

func (r *run) announce(version string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.announced = append(r.announced, version)
}

// rotate runs the four steps.
func (p *process) rotate(ctx context.Context) error {
	for _, step := range steps {
		if err := p.step(ctx, step); err != nil {
			return err
		}
	}
	return nil
}

func (p *process) step(ctx context.Context, step rotation.Step) error {
	e := p.run.store.Begin(p.run.token)
	e.Step = step
	return p.rotator.Step(ctx, e)
}

func (r *run) mustRotate(t *testing.T, p *process) {
	t.Helper()
	if err := p.rotate(t.Context()); err != nil {
		t.Fatalf("the rotation to %s: %v", r.token, err)
	}
}

// checkAccepted checks that consumers have a login that works.
func (r *run) checkAccepted(t *testing.T) {
	t.Helper()
	var errs []error
	for _, label := range []string{rotation.LabelCurrent, rotation.LabelPending} {
		err := r.accepted(t.Context(), label)
		if err == nil {
			return
		}
		errs = append(errs, fmt.Errorf("%s: %w", label, err))
	}
	t.Errorf("the server accepts neither AWSCURRENT nor AWSPENDING: %v", errors.Join(errs...))
}

// accepted uses the value with a label as a consumer does.
func (r *run) accepted(ctx context.Context, label string) error {
	v, err := r.store.Get(ctx, "", "", label)
	if err != nil {
		return err
	}
	return r.target.Accepts(ctx, v)
}

// checkEnd checks what holds after a rotation that ended well.
func (r *run) checkEnd(t *testing.T) {
	t.Helper()
	about, err := r.store.Describe(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if got := about.VersionWith(rotation.LabelCurrent); got != r.token {
		t.Errorf("AWSCURRENT is on %q, want %q", got, r.token)
	}
	if got := about.VersionWith(rotation.LabelPending); got != "" && got != r.token { // AWS takes it off
		t.Errorf("AWSPENDING is left on %q", got)
	}
	if err := r.accepted(t.Context(), rotation.LabelCurrent); err != nil {
		t.Errorf("the server refuses AWSCURRENT: %v", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Contains(r.announced, r.token) {
		t.Errorf("announced %v, want %s among them", r.announced, r.token)
	}
}
