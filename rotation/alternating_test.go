package rotation_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/rekey-go/rekey/rotation"
	"github.com/rekey-go/rekey/rotation/rotationtest"
)

// watched is a database that notes what is done as the superuser.
type watched struct {
	rotation.Database
	opened chan struct{} // closed when the superuser's session is open

	mu   sync.Mutex
	done []string // :: mu
}

func (w *watched) note(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.done = append(w.done, what)
}

// Login lets the user in when the superuser is.
func (w *watched) Login(ctx context.Context, c rotation.Credential) (rotation.Session, error) {
	if c.Username != "admin" {
		<-w.opened
		return w.Database.Login(ctx, c)
	}
	session, err := w.Database.Login(ctx, c)
	w.note("opened")
	close(w.opened)
	return watchedSession{session, w}, err
}

type watchedSession struct {
	rotation.Session
	in *watched
}

func (s watchedSession) EnsureClone(ctx context.Context, original, clone string, password rotation.Value) error {
	s.in.note("cloned")
	return s.Session.EnsureClone(ctx, original, clone, password)
}

func (s watchedSession) Close(ctx context.Context) error {
	s.in.note("closed")
	return s.Session.Close(ctx)
}

func TestTheSuperuserLogsInMeanwhileAndWaitsForTheProof(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		password string // that the server has
		want     error
		done     []string
	}{
		"proven":     {"old", nil, []string{"opened", "cloned", "closed"}},
		"not proven": {"another", rotation.ErrAuth, []string{"opened", "closed"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { // a login that waits for ever fails it
				server := rotationtest.NewServer("admin", "a")
				server.SetUser("app", tt.password)
				w := &watched{Database: server, opened: make(chan struct{})}
				store := rotationtest.NewStore(value("app", "old"), nil)
				rotator := rotation.New(store, rotation.Options{
					Choose: rotation.Only(rotation.AlternatingUsers{Database: w, Superuser: superuser}), Logger: slog.New(slog.DiscardHandler),
				})
				e := store.Begin("version-2")
				var err error
				for _, e.Step = range []rotation.Step{rotation.StepCreate, rotation.StepSet} {
					err = rotator.Step(t.Context(), e)
				}
				if !errors.Is(err, tt.want) || !slices.Equal(w.done, tt.done) {
					t.Errorf("got %v after %q, want %v after %q", err, w.done, tt.want, tt.done)
				}
			})
		})
	}
}
