package rotationtest_test

import (
	"context"
	"maps"
	"testing"

	"github.com/rekey-go/rekey/rotation"
	"github.com/rekey-go/rekey/rotation/rotationtest"
)

func admin(context.Context, rotation.Credential) (rotation.Credential, error) {
	return rotation.ParseCredential(rotation.NewValue(`{"host":"db","username":"admin","password":"a"}`))
}

// models are the strategies for databases, on a server in memory.
func models() map[string]rotationtest.Model {
	strategies := map[string]func(rotation.Database) rotation.Strategy{
		"single user":   func(db rotation.Database) rotation.Strategy { return rotation.SingleUser{Database: db} },
		"dual password": func(db rotation.Database) rotation.Strategy { return rotation.DualPassword{Database: db} },
		"alternating users": func(db rotation.Database) rotation.Strategy {
			return rotation.AlternatingUsers{Database: db, Superuser: admin}
		},
	}
	all := map[string]rotationtest.Model{}
	for name, strategy := range strategies {
		all[name] = rotationtest.Model{
			Value:    rotation.NewValue(`{"host":"db","username":"app","password":"the first password","database":"shop"}`),
			Strategy: strategy,
			Server: func() *rotationtest.Server {
				server := rotationtest.NewServer("admin", "a")
				server.SetUser("app", "the first password")
				return server
			},
		}
	}
	return all
}

func TestStrategiesOnAServerInMemory(t *testing.T) {
	t.Parallel()
	for name, m := range models() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rotationtest.Exercise(t, func(*testing.T) rotationtest.Target {
				server := m.Server()
				return rotationtest.Target{
					Value: m.Value, Wrong: rotationtest.WrongPassword(m.Value), Accepts: rotationtest.Login(server),
					Strategy: func(call rotationtest.Call) rotation.Strategy {
						return m.Strategy(rotationtest.Database(server, call))
					},
				}
			})
		})
	}
}

// explored are the models to go through one by one. The race detector makes
// that slow, and learns no more from the second than from the first.
func explored() map[string]rotationtest.Model {
	all := models()
	if rotationtest.Raced {
		maps.DeleteFunc(all, func(name string, _ rotationtest.Model) bool { return name != "single user" })
	}
	return all
}

func TestEveryStateIsGood(t *testing.T) {
	t.Parallel()
	for name, m := range explored() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			explored := rotationtest.Explore(t, m)
			t.Logf("%s: %d states, %d transitions", name, explored.States, explored.Transitions)
		})
	}
}

func TestTwoProcessesComeToTheSameEnd(t *testing.T) {
	t.Parallel()
	for name, m := range explored() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			t.Logf("%s: %d orders of calls", name, rotationtest.Interleave(t, m))
		})
	}
}
