package rotationtest_test

import (
	"context"
	"testing"

	"github.com/rekey-go/rekey/rotation"
	"github.com/rekey-go/rekey/rotation/rotationtest"
)

func TestStrategiesOnAServerInMemory(t *testing.T) {
	t.Parallel()
	admin := func(context.Context, rotation.Credential) (rotation.Credential, error) {
		return rotation.ParseCredential(rotation.NewValue(`{"host":"db","username":"admin","password":"a"}`))
	}
	strategies := map[string]func(rotation.Database) rotation.Strategy{
		"dual password": func(db rotation.Database) rotation.Strategy { return rotation.DualPassword{Database: db} },
		"single user":   func(db rotation.Database) rotation.Strategy { return rotation.SingleUser{Database: db} },
		"alternating users": func(db rotation.Database) rotation.Strategy {
			return rotation.AlternatingUsers{Database: db, Superuser: admin}
		},
	}
	for name, strategy := range strategies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rotationtest.Exercise(t, func(*testing.T) rotationtest.Target {
				server := rotationtest.NewServer("admin", "a")
				server.SetUser("app", "first")
				first := rotation.NewValue(`{"host":"db","username":"app","password":"first","database":"shop"}`)
				return rotationtest.Target{
					Value: first, Wrong: rotationtest.WrongPassword(first), Accepts: rotationtest.Login(server),
					Strategy: func(call rotationtest.Call) rotation.Strategy {
						return strategy(rotationtest.Database(server, call))
					},
				}
			})
		})
	}
}
