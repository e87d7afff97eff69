package audit_test

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	report "github.com/rekey-go/rekey/audit"
	"github.com/rekey-go/rekey/functions/audit"
	"github.com/rekey-go/rekey/internal/local/clock"
	"github.com/rekey-go/rekey/internal/local/cloudtrail"
	"github.com/rekey-go/rekey/internal/local/dynamodb"
	"github.com/rekey-go/rekey/internal/local/events"
	"github.com/rekey-go/rekey/internal/local/iam"
	"github.com/rekey-go/rekey/internal/local/s3"
	store "github.com/rekey-go/rekey/internal/local/secretsmanager"
	"github.com/rekey-go/rekey/internal/local/wire"
	"github.com/rekey-go/rekey/runtime/invalidation"
)

const (
	account = "123456789012"
	region  = "us-east-1"
	bus     = "dev-rekey"
)

// A queue hands on what is delivered to it.
type queue chan string

func (q queue) Deliver(_, body string, _ map[string]any) error {
	q <- body
	return nil
}

// An engine has what the function works on.
type engine struct {
	url     string
	clock   *clock.Clock
	queue   queue
	objects *s3.Service
}

func start(t *testing.T) *engine {
	t.Helper()
	return startLate(t, 0)
}

// startLate starts an engine whose event history is late.
func startLate(t *testing.T, delay time.Duration) *engine {
	t.Helper()
	e := &engine{clock: clock.New(), queue: make(queue, 100)}
	var err error
	if e.objects, err = s3.New(e.clock.Now, nil); err != nil {
		t.Fatal(err)
	}
	objects := e.objects.Wire()
	e.clock.Freeze()
	trail, err := cloudtrail.New(cloudtrail.Options{Account: account, Region: region, Clock: e.clock, Delay: delay})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = trail.Close() })
	buses, err := events.New(events.Options{Account: account, Region: region, Clock: e.clock, Queues: e.queue})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(buses.Close)
	values, err := store.New(store.Options{Account: account, Region: region, Clock: e.clock, Trail: trail})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(values.Close)
	tables, err := dynamodb.New(dynamodb.Options{Account: account, Region: region, Clock: e.clock})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(wire.NewFront(wire.FrontOptions{
		Account: account, Region: region, Now: e.clock.Now, Identify: iam.NewKeys(account).Lookup, Recorder: trail, Objects: &objects,
	}, trail.Wire(), buses.Wire(), values.Wire(), tables.Wire()))
	t.Cleanup(server.Close)
	e.url = server.URL
	return e
}

// as is the configuration of a caller.
func (e *engine) as(name string) aws.Config {
	return aws.Config{
		BaseEndpoint: &e.url, Region: region,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: name, SecretAccessKey: "none"}, nil
		}),
	}
}

func (e *engine) advance(t *testing.T, d time.Duration) {
	t.Helper()
	if err := e.clock.Advance(t.Context(), d); err != nil {
		t.Fatal(err)
	}
}

// subscribe sends the bus's audit findings to the queue.
func (e *engine) subscribe(t *testing.T) {
	t.Helper()
	client := eventbridge.NewFromConfig(e.as("ops"))
	if _, err := client.CreateEventBus(t.Context(), &eventbridge.CreateEventBusInput{Name: aws.String(bus)}); err != nil {
		t.Fatal(err)
	}
	_, err := client.PutRule(t.Context(), &eventbridge.PutRuleInput{
		Name: aws.String("findings"), EventBusName: aws.String(bus),
		EventPattern: aws.String(`{"source":["rekey"],"detail-type":["Audit Finding"]}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.PutTargets(t.Context(), &eventbridge.PutTargetsInput{
		Rule: aws.String("findings"), EventBusName: aws.String(bus),
		Targets: []types.Target{{Id: aws.String("q"), Arn: aws.String("arn:aws:sqs:us-east-1:123456789012:findings")}},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// onlyTheBus is the environment of a function without a bucket.
func onlyTheBus(name string) string { return map[string]string{"REKEY_BUS": bus}[name] }

func TestALaggardIsReportedAndPublished(t *testing.T) {
	t.Parallel()
	e := start(t)
	e.subscribe(t)
	from := e.clock.Now()
	ops, app := secretsmanager.NewFromConfig(e.as("ops")), secretsmanager.NewFromConfig(e.as("app"))
	made, err := ops.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("dev-db"), SecretString: aws.String("canary-1")})
	if err != nil {
		t.Fatal(err)
	}
	e.advance(t, time.Minute)
	replaced, err := ops.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: made.ARN, SecretString: aws.String("canary-2")})
	if err != nil {
		t.Fatal(err)
	}
	e.advance(t, time.Minute)
	_, err = app.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("dev-db"), VersionId: made.VersionId})
	if err != nil {
		t.Fatal(err)
	}
	read := e.clock.Now().UTC().Truncate(time.Second)

	handler, err := audit.New(e.as("audit"), onlyTheBus)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(map[string]time.Time{"from": from, "to": e.clock.Now()})
	if err != nil {
		t.Fatal(err)
	}
	answer, err := handler.Invoke(t.Context(), payload)
	if err != nil {
		t.Fatalf("Invoke: %v", err)
	}
	var got report.Report
	if err := json.Unmarshal(answer, &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Secrets) != 1 || len(got.Secrets[0].Laggards) != 1 {
		t.Fatalf("report: %s", answer)
	}
	if s := got.Secrets[0]; s.ARN != *made.ARN || s.Current != *replaced.VersionId || s.Reads != 1 {
		t.Errorf("secret %s: current %s, %d reads; want %s, %s, 1", s.ARN, s.Current, s.Reads, *made.ARN, *replaced.VersionId)
	}
	var event struct {
		Source string
		Detail invalidation.Rotated
	}
	select {
	case body := <-e.queue:
		if err := json.Unmarshal([]byte(body), &event); err != nil {
			t.Fatal(err)
		}
		if changes, ok := invalidation.Parse([]byte(body)); ok || len(changes) > 0 {
			t.Errorf("consumers take the finding for news: %v", changes)
		}
	case <-t.Context().Done():
		t.Fatal("no event was published")
	}
	want := invalidation.Rotated{
		SecretARN: *made.ARN, Name: "dev-db", VersionID: *replaced.VersionId, PreviousVersionID: *made.VersionId,
		Reason: "laggard: arn:aws:iam::123456789012:user/app asked for the old version after it was superseded", At: read,
	}
	if diff := cmp.Diff(want, event.Detail, cmpopts.EquateApproxTime(0)); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
}

func TestAScheduledEventAsksForTheLastDay(t *testing.T) {
	t.Parallel()
	e := start(t)
	handler, err := audit.New(e.as("audit"), onlyTheBus)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := handler.Invoke(t.Context(), []byte(`{"source":"aws.events","detail-type":"Scheduled Event","time":"2026-11-24T00:00:00Z","detail":{}}`))
	if err != nil {
		t.Fatalf("Invoke: %v", err)
	}
	var got report.Report
	if err := json.Unmarshal(answer, &got); err != nil {
		t.Fatal(err)
	}
	if span := got.Coverage.To.Sub(got.Coverage.From); span != 24*time.Hour {
		t.Errorf("the report is of %v, want 24h", span)
	}
}

func TestRefusedInvocations(t *testing.T) {
	t.Parallel()
	if _, err := audit.New(aws.Config{}, func(string) string { return "" }); err == nil {
		t.Error("New without REKEY_BUS: no error")
	}
	handler, err := audit.New(start(t).as("audit"), onlyTheBus)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := handler.Invoke(t.Context(), []byte(`{"from":"2026-01-02T00:00:00Z","to":"2026-01-01T00:00:00Z"}`)); err == nil {
		t.Error("Invoke with an end before its start: no error")
	}
}
