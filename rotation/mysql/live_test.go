package mysql

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/rekey-go/rekey/internal/child/childtest"
	"github.com/rekey-go/rekey/internal/mysqltest"
	"github.com/rekey-go/rekey/internal/polltest"
	"github.com/rekey-go/rekey/rotation"
	"github.com/rekey-go/rekey/rotation/rotationtest"
)

// rotated is a secret of a user at a server, with the rotator of a strategy.
type rotated struct {
	store   *rotationtest.Store
	rotator *rotation.Rotator
	choose  rotation.Chooser
	version int
}

func newRotated(tb testing.TB, s *mysqltest.Server, user string, strategy rotation.Strategy) *rotated {
	tb.Helper()
	mysqltest.Exec(tb, s, "CREATE USER "+identifier(user)+" IDENTIFIED BY 'old'")
	first := rotation.NewValue(fmt.Sprintf(`{"engine":"mariadb","host":%q,"port":%d,"username":%q,"password":"old"}`, s.Host, s.Port, user))
	r := &rotated{store: rotationtest.NewStore(first, nil), choose: rotation.Only(strategy), version: 1}
	r.rotator = rotation.New(r.store, rotation.Options{Choose: r.choose, Logger: slog.New(slog.DiscardHandler)})
	return r
}

// rotate runs the four steps.
func (r *rotated) rotate(tb testing.TB) {
	tb.Helper()
	r.version++
	for _, step := range []rotation.Step{rotation.StepCreate, rotation.StepSet, rotation.StepTest, rotation.StepFinish} {
		e := r.store.Begin(fmt.Sprint("version-", r.version))
		e.Step = step
		if err := r.rotator.Step(tb.Context(), e); err != nil {
			tb.Fatalf("%s: %v", step, err)
		}
	}
}

// retire revokes the version before the current one.
func (r *rotated) retire(tb testing.TB) {
	tb.Helper()
	err := rotation.Retire(tb.Context(), r.store, r.choose, "db", fmt.Sprint("version-", r.version-1))
	if err != nil && !errors.Is(err, rotation.ErrReplaced) {
		tb.Fatalf("retiring: %v", err)
	}
}

// consume logs in as a consumer does: with the current value, and where that is
// refused by the ladder.
func (r *rotated) consume(ctx context.Context, accepts func(context.Context, rotation.Value) error) (tries int, err error) {
	for _, label := range []string{rotation.LabelCurrent, rotation.LabelCurrent, rotation.LabelPending, rotation.LabelCurrent} {
		v, getErr := r.store.Get(ctx, "db", "", label)
		if getErr != nil {
			continue
		}
		tries++
		if err = accepts(ctx, v); !errors.Is(err, rotation.ErrAuth) {
			break
		}
	}
	return tries, err
}

func TestNoLoginFailsWhilePasswordsRotate(t *testing.T) {
	t.Parallel()
	const rotations, consumers = 20, 4
	s := mysqltest.Start(t, mysqltest.Options{})
	db := database(t, s)
	accepts := rotationtest.Login(db)
	for kind, strategy := range strategies(superuserOf(t, s)) {
		r := newRotated(t, s, kind, strategy(db))
		var logins, retried, failed atomic.Int64
		// A consumer that holds a value is waited for before it is revoked, as
		// a lease says.
		var leases sync.RWMutex
		var wg sync.WaitGroup
		stop := make(chan struct{})
		for range consumers {
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					leases.RLock()
					tries, err := r.consume(t.Context(), accepts)
					leases.RUnlock()
					logins.Add(1)
					if tries > 1 {
						retried.Add(1)
					}
					if err != nil {
						failed.Add(1)
						t.Errorf("%s: %v", kind, err)
					}
				}
			})
		}
		for n := range int64(rotations) {
			r.rotate(t)
			leases.Lock()
			leases.Unlock() //nolint:staticcheck // those who came before are through.
			r.retire(t)
			polltest.Until(t, "the consumers log in", func() bool { return logins.Load() >= 2*(n+1) })
		}
		close(stop)
		wg.Wait()
		t.Logf("%s: %d logins in %d rotations, %d by the ladder, %d failed", kind, logins.Load(), rotations, retried.Load(), failed.Load())
		if kind != "single user" && retried.Load() > 0 {
			t.Errorf("%s: %d logins were refused at first", kind, retried.Load())
		}
	}
}

func TestED25519IsSetAndClonedButHasNoTwoPasswords(t *testing.T) {
	t.Parallel()
	found := false
	for _, dir := range []string{"/usr/lib/mysql/plugin", "/usr/lib/mariadb/plugin", "/usr/lib64/mariadb/plugin"} {
		_, err := os.Stat(filepath.Join(dir, "auth_ed25519.so"))
		found = found || err == nil
	}
	if !found {
		childtest.Missing(t, errors.New("no auth_ed25519.so found"), "it is in the package mariadb-server")
	}
	s := mysqltest.Start(t, mysqltest.Options{Settings: map[string]string{"plugin-load-add": "auth_ed25519"}})
	mysqltest.Exec(t, s, `CREATE USER app IDENTIFIED VIA ed25519 USING PASSWORD('old')`)
	super := superuser(t, s)
	pw := rotation.NewValue
	if err := super.AddPassword(t.Context(), "app", pw("old"), pw("new")); !errors.Is(err, rotation.ErrConfiguration) {
		t.Errorf("two passwords: got %v, want %v", err, rotation.ErrConfiguration)
	}
	takes(t, s, "app", map[string]bool{"old": true, "new": false})
	if err := super.EnsureClone(t.Context(), "app", "app_clone", pw("new")); err != nil {
		t.Fatal(err)
	}
	takes(t, s, "app_clone", map[string]bool{"new": true, "old": false})
	if err := super.SetPassword(t.Context(), "app", pw("new")); err != nil {
		t.Fatal(err)
	}
	takes(t, s, "app", map[string]bool{"old": false, "new": true})
	if err := as(t, s, "app", "new").SetPassword(t.Context(), "app", pw("own")); err != nil {
		t.Fatal(err)
	}
	takes(t, s, "app", map[string]bool{"own": true, "new": false})
	if got := query(t, s, "SELECT plugin FROM mysql.user WHERE User LIKE 'app%'"); len(got) != 2 || got[0] != "ed25519" || got[1] != "ed25519" {
		t.Errorf("the plugins are %q", got)
	}
}

// BenchmarkRotation is the four steps of one rotation over TLS on a MariaDB of
// this machine, without the calls of Secrets Manager.
func BenchmarkRotation(b *testing.B) {
	s := mysqltest.Start(b, mysqltest.Options{})
	db := database(b, s)
	for kind, strategy := range strategies(superuserOf(b, s)) {
		b.Run(kind, func(b *testing.B) {
			r := newRotated(b, s, fmt.Sprint(kind, b.N), strategy(db))
			for b.Loop() {
				r.rotate(b)
			}
		})
	}
}
