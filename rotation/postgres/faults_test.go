package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/rekey-go/rekey/internal/pgserver"
	"github.com/rekey-go/rekey/internal/pgserver/pgtest"
	"github.com/rekey-go/rekey/rotation"
	"github.com/rekey-go/rekey/rotation/rotationtest"
)

// The faults that AWS's rotation templates do not get over, each for both
// strategies. Crashes, repeats, overtaken rotations and wrong current values are
// in the suite.

// A scene is a secret with a login at a real server.
type scene struct {
	*rotationtest.Store
	server  *pgserver.Server
	user    string
	rotator *rotation.Rotator
}

// value is one for the scene's server.
func (s *scene) value(user, password string) rotation.Value {
	return rotation.NewValue(fmt.Sprintf(`{"engine":"postgres","host":%q,"port":%d,"username":%q,"password":%q,"dbname":"postgres"}`,
		s.server.Host, s.server.Port, user, password))
}

// rotate runs the four steps.
func (s *scene) rotate(ctx context.Context, token string) error {
	for _, step := range []rotation.Step{rotation.StepCreate, rotation.StepSet, rotation.StepTest, rotation.StepFinish} {
		e := s.Begin(token)
		e.Step = step
		if err := s.rotator.Step(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// works reports what the server makes of the value with a label.
func (s *scene) works(t *testing.T, label string) error {
	t.Helper()
	v, err := s.Get(t.Context(), "", "", label)
	if err != nil {
		t.Fatal(err)
	}
	return rotationtest.Login(database(t, s.server))(t.Context(), v)
}

// eachStrategy runs a test for both strategies, each with a login of its own.
func eachStrategy(t *testing.T, server *pgserver.Server, user string, test func(t *testing.T, s *scene)) {
	t.Helper()
	db := database(t, server)
	strategies := map[string]rotation.Strategy{
		"single user":       rotation.SingleUser{Database: db},
		"alternating users": rotation.AlternatingUsers{Database: db, Superuser: superuserOf(t, server)},
	}
	for name, strategy := range strategies {
		t.Run(name, func(t *testing.T) {
			s := &scene{server: server, user: user + name[:1]}
			pgtest.Exec(t, server, "postgres", "CREATE ROLE "+quote(s.user)+" LOGIN PASSWORD 'old'")
			s.Store = rotationtest.NewStore(s.value(s.user, "old"), nil)
			s.rotator = rotation.New(s.Store, rotation.Options{Choose: rotation.Only(strategy), Logger: slog.New(slog.DiscardHandler)})
			test(t, s)
		})
	}
}

func TestOnlyAVersionWithoutALabelWorks(t *testing.T) {
	t.Parallel()
	eachStrategy(t, pgtest.Start(t, pgserver.Options{}), "app", func(t *testing.T, s *scene) {
		for i := range 5 {
			s.Replace(fmt.Sprint("wrong-", i), s.value(s.user, fmt.Sprint("never set ", i)))
		}
		if err := s.rotate(t.Context(), "version-2"); err != nil {
			t.Fatal(err)
		}
		if err := s.works(t, rotation.LabelCurrent); err != nil {
			t.Errorf("the current login is refused: %v", err)
		}
	})
}

func TestAPasswordIsSuppliedOrRefused(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, pgserver.Options{Settings: map[string]string{"log_statement": "all"}})
	passwords := map[string]error{
		"plain": nil, `it's "quoted"`: nil, `back\slash\\`: nil, "per%cent %s": nil, "pässwörd ✓": nil, "semi;colon -- comment": nil,
		"$1 $$ ${x}": nil, " space ": nil, "/@:?#[]": nil, "new\nline": nil, "emoji 🔑🔑": nil, strings.Repeat("long", 100): nil,
		"": rotation.ErrConfiguration, "md5" + strings.Repeat("0a", 16): rotation.ErrConfiguration,
		"SCRAM-SHA-256$4096:c2FsdA==$a:b": rotation.ErrConfiguration, "nul\x00": rotation.ErrConfiguration,
	}
	n := 0
	for password, want := range passwords {
		n++
		eachStrategy(t, server, fmt.Sprintf("app%d", n), func(t *testing.T, s *scene) {
			c, err := rotation.ParseCredential(s.value(s.user, "old"))
			if err != nil {
				t.Fatal(err)
			}
			supplied, err := c.With(s.user, rotation.NewValue(password))
			if err != nil {
				t.Fatal(err)
			}
			s.Supply("supplied", supplied)
			if err := s.rotate(t.Context(), "version-2"); !errors.Is(err, want) {
				t.Errorf("%q: got %v, want %v", password, err, want)
			}
			if err := s.works(t, rotation.LabelCurrent); err != nil {
				t.Errorf("%q: the current login is refused: %v", password, err)
			}
			if len(password) > 5 && strings.Contains(server.Log(), password) {
				t.Errorf("%q is in the server's log", password)
			}
		})
	}
}

func TestAnyUserNameRotates(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, pgserver.Options{})
	for _, user := range []string{`per%cent`, `quo"te`, `it's`, `back\slash`, `UPPER case`, `ünï✓`, `semi;colon--`, `$1`, strings.Repeat("n", 62)} {
		eachStrategy(t, server, user, func(t *testing.T, s *scene) {
			for _, token := range []string{"version-2", "version-3", "version-4"} {
				if err := s.rotate(t.Context(), token); err != nil {
					t.Fatalf("%q: %v", user, err)
				}
				if err := s.works(t, rotation.LabelCurrent); err != nil {
					t.Errorf("%q: the current login is refused: %v", user, err)
				}
			}
		})
	}
}

func TestATestThatFailsLeavesTheCurrentLoginInForce(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, pgserver.Options{})
	pgtest.Exec(t, server, "postgres", `CREATE DATABASE shop`, `REVOKE CONNECT ON DATABASE shop FROM PUBLIC`)
	eachStrategy(t, server, "app", func(t *testing.T, s *scene) {
		pgtest.Exec(t, server, "postgres", `GRANT CONNECT ON DATABASE shop TO `+quote(s.user))
		s.Replace("version-1b", rotation.NewValue(strings.Replace(s.value(s.user, "old").Reveal(), `"dbname":"postgres"`, `"dbname":"shop"`, 1)))
		for _, step := range []rotation.Step{rotation.StepCreate, rotation.StepSet} {
			e := s.Begin("version-2")
			e.Step = step
			if err := s.rotator.Step(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
		pgtest.Exec(t, server, "postgres", `REVOKE CONNECT ON DATABASE shop FROM `+quote(s.user))
		if err := s.rotate(t.Context(), "version-2"); !errors.Is(err, rotation.ErrPermission) {
			t.Fatalf("got %v, want %v", err, rotation.ErrPermission)
		}
		pgtest.Exec(t, server, "postgres", `GRANT CONNECT ON DATABASE shop TO `+quote(s.user))
		if err := s.works(t, rotation.LabelCurrent); err != nil {
			t.Errorf("after the failed test AWSCURRENT is refused: %v", err)
		}
		if err := s.rotate(t.Context(), "version-2"); err != nil {
			t.Errorf("repeated, when the right is back: %v", err)
		}
	})
}

// A value that names another server must not change a password on the old one.
func TestAServerThatMovedIsLeftAlone(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, pgserver.Options{})
	eachStrategy(t, server, "app", func(t *testing.T, s *scene) {
		moved := strings.Replace(s.value(s.user, "old").Reveal(), fmt.Sprintf(`"port":%d`, server.Port), `"port":1`, 1)
		s.Replace("moved", rotation.NewValue(moved))
		if err := s.rotate(t.Context(), "version-2"); !errors.Is(err, rotation.ErrNetwork) {
			t.Errorf("got %v, want %v", err, rotation.ErrNetwork)
		}
		if _, err := pgtest.Login(t, server, s.user, "old", "postgres"); err != nil {
			t.Errorf("the password on the old server was changed: %v", err)
		}
	})
}

func TestAServerThatNeverAnswersIsGivenUp(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	db := New(reach(t, rotation.ReachOptions{Timeout: 50 * time.Millisecond}))
	store := rotationtest.NewStore(rotation.NewValue(fmt.Sprintf(
		`{"host":"127.0.0.1","port":%d,"username":"app","password":"old"}`, silent.Addr().(*net.TCPAddr).Port)), nil)
	rotator := rotation.New(store, rotation.Options{Choose: rotation.Only(rotation.SingleUser{Database: db}), Logger: slog.New(slog.DiscardHandler)})
	e := store.Begin("version-2")
	e.Step = rotation.StepCreate
	if err := rotator.Step(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	e.Step = rotation.StepSet
	err = rotator.Step(t.Context(), e)
	if !errors.Is(err, rotation.ErrNetwork) || rotation.Explain(err).Code != "network.timeout" {
		t.Errorf("got %v (%s), want %v", err, rotation.Explain(err).Code, rotation.ErrNetwork)
	}
}

func TestAValueThatIsNoLoginSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	db := New(reach(t, rotation.ReachOptions{}))
	for value, want := range map[string]string{
		`canary-4711`: "not a JSON object", `["canary-4711"]`: "not a JSON object", `{"password":"canary-4711","username":"app"}`: `no member "host"`,
		`{"host":"db","password":"canary-4711"}`:                                  `no member "username"`,
		`{"host":"db","username":"app","password":4711}`:                          `"password" of the secret's value is not a string`,
		`{"host":"db","username":"app","password":"canary-4711","port":"many"}`:   `"port"`,
		`{"engine":"db2","host":"db","username":"app","password":"canary-4711"}`:  `"db2"`,
		`{"host":"169.254.169.254","username":"app","password":"canary-4711"}`:    "no target of a rotation",
		`{"host":"db.invalid","username":"app","password":"canary-4711","x":{}} `: "cannot be reached",
	} {
		store := rotationtest.NewStore(rotation.NewValue(value), nil)
		rotator := rotation.New(store, rotation.Options{Choose: rotation.Only(rotation.SingleUser{Database: db}), Logger: slog.New(slog.DiscardHandler)})
		var err error
		for _, step := range []rotation.Step{rotation.StepCreate, rotation.StepSet} {
			e := store.Begin("version-2")
			e.Step = step
			if err = rotator.Step(t.Context(), e); err != nil {
				break
			}
		}
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "4711") {
			t.Errorf("%s: got %v, want %q", value, err, want)
		}
	}
}
