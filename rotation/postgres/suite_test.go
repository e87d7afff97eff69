package postgres

import (
	"fmt"
	"testing"

	"github.com/rekey-go/rekey/internal/pgserver"
	"github.com/rekey-go/rekey/internal/pgserver/pgtest"
	"github.com/rekey-go/rekey/rotation"
	"github.com/rekey-go/rekey/rotation/rotationtest"
)

func TestStrategiesSurviveAKillAtEveryCall(t *testing.T) {
	t.Parallel()
	s := pgtest.Start(t, pgserver.Options{})
	db := database(t, s)
	super := superuserOf(t, s)
	strategies := map[string]func(rotation.Database) rotation.Strategy{
		"single user": func(db rotation.Database) rotation.Strategy { return rotation.SingleUser{Database: db} },
		"alternating users": func(db rotation.Database) rotation.Strategy {
			return rotation.AlternatingUsers{Database: db, Superuser: super}
		},
	}
	for name, strategy := range strategies {
		t.Run(name, func(t *testing.T) {
			n := 0
			rotationtest.Exercise(t, func(t *testing.T) rotationtest.Target {
				t.Helper()
				n++
				user := fmt.Sprintf("%.6s%d", name, n)
				pgtest.Exec(t, s, "postgres", "CREATE ROLE "+quote(user)+" LOGIN PASSWORD 'old'")
				first := rotation.NewValue(fmt.Sprintf(
					`{"engine":"postgres","host":%q,"port":%d,"username":%q,"password":"old","dbname":"postgres"}`, s.Host, s.Port, user))
				return rotationtest.Target{
					Value: first, Wrong: rotationtest.WrongPassword(first), Accepts: rotationtest.Login(db),
					Strategy: func(call rotationtest.Call) rotation.Strategy { return strategy(rotationtest.Database(db, call)) },
				}
			})
		})
	}
}
