package strategy

import (
	"errors"
	"fmt"
	"testing"

	"github.com/rekey-go/rekey/rotation"
	"github.com/rekey-go/rekey/rotation/rotationtest"
)

func TestAValueChoosesItsStrategy(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		members string
		tag     string
		want    string // a type, or the start of an error
	}{
		"postgres":                          {`"engine":"postgres"`, "", "rotation.SingleUser"},
		"postgres with a superuser":         {`"engine":"postgres","masterarn":"arn"`, "", "rotation.AlternatingUsers"},
		"mysql":                             {`"engine":"mysql"`, "", "rotation.DualPassword"},
		"aurora-mysql with a superuser":     {`"engine":"aurora-mysql","masterarn":"arn"`, "", "rotation.DualPassword"},
		"mariadb, by a tag":                 {`"engine":"mariadb"`, SingleUser, "rotation.SingleUser"},
		"redis":                             {`"engine":"redis"`, "", "rotation.DualPassword"},
		"valkey with a superuser":           {`"engine":"valkey","masterarn":"arn"`, "", "rotation.DualPassword"},
		"mongo":                             {`"engine":"mongo"`, "", "rotation.SingleUser"},
		"mongo with a superuser":            {`"engine":"mongo","masterarn":"arn"`, "", "rotation.AlternatingUsers"},
		"redis, by a tag":                   {`"engine":"redis"`, AlternatingUsers, "rotation.AlternatingUsers"},
		"a kind that nobody knows":          {`"engine":"dbase"`, "", "configuration"},
		"a strategy that nobody knows":      {`"engine":"redis"`, "triple", "configuration"},
		"an engine that is not even a text": {`"engine":7`, "", "configuration"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := rotation.NewValue(`{"host":"db","username":"app","password":"x",` + tt.members + `}`)
			choose, err := Databases(rotationtest.NewStore(v, nil), func(string) string { return "" })
			if err != nil {
				t.Fatal(err)
			}
			strategy, err := choose(t.Context(), rotation.Secret{Tags: map[string]string{Tag: tt.tag}}, v)
			got := fmt.Sprintf("%T", strategy)
			if errors.Is(err, rotation.ErrConfiguration) {
				got = "configuration"
			}
			if got != tt.want {
				t.Errorf("got %s and %v, want %s", got, err, tt.want)
			}
		})
	}
}
