package source_test

import (
	"bytes"
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io/fs"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"

	"github.com/rekey-go/rekey/audit"
	"github.com/rekey-go/rekey/audit/source"
	"github.com/rekey-go/rekey/internal/local/clock"
	engine "github.com/rekey-go/rekey/internal/local/cloudtrail"
	"github.com/rekey-go/rekey/internal/local/store"
	"github.com/rekey-go/rekey/internal/local/wire"
)

// signedTrail makes the files of a trail with signed digests, six hours of
// them, and returns the folder and the keys.
func signedTrail(t *testing.T) (string, source.Keys) {
	t.Helper()
	dir := t.TempDir()
	kept, err := store.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	now := clock.Restore(clock.State{Stands: noon})
	trail, err := engine.New(engine.Options{Account: "123456789012", Region: "us-east-1", Clock: now, Dir: dir, Store: kept})
	if err != nil {
		t.Fatal(err)
	}
	defer trail.Close()
	for range 6 {
		trail.Record(&wire.Call{EventSource: "secretsmanager.amazonaws.com", Operation: "GetSecretValue", Time: now.Now()}, wire.Operation{Access: wire.Read}, nil, nil)
		if err := errors.Join(now.Advance(t.Context(), time.Hour), trail.Sync()); err != nil {
			t.Fatal(err)
		}
	}
	server := httptest.NewServer(wire.NewFront(wire.FrontOptions{Now: time.Now}, trail.Wire()))
	defer server.Close()
	client := cloudtrail.New(cloudtrail.Options{
		Region: "us-east-1", BaseEndpoint: &server.URL, HTTPClient: server.Client(),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}, nil
		}),
	})
	keys, err := source.FetchKeys(t.Context(), client, noon, noon.Add(6*time.Hour))
	if err != nil || len(keys) != 1 {
		t.Fatalf("FetchKeys: %v, %v; want one", keys, err)
	}
	return dir, keys
}

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// list returns the files of a kind below a folder.
func list(t *testing.T, dir, kind string) (paths []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.Contains(path, "/"+kind+"/") && strings.HasSuffix(path, ".gz") {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(paths)
	return paths
}

// verdict tells in a few words what a verification found.
func verdict(v *source.Verification) map[string]any {
	out := map[string]any{}
	for _, kind := range []string{source.Verified, source.Altered, source.Missing, source.NoDigest} {
		if n := v.Count(kind); n > 0 {
			out[kind] = n
		}
	}
	for _, c := range v.Chains {
		for _, p := range c.Problems {
			_, text, _ := strings.Cut(p, ": ")
			text, _, _ = strings.Cut(text, ": ")
			out[text] = true
		}
	}
	return out
}

func TestTheReportPassesOnWhatWasVerified(t *testing.T) {
	t.Parallel()
	dir, keys := signedTrail(t)
	logs := list(t, dir, "CloudTrail")
	if err := os.Remove(logs[1]); err != nil {
		t.Fatal(err)
	}
	files := source.Files([]string{dir})
	v, err := files.Verify(t.Context(), keys.Everywhere)
	if err != nil {
		t.Fatal(err)
	}
	report, err := audit.Summarize(t.Context(), files, audit.Options{Integrity: v.Integrity()})
	if err != nil {
		t.Fatal(err)
	}
	c := report.Coverage
	if c.Whole() || c.Integrity.Missing != 1 || c.Integrity.Verified+c.Integrity.NoDigest != len(logs)-1 || !slices.Contains(c.Notes, logs[1]+": missing") {
		t.Errorf("integrity %+v, notes %q; want %s missing", c.Integrity, c.Notes, logs[1])
	}
}

func TestVerifyFindsWhatWasDoneToATrail(t *testing.T) {
	t.Parallel()
	remove := func(path string) error { return os.Remove(path) }
	alter := func(path string) error {
		packed, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		z, err := gzip.NewReader(bytes.NewReader(packed))
		if err != nil {
			return err
		}
		var text bytes.Buffer
		if _, err := text.ReadFrom(z); err != nil {
			return err
		}
		text.WriteByte(' ')
		return os.WriteFile(path, zipped(text.String()), 0o600)
	}
	type m = map[string]any
	tests := map[string]struct {
		kind string
		harm func(path string) error
		want m
	}{
		"nothing":                    {"CloudTrail", func(string) error { return nil }, m{"verified": 6}},
		"a log file was altered":     {"CloudTrail", alter, m{"verified": 5, "altered": 1}},
		"a log file was taken away":  {"CloudTrail", remove, m{"verified": 5, "missing": 1}},
		"a log file is no gzip file": {"CloudTrail", func(path string) error { return os.WriteFile(path, []byte{0x1f, 0x8b, 0}, 0o600) }, m{"verified": 5, "altered": 1}},
		"a log file was added":       {"CloudTrail", func(path string) error { return os.WriteFile(path+"2.json.gz", zipped("{}"), 0o600) }, m{"verified": 6, "no digest": 1}},
		"a digest was altered":       {"CloudTrail-Digest", alter, m{"verified": 5, "no digest": 1, "its signature is not valid": true, "the digest before it is not the one that it was written after": true}},
		"a digest was taken away":    {"CloudTrail-Digest", remove, m{"verified": 5, "no digest": 1, "the digest before it is missing": true}},
		"a signature was taken away": {"CloudTrail-Digest", func(path string) error { return os.Remove(path + ".sig") }, m{"verified": 5, "no digest": 1, "reading its signature": true, "the digest before it is not the one that it was written after": true}},
		"a signature is another's":   {"CloudTrail-Digest", func(path string) error { return os.WriteFile(path+".sig", []byte("00ff"), 0o600) }, m{"verified": 5, "no digest": 1, "its signature is not valid": true, "the digest before it is not the one that it was written after": true}},
		"a digest is no digest":      {"CloudTrail-Digest", func(path string) error { return os.WriteFile(path, []byte(`{"a":1}`), 0o600) }, m{"verified": 5, "no digest": 1, "it is no digest": true}},
		"a digest was put in another's place": {"CloudTrail-Digest", func(path string) error {
			body, err := os.ReadFile(strings.Replace(path, "T14", "T15", 1))
			return errors.Join(err, os.WriteFile(path, body, 0o600))
		}, m{"verified": 5, "no digest": 1, "it is that of another place, AWSLogs/123456789012/CloudTrail-Digest/us-east-1/2026/03/02/123456789012_CloudTrail-Digest_us-east-1_rekey_us-east-1_20260302T150000Z.json.gz": true, "the digest before it is not the one that it was written after": true}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, keys := signedTrail(t)
			if err := tt.harm(list(t, dir, tt.kind)[1]); err != nil {
				t.Fatal(err)
			}
			for _, root := range []string{dir, filepath.Join(dir, "AWSLogs", "123456789012")} {
				v, err := source.Files([]string{root}).Verify(t.Context(), keys.Everywhere)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tt.want, verdict(v)); diff != "" {
					t.Errorf("from %s (-want +got):\n%s", root, diff)
				}
				if want := len(tt.want) == 1; v.Whole() != want && tt.want[source.NoDigest] != 1 {
					t.Errorf("whole: %v", v.Whole())
				}
			}
		})
	}
}

func zipped(text string) []byte {
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	_, _ = z.Write([]byte(text))
	_ = z.Close()
	return buf.Bytes()
}

func TestKeysOfOthersProveNothing(t *testing.T) {
	t.Parallel()
	dir, keys := signedTrail(t)
	v, err := source.Files([]string{dir}).Verify(t.Context(), source.Keys(nil).Everywhere)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{"no digest": 6, "the key of its signature is not known": true}, verdict(v)); diff != "" || v.Whole() {
		t.Errorf("without keys (-want +got):\n%s", diff)
	}
	for fingerprint, key := range keys {
		der := x509.MarshalPKCS1PublicKey(key)
		pkix, err := x509.MarshalPKIXPublicKey(key)
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(map[string]any{"PublicKeyList": []any{map[string]any{"Value": der, "Fingerprint": fingerprint}}})
		if err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string][]byte{
			"JSON": text, "PKCS #1": pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: der}),
			"PKIX": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pkix}),
		} {
			got, err := source.ParseKeys(text)
			if err != nil || !cmp.Equal(map[string]*rsa.PublicKey(keys), map[string]*rsa.PublicKey(got)) {
				t.Errorf("%s: %v, %v", name, got, err)
			}
		}
	}
	if _, err := source.ParseKeys([]byte("no key")); err == nil {
		t.Error("no error for a text without a key")
	}
}

func TestEachRegionIsAskedForItsKeys(t *testing.T) {
	t.Parallel()
	dir, keys := signedTrail(t)
	// The same digests under the name of another Region, where they are not valid.
	for _, path := range list(t, dir, "CloudTrail-Digest") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		other := strings.ReplaceAll(path, "us-east-1", "eu-west-1")
		if err := errors.Join(os.MkdirAll(filepath.Dir(other), 0o700), os.WriteFile(other, text, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	asked := map[string]int{}
	v, err := source.Files([]string{dir}).Verify(t.Context(), func(_ context.Context, region string) (source.Keys, error) {
		if asked[region]++; region != "us-east-1" {
			return nil, errors.New("access denied")
		}
		return keys, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]int{"us-east-1": 1, "eu-west-1": 1}, asked); diff != "" {
		t.Errorf("Regions that were asked (-want +got):\n%s", diff)
	}
	if n := v.Count(source.Verified); n != 6 {
		t.Errorf("%d files are verified, want 6", n)
	}
	want := []string{"the public keys of eu-west-1: access denied"}
	if diff := cmp.Diff(want, v.Chains[0].Problems); diff != "" || len(v.Chains) != 2 || len(v.Chains[1].Problems) > 0 {
		t.Errorf("problems of eu-west-1 (-want +got):\n%s; all: %+v", diff, v.Chains)
	}
}
