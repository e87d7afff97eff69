package mysql

import (
	"fmt"
	"testing"

	"github.com/rekey-go/rekey/internal/mysqltest"
	"github.com/rekey-go/rekey/rotation"
	"github.com/rekey-go/rekey/rotation/rotationtest"
)

// strategies are those that MySQL and MariaDB have, with a superuser's help.
func strategies(super rotation.Superuser) map[string]func(rotation.Database) rotation.Strategy {
	return map[string]func(rotation.Database) rotation.Strategy{
		"single user": func(db rotation.Database) rotation.Strategy { return rotation.SingleUser{Database: db} },
		"alternating users": func(db rotation.Database) rotation.Strategy {
			return rotation.AlternatingUsers{Database: db, Superuser: super, MaxName: MaxName}
		},
		"dual password": func(db rotation.Database) rotation.Strategy {
			return rotation.DualPassword{Database: db, Superuser: super}
		},
	}
}

func TestStrategiesSurviveAKillAtEveryCall(t *testing.T) {
	t.Parallel()
	s := mysqltest.Start(t, mysqltest.Options{})
	db := database(t, s)
	for name, strategy := range strategies(superuserOf(t, s)) {
		t.Run(name, func(t *testing.T) {
			n := 0
			rotationtest.Exercise(t, func(t *testing.T) rotationtest.Target {
				t.Helper()
				n++
				user := fmt.Sprintf("%.6s%d", name, n)
				mysqltest.Exec(t, s, "CREATE USER "+identifier(user)+" IDENTIFIED BY 'old'")
				first := rotation.NewValue(fmt.Sprintf(
					`{"engine":"mysql","host":%q,"port":%d,"username":%q,"password":"old"}`, s.Host, s.Port, user))
				return rotationtest.Target{
					Value: first, Wrong: rotationtest.WrongPassword(first), Accepts: rotationtest.Login(db),
					Strategy: func(call rotationtest.Call) rotation.Strategy { return strategy(rotationtest.Database(db, call)) },
				}
			})
		})
	}
}
