package audit

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// folded matches letters that only Unicode folds, and the decoder does not.
var folded = regexp.MustCompile(`(?i)\\u(017f|212a)|\x{17f}|\x{212a}`)

// checkDecode compares the decoder with encoding/json.
func checkDecode(t *testing.T, raw []byte) {
	t.Helper()
	if folded.Match(raw) || repeats(raw) {
		return
	}
	var got, want record
	err := decode(raw, &got)
	wantErr := json.Unmarshal(raw, &want)
	_, isType := errors.AsType[*json.UnmarshalTypeError](wantErr)
	switch {
	case wantErr == nil && err != nil, isType && !errors.Is(err, errOtherType), wantErr != nil && !isType && !errors.Is(err, errNoJSON):
		t.Fatalf("decode(%q): %v, want %v", raw, err, wantErr)
	case wantErr != nil && !isType:
		return
	}
	if diff := cmp.Diff(want, got, cmp.Exporter(func(reflect.Type) bool { return true }), cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("decode(%q) (-want +got):\n%s", raw, diff)
	}
}

// repeats reports whether a list of a record may be given twice: encoding/json
// then mixes the elements of the two.
func repeats(raw []byte) bool {
	var text strings.Builder
	dec := json.NewDecoder(strings.NewReader(string(raw)))
	for {
		token, err := dec.Token()
		if err != nil {
			break
		}
		if s, ok := token.(string); ok {
			text.WriteString("|" + strings.ToLower(s) + "|")
		}
	}
	for _, list := range []string{"resources", "versionstages", "secretidlist", "filters", "values", "addreplicaregions", "removereplicaregions"} {
		if strings.Count(text.String(), "|"+list+"|") > 1 {
			return true
		}
	}
	return false
}

func TestDecodeDoesWhatJSONDoes(t *testing.T) {
	t.Parallel()
	for name, raw := range map[string]string{
		"nothing":              ``,
		"another value":        `[1]`,
		"none":                 `null`,
		"members in any case":  `{"USERIDENTITY":{"arn":"a","sessionContext":{"sessionIssuer":{"aRN":"b"}}},"eventtime":"t"}`,
		"escapes":              `{"userAgent":"a\"\\\u00e9\ud83d\ude00\ud83d","event\u0053ource":"s"}`,
		"bytes of no text":     "{\"userAgent\":\"a\xff\xffb\"}",
		"a control character":  "{\"userAgent\":\"a\nb\"}",
		"a wrong escape":       `{"userAgent":"\x"}`,
		"members of none":      `{"requestParameters":null,"resources":null,"eventSource":null}`,
		"other types":          `{"requestParameters":["x"],"eventTime":5,"userIdentity":"x","resources":{"a":[]},"eventName":{"b":[1]},"eventSource":"s"}`,
		"elements of a list":   `{"resources":[{"ARN":"a"},{},null,5,{"accountId":"x","arn":"b"}],"requestParameters":{"versionStages":["a",null,5,"b"]}}`,
		"a list twice":         `{"requestParameters":{"versionStages":[]}}`,
		"flags":                `{"requestParameters":{"blockPublicPolicy":false,"forceDeleteWithoutRecovery":true}}`,
		"a flag of none":       `{"requestParameters":{"blockPublicPolicy":null,"forceDeleteWithoutRecovery":1}}`,
		"a flag that is none":  `{"requestParameters":{"blockPublicPolicy":"true"}}`,
		"numbers":              `{"requestParameters":{"recoveryWindowInDays":7.5e0,"pendingWindowInDays":-0}}`,
		"a number too large":   `{"requestParameters":{"recoveryWindowInDays":1e999}}`,
		"a number as a text":   `{"requestParameters":{"recoveryWindowInDays":"7"}}`,
		"wrong numbers":        `{"a":01}`,
		"wrong number":         `{"requestParameters":{"recoveryWindowInDays":+1}}`,
		"words that are none":  `{"a":nul}`,
		"flags that are none":  `{"requestParameters":{"forceDeleteWithoutRecovery":truth}}`,
		"a comma too many":     `{"a":1,}`,
		"a comma in a list":    `{"a":[1,]}`,
		"a comma to begin":     `{,"a":1}`,
		"no comma":             `{"a":1"b":2}`,
		"no colon":             `{"a"1}`,
		"no name":              `{1:1}`,
		"something after it":   `{} {}`,
		"white space":          " {\t\"a\" :\r\n[ ] , \"eventName\" : \"n\" } ",
		"white space of none":  "\v{}",
		"it is cut off":        `{"a":{"b":[1,"c`,
		"brackets of two":      `{"a":[1}`,
		"deeper than may be":   strings.Repeat("[", 10_001) + strings.Repeat("]", 10_001),
		"as deep as may be":    `{"a":` + strings.Repeat("[", 9_999) + strings.Repeat("]", 9_999) + `}`,
		"a struct twice":       `{"userIdentity":{"type":"a"},"userIdentity":{"arn":"b"}}`,
		"a name without end":   `{"` + strings.Repeat("a", 100) + `":1}`,
		"a text with an equal": `{"eventName":"a","EVENTNAME":"b"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checkDecode(t, []byte(raw))
		})
	}
}

func FuzzDecode(f *testing.F) {
	err := filepath.WalkDir("../testdata/cloudtrail/AWSLogs", func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		for line := range strings.Lines(string(text)) {
			f.Add([]byte(strings.TrimSuffix(strings.TrimSpace(line), ",")))
		}
		return err
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(checkDecode)
}
