package source_test

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rekey-go/rekey/audit/source"
)

// TestRealLogs compares what is found in a folder of real log files with what a
// decoder of JSON finds. REKEY_CLOUDTRAIL_LOGS names the folder.
func TestRealLogs(t *testing.T) {
	t.Parallel()
	dir := os.Getenv("REKEY_CLOUDTRAIL_LOGS")
	if dir == "" {
		t.Skip("NOT TESTED: REKEY_CLOUDTRAIL_LOGS names no folder of log files")
	}
	type event struct{ EventID, EventSource string }
	var want, got []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".json") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var file struct{ Records []event }
		if json.Unmarshal(text, &file) != nil {
			if err := json.Unmarshal(text, &file.Records); err != nil {
				t.Logf("%s is no list of records: %v", path, err)
			}
		}
		for _, e := range file.Records {
			if e.EventSource == "secretsmanager.amazonaws.com" {
				want = append(want, e.EventID)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for raw, err := range source.Files([]string{dir}).Records(t.Context()) {
		var e event
		if err != nil || json.Unmarshal(raw, &e) != nil {
			t.Errorf("%v: %s", err, raw)
		}
		if e.EventSource == "secretsmanager.amazonaws.com" {
			got = append(got, e.EventID)
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" || len(want) == 0 {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	t.Logf("%d events of Secrets Manager", len(got))
}
