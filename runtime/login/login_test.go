package login_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/rekey-go/rekey/runtime/internal/stagetest"
	"github.com/rekey-go/rekey/runtime/login"
	"github.com/rekey-go/rekey/runtime/secrets"
)

func secret(t *testing.T, value string) *secrets.Secret {
	t.Helper()
	s, err := stagetest.New(value).Client().Get(t.Context(), "db")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestParse(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		value string
		want  string // engine user:password@host:port/database@source plaintext
		fails string
	}{
		"as AWS's templates write it": {
			value: `{"engine":"postgres","host":"h","port":6432,"username":"u","password":"hunter2","dbname":"d","masterarn":"arn"}`,
			want:  "postgres u:hunter2@h:6432/d@ false",
		},
		"the short form": {
			value: `{"host":"h","username":"u","password":"hunter2","database":"d"}`,
			want:  " u:hunter2@h:5432/d@ false",
		},
		"a port in quotes": {
			value: `{"host":"::1","username":"u","port":"6432","password":"hunter2"}`,
			want:  " u:hunter2@[::1]:6432/@ false",
		},
		"no port": {
			value: `{"host":"h","username":"u","port":null,"password":"hunter2"}`,
			want:  " u:hunter2@h:5432/@ false",
		},
		"MongoDB's": {
			value: `{"engine":"mongo","host":"h","username":"u","password":"hunter2","authSource":"admin","ssl":"FALSE"}`,
			want:  "mongo u:hunter2@h:5432/@admin true",
		},
		"no password":       {value: `{"host":"h","username":"u"}`, fails: `"password" is missing`},
		"an empty password": {value: `{"host":"h","username":"u","password":""}`, fails: `"password" is missing`},
		"no host":           {value: `{"username":"u","password":"hunter2"}`, fails: `"host" is missing`},
		"a bad port":        {value: `{"host":"h","username":"u","password":"hunter2","port":"hunter2"}`, fails: "shape"},
		"a port too high":   {value: `{"host":"h","username":"u","password":"hunter2","port":65536}`, fails: "shape"},
		"no JSON":           {value: `hunter2`, fails: "shape"},
		"another shape":     {value: `["hunter2"]`, fails: "shape"},
		"a bad member":      {value: `{"host":"h","username":"u","password":["hunter2"]}`, fails: "shape"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, err := login.Parse(secret(t, tt.value), "host", "username", "password")
			if tt.fails != "" {
				if !errors.Is(err, secrets.ErrDecode) || !strings.Contains(err.Error(), tt.fails) || strings.Contains(err.Error(), "hunter2") {
					t.Errorf("got %v, want an ErrDecode with %q and without the value", err, tt.fails)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := fmt.Sprintf("%s %s:%s@%s/%s@%s %v", l.Engine, l.Username, l.Password(), l.Addr(5432), l.Database, l.AuthSource, l.Plaintext)
			if got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestALoginPrintsWithoutItsPassword(t *testing.T) {
	t.Parallel()
	l, err := login.Parse(secret(t, `{"host":"h","username":"u","password":"hunter2"}`))
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("", "login", l)
	inside := struct{ l login.Login }{l}
	texts := []string{log.String()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		texts = append(texts, fmt.Sprintf(verb, l), fmt.Sprintf(verb, inside), fmt.Sprintf(verb, &inside))
	}
	for _, text := range texts {
		if strings.Contains(text, "hunter2") || strings.Contains(text, fmt.Sprintf("%x", "hunter2")) {
			t.Errorf("it prints as %s", text)
		}
	}
}

func ExampleParse() {
	client := stagetest.New(`{"engine":"mariadb","host":"db.internal","username":"app","password":"secret"}`).Client()
	s, err := client.Get(context.Background(), "db")
	if err != nil {
		fmt.Println(err)
		return
	}
	l, err := login.Parse(s, "host", "username", "password")
	fmt.Println(l.Username, l.Addr(3306), err)
	// Output: app db.internal:3306 <nil>
}
