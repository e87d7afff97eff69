package redis

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/rekey-go/rekey/internal/redistest"
	"github.com/rekey-go/rekey/rotation"
	"github.com/rekey-go/rekey/rotation/rotationtest"
)

// restart kills the server and starts it again.
func restart(t *testing.T, s *redistest.Server) {
	t.Helper()
	if err := errors.Join(s.Kill(), s.Restart(context.WithoutCancel(t.Context()))); err != nil {
		t.Fatal(err)
	}
}

func TestARotationOutlivesARestart(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		users redistest.Users
		kept  bool
	}{
		"users in an ACL file":       {redistest.InACLFile, true},
		"users in the configuration": {redistest.InConfigFile, true},
		"users in memory":            {redistest.InMemory, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := redistest.Start(t, redistest.Options{Users: tt.users})
			super := superuser(t, s)
			old, next := rotation.NewValue(s.Password), rotation.NewValue("next")
			if err := super.AddPassword(t.Context(), s.User, old, next); err != nil {
				t.Fatal(err)
			}
			mustBe(t, s, s.User, map[string]bool{s.Password: true, "next": true})
			restart(t, s)
			mustBe(t, s, s.User, map[string]bool{s.Password: true, "next": tt.kept})
			if !tt.kept {
				return
			}
			if err := login(t, s, s.User, "next").DropPassword(t.Context(), s.User, old, next, free); err != nil {
				t.Fatal(err)
			}
			restart(t, s)
			mustBe(t, s, s.User, map[string]bool{s.Password: false, "next": true})
		})
	}
}

// killing is a database whose server dies when a session changes a password.
type killing struct {
	rotation.Database
	die func(change func() error) error
}

func (d killing) Login(ctx context.Context, c rotation.Credential) (rotation.Session, error) {
	opened, err := d.Database.Login(ctx, c)
	if err != nil {
		return nil, err
	}
	return killingSession{opened.(rotation.DualSession), d.die}, nil
}

type killingSession struct {
	rotation.DualSession
	die func(change func() error) error
}

func (s killingSession) AddPassword(ctx context.Context, user string, keep, password rotation.Value) error {
	return s.die(func() error { return s.DualSession.AddPassword(ctx, user, keep, password) })
}

func (s killingSession) EnsureClone(ctx context.Context, original, clone string, password rotation.Value) error {
	return s.die(func() error { return s.DualSession.EnsureClone(ctx, original, clone, password) })
}

func TestAServerThatDiesAtAChangeIsBroughtToItsEnd(t *testing.T) {
	t.Parallel()
	for name, die := range map[string]func(s *redistest.Server, change func() error) error{
		"before it": func(s *redistest.Server, change func() error) error { return errors.Join(s.Kill(), change()) },
		"after it": func(s *redistest.Server, change func() error) error {
			return errors.Join(change(), s.Kill(), errors.New("no answer"))
		},
		"in the midst of it": func(s *redistest.Server, change func() error) error {
			done := make(chan error)
			go func() { done <- change() }()
			return errors.Join(s.Kill(), <-done, errors.New("no answer"))
		},
		"when it was made and not written down": func(s *redistest.Server, change func() error) error {
			before := s.Users()
			return errors.Join(change(), s.Kill(), s.SetUsers(before), errors.New("no answer"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := redistest.Start(t, redistest.Options{})
			db := database(t, rotation.ReachOptions{CA: s.CA})
			super := superuserOf(value(s, s.User, s.Password))
			dying := killing{db, func(change func() error) error { return die(s, change) }}
			broken, whole := overlapping(dying, super), overlapping(db, super)
			for strategy := range whole {
				redistest.Do(t, s, "ACL", setUser("app", "old", "+get")...)
				redistest.Do(t, s, "ACL", "SAVE")
				store := rotationtest.NewStore(value(s, "app", "old"), nil)
				if err := rotate(t.Context(), store, broken[strategy], "token"); err == nil {
					t.Fatalf("%s: the rotation ended well though the server died", strategy)
				}
				if err := s.Restart(context.WithoutCancel(t.Context())); err != nil {
					t.Fatal(err)
				}
				mustBe(t, s, "app", map[string]bool{"old": true})
				if err := rotate(t.Context(), store, whole[strategy], "token"); err != nil {
					t.Fatalf("%s: %v", strategy, err)
				}
				restart(t, s) // whatever the repeated rotation found done was written down
				v, err := store.Get(t.Context(), "", "", rotation.LabelCurrent)
				if err != nil {
					t.Fatal(err)
				}
				if err := rotationtest.Login(db)(t.Context(), v); err != nil {
					t.Errorf("%s: after a restart the server refuses AWSCURRENT: %v", strategy, err)
				}
			}
		})
	}
}

func TestEveryServerThatTheHostListsChanges(t *testing.T) {
	t.Parallel()
	a, b := redistest.Start(t, redistest.Options{}), redistest.Start(t, redistest.Options{})
	both := func(user, password string) rotation.Value {
		return rotation.NewValue(fmt.Sprintf(`{"host":"127.0.0.1:%d, 127.0.0.1:%d","username":%q,"password":%q}`, a.Port, b.Port, user, password))
	}
	for _, s := range []*redistest.Server{a, b} {
		redistest.Do(t, s, "ACL", setUser("boss", "boss", "+@all")...)
		redistest.Do(t, s, "ACL", setUser("app", "old", "+get")...)
		redistest.Do(t, s, "ACL", "SAVE")
	}
	db := database(t, rotation.ReachOptions{CA: a.CA + b.CA})
	super := superuserOf(both("boss", "boss"))
	var store *rotationtest.Store
	for name, strategy := range overlapping(db, super) {
		for _, s := range []*redistest.Server{a, b} {
			redistest.Do(t, s, "ACL", setUser("app", "old", "+get")...)
		}
		store = rotationtest.NewStore(both("app", "old"), nil)
		if err := b.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := rotate(t.Context(), store, strategy, "token"); !errors.Is(err, rotation.ErrNetwork) {
			t.Errorf("%s, with one server down: got %v, want %v", name, err, rotation.ErrNetwork)
		}
		if err := b.Restart(context.WithoutCancel(t.Context())); err != nil {
			t.Fatal(err)
		}
		// One server has what the other lacks, as after a crash between the two.
		v, err := store.Get(t.Context(), "", "", rotation.LabelPending)
		if err != nil {
			t.Fatal(err)
		}
		c, err := rotation.ParseCredential(v)
		if err != nil {
			t.Fatal(err)
		}
		redistest.Do(t, a, "ACL", "SETUSER", c.Username, "on", hash(c.Password))
		if err := rotate(t.Context(), store, strategy, "token"); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, s := range []*redistest.Server{a, b} {
			mustBe(t, s, c.Username, map[string]bool{c.Password.Reveal(): true})
			mustBe(t, s, "app", map[string]bool{"old": true})
		}
		store.Replace("newer", both("app", "old"))
	}
	single := rotation.SingleUser{Database: db, Superuser: super}
	if err := rotate(t.Context(), rotationtest.NewStore(both("app", "old"), nil), single, "token"); !errors.Is(err, rotation.ErrConfiguration) {
		t.Errorf("a single password at two servers: got %v, want %v", err, rotation.ErrConfiguration)
	}
}
