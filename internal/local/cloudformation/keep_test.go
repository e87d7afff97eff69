package cloudformation

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rekey-go/rekey/internal/local/store"
	"github.com/rekey-go/rekey/internal/local/wire"
)

// A shelf is a provider whose templates are the names of resources. It outlives
// a service, as what other services keep outlives the engine.
type shelf struct {
	mu    sync.Mutex
	there map[string]bool // :: mu
	taken map[string]bool // :: mu, what was taken over

	stopAt  string        // making it, or removing it, takes until hold ends
	reached chan struct{} // told that it was begun
	hold    chan struct{}
}

func (s *shelf) Template([]byte) ([]Parameter, error) { return nil, nil }
func (s *shelf) Object(string) ([]byte, error)        { return nil, nil }

func (s *shelf) Assume(string) (wire.Principal, error)                     { return wire.Principal{}, nil }
func (s *shelf) Permit(wire.Principal, string, Resource, Deployment) error { return nil }

func (s *shelf) Deployment(d Definition, before Deployment) (Deployment, error) {
	next := &row{shelf: s, own: d.Kept != nil, names: strings.Fields(string(d.Body)), made: map[string]bool{}}
	if last, ok := before.(*row); ok {
		next.made = maps.Clone(last.made)
	}
	return next, nil
}

// stop is where the process is killed, which the test only plays.
func (s *shelf) stop(name string) error {
	s.mu.Lock()
	stops := name == s.stopAt
	if stops {
		s.stopAt = ""
	}
	s.mu.Unlock()
	if !stops {
		return nil
	}
	close(s.reached)
	<-s.hold
	return errors.New("killed")
}

// A row is a deployment of a shelf.
type row struct {
	*shelf
	own   bool // what is there already is its own
	names []string
	made  map[string]bool
}

func (r *row) Resources() (all []Resource) {
	for _, name := range r.names {
		all = append(all, Resource{LogicalID: name, Type: "Thing"})
	}
	return all
}

func (r *row) Make(name string) error {
	if err := r.stop(name); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.there[name] && !r.made[name] && !r.own:
		return fmt.Errorf("%s is there already", name)
	case r.there[name]:
		r.taken[name] = true
	}
	r.there[name], r.made[name] = true, true
	return nil
}

func (r *row) Remove(name string) error {
	if err := r.stop(name); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.there, name)
	return nil
}

func (r *row) Made(name string) map[string]string {
	if !r.made[name] {
		return nil
	}
	return r.Properties(name)
}

func (r *row) PhysicalID(name string) string {
	if !r.made[name] {
		return ""
	}
	return "the-" + name
}

func (r *row) Properties(name string) map[string]string { return map[string]string{"Name": name} }
func (r *row) Parameters() ([]Parameter, error)         { return nil, nil }
func (r *row) Finish() error                            { return nil }
func (r *row) Restore(string, Deployment) error         { return nil }
func (r *row) Outputs() ([]Output, error)               { return nil, nil }
func (r *row) Discard()                                 {}

// begin starts a service on a store and a shelf, as the engine does.
func begin(t *testing.T, kept *store.Store, on *shelf) *Service {
	t.Helper()
	s, err := New(Options{Account: "1", Region: "r", Now: time.Now, Provider: on, Store: kept})
	if err == nil {
		err = s.Resume()
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// propose makes a change set of stack s.
func propose(t *testing.T, s *Service, kind, body string) {
	t.Helper()
	if _, err := s.createChangeSet(form{"StackName": "s", "ChangeSetName": kind, "ChangeSetType": kind, "TemplateBody": body}); err != nil {
		t.Fatal(err)
	}
}

// apply begins to make stack s what a template says.
func apply(t *testing.T, s *Service, kind, body string) {
	t.Helper()
	propose(t, s, kind, body)
	if _, err := s.executeChangeSet(wire.Principal{}, form{"StackName": "s", "ChangeSetName": kind}); err != nil {
		t.Fatal(err)
	}
}

func TestStacksGoOnAfterARestart(t *testing.T) {
	t.Parallel()
	update := func(body string) func(*testing.T, *Service) {
		return func(t *testing.T, s *Service) { apply(t, s, "UPDATE", body) }
	}
	tests := map[string]struct {
		first  string // what the stack has before
		act    func(*testing.T, *Service)
		stopAt string // what is under way when the process is killed
		want   string
		there  []string
		listed []string
	}{
		"a stack that is made": {
			first: "a b", want: "CREATE_COMPLETE", there: []string{"a", "b"}, listed: []string{"a", "b"},
		},
		"a creation": {
			act: func(t *testing.T, s *Service) { apply(t, s, "CREATE", "a b c") }, stopAt: "b",
			want: "CREATE_COMPLETE", there: []string{"a", "b", "c"}, listed: []string{"a", "b", "c"},
		},
		"an update": {
			first: "a b", act: update("a c d"), stopAt: "d",
			want: "UPDATE_COMPLETE", there: []string{"a", "c", "d"}, listed: []string{"a", "c", "d"},
		},
		"the removal of what an update left out": {
			first: "a b c", act: update("a d"), stopAt: "b",
			want: "UPDATE_COMPLETE", there: []string{"a", "d"}, listed: []string{"a", "d"},
		},
		"a deletion": {
			first: "a b c", act: func(t *testing.T, s *Service) {
				if _, err := s.deleteStack(wire.Principal{}, form{"StackName": "s"}); err != nil {
					t.Fatal(err)
				}
			}, stopAt: "b",
			want: "DELETE_COMPLETE", listed: []string{"a", "b", "c"},
		},
		"a change that was not executed": {
			act: func(t *testing.T, s *Service) { propose(t, s, "CREATE", "a") }, want: "REVIEW_IN_PROGRESS",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			kept, err := store.Open(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			on := &shelf{there: map[string]bool{}, taken: map[string]bool{}, reached: make(chan struct{}), hold: make(chan struct{})}
			first := begin(t, kept, on)
			t.Cleanup(func() { close(on.hold); first.Close(); _ = kept.Close() })
			if tt.first != "" {
				apply(t, first, "CREATE", tt.first)
				first.work.Wait()
			}
			if on.stopAt = tt.stopAt; tt.act != nil {
				tt.act(t, first)
			}
			if tt.stopAt != "" {
				<-on.reached
			}
			second := begin(t, kept, on)
			second.Close()
			st := second.stacks[0]
			if got := slices.Sorted(maps.Keys(on.there)); st.Status != tt.want || !slices.Equal(got, tt.there) {
				t.Errorf("the stack is %s with %v, want %s with %v", st.Status, got, tt.want, tt.there)
			}
			if diff := cmp.Diff(tt.listed, slices.Clone(st.Order)); diff != "" && st.Status != reviewing {
				t.Errorf("listed resources (-want +got):\n%s", diff)
			}
			if st.ID != first.stacks[0].ID || len(st.Events) == 0 || st.Pending != nil {
				t.Errorf("the stack is %s with %d events, pending %v; want %s", st.ID, len(st.Events), st.Pending, first.stacks[0].ID)
			}
			third := begin(t, kept, on)
			third.Close()
			if got := third.stacks[0].Status; got != tt.want {
				t.Errorf("after one more restart it is %s", got)
			}
		})
	}
}

// TestAProposedChangeCanBeExecutedAfterARestart is the second half of a
// deployment whose engine was killed between the two calls.
func TestAProposedChangeCanBeExecutedAfterARestart(t *testing.T) {
	t.Parallel()
	kept, err := store.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	on := &shelf{there: map[string]bool{}, taken: map[string]bool{}}
	propose(t, begin(t, kept, on), "CREATE", "a b")
	second := begin(t, kept, on)
	if _, err := second.executeChangeSet(wire.Principal{}, form{"StackName": "s", "ChangeSetName": "CREATE"}); err != nil {
		t.Fatal(err)
	}
	second.Close()
	if got := second.stacks[0].Status; got != "CREATE_COMPLETE" || len(on.taken) > 0 {
		t.Errorf("the stack is %s, and took over %v", got, on.taken)
	}
}
