package apikey

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rekey-go/rekey/rotation"
)

func TestAMemberIsSetAndAllElseKept(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ value, want string }{
		"it is replaced in its place": {`{ "a" : "old" ,"b":1.0e3}`, `{ "a" : "n<&>\"" ,"b":1.0e3}`},
		"it is added at the end":      {"{\n  \"b\": [1, 2]\n}", "{\n  \"b\": [1, 2], \"a\": \"n<&>\\\"\"\n}"},
		"it is the only one":          {`{ }`, `{ "a": "n<&>\""}`},
		"both of two are set":         {`{"a":1,"a":{"a":"x"}}`, `{"a":"n<&>\"","a":"n<&>\""}`},
		"it is written with escapes":  {`{"\u0061":"old"}`, `{"\u0061":"n<&>\""}`},
		"it is deeper":                {`{"b":{"a":"x"}}`, `{"b":{"a":"x"}, "a": "n<&>\""}`},
		"there is no object":          {`["a"]`, ""},
		"something follows":           {`{"a":"b"} {"a":"b"}`, ""},
		"the value is no JSON":        {`SG.a.b`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := setMember(rotation.NewValue(tt.value), "a", rotation.NewValue(`n<&>"`))
			if diff := cmp.Diff(tt.want, got.Reveal()); diff != "" || (err != nil) != (tt.want == "") {
				t.Errorf("%v; (-want +got)\n%s", err, diff)
			}
			if tt.want != "" && member(got, "a").Reveal() != `n<&>"` {
				t.Errorf("member reads %q", member(got, "a").Reveal())
			}
		})
	}
}

func FuzzSetMember(f *testing.F) {
	for _, seed := range []string{`{"a":"b","c":[1,{"a":2}]}`, `{"a":null}`, ` { } `, `{"":"", "a":"\ud800"}`, `{"a":1,"a":2}`} {
		f.Add(seed, "a", "new")
	}
	f.Fuzz(func(t *testing.T, text, name, to string) {
		var before map[string]json.RawMessage
		isObject := json.Unmarshal([]byte(text), &before) == nil && before != nil
		v, err := setMember(rotation.NewValue(text), name, rotation.NewValue(to))
		if (err == nil) != isObject {
			t.Fatalf("%v of %q", err, text)
		}
		if err != nil {
			return
		}
		var after map[string]json.RawMessage
		if err := json.Unmarshal([]byte(v.Reveal()), &after); err != nil {
			t.Fatalf("%q became %q: %v", text, v.Reveal(), err)
		}
		var key, want string // as JSON has them, which knows no broken UTF-8
		_ = json.Unmarshal([]byte(quote(name)), &key)
		_ = json.Unmarshal([]byte(quote(to)), &want)
		if got := member(v, key).Reveal(); got != want {
			t.Fatalf("%q became %q: the member is %q, want %q", text, v.Reveal(), got, want)
		}
		delete(before, key)
		delete(after, key)
		if diff := cmp.Diff(before, after); diff != "" {
			t.Fatalf("%q became %q (-want +got)\n%s", text, v.Reveal(), diff)
		}
	})
}
