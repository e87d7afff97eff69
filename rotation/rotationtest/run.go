package rotationtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/rekey-go/rekey/rotation"
)

//nolint:gochecknoglobals // a constant table.
var steps = []rotation.Step{rotation.StepCreate, rotation.StepSet, rotation.StepTest, rotation.StepFinish}

// A run is a secret with its target, what was announced of it, and what was
// said about it.
type run struct {
	target Target
	store  *Store
	token  string
	quiet  bool // nobody listens to what is said

	mu        sync.Mutex
	announced []string     // :: mu; version ids
	said      bytes.Buffer // :: mu; log lines and errors
}

func newRun(t *testing.T, target Target) *run {
	t.Helper()
	r := &run{target: target, store: target.Store, token: "version-2"}
	if r.store == nil {
		r.store = NewStore(target.Value, nil)
	}
	r.checkAccepted(t)
	t.Cleanup(func() { r.checkSaid(t) })
	return r
}

// A process is one execution environment of the rotation function.
type process struct {
	run      *run
	rotator  *rotation.Rotator
	strategy rotation.Strategy
	fault    *fault
	gate     Call  // what lets calls through one at a time; it may be nil
	refuse   error // with which the test of a credential fails
}

// do makes a call of the process, or lets its fault hit it.
func (p *process) do(call func() error) error {
	if p.gate != nil {
		return p.gate(call)
	}
	return p.fault.do(call)
}

// process starts one that nothing befalls.
func (r *run) process() *process { return r.processWith(&fault{}) }

func (r *run) processWith(f *fault) *process {
	p := &process{run: r, fault: f}
	p.strategy = r.target.Strategy(p.do)
	p.rotator = rotation.New(store{r.store, p.do}, rotation.Options{
		Choose: rotation.Only(refusing{p.strategy, p}),
		OnPromoted: func(_ context.Context, promoted rotation.Promotion) error {
			return p.do(func() error { r.announce(promoted.VersionID); return nil })
		},
		Logger: r.logger(),
	})
	return p
}

// strike lets a fault befall the process from now on.
func (p *process) strike(f *fault) { p.fault = f }

func (r *run) logger() *slog.Logger {
	if r.quiet {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewJSONHandler(r, nil))
}

// say keeps the text of an error.
func (r *run) say(err error) {
	if err != nil && !r.quiet {
		_, _ = r.Write([]byte(err.Error() + "\n"))
	}
}

// Write takes a log line.
func (r *run) Write(line []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.said.Write(line)
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
	err := p.rotator.Step(ctx, e)
	p.run.say(err)
	return err
}

// retire revokes a version.
func (p *process) retire(ctx context.Context, version string) error {
	err := rotation.Retire(ctx, store{p.run.store, p.do}, rotation.Only(p.strategy), "", version)
	p.run.say(err)
	return err
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
	t.Errorf("neither AWSCURRENT nor AWSPENDING is accepted: %v", errors.Join(errs...))
}

// accepted uses the value with a label as a consumer does.
func (r *run) accepted(ctx context.Context, label string) error {
	v, err := r.store.Get(ctx, "", "", label)
	if err != nil {
		return err
	}
	return r.target.Accepts(ctx, v)
}

// acceptedVersion uses the value of a version as a consumer does.
func (r *run) acceptedVersion(t *testing.T, version string) error {
	t.Helper()
	v, err := r.store.Get(t.Context(), "", version, "")
	if err != nil {
		t.Fatal(err)
	}
	return r.target.Accepts(t.Context(), v)
}

// checkEnd checks what holds after a rotation that ended well.
func (r *run) checkEnd(t *testing.T) {
	t.Helper()
	about, err := r.store.Describe(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if got := about.VersionWith(rotation.LabelCurrent); got != r.token && !about.Has(got, rotation.LabelStored) {
		t.Errorf("AWSCURRENT is on %q, want %q", got, r.token)
	}
	if got := about.VersionWith(rotation.LabelPending); got != "" && got != r.token { // AWS takes it off
		t.Errorf("AWSPENDING is left on %q", got)
	}
	if err := r.accepted(t.Context(), rotation.LabelCurrent); err != nil {
		t.Errorf("AWSCURRENT is refused: %v", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Contains(r.announced, r.token) {
		t.Errorf("announced %v, want %s among them", r.announced, r.token)
	}
}

// checkSaid checks that no log line and no error holds what makes a value a
// secret: the long texts in it that other versions do not have.
func (r *run) checkSaid(t *testing.T) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	values := r.store.all()
	versions := map[string]int{} // :: text -> how many versions have it
	for _, v := range values {
		for text := range texts(v.Reveal()) {
			versions[text]++
		}
	}
	for text, n := range versions {
		if n < max(len(values), 2) && len(text) >= secretLength && strings.Contains(r.said.String(), text) {
			t.Error("a secret value is in a log line or an error")
		}
	}
}

// secretLength is that of the shortest text that is taken for a secret.
const secretLength = 16

// texts are the whole value and the strings in its JSON, but for those that
// name something.
func texts(value string) map[string]bool {
	found := map[string]bool{value: true}
	var members any
	if json.Unmarshal([]byte(value), &members) != nil {
		return found
	}
	var walk func(name string, v any)
	walk = func(name string, v any) {
		switch v := v.(type) {
		case string:
			found[v] = found[v] || !strings.HasSuffix(name, "id") && name != "username"
		case map[string]any:
			for name, member := range v {
				walk(name, member)
			}
		case []any:
			for _, member := range v {
				walk(name, member)
			}
		}
	}
	walk("", members)
	maps.DeleteFunc(found, func(_ string, secret bool) bool { return !secret })
	return found
}

// refusing is a strategy whose test fails while its process says so.
type refusing struct {
	rotation.Strategy
	process *process
}

// Test fails, or passes on.
func (s refusing) Test(ctx context.Context, c rotation.Change) error {
	if s.process.refuse != nil {
		return s.process.refuse
	}
	return s.Strategy.Test(ctx, c)
}

// Restore passes on, where the strategy can.
func (s refusing) Restore(ctx context.Context, c rotation.Change) error {
	if restorer, ok := s.Strategy.(rotation.Restorer); ok {
		return restorer.Restore(ctx, c)
	}
	return nil
}
