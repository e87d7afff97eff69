package pattern_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/rekey-go/rekey/internal/local/events/pattern"
)

// verdict is one case of testdata/verdicts.json.
type verdict struct {
	Name    string            `json:"name"`
	Pattern json.RawMessage   `json:"pattern"`
	Match   []json.RawMessage `json:"match"`
	NoMatch []json.RawMessage `json:"nomatch"`
}

// refusal is one case of testdata/refused.json. Its pattern is a string, for
// it may not be JSON.
type refusal struct {
	Name    string `json:"name"`
	Pattern string `json:"pattern"`
	Reason  string `json:"reason"`
}

func load[T any](tb testing.TB, file string) []T {
	tb.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	var cases []T
	if err := json.Unmarshal(data, &cases); err != nil {
		tb.Fatalf("%s: %v", file, err)
	}
	return cases
}

func parse(tb testing.TB, data []byte) *pattern.Event {
	tb.Helper()
	e, err := pattern.ParseEvent(data)
	if err != nil {
		tb.Fatalf("ParseEvent(%s): %v", data, err)
	}
	return e
}

func TestMatch(t *testing.T) {
	t.Parallel()
	for _, tt := range load[verdict](t, "testdata/verdicts.json") {
		t.Run(tt.Name, func(t *testing.T) {
			t.Parallel()
			p, err := pattern.Compile(tt.Pattern)
			if err != nil {
				t.Fatalf("Compile(%s): %v", tt.Pattern, err)
			}
			for _, event := range tt.Match {
				if !p.Match(parse(t, event)) {
					t.Errorf("%s does not match %s", tt.Pattern, event)
				}
			}
			for _, event := range tt.NoMatch {
				if p.Match(parse(t, event)) {
					t.Errorf("%s matches %s", tt.Pattern, event)
				}
			}
		})
	}
}

func TestCompileRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range load[refusal](t, "testdata/refused.json") {
		t.Run(tt.Name, func(t *testing.T) {
			t.Parallel()
			_, err := pattern.Compile([]byte(tt.Pattern))
			invalid, ok := errors.AsType[*pattern.InvalidError](err)
			if !ok {
				t.Fatalf("Compile(%s) = %v, want an InvalidError", tt.Pattern, err)
			}
			if invalid.Reason != tt.Reason {
				t.Errorf("Compile(%s): reason %q, want %q", tt.Pattern, invalid.Reason, tt.Reason)
			}
		})
	}
}

func TestCompileBoundsAlternatives(t *testing.T) {
	t.Parallel()
	// Eleven relations of two branches each multiply out to 2048.
	text := `"x": ["y"]`
	for i := range 11 {
		text = fmt.Sprintf(`"level%d": {"$or": [{"a": [1]}, {"b": [2]}], %s}`, i, text)
	}
	_, err := pattern.Compile([]byte("{" + text + "}"))
	if err == nil || !strings.Contains(err.Error(), "Rule is too complex") {
		t.Errorf("Compile of 2048 alternatives: %v, want a refusal", err)
	}
}

func TestParseEventRefuses(t *testing.T) {
	t.Parallel()
	if _, err := pattern.ParseEvent([]byte(`[1]`)); !errors.Is(err, pattern.ErrNotObject) {
		t.Errorf("ParseEvent of a list: %v, want ErrNotObject", err)
	}
	if _, err := pattern.ParseEvent([]byte(`{`)); err == nil {
		t.Error("ParseEvent of half an object: no error")
	}
	deep := `{"a":` + strings.Repeat("[", 2000) + strings.Repeat("]", 2000) + `}`
	if _, err := pattern.ParseEvent([]byte(deep)); !errors.Is(err, pattern.ErrTooDeep) {
		t.Errorf("ParseEvent of 2000 levels: %v, want ErrTooDeep", err)
	}
}

// TestMatchStaysLinear matches what takes a matcher that tries all
// combinations longer than the test may run.
func TestMatchStaysLinear(t *testing.T) {
	t.Parallel()
	const n = 2000
	many := func(member string) string { return strings.TrimSuffix(strings.Repeat(member+",", n), ",") }
	tests := map[string]struct{ pattern, event string }{
		"lists beside each other": {
			pattern: `{"a": ["x"], "b": ["x"], "c": ["x"], "d": ["x"], "e": ["y"]}`,
			event: fmt.Sprintf(`{"a": [%[1]s], "b": [%[1]s], "c": [%[1]s], "d": [%[1]s], "e": [%[1]s]}`,
				many(`"x"`)),
		},
		"fields of many objects": {
			pattern: `{"l": {"a": ["x"], "b": ["x"], "c": ["x"], "d": ["y"]}}`,
			event:   `{"l": [` + many(`{"a": ["x", "x"], "b": ["x", "x"], "c": "x", "d": "x"}`) + `]}`,
		},
		"lists within lists": {
			pattern: `{"l": {"m": {"a": ["x"], "b": ["y"]}, "n": {"a": ["x"], "b": ["y"]}}}`,
			event:   `{"l": [{"m": [` + many(`{"a": "x"}, {"b": "y"}`) + `], "n": [` + many(`{"a": "x"}, {"b": "y"}`) + `]}]}`,
		},
		"a wildcard with many stars": {
			pattern: `{"s": [{"wildcard": "*ab*ac*bb*bc*cb*cc*d"}]}`,
			event:   `{"s": "` + strings.Repeat("abacbbbccb", 20*n) + `"}`,
		},
		"a long name around many short ones": {
			pattern: `{"x": {"a": ["y"]}}`,
			event:   `{"` + strings.Repeat("x", 100*n) + `": {` + many(`"a": "x"`) + `}}`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := pattern.Compile([]byte(tt.pattern))
			if err != nil {
				t.Fatal(err)
			}
			if p.Match(parse(t, []byte(tt.event))) {
				t.Errorf("%s matches", tt.pattern)
			}
		})
	}
}

func FuzzCompile(f *testing.F) {
	for _, tt := range load[verdict](f, "testdata/verdicts.json") {
		for _, event := range append(tt.Match, tt.NoMatch...) {
			f.Add([]byte(tt.Pattern), []byte(event))
		}
	}
	for _, tt := range load[refusal](f, "testdata/refused.json") {
		f.Add([]byte(tt.Pattern), []byte(`{"a": "x"}`))
	}
	f.Fuzz(func(t *testing.T, text, event []byte) {
		p, err := pattern.Compile(text)
		if err != nil {
			if _, ok := errors.AsType[*pattern.InvalidError](err); !ok {
				t.Errorf("Compile(%q) = %T, want an InvalidError", text, err)
			}
			return
		}
		e, err := pattern.ParseEvent(event)
		if err != nil {
			return
		}
		if first := p.Match(e); p.Match(e) != first {
			t.Errorf("Match of %q and %q changes from call to call", text, event)
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	p, err := pattern.Compile([]byte(`{
		"source": ["aws.secretsmanager"],
		"detail-type": ["Secret Label Updated"],
		"detail": {"labelUpdated": ["AWSCURRENT"], "name": [{"prefix": "dev-"}]}
	}`))
	if err != nil {
		b.Fatal(err)
	}
	e := parse(b, []byte(labelUpdated))
	b.ReportAllocs()
	for b.Loop() {
		if !p.Match(e) {
			b.Fatal("no match")
		}
	}
}

func BenchmarkParseEvent(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		parse(b, []byte(labelUpdated))
	}
}

const labelUpdated = `{
	"version": "0", "id": "1f5cdb9c", "source": "aws.secretsmanager",
	"detail-type": "Secret Label Updated", "account": "123456789012",
	"time": "2026-01-02T03:04:05Z", "region": "us-east-1",
	"resources": ["arn:aws:secretsmanager:us-east-1:123456789012:secret:dev-jwt-a1b2c3"],
	"detail": {"name": "dev-jwt", "labelUpdated": "AWSCURRENT", "versionId": "v1"}
}`

func ExamplePattern_Match() {
	p, err := pattern.Compile([]byte(`{"detail": {"name": [{"prefix": "dev-"}]}}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, name := range []string{"dev-jwt", "prod-jwt"} {
		event, err := pattern.ParseEvent(fmt.Appendf(nil, `{"detail": {"name": %q}}`, name))
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(name, p.Match(event))
	}
	// Output:
	// dev-jwt true
	// prod-jwt false
}
