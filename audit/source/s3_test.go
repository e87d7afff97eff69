package source_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/rekey-go/rekey/audit"
	"github.com/rekey-go/rekey/audit/source"
	"github.com/rekey-go/rekey/internal/corpus"
)

// A bucket is a bucket named trail on a server of its own.
type bucket struct {
	*s3.Client
	// before may answer a request in the server's place, and then returns true.
	before func(http.ResponseWriter, *http.Request) bool

	mu    sync.Mutex
	lists []string // the prefixes that were listed
}

func newBucket(t *testing.T) *bucket {
	t.Helper()
	b := &bucket{before: func(http.ResponseWriter, *http.Request) bool { return false }}
	fake := gofakes3.New(s3mem.New(), gofakes3.WithLogger(gofakes3.DiscardLog())).Server()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("list-type") {
			b.mu.Lock()
			b.lists = append(b.lists, r.URL.Query().Get("prefix"))
			b.mu.Unlock()
		}
		if !b.before(w, r) {
			fake.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	b.Client = s3.New(s3.Options{
		Region: "us-east-1", BaseEndpoint: &server.URL, HTTPClient: server.Client(), UsePathStyle: true, RetryMaxAttempts: 1,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}, nil
		}),
	})
	if _, err := b.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: new("trail")}); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bucket) put(t *testing.T, key string, content []byte, metadata map[string]string) {
	t.Helper()
	_, err := b.PutObject(t.Context(), &s3.PutObjectInput{Bucket: new("trail"), Key: &key, Body: strings.NewReader(string(content)), Metadata: metadata})
	if err != nil {
		t.Fatal(err)
	}
}

// upload copies a folder, with the signatures as metadata.
func (b *bucket) upload(t *testing.T, dir, prefix string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".gz") {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var metadata map[string]string
		if signature, err := os.ReadFile(path + ".sig"); err == nil {
			metadata = map[string]string{"signature": strings.TrimSpace(string(signature)), "signature-algorithm": "SHA256withRSA"}
		}
		rel, err := filepath.Rel(dir, path)
		b.put(t, prefix+filepath.ToSlash(rel), content, metadata)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// records returns the logs at a location.
func (b *bucket) records(t *testing.T, location string, optFns ...func(*source.LogsOptions)) *source.Logs {
	t.Helper()
	logs, err := source.S3(b, location, optFns...)
	if err != nil {
		t.Fatal(err)
	}
	return logs
}

func TestTheCountsOfABucketAreExact(t *testing.T) {
	t.Parallel()
	dir, b := t.TempDir(), newBucket(t)
	truth, err := corpus.Write(dir, corpus.Options{Bytes: 2 << 20, FileBytes: 32 << 10, Secrets: 40, Principals: 9, Share: 200})
	if err != nil {
		t.Fatal(err)
	}
	b.upload(t, dir, "all/of/us/")
	b.put(t, "all/of/us/AWSLogs/111122223333/Config/eu-west-1/2026/03/02/x.json.gz", []byte(record("config")), nil)
	b.put(t, "all/of/us/AWSLogs/111122223333/CloudTrail-Insight/eu-west-1/2026/03/02/x.json.gz", []byte(record("insight")), nil)
	for _, location := range []string{"s3://trail", "s3://trail/all/of", "s3://trail/all/of/us/AWSLogs/"} {
		report, err := audit.Summarize(t.Context(), b.records(t, location), audit.Options{})
		if err != nil {
			t.Fatal(err)
		}
		checkTruth(t, truth, report)
	}
	if slices.ContainsFunc(b.lists, func(prefix string) bool { return strings.Contains(prefix, "/Config/") }) {
		t.Errorf("another service's logs were listed: %q", b.lists)
	}
}

func TestABucketIsListedForTheDaysInQuestion(t *testing.T) {
	t.Parallel()
	b := newBucket(t)
	for day := 1; day <= 9; day++ {
		for i := range 3 {
			b.put(t, fmt.Sprintf("AWSLogs/o-exampleorg1/111122223333/CloudTrail/eu-west-1/2026/03/%02d/%d.json", day, i), []byte(record(fmt.Sprintf("%d-%d", day, i))), nil)
		}
	}
	ids, errs := collect(b.records(t, "s3://trail", func(o *source.LogsOptions) {
		o.From, o.To = time.Date(2026, 3, 3, 12, 0, 0, 0, time.UTC), time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	}))
	if diff := cmp.Diff([]string{"3-0", "3-1", "3-2", "4-0", "4-1", "4-2", "5-0", "5-1", "5-2"}, ids); diff != "" || len(errs) > 0 {
		t.Errorf("records (-want +got):\n%s%v", diff, errs)
	}
}

func TestABucketWithoutPermissionForAnAccount(t *testing.T) {
	t.Parallel()
	b := newBucket(t)
	refuse := func(w http.ResponseWriter) bool {
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `<Error><Code>AccessDenied</Code><Message>no</Message></Error>`)
		return true
	}
	for _, account := range []string{"111122223333", "222233334444", "333344445555"} {
		for _, region := range []string{"eu-west-1", "us-east-1"} {
			b.put(t, "AWSLogs/"+account+"/CloudTrail/"+region+"/2026/03/02/x.json", []byte(record(account+region)), nil)
		}
	}
	b.before = func(w http.ResponseWriter, r *http.Request) bool {
		prefix := r.URL.Query().Get("prefix")
		if strings.Contains(prefix, "/2222") || strings.Contains(prefix, "/3333") && strings.Contains(prefix, "us-east") || strings.Contains(r.URL.Path, "111122223333/CloudTrail/us-east") {
			return refuse(w)
		}
		return false
	}
	ids, errs := collect(b.records(t, "s3://trail"))
	if diff := cmp.Diff([]string{"111122223333eu-west-1", "333344445555eu-west-1"}, ids); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	var skipped []string
	for _, err := range errs {
		s, ok := errors.AsType[*audit.SkippedError](err)
		if !ok || !strings.Contains(s.Error(), "AccessDenied") {
			t.Fatalf("error %v, want one that says AccessDenied", err)
		}
		skipped = append(skipped, s.What)
	}
	slices.Sort(skipped)
	want := []string{
		"s3://trail/AWSLogs/111122223333/CloudTrail/us-east-1/2026/03/02/x.json", "s3://trail/AWSLogs/222233334444/",
		"s3://trail/AWSLogs/333344445555/CloudTrail/us-east-1/",
	}
	if diff := cmp.Diff(want, skipped); diff != "" {
		t.Errorf("skipped (-want +got):\n%s", diff)
	}
	b.before = func(w http.ResponseWriter, _ *http.Request) bool { return refuse(w) }
	if _, errs := collect(b.records(t, "s3://trail")); len(errs) != 1 || !strings.Contains(errs[0].Error(), "AccessDenied") {
		t.Errorf("without any permission: %v, want one error", errs)
	}
}

func TestABucketWhoseConnectionsBreak(t *testing.T) {
	t.Parallel()
	b := newBucket(t)
	var want []string
	var text strings.Builder
	for i := range 3000 {
		want = append(want, fmt.Sprintf("%08d", i))
		text.WriteString(record(want[i]) + "\n")
	}
	b.put(t, "x.jsonl", []byte(text.String()), nil)
	breaks := 0
	b.before = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || !strings.HasSuffix(r.URL.Path, ".jsonl") || breaks == 3 {
			return false
		}
		breaks++
		from := 0
		if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from); err == nil {
			w.WriteHeader(http.StatusPartialContent)
		}
		w.Header().Set("Content-Length", fmt.Sprint(text.Len()-from))
		_, _ = io.WriteString(w, text.String()[from:min(from+50_000, text.Len())])
		panic(http.ErrAbortHandler)
	}
	ids, errs := collect(b.records(t, "s3://trail"))
	if diff := cmp.Diff(want, ids); diff != "" || len(errs) > 0 {
		t.Errorf("records (-want +got):\n%.1000s%v", diff, errs)
	}
	if breaks != 3 {
		t.Errorf("%d breaks, want 3", breaks)
	}
}

func TestVerifyInABucket(t *testing.T) {
	t.Parallel()
	dir, keys := signedTrail(t)
	b := newBucket(t)
	b.upload(t, dir, "")
	gone := list(t, dir, "CloudTrail")[2]
	rel, _ := filepath.Rel(dir, gone)
	if _, err := b.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: new("trail"), Key: new(filepath.ToSlash(rel))}); err != nil {
		t.Fatal(err)
	}
	v, err := b.records(t, "s3://trail").Verify(t.Context(), keys.Everywhere)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{"verified": 5, "missing": 1}, verdict(v)); diff != "" {
		t.Errorf("verdicts (-want +got):\n%s", diff)
	}
}

func TestS3WantsABucket(t *testing.T) {
	t.Parallel()
	for _, location := range []string{"", "s3://", "bucket/x", "s3:///x"} {
		if _, err := source.S3(nil, location); err == nil {
			t.Errorf("%q: no error", location)
		}
	}
}
