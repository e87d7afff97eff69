package rotation_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/rekey-go/rekey/rotation"
	"github.com/rekey-go/rekey/rotation/rotationtest"
)

func value(user, password string) rotation.Value {
	return rotation.NewValue(fmt.Sprintf(`{"host":"db","username":%q,"password":%q}`, user, password))
}

// superuser returns the login of the administrator.
func superuser(context.Context, rotation.Credential) (rotation.Credential, error) {
	return rotation.ParseCredential(value("admin", "a"))
}

// newAlternating is a bench whose secret alternates between two users.
func newAlternating(t *testing.T) *bench {
	t.Helper()
	b := newBench(t)
	b.strategy = rotation.AlternatingUsers{Database: b.server, Superuser: superuser}
	return b
}

func TestNoCredentialGoesToAnotherServerOrUser(t *testing.T) {
	t.Parallel()
	for name, pending := range map[string]string{
		"another host":     `{"host":"evil","username":"app","password":"new","database":"shop"}`,
		"another port":     `{"host":"db","port":5433,"username":"app","password":"new","database":"shop"}`,
		"another database": `{"host":"db","username":"app","password":"new","database":"other"}`,
		"another user":     `{"host":"db","username":"admin","password":"new","database":"shop"}`,
		"a hash":           `{"host":"db","username":"app","password":"md5` + "0123456789abcdef0123456789abcdef" + `","database":"shop"}`,
		"no password":      `{"host":"db","username":"app","password":"","database":"shop"}`,
	} {
		for strategy, b := range map[string]*bench{"single user": newBench(t), "alternating users": newAlternating(t)} {
			t.Run(strategy+", "+name, func(t *testing.T) {
				t.Parallel()
				e := b.store.Begin("version-2")
				if err := b.store.PutPending(t.Context(), e, rotation.NewValue(pending)); err != nil {
					t.Fatal(err)
				}
				before := fmt.Sprint(b.server.Users())
				if err := b.steps(t.Context(), "version-2", rotation.StepSet); !errors.Is(err, rotation.ErrConfiguration) {
					t.Errorf("got %v, want %v", err, rotation.ErrConfiguration)
				}
				if now := fmt.Sprint(b.server.Users()); now != before {
					t.Errorf("the users were changed from %s to %s", before, now)
				}
			})
		}
	}
}

func TestWhoMayWriteTheSecretGetsNoOtherUser(t *testing.T) {
	t.Parallel()
	b := newAlternating(t)
	b.server.SetUser("boss", "only the boss knows")
	b.store.Replace("forged", rotation.NewValue(`{"host":"db","username":"boss","password":"guess","database":"shop"}`))
	if err := b.steps(t.Context(), "version-2", rotation.StepCreate, rotation.StepSet); !errors.Is(err, rotation.ErrAuth) {
		t.Errorf("got %v, want %v", err, rotation.ErrAuth)
	}
	if _, cloned := b.server.Users()["boss_clone"]; cloned {
		t.Error("the superuser cloned a user for a secret that does not know its password")
	}
}

func TestASingleUserThatNothingLetsInIsSetByTheSuperuser(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		super rotation.Superuser
		want  error
	}{
		"with a superuser": {superuser, nil},
		"without one":      {nil, rotation.ErrAuth},
		"with a secret that has no value": {
			func(context.Context, rotation.Credential) (rotation.Credential, error) {
				return rotation.Credential{}, rotation.ErrNoValue
			}, rotation.ErrAuth,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.server.SetUser("app", "changed by hand")
			b.strategy = rotation.SingleUser{Database: b.server, Superuser: tt.super}
			if err := b.steps(t.Context(), "version-2", all()...); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestAServerThatCannotBeAskedStopsTheStep(t *testing.T) {
	t.Parallel()
	for _, kind := range []error{rotation.ErrNetwork, rotation.ErrTLS} {
		for name, b := range map[string]*bench{"single user": newBench(t), "alternating users": newAlternating(t)} {
			if err := b.steps(t.Context(), "version-2", rotation.StepCreate); err != nil {
				t.Fatal(err)
			}
			b.server.Fail(kind)
			if err := b.steps(t.Context(), "version-2", rotation.StepSet); !errors.Is(err, kind) {
				t.Errorf("%s: got %v, want %v", name, err, kind)
			}
		}
	}
}

func TestTheSuperusersLoginIsForTheSameServer(t *testing.T) {
	t.Parallel()
	const secret = `{"host":"db","port":5432,"username":"admin","password":"` + canary + `","dbname":"postgres"}`
	for name, tt := range map[string]struct {
		id, login string
		want      error
	}{
		"the configured secret":     {"super", `{"host":"DB","username":"app","password":"x"}`, nil},
		"the one the value names":   {"", `{"host":"db","username":"app","password":"x","masterarn":"super"}`, nil},
		"none":                      {"", `{"host":"db","username":"app","password":"x"}`, rotation.ErrNoValue},
		"another host":              {"super", `{"host":"evil","username":"app","password":"x"}`, rotation.ErrNoValue},
		"another port":              {"super", `{"host":"db","port":5433,"username":"app","password":"x"}`, rotation.ErrNoValue},
		"a host that is no other":   {"super", `{"host":"localhost","username":"app","password":"x"}`, rotation.ErrNoValue},
		"another host by the value": {"", `{"host":"evil","username":"app","password":"x","masterarn":"super"}`, rotation.ErrConfiguration},
		"another port by the value": {"", `{"host":"db","port":5433,"username":"app","password":"x","masterarn":"super"}`, rotation.ErrConfiguration},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := rotation.ParseCredential(rotation.NewValue(tt.login))
			if err != nil {
				t.Fatal(err)
			}
			got, err := rotation.SuperuserFrom(rotationtest.NewStore(rotation.NewValue(secret), nil), tt.id)(t.Context(), c)
			if !errors.Is(err, tt.want) || err == nil && got.Username != "admin" {
				t.Errorf("got %v, %v, want %v", got, err, tt.want)
			}
		})
	}
}

func TestRetireRevokesOnlyWhatNobodyNeeds(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		current, pending rotation.Value
		want             error
	}{
		"the other user is current":            {value("app_clone", "p2"), rotation.Value{}, nil},
		"the same user has a newer password":   {value("app", "p2"), rotation.Value{}, rotation.ErrReplaced},
		"the same login is current again":      {value("app", "p1"), rotation.Value{}, rotation.ErrInUse},
		"the user is being rotated to":         {value("app_clone", "p2"), value("app", "p3"), rotation.ErrInUse},
		"the user is on a host of other name":  {rotation.NewValue(`{"host":"db2","username":"app","password":"p2"}`), rotation.Value{}, rotation.ErrConfiguration},
		"another database of the same server":  {rotation.NewValue(`{"host":"db","username":"app","password":"p2","dbname":"x"}`), rotation.Value{}, rotation.ErrReplaced},
		"a port that the old value leaves out": {rotation.NewValue(`{"host":"db","port":1,"username":"app","password":"p2"}`), rotation.Value{}, rotation.ErrReplaced},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := rotationtest.NewServer("admin", "a")
			server.SetUser("app", "p1")
			store := rotationtest.NewStore(value("app", "p1"), nil)
			store.Replace("version-2", tt.current)
			if !tt.pending.Empty() {
				if err := store.PutPending(t.Context(), store.Begin("version-3"), tt.pending); err != nil {
					t.Fatal(err)
				}
			}
			for range 2 {
				err := rotation.Retire(t.Context(), store, rotation.Only(rotation.AlternatingUsers{Database: server, Superuser: superuser}), "db", "version-1")
				if !errors.Is(err, tt.want) {
					t.Errorf("got %v, want %v", err, tt.want)
				}
			}
			if revoked := server.Users()["app"] == ""; revoked != (tt.want == nil) {
				t.Errorf("revoked: %v", revoked)
			}
		})
	}
}

func TestRetireSeesARotationThatBeginsMeanwhile(t *testing.T) {
	t.Parallel()
	server := rotationtest.NewServer("admin", "a")
	server.SetUser("app", "p1")
	store := rotationtest.NewStore(value("app", "p1"), nil)
	store.Replace("version-2", value("app_clone", "p2"))
	begins := func(ctx context.Context, c rotation.Credential) (rotation.Credential, error) {
		// Retire has looked at the labels, and has no lock yet.
		if err := store.PutPending(ctx, store.Begin("version-3"), value("app", "p3")); err != nil {
			return c, err
		}
		return superuser(ctx, c)
	}
	if err := rotation.Retire(t.Context(), store, rotation.Only(rotation.AlternatingUsers{Database: server, Superuser: begins}), "db", "version-1"); !errors.Is(err, rotation.ErrInUse) {
		t.Errorf("got %v, want %v", err, rotation.ErrInUse)
	}
	if server.Users()["app"] != "p1" {
		t.Error("a user that is being rotated to was revoked")
	}
}
