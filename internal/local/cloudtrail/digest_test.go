package cloudtrail_test

import (
	"compress/gzip"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	gocmp "github.com/google/go-cmp/cmp"

	"github.com/rekey-go/rekey/internal/local/clock"
	"github.com/rekey-go/rekey/internal/local/cloudtrail"
	"github.com/rekey-go/rekey/internal/local/store"
)

// A place is a state folder with a trail, over several starts.
type place struct {
	dir   string // of the trail
	state string
	clock *clock.Clock
}

func newPlace(t *testing.T) *place {
	t.Helper()
	return &place{dir: t.TempDir(), state: t.TempDir(), clock: clock.Restore(clock.State{Stands: at})}
}

// start opens the trail, and returns what ends it.
func (p *place) start(t *testing.T) (s *cloudtrail.Service, stop func()) {
	t.Helper()
	s, stop, err := p.try()
	if err != nil {
		t.Fatal(err)
	}
	return s, stop
}

func (p *place) try() (s *cloudtrail.Service, stop func(), err error) {
	kept, err := store.Open(p.state)
	if err != nil {
		return nil, nil, err
	}
	s, err = cloudtrail.New(cloudtrail.Options{Account: account, Region: region, Clock: p.clock, Dir: p.dir, Store: kept})
	if err != nil {
		return nil, nil, errors.Join(err, kept.Close())
	}
	return s, func() { _, _ = s.Close(), kept.Close() }, nil
}

// pass lets time pass and what falls due be written.
func (p *place) pass(t *testing.T, s *cloudtrail.Service, d time.Duration) {
	t.Helper()
	if err := errors.Join(p.clock.Advance(t.Context(), d), s.Sync()); err != nil {
		t.Fatal(err)
	}
}

// busyDay makes a trail of some hours with a restart in it.
func busyDay(t *testing.T) *place {
	t.Helper()
	p := newPlace(t)
	for range 2 {
		s, stop := p.start(t)
		for range 3 {
			recordReads(s, p.clock.Now(), 2)
			p.pass(t, s, 40*time.Minute)
		}
		p.pass(t, s, 2*time.Hour)
		stop()
	}
	return p
}

// A chainDigest is what AWS's guide says of a digest.
type chainDigest struct {
	AWSAccountID                string `json:"awsAccountId"`
	DigestStartTime             string
	DigestEndTime               string
	DigestS3Bucket              string
	DigestS3Object              string
	DigestPublicKeyFingerprint  string
	DigestSignatureAlgorithm    string
	NewestEventTime             *string
	OldestEventTime             *string
	PreviousDigestS3Object      *string
	PreviousDigestHashValue     *string
	PreviousDigestHashAlgorithm *string
	PreviousDigestSignature     *string
	LogFiles                    []struct {
		S3Object, HashValue, OldestEventTime, NewestEventTime string
	}
}

// A verifier checks a chain by AWS's guide, and knows nothing of the package.
type verifier struct {
	t     *testing.T
	dir   string
	keys  map[string]*rsa.PublicKey // :: fingerprint -> key
	found []string                  // what is wrong
	seen  map[string]bool           // :: objects that the chain names
}

func (v *verifier) wrong(format string, args ...any) {
	v.found = append(v.found, fmt.Sprintf(format, args...))
}

func (v *verifier) list(kind string) (objects []string) {
	for name := range files(v.t, v.dir) {
		if strings.HasPrefix(name, "AWSLogs/"+account+"/"+kind+"/") {
			objects = append(objects, name)
		}
	}
	slices.Sort(objects)
	return objects
}

func (v *verifier) read(object string) ([]byte, bool) {
	data, err := os.ReadFile(filepath.Join(v.dir, filepath.FromSlash(object)))
	if err != nil {
		v.wrong("missing %s", filepath.Base(object))
		return nil, false
	}
	return unzip(v.t, data), true
}

func sumOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// verify goes through the chain from its end, and returns how many digests it
// has.
func (v *verifier) verify() (digests int) {
	v.seen = make(map[string]bool)
	all := v.list("CloudTrail-Digest")
	wantHash := ""
	for object := all[len(all)-1]; object != ""; digests++ {
		body, ok := v.read(object)
		if !ok {
			break
		}
		v.seen[object] = true
		if wantHash != "" && sumOf(body) != wantHash {
			v.wrong("altered digest %s", filepath.Base(object))
		}
		var d chainDigest
		if err := json.Unmarshal(body, &d); err != nil {
			v.t.Fatal(err)
		}
		v.digest(object, body, &d)
		object, wantHash = "", ""
		if d.PreviousDigestS3Object != nil {
			object, wantHash = *d.PreviousDigestS3Object, *d.PreviousDigestHashValue
		}
	}
	for _, object := range append(v.list("CloudTrail"), all...) {
		if !v.seen[object] {
			v.wrong("added %s", filepath.Base(object))
		}
	}
	return digests
}

// digest checks one digest and the log files that it names.
func (v *verifier) digest(object string, body []byte, d *chainDigest) {
	previous := "null"
	if d.PreviousDigestSignature != nil {
		previous = *d.PreviousDigestSignature
	}
	text := d.DigestEndTime + "\n" + d.DigestS3Bucket + "/" + d.DigestS3Object + "\n" + sumOf(body) + "\n" + previous
	sum := sha256.Sum256([]byte(text))
	data, err := os.ReadFile(filepath.Join(v.dir, filepath.FromSlash(object)+cloudtrail.SignatureSuffix))
	if err != nil {
		v.wrong("missing signature of %s", filepath.Base(object))
	}
	signature, _ := hex.DecodeString(strings.TrimSpace(string(data)))
	key := v.keys[d.DigestPublicKeyFingerprint]
	if key == nil || d.DigestS3Object != object || rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature) != nil {
		v.wrong("forged %s", filepath.Base(object))
	}
	for _, f := range d.LogFiles {
		v.seen[f.S3Object] = true
		if log, ok := v.read(f.S3Object); ok && sumOf(log) != f.HashValue {
			v.wrong("altered %s", filepath.Base(f.S3Object))
		}
	}
}

// verifierOf takes the keys from ListPublicKeys.
func verifierOf(t *testing.T, p *place, s *cloudtrail.Service) *verifier {
	t.Helper()
	v := &verifier{t: t, dir: p.dir, keys: make(map[string]*rsa.PublicKey)}
	now := p.clock.Now()
	out, err := client(t, s).ListPublicKeys(t.Context(), &sdk.ListPublicKeysInput{StartTime: new(now.Add(-24 * time.Hour)), EndTime: &now})
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range out.PublicKeyList {
		key, err := x509.ParsePKCS1PublicKey(k.Value)
		if err != nil {
			t.Fatal(err)
		}
		v.keys[*k.Fingerprint] = key
	}
	return v
}

func TestDigestsChainOverRestarts(t *testing.T) {
	t.Parallel()
	p := busyDay(t)
	s, stop := p.start(t)
	defer stop()
	v := verifierOf(t, p, s)
	digests := v.verify()
	if len(v.found) > 0 {
		t.Errorf("an untouched trail: %q", v.found)
	}
	if want := 8; digests != want { // 4 hours of each start
		t.Errorf("%d digests, want %d", digests, want)
	}
	if len(v.keys) != 1 {
		t.Errorf("%d keys, want 1 over all starts", len(v.keys))
	}
}

func TestADigestHasTheShapeOfCloudTrail(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	s, stop := p.start(t)
	defer stop()
	recordReads(s, at, 2)
	p.pass(t, s, 2*time.Hour)
	v := verifierOf(t, p, s)
	first, second := v.list("CloudTrail-Digest")[0], v.list("CloudTrail-Digest")[1]
	var got [2]map[string]any
	for i, object := range []string{first, second} {
		body, _ := v.read(object)
		if err := json.Unmarshal(body, &got[i]); err != nil {
			t.Fatal(err)
		}
	}
	base := "AWSLogs/123456789012/CloudTrail-Digest/us-east-1/2026/11/24/123456789012_CloudTrail-Digest_us-east-1_rekey_us-east-1_"
	log := v.list("CloudTrail")[0]
	logBody, _ := v.read(log)
	firstBody, _ := v.read(first)
	signature, err := os.ReadFile(filepath.Join(p.dir, first+cloudtrail.SignatureSuffix))
	if err != nil {
		t.Fatal(err)
	}
	fingerprint := got[0]["digestPublicKeyFingerprint"]
	want := [2]map[string]any{{
		"awsAccountId": account, "digestStartTime": "2026-11-24T10:00:00Z", "digestEndTime": "2026-11-24T11:00:00Z",
		"digestS3Bucket": "rekey-trail", "digestS3Object": base + "20261124T110000Z.json.gz",
		"digestPublicKeyFingerprint": fingerprint, "digestSignatureAlgorithm": "SHA256withRSA",
		"newestEventTime": "2026-11-24T10:00:01Z", "oldestEventTime": "2026-11-24T10:00:00Z",
		"previousDigestS3Bucket": nil, "previousDigestS3Object": nil, "previousDigestHashValue": nil,
		"previousDigestHashAlgorithm": nil, "previousDigestSignature": nil,
		"logFiles": []any{map[string]any{
			"s3Bucket": "rekey-trail", "s3Object": log, "hashValue": sumOf(logBody), "hashAlgorithm": "SHA-256",
			"newestEventTime": "2026-11-24T10:00:01Z", "oldestEventTime": "2026-11-24T10:00:00Z",
		}},
	}, {
		"awsAccountId": account, "digestStartTime": "2026-11-24T11:00:00Z", "digestEndTime": "2026-11-24T12:00:00Z",
		"digestS3Bucket": "rekey-trail", "digestS3Object": base + "20261124T120000Z.json.gz",
		"digestPublicKeyFingerprint": fingerprint, "digestSignatureAlgorithm": "SHA256withRSA",
		"newestEventTime": nil, "oldestEventTime": nil,
		"previousDigestS3Bucket": "rekey-trail", "previousDigestS3Object": first, "previousDigestHashValue": sumOf(firstBody),
		"previousDigestHashAlgorithm": "SHA-256", "previousDigestSignature": strings.TrimSpace(string(signature)),
		"logFiles": []any{},
	}}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("digests of an hour with events and of one without (-want +got):\n%s", diff)
	}
}

func TestAVerifierFindsWhatWasDoneToATrail(t *testing.T) {
	t.Parallel()
	change := func(t *testing.T, path, old, with string) {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.ReplaceAll(string(unzip(t, data)), old, with)
		if err := os.WriteFile(path, zipped(t, text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tests := map[string]struct {
		harm func(t *testing.T, v *verifier, path func(object string) string)
		want string
	}{
		"a log file was altered": {
			func(t *testing.T, v *verifier, path func(string) string) {
				change(t, path(v.list("CloudTrail")[1]), "dev-login", "nobody")
			}, "altered 123456789012_CloudTrail_",
		},
		"a log file is missing": {
			func(t *testing.T, v *verifier, path func(string) string) {
				if err := os.Remove(path(v.list("CloudTrail")[1])); err != nil {
					t.Fatal(err)
				}
			}, "missing 123456789012_CloudTrail_",
		},
		"a log file was added": {
			func(t *testing.T, v *verifier, path func(string) string) {
				one := path(v.list("CloudTrail")[1])
				if err := os.WriteFile(one[:len(one)-len("AAAAAAAAAAAAAAAA.json.gz")]+"AAAAAAAAAAAAAAAA.json.gz", zipped(t, `{"Records":[]}`), 0o600); err != nil {
					t.Fatal(err)
				}
			}, "added 123456789012_CloudTrail_",
		},
		"a digest was altered": {
			func(t *testing.T, v *verifier, path func(string) string) {
				change(t, path(v.list("CloudTrail-Digest")[1]), "SHA-256", "SHA-512")
			}, "forged 123456789012_CloudTrail-Digest_",
		},
		"a digest is missing": {
			func(t *testing.T, v *verifier, path func(string) string) {
				if err := os.Remove(path(v.list("CloudTrail-Digest")[1])); err != nil {
					t.Fatal(err)
				}
			}, "missing 123456789012_CloudTrail-Digest_",
		},
		"a signature is missing": {
			func(t *testing.T, v *verifier, path func(string) string) {
				if err := os.Remove(path(v.list("CloudTrail-Digest")[1]) + cloudtrail.SignatureSuffix); err != nil {
					t.Fatal(err)
				}
			}, "missing signature of 123456789012_CloudTrail-Digest_",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := busyDay(t)
			s, stop := p.start(t)
			defer stop()
			v := verifierOf(t, p, s)
			tt.harm(t, v, func(object string) string { return filepath.Join(p.dir, filepath.FromSlash(object)) })
			v.verify()
			if !slices.ContainsFunc(v.found, func(s string) bool { return strings.HasPrefix(s, tt.want) }) {
				t.Errorf("found %q, want %q", v.found, tt.want)
			}
		})
	}
}

func TestATrailWhoseLatestFilesWereChangedIsRefused(t *testing.T) {
	t.Parallel()
	for name, kind := range map[string]string{
		"the last digest": "CloudTrail-Digest", "a log file that is in no digest yet": "CloudTrail",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := busyDay(t)
			s, stop := p.start(t)
			recordReads(s, p.clock.Now(), 2)
			stop()
			v := &verifier{t: t, dir: p.dir}
			all := v.list(kind)
			path := filepath.Join(p.dir, all[len(all)-1])
			if err := os.WriteFile(path, zipped(t, `{"Records":[]}`), 0o600); err != nil {
				t.Fatal(err)
			}
			_, _, err := p.try()
			if !errors.Is(err, store.ErrTampered) || !strings.Contains(err.Error(), path) {
				t.Errorf("opening it: %v, want %v of %s", err, store.ErrTampered, path)
			}
		})
	}
}

func TestAKillBetweenAFileAndTheChainIsMended(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	s, stop := p.start(t)
	recordReads(s, at, 2)
	// As it lies when the log file is written, and nothing else is: the state
	// and the journal of before.
	journal, err := os.ReadFile(filepath.Join(p.dir, "undelivered.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	before := copyOf(t, p.state)
	p.pass(t, s, 6*time.Minute)
	stop()
	if err := os.WriteFile(filepath.Join(p.dir, "undelivered.jsonl"), journal, 0o600); err != nil {
		t.Fatal(err)
	}
	p.state = before
	s, stop = p.start(t)
	if got := len(lookup(t, client(t, s), "", "")); got != 2 {
		t.Errorf("after the first kill: %d events, want 2", got)
	}
	// As it lies when a digest is written, and the chain is that of before.
	before = copyOf(t, p.state)
	p.pass(t, s, time.Hour)
	stop()
	p.state = before
	s, stop = p.start(t)
	defer stop()
	p.pass(t, s, 2*time.Hour)
	v := verifierOf(t, p, s)
	// The one that the kill interrupted, one of the late start, and two hours.
	if digests := v.verify(); digests != 4 || len(v.found) > 0 {
		t.Errorf("after the second kill: %d digests, %q; want 4 and nothing wrong", digests, v.found)
	}
}

func copyOf(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(to, "state.key"), 0o600); err != nil {
		t.Fatal(err)
	}
	return to
}

func zipped(t *testing.T, text string) []byte {
	t.Helper()
	var buf strings.Builder
	z := gzip.NewWriter(&buf)
	if _, err := z.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return []byte(buf.String())
}

// BenchmarkDigest is one hour of a clock that is advanced by many.
func BenchmarkDigest(b *testing.B) {
	kept, err := store.Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	c := clock.Restore(clock.State{Stands: at})
	s, err := cloudtrail.New(cloudtrail.Options{Account: account, Region: region, Clock: c, Dir: b.TempDir(), Store: kept})
	if err != nil {
		b.Fatal(err)
	}
	if err := c.Advance(b.Context(), time.Hour); err != nil { // makes the key
		b.Fatal(err)
	}
	b.ResetTimer()
	if err := errors.Join(c.Advance(b.Context(), time.Duration(b.N)*time.Hour), s.Sync()); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	if err := errors.Join(s.Close(), kept.Close()); err != nil {
		b.Fatal(err)
	}
}
