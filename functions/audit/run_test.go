package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/google/go-cmp/cmp"

	report "github.com/rekey-go/rekey/audit"
	"github.com/rekey-go/rekey/functions/audit"
)

const bucket = "reports-of-dev"

// calls are the function's way to AWS, on which something may happen at one of
// the calls.
type calls struct {
	mu   sync.Mutex
	made int
	at   int // the number of the call at which something happens; never if zero
	what func(*http.Request) (*http.Response, error)
}

// RoundTrip passes a call on, unless it is the one.
func (c *calls) RoundTrip(r *http.Request) (*http.Response, error) {
	c.mu.Lock()
	c.made++
	happens := c.made == c.at
	c.mu.Unlock()
	if happens {
		return c.what(r)
	}
	return direct.RoundTrip(r)
}

// happen arms the call of a number, counted from now.
func (c *calls) happen(at int, what func(*http.Request) (*http.Response, error)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.made, c.at, c.what = 0, at, what
}

var direct = &http.Transport{MaxIdleConnsPerHost: 16}

// A daily is the function with a bucket, and somebody who has secrets: "dev-db",
// of which the application keeps reading the first version.
type daily struct {
	*engine
	*calls
	board   *pipeline
	handler lambda.Handler
	metrics *bytes.Buffer
}

func newDaily(t *testing.T, e *engine) *daily {
	t.Helper()
	d := &daily{engine: e, calls: new(calls), metrics: new(bytes.Buffer), board: on(t, e)}
	e.subscribe(t)
	if err := e.objects.Provision(bucket); err != nil {
		t.Fatal(err)
	}
	d.handler = d.function(t, d.calls, 0)
	return d
}

// function is another environment of the function.
func (d *daily) function(t *testing.T, way http.RoundTripper, spare time.Duration) lambda.Handler {
	t.Helper()
	cfg := d.as("audit")
	cfg.HTTPClient, cfg.RetryMaxAttempts = &http.Client{Transport: way}, 1
	handler, err := audit.NewWith(cfg, func(name string) string {
		return map[string]string{
			"REKEY_BUS": bus, "REKEY_STAGE": "dev", "REKEY_BULLETIN": "bulletin", "REKEY_AUDIT_BUCKET": bucket, "REKEY_AUDIT_DAYS": "1",
		}[name]
	}, d.metrics, spare)
	if err != nil {
		t.Fatal(err)
	}
	return handler
}

// run invokes the function as its schedule does.
func (d *daily) run(t *testing.T) error {
	t.Helper()
	return d.invoke(t.Context(), d.handler)
}

func (d *daily) invoke(ctx context.Context, h lambda.Handler) error {
	payload := fmt.Sprintf(`{"detail-type":"Scheduled Event","time":%q,"detail":{}}`, d.clock.Now().UTC().Format(time.RFC3339))
	_, err := h.Invoke(ctx, []byte(payload))
	return err
}

// day lets a day pass on which somebody reads versions of the secret.
func (d *daily) day(t *testing.T, who string, versions ...string) {
	t.Helper()
	d.pass(t, 24*time.Hour, who, versions...)
}

// pass lets some time pass on which somebody reads versions of the secret.
func (d *daily) pass(t *testing.T, length time.Duration, who string, versions ...string) {
	t.Helper()
	d.advance(t, length/3)
	for _, version := range versions {
		_, err := secretsmanager.NewFromConfig(d.as(who)).GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: &d.board.secret, VersionId: &version})
		if err != nil {
			t.Fatal(err)
		}
	}
	d.advance(t, length-length/3)
}

// latest is the report that was kept last.
func (d *daily) latest(t *testing.T) *report.Report {
	t.Helper()
	text, err := d.objects.Object(bucket, "reports/latest.json")
	if err != nil {
		t.Fatal(err)
	}
	var r report.Report
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	return &r
}

// published are the principals of the findings that were published since.
func (d *daily) published(t *testing.T) (list []string) {
	t.Helper()
	d.settle(t)
	for {
		select {
		case body := <-d.queue:
			var event struct{ Detail audit.Event }
			if err := json.Unmarshal([]byte(body), &event); err != nil {
				t.Fatal(err)
			}
			list = append(list, event.Detail.Kind+" "+event.Detail.Principal[strings.LastIndex(event.Detail.Principal, "/")+1:])
		default:
			slices.Sort(list)
			return list
		}
	}
}

// settle waits for what is on its way to the queue.
func (d *daily) settle(t *testing.T) { t.Helper(); d.advance(t, time.Second) }

// keys are the objects of the bucket.
func (d *daily) keys(t *testing.T) (keys []string) {
	t.Helper()
	out, err := awss3.NewFromConfig(d.as("ops")).ListObjectsV2(t.Context(), &awss3.ListObjectsV2Input{Bucket: aws.String(bucket)})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range out.Contents {
		keys = append(keys, *o.Key)
	}
	return keys
}

// rotated is a daily run's system with a secret of two versions: one, two.
func rotated(t *testing.T, e *engine) (d *daily, one, two string) {
	t.Helper()
	d = newDaily(t, e)
	d.advance(t, time.Minute)
	one = d.board.current(t)
	d.board.fetch(t, "app", "old")
	d.board.rotate(t)
	return d, one, d.board.current(t)
}

func (p *pipeline) current(t *testing.T) string {
	t.Helper()
	out, err := secretsmanager.NewFromConfig(p.as("ops")).DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: &p.secret})
	if err != nil {
		t.Fatal(err)
	}
	for version, labels := range out.VersionIdsToStages {
		if slices.Contains(labels, "AWSCURRENT") {
			return version
		}
	}
	t.Fatal("no version is current")
	return ""
}

// newcomers are the principals that a report has for the first time.
func newcomers(r *report.Report) (list []string) {
	for _, f := range r.FirstSeen {
		if f.Kind == report.NewPrincipal && !strings.HasSuffix(f.Value, "/audit") && !strings.HasSuffix(f.Value, "/ops") {
			list = append(list, f.Value[strings.LastIndex(f.Value, "/")+1:])
		}
	}
	return list
}

func TestARunGoesOnWhereTheLastOneEnded(t *testing.T) {
	t.Parallel()
	d, one, _ := rotated(t, start(t))
	d.day(t, "old", one)
	if err := d.run(t); err != nil {
		t.Fatal(err)
	}
	first := d.latest(t)
	if !first.Coverage.Whole() || !first.Coverage.Leases || !first.Coverage.Inventory {
		t.Errorf("coverage of the first day: %+v", first.Coverage)
	}
	if diff := cmp.Diff([]string{"laggard old"}, d.published(t)); diff != "" {
		t.Errorf("published on the first day (-want +got):\n%s", diff)
	}
	if got := newcomers(first); got != nil {
		t.Errorf("new on the first day: %v, want nobody: there is nothing to compare with", got)
	}

	d.day(t, "new", one)
	if err := d.run(t); err != nil {
		t.Fatal(err)
	}
	second := d.latest(t)
	if diff := cmp.Diff([]string{"new"}, newcomers(second)); diff != "" {
		t.Errorf("new on the second day (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"laggard new"}, d.published(t)); diff != "" {
		t.Errorf("published on the second day (-want +got):\n%s", diff)
	}

	if err := d.run(t); err != nil {
		t.Fatal(err)
	}
	if got := d.published(t); got != nil {
		t.Errorf("published by a run that follows at once: %v, want nothing", got)
	}
	days := 0
	for _, key := range d.keys(t) {
		if strings.HasPrefix(key, "reports/2") && strings.HasSuffix(key, "Z.html") {
			days++
		}
	}
	if days < 2 {
		t.Errorf("the bucket has %v, want the page of each day", d.keys(t))
	}
}

// TestAFaultAtEachCallLosesNothing has each of the calls of a run fail, once
// before it took effect and once after, and runs again.
func TestAFaultAtEachCallLosesNothing(t *testing.T) {
	t.Parallel()
	faults := map[string]func(*http.Request) (*http.Response, error){
		"is refused": func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusServiceUnavailable, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
		},
		"loses its answer": func(r *http.Request) (*http.Response, error) {
			res, err := direct.RoundTrip(r)
			if err == nil {
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
			}
			return nil, errors.New("connection reset by peer")
		},
	}
	for name, fault := range faults {
		for _, day := range []int{1, 2} {
			t.Run(fmt.Sprintf("on day %d a call %s", day, name), func(t *testing.T) {
				t.Parallel()
				for call, more := 1, true; more; call++ {
					more = faultAt(t, day, call, fault)
				}
			})
		}
	}
}

// faultAt has one call fail, and reports whether there was such a call.
func faultAt(t *testing.T, day, call int, fault func(*http.Request) (*http.Response, error)) bool {
	t.Helper()
	d, one, _ := rotated(t, start(t))
	d.day(t, "old", one)
	want, reports := []string{"laggard old"}, []*report.Report{}
	if day == 2 {
		if err := d.run(t); err != nil {
			t.Fatal(err)
		}
		d.published(t)
		d.pass(t, 6*time.Hour, "new", one)
		want = []string{"laggard new"}
	}
	d.happen(call, fault)
	failed := d.run(t)
	made := d.made
	d.happen(0, nil)
	got := d.published(t)
	if _, err := d.objects.Object(bucket, "reports/latest.json"); err == nil {
		reports = append(reports, d.latest(t))
	}
	if err := d.run(t); err != nil {
		t.Fatalf("call %d: the run after it: %v", call, err)
	}
	again := d.published(t)
	last := d.latest(t)
	reports = append(reports, last)
	if !last.Coverage.Whole() || !last.Coverage.Inventory || !last.Coverage.Leases {
		t.Errorf("call %d: the report after it is not whole: %+v", call, last.Coverage)
	}
	if got := d.secretOf(t, last).Reads; got != day {
		t.Errorf("call %d: the report after it has %d reads, want %d", call, got, day)
	}
	if all := append(got, again...); !slices.Contains(all, want[0]) {
		t.Errorf("call %d: published %v and then %v, want %v (the run: %v)", call, got, again, want, failed)
	}
	if failed == nil && len(got)+len(again) > 1 {
		t.Errorf("call %d: published again after a run that went well: %v", call, again)
	}
	if day == 2 && !slices.ContainsFunc(reports, func(r *report.Report) bool { return slices.Contains(newcomers(r), "new") }) {
		t.Errorf("call %d: no report has who is new", call)
	}
	if err := d.run(t); err != nil {
		t.Fatal(err)
	}
	if more := d.published(t); more != nil {
		t.Errorf("call %d: published once more: %v", call, more)
	}
	return made >= call
}

// secretOf is what a report has of the secret.
func (d *daily) secretOf(t *testing.T, r *report.Report) *report.Secret {
	t.Helper()
	i := slices.IndexFunc(r.Secrets, func(s report.Secret) bool { return s.ARN == d.board.secret })
	if i < 0 {
		t.Fatalf("the report has no %s: %+v", d.board.secret, r.Coverage)
	}
	return &r.Secrets[i]
}
