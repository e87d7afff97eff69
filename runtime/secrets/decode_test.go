package secrets

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestAMisfitIsNamedAndNotQuoted(t *testing.T) {
	t.Parallel()
	type inner struct {
		Port int8 `json:"port"`
	}
	type shape struct {
		inner
		User   string           `json:"user"`
		Hosts  []inner          `json:"hosts"`
		Limits map[string]int8  `json:"limits"`
		ByName map[string]inner `json:"by_name"`
	}
	const hidden = "987654321"
	tests := map[string]struct{ value, want string }{
		"a number that is too large": {`{"port": ` + hidden + `}`, `field "inner.port" is not of type int8`},
		"a number for a string":      {`{"user": ` + hidden + `}`, `field "user" is not of type string`},
		"a string for an object":     {`{"hosts": ["` + hidden + `"]}`, `field "hosts" is not of type secrets.inner`},
		"deep inside":                {`{"hosts": [{"port": "` + hidden + `"}]}`, `field "hosts.port" is not of type int8`},
		"under a key":                {`{"limits": {"` + hidden + `": "x"}}`, `field "limits" is not of type int8`},
		"below a key":                {`{"by_name": {"` + hidden + `": {"port": "x"}}}`, `field "by_name.port" is not of type int8`},
		"an array for all of it":     {`["` + hidden + `"]`, "it, or a part of it, is not of type secrets.shape"},
		"no JSON":                    {hidden + `"`, "it is not JSON"},
		"nothing":                    {"", "it is not JSON"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := decode[shape](&Secret{value: &tt.value, name: dbName, version: "v1"})
			if !errors.Is(err, ErrDecode) || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), hidden) {
				t.Errorf("got %v; want ErrDecode with %q, without the value", err, tt.want)
			}
		})
	}
	quoting := &json.UnmarshalTypeError{Value: "number " + hidden, Field: "limits." + hidden, Type: reflect.TypeFor[int8]()}
	if got := misfit(reflect.TypeFor[shape](), quoting); strings.Contains(got, hidden) {
		t.Errorf("a decoder that names keys: %s", got)
	}
}

func TestAValueOfUnknownShape(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		value string
		want  any
	}{
		"an empty object":       {`{}`, map[string]any{}},
		"an empty list":         {`[]`, []any{}},
		"an object":             {`{"a": {"b": [1, "2"]}}`, map[string]any{"a": map[string]any{"b": []any{json.Number("1"), "2"}}}},
		"a string in quotes":    {`"x"`, "x"},
		"a number":              {`123`, json.Number("123")},
		"a number to its digit": {`12345678901234567890`, json.Number("12345678901234567890")},
		"a truth value":         {`true`, true},
		"null":                  {`null`, nil},
		"a broken object":       {`{bad`, `{bad`},
		"two values":            {`{} {}`, `{} {}`},
		"a leading zero":        {`0123`, `0123`},
		"a plain text":          {`sk_live_x`, `sk_live_x`},
		"nothing":               {``, ``},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := (&Secret{value: &tt.value}).RevealAny(); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("RevealAny of %q = %#v, want %#v", tt.value, got, tt.want)
			}
		})
	}
}

func FuzzDecodeQuotesNothing(f *testing.F) {
	f.Add("hunter2", uint8(0))
	f.Fuzz(func(t *testing.T, hidden string, form uint8) {
		type shape struct {
			Port   int8
			Limits map[string]int8
		}
		if len(hidden) < 6 || strings.Contains("decoding secret(dev-db@v1) into secrets.shape: it, or a part of it, is not of type it is not JSON does not fit field the value has not the expected shape", hidden) {
			t.Skip()
		}
		quoted, err := json.Marshal(hidden)
		if err != nil {
			t.Skip()
		}
		forms := []string{hidden, string(quoted), `{"port":` + string(quoted) + `}`, `{"limits":{` + string(quoted) + `:"x"}}`, `{"port":1` + hidden + `}`}
		value := forms[int(form)%len(forms)]
		if _, err := decode[shape](&Secret{value: &value, name: dbName, version: "v1"}); err != nil && strings.Contains(err.Error(), hidden) {
			t.Errorf("%q is quoted in %v", hidden, err)
		}
	})
}
