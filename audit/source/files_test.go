package source_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
	"go.uber.org/goleak"

	"github.com/rekey-go/rekey/audit"
	"github.com/rekey-go/rekey/audit/source"
)

func TestMain(m *testing.M) {
	if mode := os.Getenv(measured); mode != "" {
		os.Exit(measure(mode, os.Getenv(corpusFolder)))
	}
	goleak.VerifyTestMain(m)
}

func record(id string) string {
	return fmt.Sprintf(`{"eventID":%q,"eventSource":"secretsmanager.amazonaws.com"}`, id)
}

func packed(t *testing.T, text string) []byte {
	t.Helper()
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	if _, err := io.WriteString(z, text); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// write makes the files of a test, by their path in a folder.
func write(t *testing.T, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, data := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, data, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// collect returns the ids of a source's records, in order, and its errors.
func collect(src audit.Source) (ids []string, errs []error) {
	for raw, err := range src.Records(context.Background()) {
		if err != nil {
			errs = append(errs, err)
			continue
		}
		id := string(raw)[len(`{"eventID":"`):]
		ids = append(ids, id[:strings.IndexByte(id, '"')])
	}
	slices.Sort(ids)
	return ids, errs
}

func TestFilesOfAllKinds(t *testing.T) {
	t.Parallel()
	dir := write(t, map[string][]byte{
		"AWSLogs/1/CloudTrail/eu-west-1/2026/03/02/1_CloudTrail_x.json.gz":               packed(t, `{"Records":[`+record("a")+`,`+record("b")+`]}`),
		"AWSLogs/1/CloudTrail-Digest/eu-west-1/2026/03/02/1_CloudTrail-Digest_x.json.gz": packed(t, record("digest")),
		"export.json":      []byte(`[` + record("c") + `]`),
		"lines.jsonl":      []byte(record("d") + "\n" + record("e")),
		"named-wrong.json": packed(t, record("f")),
		"notes.txt":        []byte(record("text")),
		"empty.json":       nil,
	})
	ids, errs := collect(source.Files([]string{dir}))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	if diff := cmp.Diff([]string{"a", "b", "c", "d", "e", "f"}, ids); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	ids, errs = collect(source.Files([]string{filepath.Join(dir, "notes.txt"), "-"}, func(o *source.LogsOptions) { o.Stdin = strings.NewReader(record("stdin")) }))
	if diff := cmp.Diff([]string{"stdin", "text"}, ids); diff != "" || len(errs) > 0 {
		t.Errorf("records of a file and of standard input (-want +got):\n%s%v", diff, errs)
	}
}

func TestFilesOfTheDaysInQuestion(t *testing.T) {
	t.Parallel()
	files := make(map[string][]byte)
	for day := 1; day <= 9; day++ {
		files[fmt.Sprintf("AWSLogs/1/CloudTrail/eu-west-1/2026/03/%02d/x.json", day)] = []byte(record(fmt.Sprint("day-", day)))
	}
	dir := write(t, files)
	ids, errs := collect(source.Files([]string{dir}, func(o *source.LogsOptions) {
		o.From = time.Date(2026, 3, 3, 12, 0, 0, 0, time.UTC)
		o.To = time.Date(2026, 3, 5, 12, 0, 0, 0, time.UTC)
	}))
	// The files of the day after may have events of the last one.
	if diff := cmp.Diff([]string{"day-3", "day-4", "day-5", "day-6"}, ids); diff != "" || len(errs) > 0 {
		t.Errorf("records (-want +got):\n%s%v", diff, errs)
	}
}

func TestADamagedFileIsReadAsFarAsItGoes(t *testing.T) {
	t.Parallel()
	var long strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&long, "%s\n", record(fmt.Sprintf("%08x", i*2654435761)))
	}
	whole := packed(t, long.String())
	dir := write(t, map[string][]byte{
		"cut.json.gz":    whole[:len(whole)/2],
		"whole.json":     []byte(record("whole")),
		"no-gzip.json":   {0x1f, 0x8b, 0},
		"half-line.json": []byte(record("first") + "\n" + record("half")[:60]),
	})
	ids, errs := collect(source.Files([]string{dir}))
	var skipped []string
	for _, err := range errs {
		s, ok := errors.AsType[*audit.SkippedError](err)
		if !ok {
			t.Errorf("error %v is no SkippedError", err)
			continue
		}
		skipped = append(skipped, filepath.Base(s.What))
	}
	slices.Sort(skipped)
	if diff := cmp.Diff([]string{"cut.json.gz", "half-line.json", "no-gzip.json"}, skipped); diff != "" {
		t.Errorf("skipped (-want +got):\n%s", diff)
	}
	if n := len(ids); n < 1000 || n > 4000 || !slices.Contains(ids, "whole") || !slices.Contains(ids, "first") {
		t.Errorf("%d records, want about half of 5000, and those of the other files", n)
	}
}

func TestAFolderThatIsNotThere(t *testing.T) {
	t.Parallel()
	_, errs := collect(source.Files([]string{filepath.Join(t.TempDir(), "none")}))
	if len(errs) != 1 || !errors.Is(errs[0], os.ErrNotExist) {
		t.Errorf("errors: %v, want one that the folder does not exist", errs)
	}
}

func TestReadingMayEndEarly(t *testing.T) {
	t.Parallel()
	files := make(map[string][]byte)
	for i := range 50 {
		files[fmt.Sprintf("%d.json", i)] = []byte(strings.Repeat(record("x"), 5000))
	}
	dir := write(t, files)
	for range source.Files([]string{dir}).Records(t.Context()) {
		break // goleak sees whether the workers end
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen := 0
	for _, err := range source.Files([]string{dir}).Records(ctx) {
		if err != nil {
			break
		}
		if seen++; seen == 10 {
			cancel()
		}
	}
	if seen == 50*5000 {
		t.Error("all was read although the context was done")
	}
}

func TestAChangeOfAKeyIsFoundInFiles(t *testing.T) {
	t.Parallel()
	const head = `"eventTime":"2026-03-02T12:00:00Z","awsRegion":"eu-west-1","recipientAccountId":"111122223333","userIdentity":{"type":"Root","accountId":"111122223333"},`
	dir := write(t, map[string][]byte{"log.json": []byte(`{"Records":[` +
		`{"eventID":"a",` + head + `"eventSource":"kms.amazonaws.com","eventName":"Decrypt","sourceIPAddress":"secretsmanager.amazonaws.com","requestParameters":{"encryptionContext":{"SecretARN":"arn:aws:secretsmanager:eu-west-1:111122223333:secret:db-AbCdEf","SecretVersionId":"v"}},"resources":[{"ARN":"arn:aws:kms:eu-west-1:111122223333:key/k"}]},` +
		`{"eventID":"b",` + head + `"eventSource":"kms.amazonaws.com","eventName":"ScheduleKeyDeletion","requestParameters":{"keyId":"arn:aws:kms:eu-west-1:111122223333:key/k","pendingWindowInDays":7}}]}`)})
	report, err := audit.Summarize(t.Context(), source.Files([]string{dir}), audit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Changes) != 1 || report.Changes[0].Action != "ScheduleKeyDeletion" {
		t.Errorf("changes %+v, want that of the secret's key", report.Changes)
	}
}
