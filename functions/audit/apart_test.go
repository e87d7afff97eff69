package audit_test

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"

	report "github.com/rekey-go/rekey/audit"
	"github.com/rekey-go/rekey/functions/audit"
)

// TestARunThatIsOvertakenLosesNothing has a whole run of three hours later happen
// within each of the calls of another.
func TestARunThatIsOvertakenLosesNothing(t *testing.T) {
	t.Parallel()
	for call, more := 1, true; more; call++ {
		d, one, _ := rotated(t, start(t))
		d.day(t, "old", one)
		if err := d.run(t); err != nil {
			t.Fatal(err)
		}
		d.published(t)
		d.pass(t, 6*time.Hour, "new", one)
		other := d.function(t, direct, 0)
		d.happen(call, func(r *http.Request) (*http.Response, error) {
			d.pass(t, 3*time.Hour, "later", one)
			if err := d.invoke(t.Context(), other); err != nil {
				t.Errorf("call %d: the run that overtakes: %v", call, err)
			}
			return direct.RoundTrip(r)
		})
		if err := d.run(t); err != nil {
			t.Fatalf("call %d: the run that is overtaken: %v", call, err)
		}
		more = d.made >= call
		d.happen(0, nil)
		if !more {
			break
		}
		if got := d.published(t); !slices.Contains(got, "laggard new") || !slices.Contains(got, "laggard later") || len(got) > 3 {
			t.Errorf("call %d: published %v, want both laggards, the first by both runs at most", call, got)
		}
		d.pass(t, time.Hour, "third", one)
		if err := d.run(t); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"laggard third"}, d.published(t)); diff != "" {
			t.Errorf("call %d: published after both (-want +got):\n%s", call, diff)
		}
		last := d.latest(t)
		if diff := cmp.Diff([]string{"third"}, newcomers(last)); diff != "" {
			t.Errorf("call %d: new after both (-want +got):\n%s", call, diff)
		}
		if got := d.secretOf(t, last).Reads; got != 3 || !last.Coverage.Whole() {
			t.Errorf("call %d: %d reads of the three of the last day, %+v", call, got, last.Coverage)
		}
	}
}

func TestEventsThatComeLateAreInTheNextReport(t *testing.T) {
	t.Parallel()
	const late = 15 * time.Minute
	d, one, _ := rotated(t, startLate(t, late))
	d.advance(t, 24*time.Hour)
	d.pass(t, late-time.Minute, "old", one)
	if err := d.run(t); err != nil {
		t.Fatal(err)
	}
	if got := d.published(t); got != nil {
		t.Fatalf("published %v, of events that were not there yet", got)
	}
	d.advance(t, 23*time.Hour)
	if err := d.run(t); err != nil {
		t.Fatal(err)
	}
	if got := d.secretOf(t, d.latest(t)).Reads; got != 1 {
		t.Errorf("the next report has the late read %d times, want once", got)
	}
	if diff := cmp.Diff([]string{"laggard old"}, d.published(t)); diff != "" {
		t.Errorf("published (-want +got):\n%s", diff)
	}
}

func TestAReportAfterMissedRunsIsOfAllTheTimeBetween(t *testing.T) {
	t.Parallel()
	d, one, _ := rotated(t, start(t))
	d.advance(t, 24*time.Hour)
	if err := d.run(t); err != nil {
		t.Fatal(err)
	}
	before := d.latest(t).Coverage.To
	d.pass(t, 20*24*time.Hour, "old", one)
	if err := d.run(t); err != nil {
		t.Fatal(err)
	}
	after := d.latest(t)
	if !after.Coverage.From.Equal(before) || !after.Coverage.Whole() || d.secretOf(t, after).Reads != 1 {
		t.Errorf("the report is from %v on with %d reads, want from %v with one: %+v", after.Coverage.From, d.secretOf(t, after).Reads, before, after.Coverage)
	}
}

func TestATimeThatTheEventHistoryHasForgottenIsNamed(t *testing.T) {
	t.Parallel()
	d, _, _ := rotated(t, start(t))
	d.advance(t, 24*time.Hour)
	if err := d.run(t); err != nil {
		t.Fatal(err)
	}
	d.advance(t, 100*24*time.Hour)
	if err := d.run(t); err != nil {
		t.Fatal(err)
	}
	if notes := strings.Join(d.latest(t).Coverage.Notes, "\n"); !strings.Contains(notes, "they were not read while the event history had them") {
		t.Errorf("after a hundred days without a run the report does not say what it lacks: %s", notes)
	}
}

func TestARunWhoseTimeIsOverKeepsWhatItReadAndIsInvokedAgain(t *testing.T) {
	t.Parallel()
	d, one, _ := rotated(t, start(t))
	d.day(t, "old", one)
	d.happen(14, func(r *http.Request) (*http.Response, error) { // in the second slice
		<-r.Context().Done()
		return nil, r.Context().Err()
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	err := d.invoke(ctx, d.function(t, d.calls, time.Hour-5*time.Second))
	if err == nil || !strings.Contains(err.Error(), "they were read up to ") {
		t.Fatalf("the run: %v, want that its time was not enough", err)
	}
	d.happen(0, nil)
	partial := d.latest(t)
	if partial.Coverage.Whole() || !partial.Coverage.To.Before(d.clock.Now().Add(-time.Hour)) {
		t.Errorf("the report does not say what it lacks: %+v", partial.Coverage)
	}
	if err := d.run(t); err != nil {
		t.Fatal(err)
	}
	if last := d.latest(t); !last.Coverage.Whole() || d.secretOf(t, last).Reads != 1 {
		t.Errorf("the run after it: %d reads, want one: %+v", d.secretOf(t, last).Reads, last.Coverage)
	}
	if got := d.made; got > 31 {
		t.Errorf("the run after it made %d calls: it began anew", got)
	}
}

func TestWhatMayNotBeAskedIsInTheCoverage(t *testing.T) {
	t.Parallel()
	d, one, _ := rotated(t, start(t))
	d.day(t, "old", one)
	refuse := roundTrip(func(r *http.Request) (*http.Response, error) {
		if target := r.Header.Get("X-Amz-Target"); strings.HasSuffix(target, ".ListSecrets") || strings.HasSuffix(target, ".Scan") {
			return &http.Response{StatusCode: http.StatusForbidden, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
		}
		return direct.RoundTrip(r)
	})
	if err := d.invoke(t.Context(), d.function(t, refuse, 0)); err != nil {
		t.Fatal(err)
	}
	got := d.latest(t).Coverage
	if got.Inventory || got.Leases || got.Whole() {
		t.Errorf("the report does not say that it lacks inventory and leases: %+v", got)
	}
	for _, want := range []string{"the consumers' leases: ", "what Secrets Manager says of the secrets: "} {
		if !strings.Contains(strings.Join(got.Notes, "\n"), want) {
			t.Errorf("no note says %q: %q", want, got.Notes)
		}
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

// RoundTrip calls it.
func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestAStateThatIsNotThisProgramsIsNotOverwritten(t *testing.T) {
	t.Parallel()
	d, _, _ := rotated(t, start(t))
	_, err := awss3.NewFromConfig(d.as("ops")).PutObject(t.Context(), &awss3.PutObjectInput{
		Bucket: aws.String(bucket), Key: aws.String("state/audit.json"), Body: strings.NewReader(`{"rekeyAudit":2}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.run(t); err == nil || !strings.Contains(err.Error(), "has version 2, want 1") {
		t.Errorf("the run: %v, want that the state has another version", err)
	}
}

// TestTheMetricsAreThoseOfTheDocuments reads the lines as CloudWatch does.
func TestTheMetricsAreThoseOfTheDocuments(t *testing.T) {
	t.Parallel()
	d, one, _ := rotated(t, start(t))
	d.day(t, "old", one)
	if err := d.run(t); err != nil {
		t.Fatal(err)
	}
	type line struct {
		AWS struct {
			Timestamp         int64
			CloudWatchMetrics []struct {
				Namespace  string
				Dimensions [][]string
				Metrics    []struct{ Name, Unit string }
			}
		} `json:"_aws"`
	}
	units := make(map[string]string)
	values := make(map[string]any)
	for text := range strings.Lines(d.metrics.String()) {
		var l line
		if err := json.Unmarshal([]byte(text), &l); err != nil || len(l.AWS.CloudWatchMetrics) != 1 {
			t.Fatalf("%s: %v", text, err)
		}
		m := l.AWS.CloudWatchMetrics[0]
		if err := json.Unmarshal([]byte(text), &values); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([][]string{{"Stage"}}, m.Dimensions); diff != "" || m.Namespace != "Rekey" || values["Stage"] != "dev" {
			t.Errorf("namespace %s, stage %v, dimensions (-want +got):\n%s", m.Namespace, values["Stage"], diff)
		}
		for _, metric := range m.Metrics {
			units[metric.Name] = metric.Unit
		}
	}
	want := map[string]string{"Laggards": "Count", "FailedRotations": "Count", "HighFindings": "Count", "EventsRead": "Count", "CoverageAge": "Seconds"}
	if diff := cmp.Diff(want, units); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
	if values["Laggards"] != 1.0 || values["HighFindings"] != 1.0 || values["FailedRotations"] != 0.0 || values["CoverageAge"].(float64) > 1 {
		t.Errorf("values %v, want one laggard and one finding", values)
	}
}

func TestWhatLastsIsOneFindingAndWhatIsDoneAgainIsAnother(t *testing.T) {
	t.Parallel()
	monday := time.Date(2026, time.November, 23, 6, 30, 0, 0, time.UTC)
	tests := map[string]struct {
		change func(*report.Finding)
		kind   string
		same   bool
	}{
		"a laggard that goes on":           {func(f *report.Finding) { f.At = monday.Add(time.Hour) }, report.KindLaggard, true},
		"a laggard on another version":     {func(f *report.Finding) { f.VersionID = "w" }, report.KindLaggard, false},
		"another laggard":                  {func(f *report.Finding) { f.Principal = "b" }, report.KindLaggard, false},
		"a rotation that is later still":   {func(f *report.Finding) { f.At, f.Text = monday.Add(time.Hour), "later" }, report.KindRotationOverdue, true},
		"a rotation that failed again":     {func(f *report.Finding) { f.At = monday.Add(time.Hour) }, report.KindRotationFailed, true},
		"another rotation that failed":     {func(f *report.Finding) { f.VersionID = "w" }, report.KindRotationFailed, false},
		"a decoy that is touched again":    {func(f *report.Finding) { f.At = monday.Add(time.Hour) }, report.KindDecoy, false},
		"a decoy's touch, told otherwise":  {func(f *report.Finding) { f.Text, f.Labels = "x", []string{"y"} }, report.KindDecoy, true},
		"a secret without an ARN, another": {func(f *report.Finding) { f.SecretARN, f.Secret = "", "other" }, report.KindRoot, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before := report.Finding{Kind: tt.kind, SecretARN: "arn", Secret: "s", Principal: "a", VersionID: "v", At: monday}
			after := before
			tt.change(&after)
			if got := audit.Key(before) == audit.Key(after); got != tt.same {
				t.Errorf("the same finding: %v, want %v (%s, %s)", got, tt.same, audit.Key(before), audit.Key(after))
			}
		})
	}
}
