package cloudtrail

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// FuzzReadBack gives the readers of the journal and of log files whatever may
// lie on a disk: they answer with records or an error.
func FuzzReadBack(f *testing.F) {
	for _, text := range []string{
		"", "\n", "null\n", "[]\n{}\n", `{"eventTime":"2026-11-24T10:00:00Z","eventID":"e-1"}` + "\n" + `{"eventTime":"2026-1`,
		`{"Records":[{"eventTime":"2026-11-24T10:00:00Z","requestParameters":3,"userIdentity":{"type":"AssumedRole","principalId":"a"}}]}`,
		`{"eventTime":"2026-11-24T10:00:00Z","userIdentity":{"type":"AssumedRole","sessionContext":{"sessionIssuer":{"principalId":"abc"}}}}` + "\n",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, journalFile), data, 0o600); err != nil {
			t.Fatal(err)
		}
		entries, broken, err := readJournal(dir)
		if err != nil || len(entries)+broken > bytes.Count(data, []byte("\n")) {
			t.Errorf("readJournal: %d records, %d broken lines, %v", len(entries), broken, err)
		}
		_ = eachRecord(bytes.NewReader(data), func(raw json.RawMessage) error { // whatever comes of it
			_, err := readEntry(raw)
			return err
		})
	})
}
