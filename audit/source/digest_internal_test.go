package source

import (
	"encoding/json"
	"testing"
)

func TestSibling(t *testing.T) {
	t.Parallel()
	const a, b = "p/AWSLogs/1/CloudTrail-Digest/x/a.gz", "p/AWSLogs/1/CloudTrail/x/b.gz"
	for name, want := range map[string]string{
		"/tmp/copy/" + a:                  "/tmp/copy/" + b,
		"/tmp/1/CloudTrail-Digest/x/a.gz": "/tmp/1/CloudTrail/x/b.gz",
		"s3://bucket/" + a:                "s3://bucket/" + b,
		a:                                 b,
		"CloudTrail-Digest/x/a.gz":        "CloudTrail/x/b.gz",
		"/" + a:                           "/" + b,
	} {
		if got := sibling(name, a, b); got != want {
			t.Errorf("sibling of %s: %s, want %s", name, got, want)
		}
	}
}

func FuzzDigest(f *testing.F) {
	f.Add([]byte(`{"awsAccountId":"1","digestStartTime":"2026-03-02T12:00:00Z","digestEndTime":"2026-03-02T13:00:00Z","digestS3Object":"o/a","logFiles":[{"s3Object":"x"}]}`), "n/o/a")
	f.Fuzz(func(t *testing.T, body []byte, name string) {
		d := &digest{name: name}
		if parseDigest(body, d) != nil {
			return
		}
		if !json.Valid(body) || d.check(nil) == "" {
			t.Errorf("trusted: %s", body)
		}
		chains([]*digest{d, d})
		for _, l := range d.LogFiles {
			_ = sibling(d.name, d.Object, l.Object)
		}
		_, _ = ParseKeys(body)
	})
}
