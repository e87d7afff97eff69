package rotationtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/rekey-go/rekey/rotation"
)

// A Model is a strategy on a server in memory, to be explored.
type Model struct {
	// Value is the secret's first value.
	Value rotation.Value
	// Server makes a server that accepts it.
	Server func() *Server
	// Strategy returns the strategy over a server.
	Strategy func(db rotation.Database) rotation.Strategy
	// Rotations is how many rotations there are; 2 if zero.
	Rotations int
}

// Explored is what [Explore] went through.
type Explored struct{ States, Transitions int }

// Explore goes through all states that a secret and its server can come to,
// and fails the test at the first in which a rule does not hold.
//
// What may happen in a state: one of two processes runs any step of any of the
// rotations, in whatever order, to its end, or is killed before or after any of
// its calls, or its test of the new credential is refused; Secrets Manager
// begins the next rotation, where it would; a superseded version is retired,
// with a kill at any call. Two states are the same if labels, passwords and
// what the processes remember are. In every state AWSCURRENT is on one version,
// the server accepts it or the one with AWSPENDING, and a process that runs the
// four steps from there on comes to a good end.
func Explore(t *testing.T, m Model) Explored {
	t.Helper()
	if m.Rotations == 0 {
		m.Rotations = 2
	}
	x := &explorer{model: m, seen: map[string]bool{}}
	x.visit(t, nil)
	for len(x.queue) > 0 && !t.Failed() {
		path := x.queue[0]
		x.queue = x.queue[1:]
		for _, a := range x.possible(path) {
			calls := x.visit(t, append(slices.Clone(path), a))
			for at := range calls {
				for _, kind := range []kind{killedBefore, killedAfter} {
					a.fault, a.at = kind, at
					x.visit(t, append(slices.Clone(path), a))
				}
			}
		}
	}
	return Explored{States: len(x.seen), Transitions: x.transitions}
}

// An action is one thing that happens.
type action struct {
	begin   bool // Secrets Manager begins the rotation to the token
	retire  bool // the token's version is retired
	token   string
	step    rotation.Step
	process int
	refuse  bool // the test of the new credential fails
	fault   kind
	at      int
}

// String tells of the action, for a path that breaks a rule.
func (a action) String() string {
	what := fmt.Sprintf("process %d runs %s to %s", a.process, a.step, a.token)
	switch {
	case a.begin:
		return "a rotation to " + a.token + " begins"
	case a.retire:
		what = a.token + " is retired"
	}
	if a.refuse {
		what += ", and the test is refused"
	}
	if a.fault != none {
		what += fmt.Sprintf(": call %d %s", a.at+1, kinds[a.fault])
	}
	return what
}

type explorer struct {
	model       Model
	seen        map[string]bool
	queue       [][]action
	transitions int
}

// A world is a state with what it takes to go on from it.
type world struct {
	*run
	server    *Server
	tokens    []string
	processes [2]*process
	tested    [2]string // the rotation whose credential passed its test in the process
}

// world makes the state that a path leads to, and tells how many calls the last
// action made.
func (x *explorer) world(path []action) (*world, int) {
	w := &world{run: &run{store: NewStore(x.model.Value, nil), quiet: true}, server: x.model.Server()}
	w.target = Target{
		Value: x.model.Value, Accepts: Login(w.server),
		Strategy: func(call Call) rotation.Strategy { return x.model.Strategy(Database(w.server, call)) },
	}
	w.processes = [2]*process{w.process(), w.process()}
	calls := 0
	for _, a := range path {
		calls = w.apply(a)
	}
	return w, calls
}

// apply lets an action happen, and tells how many calls it made.
func (w *world) apply(a action) int {
	f := &fault{kind: a.fault, at: a.at}
	switch {
	case a.begin:
		w.tokens = append(w.tokens, a.token)
		w.store.Begin(a.token)
	case a.retire:
		_ = w.processWith(f).retire(context.Background(), a.token)
	default:
		p := w.processes[a.process]
		p.strike(f)
		if p.refuse = nil; a.refuse {
			p.refuse = errRefused
		}
		w.token = a.token
		err := p.step(context.Background(), a.step)
		w.remember(a, f, err)
	}
	return f.calls
}

var errRefused = errors.New("the new credential does not do")

// remember notes what a process knows after a step that makes a difference:
// the rotation whose new credential passed its test there. After a kill, or a
// finished rotation, it knows nothing.
func (w *world) remember(a action, f *fault, err error) {
	i := a.process
	switch {
	case f.dead:
		w.processes[i], w.tested[i] = w.process(), ""
	case err != nil:
	case a.step == rotation.StepFinish:
		w.tested[i] = ""
	case a.step == rotation.StepTest:
		w.tested[i] = a.token
	case w.tested[i] != a.token:
		w.tested[i] = ""
	}
}

// possible are the actions that may follow a path, without kills.
func (x *explorer) possible(path []action) []action {
	w, _ := x.world(path)
	about, _ := w.store.Describe(context.Background(), "")
	var all []action
	pending := about.VersionWith(rotation.LabelPending)
	if len(w.tokens) < x.model.Rotations && (pending == "" || about.Has(pending, rotation.LabelCurrent)) {
		all = append(all, action{begin: true, token: fmt.Sprintf("version-%d", len(w.tokens)+2)})
	}
	for _, token := range w.tokens {
		for _, step := range steps {
			for process := range w.processes {
				all = append(all, action{token: token, step: step, process: process})
			}
		}
		all = append(all, action{token: token, step: rotation.StepTest, refuse: true})
	}
	for _, version := range append([]string{firstVersion}, w.tokens...) {
		if len(about.Versions[version]) == 0 || about.Has(version, rotation.LabelPrevious) {
			all = append(all, action{retire: true, token: version})
		}
	}
	return all
}

// visit checks the state that a path leads to, and queues it if it is new. It
// tells how many calls the last action made.
func (x *explorer) visit(t *testing.T, path []action) (calls int) {
	t.Helper()
	w, calls := x.world(path)
	x.transitions++
	key := w.key()
	if x.seen[key] || t.Failed() {
		return calls
	}
	x.seen[key] = true
	x.queue = append(x.queue, path)
	if err := w.check(); err != nil {
		t.Errorf("%v\nafter:\n%s", err, tell(path))
	}
	return calls
}

func tell(path []action) string {
	var told strings.Builder
	for i, a := range path {
		fmt.Fprintf(&told, "%3d. %v\n", i+1, a)
	}
	return told.String()
}

// key is the same for states that are.
func (w *world) key() string {
	about, _ := w.store.Describe(context.Background(), "")
	var parts []string
	passwords := map[string]string{}
	for version, v := range w.store.all() {
		c, _ := rotation.ParseCredential(v)
		passwords[c.Password.Reveal()] = version
		parts = append(parts, "value "+version+" of "+c.Username)
	}
	for version, labels := range about.Versions {
		parts = append(parts, fmt.Sprint(version, slices.Sorted(slices.Values(labels))))
	}
	first, second := w.server.logins()
	for user, password := range first {
		parts = append(parts, fmt.Sprint("user ", user, " ", password == "", passwords[password], passwords[second[user]]))
	}
	for _, version := range slices.Compact(slices.Sorted(slices.Values(w.announced))) {
		parts = append(parts, "announced "+version)
	}
	slices.Sort(parts)
	memories := slices.Clone(w.tested[:])
	slices.Sort(memories) // the processes are alike
	return strings.Join(append(parts, memories...), "; ")
}

// check says which rule does not hold. It leads the state to its end.
func (w *world) check() error {
	ctx := context.Background()
	about, _ := w.store.Describe(ctx, "")
	var currents int
	for version := range about.Versions {
		if about.Has(version, rotation.LabelCurrent) {
			currents++
		}
	}
	if currents != 1 {
		return fmt.Errorf("AWSCURRENT is on %d versions", currents)
	}
	if current, pending := w.accepted(ctx, rotation.LabelCurrent), w.accepted(ctx, rotation.LabelPending); current != nil && pending != nil {
		return fmt.Errorf("neither is accepted: %w", errors.Join(current, pending))
	}
	if len(w.tokens) == 0 {
		return nil
	}
	w.token = w.tokens[len(w.tokens)-1]
	if err := w.process().rotate(ctx); err != nil {
		return fmt.Errorf("a fresh process does not come to the end: %w", err)
	}
	if err := w.accepted(ctx, rotation.LabelCurrent); err != nil {
		return fmt.Errorf("in the end AWSCURRENT is refused: %w", err)
	}
	if about, _ = w.store.Describe(ctx, ""); !about.Has(w.token, rotation.LabelCurrent) || !slices.Contains(w.announced, w.token) {
		return errors.New("in the end the newest version is not current, or not announced")
	}
	return nil
}
