package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestBindings(t *testing.T) {
	t.Parallel()
	const arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:dev-db-AbCdEf"
	tests := map[string]struct {
		flags execFlags
		want  []binding // none is an error
	}{
		"a whole value":     {execFlags{env: []string{"DB=db"}}, []binding{{name: "DB", secret: "db"}}},
		"a member":          {execFlags{env: []string{"DB=db:password"}}, []binding{{name: "DB", secret: "db", member: "password"}}},
		"a member in a row": {execFlags{env: []string{"DB=db:a:b"}}, []binding{{name: "DB", secret: "db", member: "a:b"}}},
		"an ARN":            {execFlags{env: []string{"DB=" + arn}}, []binding{{name: "DB", secret: arn}}},
		"an ARN's member":   {execFlags{files: []string{"DB=" + arn + ":password"}}, []binding{{name: "DB", secret: arn, member: "password", file: true}}},
		"all members":       {execFlags{envJSON: []string{"db"}}, []binding{{secret: "db"}}},
		"nothing":           {execFlags{}, nil},
		"no secret":         {execFlags{env: []string{"DB="}}, nil},
		"no member's name":  {execFlags{env: []string{"=db"}}, nil},
		"no variable":       {execFlags{env: []string{"1DB=db"}}, nil},
		"a path":            {execFlags{files: []string{"../DB=db"}}, nil},
	}
	for name, tt := range tests {
		got, err := tt.flags.bindings()
		if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(binding{})); diff != "" || (err != nil) != (tt.want == nil) {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
}

func TestAMembersVariable(t *testing.T) {
	t.Parallel()
	for member, want := range map[string]string{"password": "PASSWORD", "api-key": "API_KEY", "a.b c": "A_B_C", "schlüssel": "SCHL_SSEL", "key2": "KEY2"} {
		if got := variable(member); got != want {
			t.Errorf("variable(%q) = %q, want %q", member, got, want)
		}
	}
}
