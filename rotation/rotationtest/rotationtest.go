// Package rotationtest is the suite that every strategy passes, yours too.
//
// [Exercise] runs a rotation once to count the calls that it makes, to the store
// and to the server or service, and then again and again, each time with
// another fault at another of them: the call fails, before or after it took
// effect; it is made twice; the process is killed before it, or after it; it
// takes effect only when the retry is over. Secrets Manager then repeats the
// rotation, and the suite checks what must hold:
//
//   - at every moment the version with AWSCURRENT or the one with AWSPENDING is
//     accepted
//   - the repeated rotation ends well, with the new version current and
//     accepted, and announced
//   - a step that comes twice, late, at the same time as its like or in any
//     order harms nothing
//   - what was superseded is accepted until it is retired and refused after it;
//     nothing is retired while a rotation is under way
//   - no log line and no error holds a value
//
// It also puts secrets into the states that stop other rotations: a current
// value that the server does not know, and a rotation that was given up
// halfway.
//
// [Explore] goes through every order of steps, kills and repeats that there is,
// on a store and a server in memory.
package rotationtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/rekey-go/rekey/rotation"
)

// A Target is a fresh secret with what it is for, for one rotation.
type Target struct {
	// Value is the secret's first value, which is accepted.
	Value rotation.Value
	// Store has the secret. If nil, one is made with the value; Accepts may need
	// it where the secret itself says what is accepted.
	Store *Store
	// Lasting says that the first rotation leaves the first value accepted and
	// current in all but its version: there is nothing of it to retire.
	Lasting bool
	// Wrong is a value of the same form that is not accepted. If empty, there
	// is none, and what follows from one is not tested.
	Wrong rotation.Value
	// Strategy returns the strategy to test. Every call that it makes to the
	// server or service has to go through call: see [Database] and [Transport].
	Strategy func(call Call) rotation.Strategy
	// Accepts uses a value as a consumer does. The error says that it is
	// refused, or wraps [rotation.ErrNetwork].
	Accepts func(ctx context.Context, v rotation.Value) error
}

// Login returns a [Target.Accepts] that logs in to a database.
func Login(db rotation.Database) func(ctx context.Context, v rotation.Value) error {
	return func(ctx context.Context, v rotation.Value) error {
		c, err := rotation.ParseCredential(v)
		if err != nil {
			return err
		}
		session, err := db.Login(ctx, c)
		if err != nil {
			return err
		}
		return errors.Join(session.Ping(ctx), session.Close(ctx))
	}
}

// WrongPassword returns a value with a password that nobody has set.
func WrongPassword(v rotation.Value) rotation.Value {
	c, err := rotation.ParseCredential(v)
	if err != nil {
		return rotation.Value{}
	}
	wrong, _ := c.With(c.Username, rotation.NewValue("never set")) // an error leaves it empty
	return wrong
}

// Exercise runs the suite. Setup makes a target; it is called many times.
func Exercise(t *testing.T, setup func(t *testing.T) Target) {
	t.Helper()
	calls := 0
	t.Run("a rotation without a fault", func(t *testing.T) {
		r := newRun(t, setup(t))
		p := r.process()
		p.fault.after = func() { r.checkAccepted(t) }
		r.mustRotate(t, p)
		r.checkEnd(t)
		calls = p.fault.calls
	})
	for n := range calls {
		for kind, what := range kinds {
			t.Run(fmt.Sprintf("call %d of %d %s", n+1, calls, what), func(t *testing.T) {
				faulty(t, newRun(t, setup(t)), &fault{kind: kind, at: n})
			})
		}
	}
	cases := map[string]func(t *testing.T, r *run){
		"three rotations, one after the other":              several,
		"every step twice, and all of them again":           repeated,
		"every step in two processes at once":               atOnce,
		"the steps in every order, in one process":          inEveryOrder(setup, true),
		"the steps in every order, each in another process": inEveryOrder(setup, false),
		"the test of the new credential fails":              failing,
		"the current value is wrong, the one before right":  wrongCurrent,
		"a rotation that was given up after it set":         givenUp,
		"two rotations that were given up after they set":   givenUpTwice,
	}
	for name, run := range cases {
		t.Run(name, func(t *testing.T) { run(t, newRun(t, setup(t))) })
	}
	t.Run("retired", func(t *testing.T) { exerciseRetire(t, setup) })
}

// faulty lets something befall a rotation, and has it repeated: by the same
// process, unless that one is dead.
func faulty(t *testing.T, r *run, f *fault) {
	t.Helper()
	p := r.processWith(f)
	err := p.rotate(t.Context())
	r.checkAccepted(t)
	if killed := errors.Is(err, errKilled); killed != f.dead {
		t.Fatalf("the rotation ended with %v", err)
	}
	if f.dead {
		p = r.process()
	}
	r.mustRotate(t, p)
	r.checkEnd(t)
	f.settle()
	r.checkEnd(t)
}

func several(t *testing.T, r *run) {
	t.Helper()
	p := r.process()
	for _, token := range []string{"version-2", "version-3", "version-4"} {
		r.token = token
		r.mustRotate(t, p)
		r.checkEnd(t)
	}
}

func repeated(t *testing.T, r *run) {
	t.Helper()
	p := r.process()
	for range 2 {
		for _, step := range steps {
			for range 2 {
				if err := p.step(t.Context(), step); err != nil {
					t.Fatalf("%s: %v", step, err)
				}
				r.checkAccepted(t)
			}
		}
	}
	r.checkEnd(t)
}

func atOnce(t *testing.T, r *run) {
	t.Helper()
	a, b := r.process(), r.process()
	for _, step := range steps {
		var wg sync.WaitGroup
		for _, p := range []*process{a, b} {
			wg.Go(func() {
				if err := p.step(t.Context(), step); err != nil {
					t.Errorf("%s: %v", step, err)
				}
			})
		}
		wg.Wait()
		r.checkAccepted(t)
	}
	r.checkEnd(t)
}

// inEveryOrder sends the steps in all orders. Those that come too early may
// fail; then the rotation is repeated as it should be.
func inEveryOrder(setup func(*testing.T) Target, warm bool) func(t *testing.T, _ *run) {
	return func(t *testing.T, _ *run) {
		t.Helper()
		for n, order := range permutations(steps) {
			if raced && n%4 != 0 {
				continue // without it all of them come
			}
			r := newRun(t, setup(t))
			p := r.process()
			for _, step := range order {
				if !warm {
					p = r.process()
				}
				_ = p.step(t.Context(), step)
				r.checkAccepted(t)
			}
			r.mustRotate(t, p)
			r.checkEnd(t)
			if t.Failed() {
				t.Fatalf("in the order %v", order)
			}
		}
	}
}

func permutations(of []rotation.Step) [][]rotation.Step {
	if len(of) == 0 {
		return [][]rotation.Step{nil}
	}
	var all [][]rotation.Step
	for i, first := range of {
		rest := append(append([]rotation.Step{}, of[:i]...), of[i+1:]...)
		for _, order := range permutations(rest) {
			all = append(all, append([]rotation.Step{first}, order...))
		}
	}
	return all
}

// failing has the test fail: consumers keep the credential that they have.
func failing(t *testing.T, r *run) {
	t.Helper()
	errTest := errors.New("the new credential does not do")
	p := r.process()
	p.refuse = errTest
	if err := p.rotate(t.Context()); !errors.Is(err, errTest) {
		t.Fatalf("got %v, want %v", err, errTest)
	}
	if err := r.accepted(t.Context(), rotation.LabelCurrent); err != nil {
		t.Errorf("after a failed test AWSCURRENT is refused: %v", err)
	}
	p.refuse = nil
	r.mustRotate(t, p)
	r.checkEnd(t)
}

// wrongCurrent is a secret with a typing error in it.
func wrongCurrent(t *testing.T, r *run) {
	t.Helper()
	if r.target.Wrong.Empty() {
		t.Skip("no value of this kind can be wrong")
	}
	r.store.Replace("by-hand", r.target.Wrong)
	r.mustRotate(t, r.process())
	r.checkEnd(t)
}

// givenUp is a rotation that nobody repeats: the next has a token of its own.
func givenUp(t *testing.T, r *run) {
	t.Helper()
	p := r.process()
	for _, step := range []rotation.Step{rotation.StepCreate, rotation.StepSet} {
		if err := p.step(t.Context(), step); err != nil {
			t.Fatalf("%s: %v", step, err)
		}
	}
	r.token = "version-3"
	r.mustRotate(t, p)
	r.checkEnd(t)
}

// givenUpTwice leaves two versions that the server may know and nobody needs.
// AWS lets a rotation begin on top of another only where somebody took
// AWSPENDING away by hand; until it has set its value, consumers may be without
// one.
func givenUpTwice(t *testing.T, r *run) {
	t.Helper()
	for _, r.token = range []string{"version-2", "version-3"} {
		p := r.process()
		for _, step := range []rotation.Step{rotation.StepCreate, rotation.StepSet} {
			if err := p.step(t.Context(), step); err != nil {
				t.Fatalf("%s to %s: %v", step, r.token, err)
			}
		}
		r.checkAccepted(t)
	}
	r.token = "version-4"
	r.mustRotate(t, r.process())
	r.checkEnd(t)
}
