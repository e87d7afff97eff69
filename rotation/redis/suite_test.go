package redis

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/rekey-go/rekey/internal/redistest"
	"github.com/rekey-go/rekey/rotation"
	"github.com/rekey-go/rekey/rotation/rotationtest"
)

// rotatorRights are those of a login that rotates itself or others, as
// docs/rotation.md gives them.
const rotatorRights = "+acl|list +acl|setuser +acl|save +config|rewrite +multi +exec"

func TestStrategiesSurviveAKillAtEveryCall(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.Options{})
	db := database(t, rotation.ReachOptions{CA: s.CA})
	redistest.Do(t, s, "ACL", setUser("rotator", "rotator", rotatorRights)...)
	super := superuserOf(value(s, "rotator", "rotator"))
	strategies := map[string]struct {
		rights   string
		strategy func(rotation.Database) rotation.Strategy
	}{
		"single user": {rotatorRights, func(db rotation.Database) rotation.Strategy { return rotation.SingleUser{Database: db} }},
		"dual password": {"+get", func(db rotation.Database) rotation.Strategy {
			return rotation.DualPassword{Database: db, Superuser: super}
		}},
		"dual password by oneself": {rotatorRights, func(db rotation.Database) rotation.Strategy { return rotation.DualPassword{Database: db} }},
		"alternating users": {"~app:* +@read (~b* +set)", func(db rotation.Database) rotation.Strategy {
			return rotation.AlternatingUsers{Database: db, Superuser: super}
		}},
	}
	for name, tt := range strategies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := 0
			rotationtest.Exercise(t, func(t *testing.T) rotationtest.Target {
				t.Helper()
				n++
				user := fmt.Sprintf("%s-%d", strings.ReplaceAll(name, " ", "-"), n)
				redistest.Do(t, s, "ACL", setUser(user, "old", tt.rights)...)
				first := value(s, user, "old")
				return rotationtest.Target{
					Value: first, Wrong: rotationtest.WrongPassword(first), Accepts: rotationtest.Login(db),
					Strategy: func(call rotationtest.Call) rotation.Strategy { return tt.strategy(rotationtest.Database(db, call)) },
				}
			})
		})
	}
}

func TestTheDocumentationGivesTheRightsThatDo(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/rotation.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "-@all "+rotatorRights+"\n") {
		t.Errorf("docs/rotation.md does not grant %s", rotatorRights)
	}
}

// setUser are the arguments of ACL that make a user with rights.
func setUser(user, password, rights string) []any {
	args := []any{"SETUSER", user, "reset", "on", ">" + password}
	for rule := range strings.FieldsSeq(rights) {
		args = append(args, rule)
	}
	return args
}
