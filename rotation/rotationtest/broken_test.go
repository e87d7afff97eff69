package rotationtest_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/rekey-go/rekey/rotation"
	"github.com/rekey-go/rekey/rotation/rotationtest"
)

// noRestore cannot put the current password back.
type noRestore struct{ rotation.Strategy }

// noSet lets the server know nothing.
type noSet struct{ rotation.SingleUser }

func (noSet) Set(context.Context, rotation.Change) error  { return nil }
func (noSet) Test(context.Context, rotation.Change) error { return nil }

// talkative tells the value in its errors.
type talkative struct{ rotation.SingleUser }

func (s talkative) Set(ctx context.Context, c rotation.Change) error {
	if err := s.SingleUser.Set(ctx, c); err != nil {
		return fmt.Errorf("setting %s: %w", c.Pending.Reveal(), err)
	}
	return nil
}

// hasty revokes the old user in the rotation.
type hasty struct{ rotation.AlternatingUsers }

func (s hasty) Test(ctx context.Context, c rotation.Change) error {
	pending, err := rotation.ParseCredential(c.Pending)
	if err != nil {
		return err
	}
	super, err := s.Superuser(ctx, pending)
	if err != nil {
		return err
	}
	session, err := s.Database.Login(ctx, super)
	if err != nil {
		return err
	}
	return session.Revoke(ctx, "app", func(context.Context) error { return nil })
}

// TestBroken runs the suite over the strategy that is broken as REKEY_BROKEN
// says. TestTheSuiteFindsBrokenStrategies starts it.
func TestBroken(t *testing.T) {
	t.Parallel()
	broken := map[string]func(rotation.Database) rotation.Strategy{
		"no restore": func(db rotation.Database) rotation.Strategy { return noRestore{rotation.SingleUser{Database: db}} },
		"no set":     func(db rotation.Database) rotation.Strategy { return noSet{rotation.SingleUser{Database: db}} },
		"talkative":  func(db rotation.Database) rotation.Strategy { return talkative{rotation.SingleUser{Database: db}} },
		"hasty": func(db rotation.Database) rotation.Strategy {
			return hasty{rotation.AlternatingUsers{Database: db, Superuser: admin}}
		},
	}
	strategy := broken[os.Getenv("REKEY_BROKEN")]
	if strategy == nil {
		t.Skip("it is for TestTheSuiteFindsBrokenStrategies")
	}
	m := models()["single user"]
	rotationtest.Exercise(t, func(*testing.T) rotationtest.Target {
		server := m.Server()
		return rotationtest.Target{
			Value: m.Value, Wrong: rotationtest.WrongPassword(m.Value), Accepts: rotationtest.Login(server),
			Strategy: func(call rotationtest.Call) rotation.Strategy { return strategy(rotationtest.Database(server, call)) },
		}
	})
}

func TestTheSuiteFindsBrokenStrategies(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"no restore": "after a failed test AWSCURRENT is refused",
		"no set":     "AWSCURRENT is refused",
		"talkative":  "a secret value is in a log line or an error",
		"hasty":      "was refused before it was retired",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			suite := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestBroken$")
			suite.Env = append(os.Environ(), "REKEY_BROKEN="+name)
			out, err := suite.CombinedOutput()
			if err == nil || !strings.Contains(string(out), want) {
				t.Errorf("the suite ended with %v and said:\n%s\nwant %q", err, out, want)
			}
		})
	}
}
