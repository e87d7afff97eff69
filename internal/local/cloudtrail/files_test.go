package cloudtrail_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/rekey-go/rekey/internal/local/cloudtrail"
	"github.com/rekey-go/rekey/internal/local/wire"
)

// files returns the log files below a folder, by their path in it.
func files(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	found := make(map[string][]byte)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".gz" {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		found[filepath.ToSlash(name)], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func unzip(t *testing.T, data []byte) []byte {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func recordReads(s *cloudtrail.Service, from time.Time, count int) {
	for i := range count {
		input := fmt.Sprintf(`{"SecretId":"s-%d","SecretString":%q}`, i, canary)
		s.Record(call(from.Add(time.Duration(i)*time.Second), "GetSecretValue", input), wire.Operation{Access: wire.Read}, nil, nil)
	}
}

func TestFilesLieAsCloudTrailsOwn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := trailAt(t, cloudtrail.Options{Dir: dir})
	recordReads(s, at, 3)
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	found := files(t, dir)
	if len(found) != 1 {
		t.Fatalf("after Flush: %d files, want 1", len(found))
	}
	name := regexp.MustCompile(`^AWSLogs/123456789012/CloudTrail/us-east-1/2026/11/24/123456789012_CloudTrail_us-east-1_20261124T1100Z_[A-Z0-9]{16}\.json\.gz$`)
	for path, data := range found {
		if !name.MatchString(path) {
			t.Errorf("path %s does not match %s", path, name)
		}
		text := unzip(t, data)
		var log struct{ Records []map[string]any }
		if err := json.Unmarshal(text, &log); err != nil || len(log.Records) != 3 {
			t.Errorf("%s: %d records, %v; want 3", path, len(log.Records), err)
		}
		if bytes.Contains(text, []byte(canary)) {
			t.Errorf("%s has a secret value", path)
		}
	}
}

func TestAFileIsDeliveredInFiveMinutes(t *testing.T) {
	t.Parallel()
	dir, clk := t.TempDir(), frozen()
	s := open(t, cloudtrail.Options{Dir: dir, Clock: clk})
	recordReads(s, clk.Now(), 1)
	lookup(t, client(t, s), "", "") // the record has arrived
	if err := clk.Advance(t.Context(), 5*time.Minute-1); err != nil {
		t.Fatal(err)
	}
	if got := len(files(t, dir)); got != 0 {
		t.Errorf("before five minutes: %d files, want none", got)
	}
	if err := clk.Advance(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if got := len(files(t, dir)); got != 1 {
		t.Errorf("after five minutes: %d files, want 1", got)
	}
}

func TestTheTrailIsReadBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := trailAt(t, cloudtrail.Options{Dir: dir})
	recordReads(first, at, 1500)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second := trailAt(t, cloudtrail.Options{Dir: dir})
	recordReads(second, at.Add(40*time.Minute), 1)
	events := lookup(t, client(t, second), "EventName", "GetSecretValue")
	if len(events) != 1501 {
		t.Fatalf("after a restart: %d events, want 1501", len(events))
	}
	for i := range events[1:] {
		if events[i].EventTime.Before(*events[i+1].EventTime) {
			t.Fatalf("event %d is older than event %d", i, i+1)
		}
	}
}

func TestAKillLosesNothing(t *testing.T) {
	t.Parallel()
	dir, copied := t.TempDir(), t.TempDir()
	s := trailAt(t, cloudtrail.Options{Dir: dir})
	recordReads(s, at, 1003) // one segment is delivered, three records are not
	// What lies on disk now is what a kill leaves behind; a line cut off in
	// the middle is too.
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	journal, err := os.OpenFile(filepath.Join(copied, "undelivered.jsonl"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := journal.WriteString(`{"eventVersion":"1.1`); err != nil {
		t.Fatal(err)
	}
	if err := journal.Close(); err != nil {
		t.Fatal(err)
	}
	after := trailAt(t, cloudtrail.Options{Dir: copied})
	if got := len(lookup(t, client(t, after), "", "")); got != 1003 {
		t.Errorf("after the kill: %d events, want 1003", got)
	}
	if err := after.Close(); err != nil {
		t.Fatal(err)
	}
	again := trailAt(t, cloudtrail.Options{Dir: copied})
	if got := len(lookup(t, client(t, again), "", "")); got != 1003 {
		t.Errorf("after another start: %d events, want 1003", got)
	}
}

func TestAnUnreadableFileIsToldOf(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	day := filepath.Join(dir, "AWSLogs", account, "CloudTrail", region, "2026", "11", "24")
	if err := os.MkdirAll(day, 0o700); err != nil {
		t.Fatal(err)
	}
	name := account + "_CloudTrail_" + region + "_20261124T1000Z_AAAAAAAAAAAAAAAA.json.gz"
	if err := os.WriteFile(filepath.Join(day, name), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := trailAt(t, cloudtrail.Options{Dir: dir})
	recordReads(s, at, 2)
	if err := s.Flush(); err == nil {
		t.Error("Flush: no error of the file that cannot be read back")
	}
	if got := len(lookup(t, client(t, s), "", "")); got != 2 {
		t.Errorf("%d events, want 2", got)
	}
}

func TestConcurrentCallsAreAllRecorded(t *testing.T) {
	t.Parallel()
	const workers, each = 8, 400
	s := trailAt(t, cloudtrail.Options{Dir: t.TempDir()})
	c := client(t, s)
	var running sync.WaitGroup
	for range workers {
		running.Go(func() {
			recordReads(s, at, each)
			_ = s.Flush()
		})
	}
	running.Wait()
	seen := make(map[string]bool)
	for _, e := range lookup(t, c, "", "") {
		seen[*e.EventId] = true
	}
	if len(seen) != workers*each {
		t.Errorf("%d distinct events, want %d", len(seen), workers*each)
	}
}

func BenchmarkRecord(b *testing.B) {
	s, err := cloudtrail.New(cloudtrail.Options{Account: account, Region: region, Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	c := call(at, "GetSecretValue", `{"SecretId":"dev-orders","VersionId":"v-1"}`)
	c.KMS = []wire.KMSUse{{Operation: "Decrypt", KeyARN: keyARN, Context: map[string]string{"SecretARN": secretARN, "SecretVersionId": "v-1"}}}
	b.ReportAllocs()
	for b.Loop() {
		s.Record(c, wire.Operation{Access: wire.Read}, nil, nil)
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}
