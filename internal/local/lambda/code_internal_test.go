package lambda

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/rekey-go/rekey/internal/local/wire"
)

func TestTheTrailHasNoCodeAndNoEnvironment(t *testing.T) {
	t.Parallel()
	got := string(recorded([]byte(`{"Timeout":3,"ZipFile":"canary","Code":{"ZipFile":"canary"},"Environment":{"Variables":{"A":"canary"}}}`), "mine"))
	if want := `{"FunctionName":"mine","Timeout":3}`; got != want {
		t.Errorf("recorded %s, want %s", got, want)
	}
}

// FuzzUnzip looks for an archive that writes outside of its folder.
func FuzzUnzip(f *testing.F) {
	for _, name := range []string{"bootstrap", "../outside", "/absolute", "a/../../outside", `..\outside`, ""} {
		var buf bytes.Buffer
		w := zip.NewWriter(&buf)
		if _, err := w.Create(name); err != nil {
			f.Fatal(err)
		}
		if err := w.Close(); err != nil {
			f.Fatal(err)
		}
		f.Add(buf.Bytes())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		archive, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return
		}
		parent := t.TempDir()
		dir := parent + "/code"
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		_ = unzip(dir, archive) // most are refused
		entries, err := os.ReadDir(parent)
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) != 1 {
			t.Errorf("something was written beside the code: %v", entries)
		}
	})
}

// FuzzDecodeInput looks for a body that the decoder of management calls cannot
// stand, or of which the trail gets something that is no JSON object.
func FuzzDecodeInput(f *testing.F) {
	for _, body := range []string{`{"Code":{"ZipFile":"UEs="}}`, `{"Timeout":"x"}`, `[]`, `null`, ``, `{"Environment":{"Variables":null}}`} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		c := &wire.Call{Operation: "UpdateFunctionConfiguration20150331v2"}
		var in settings
		if decodeInput(httptest.NewRequest(http.MethodPut, "/", strings.NewReader(body)), c, &in) == nil {
			_ = in.apply(new(Function)) // it may refuse
		}
		var members map[string]json.RawMessage
		if err := json.Unmarshal(c.Input, &members); err != nil || members == nil {
			t.Errorf("recorded %s", c.Input)
		}
		for name := range members {
			if slices.Contains([]string{"Code", "ZipFile", "Environment"}, name) {
				t.Errorf("the trail has the member %s", name)
			}
		}
	})
}
