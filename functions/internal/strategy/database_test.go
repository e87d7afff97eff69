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
		want    string // the name of a strategy, or "configuration" for such an error
	}{
		"postgres":                          {`"engine":"postgres"`, "", rotation.NameSingleUser},
		"postgres with a superuser":         {`"engine":"postgres","masterarn":"arn"`, "", rotation.NameAlternatingUsers},
		"mysql":                             {`"engine":"mysql"`, "", rotation.NameDualPassword},
		"aurora-mysql with a superuser":     {`"engine":"aurora-mysql","masterarn":"arn"`, "", rotation.NameDualPassword},
		"mariadb, by a tag":                 {`"engine":"mariadb"`, rotation.NameSingleUser, rotation.NameSingleUser},
		"redis":                             {`"engine":"redis"`, "", rotation.NameDualPassword},
		"valkey with a superuser":           {`"engine":"valkey","masterarn":"arn"`, "", rotation.NameDualPassword},
		"mongo":                             {`"engine":"mongo"`, "", rotation.NameSingleUser},
		"mongo with a superuser":            {`"engine":"mongo","masterarn":"arn"`, "", rotation.NameAlternatingUsers},
		"redis, by a tag":                   {`"engine":"redis"`, rotation.NameAlternatingUsers, rotation.NameAlternatingUsers},
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
			strategy, err := choose(t.Context(), rotation.Secret{Tags: map[string]string{tagStrategy: tt.tag}}, v)
			got := "configuration"
			if named, ok := strategy.(rotation.Namer); ok {
				got = named.Name()
			} else if !errors.Is(err, rotation.ErrConfiguration) {
				got = fmt.Sprintf("%T", strategy)
			}
			if got != tt.want {
				t.Errorf("got %s and %v, want %s", got, err, tt.want)
			}
		})
	}
}
