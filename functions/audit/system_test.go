package audit_test

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/google/go-cmp/cmp"

	"github.com/rekey-go/rekey"
	report "github.com/rekey-go/rekey/audit"
	"github.com/rekey-go/rekey/functions/audit"
	"github.com/rekey-go/rekey/functions/internal/functiontest"
	"github.com/rekey-go/rekey/internal/local"
)

// TestMain lets the engine run this test binary as the audit; the other
// functions do nothing.
func TestMain(m *testing.M) {
	functiontest.Main(m, func(codeURI string, cfg aws.Config) (lambda.Handler, error) {
		if !strings.Contains(codeURI, "audit") {
			return nil, nil
		}
		return audit.New(cfg, os.Getenv)
	})
}

// A system is the engine with the whole template, and a queue that gets what is
// put on its bus.
type system struct {
	*local.Engine
	log     *functiontest.Log
	queue   string
	bucket  string
	secrets *secretsmanager.Client
}

func (s *system) as(name string) aws.Config {
	return aws.Config{Region: local.Region, BaseEndpoint: aws.String(s.Endpoint()), Credentials: credentials.NewStaticCredentialsProvider(name, name, "")}
}

func startSystem(t *testing.T) *system {
	t.Helper()
	s := &system{log: new(functiontest.Log)}
	var err error
	s.Engine, err = local.Start(t.Context(), local.Options{
		Template: rekey.Template, TemplateFile: "template.yaml", Logs: s.log,
		Command: functiontest.Command,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Errorf("closing the engine: %v", err)
		}
	})
	if w := s.Warnings(); len(w) > 0 {
		t.Errorf("the engine warns: %v", w)
	}
	outputs, err := s.Outputs()
	if err != nil {
		t.Fatal(err)
	}
	s.bucket, s.secrets = outputs["AuditBucket"], secretsmanager.NewFromConfig(s.as("ops"))
	s.listen(t)
	return s
}

// listen makes the queue.
func (s *system) listen(t *testing.T) {
	t.Helper()
	const arn = "arn:aws:sqs:us-east-1:123456789012:findings"
	made, err := sqs.NewFromConfig(s.as("ops")).CreateQueue(t.Context(), &sqs.CreateQueueInput{
		QueueName: aws.String("findings"), Attributes: map[string]string{
			"Policy": `{"Statement":[{"Effect":"Allow","Principal":{"Service":"events.amazonaws.com"},"Action":"sqs:SendMessage","Resource":"` + arn + `"}]}`,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.queue = *made.QueueUrl
	client := eventbridge.NewFromConfig(s.as("ops"))
	_, err = client.PutRule(t.Context(), &eventbridge.PutRuleInput{
		Name: aws.String("findings"), EventBusName: aws.String(bus), EventPattern: aws.String(`{"detail-type":["Audit Finding"]}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.PutTargets(t.Context(), &eventbridge.PutTargetsInput{
		Rule: aws.String("findings"), EventBusName: aws.String(bus), Targets: []types.Target{{Id: aws.String("q"), Arn: aws.String(arn)}},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// received are the bodies that came to the queue since.
func (s *system) received(t *testing.T) (bodies []string) {
	t.Helper()
	client := sqs.NewFromConfig(s.as("ops"))
	for {
		out, err := client.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &s.queue, MaxNumberOfMessages: 10})
		if err != nil {
			t.Fatal(err)
		}
		if len(out.Messages) == 0 {
			return bodies
		}
		for _, m := range out.Messages {
			bodies = append(bodies, *m.Body)
			if _, err := client.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: &s.queue, ReceiptHandle: m.ReceiptHandle}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// objects are the contents of the bucket, unpacked, by key.
func (s *system) objects(t *testing.T) map[string]string {
	t.Helper()
	client := s3.NewFromConfig(s.as("ops"))
	all := make(map[string]string)
	listed, err := client.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &s.bucket})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range listed.Contents {
		out, err := client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &s.bucket, Key: o.Key})
		if err != nil {
			t.Fatal(err)
		}
		var body io.Reader = out.Body
		if strings.HasSuffix(*o.Key, ".gz") {
			if body, err = gzip.NewReader(out.Body); err != nil {
				t.Fatal(err)
			}
		}
		text, err := io.ReadAll(body)
		if err != nil {
			t.Fatal(err)
		}
		all[*o.Key] = aws.ToString(out.ContentType) + "\n" + string(text)
	}
	return all
}

// put gives a secret a value that must not turn up anywhere.
func (s *system) put(t *testing.T, name string, n int) (version string) {
	t.Helper()
	out, err := s.secrets.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{
		SecretId: aws.String("dev-" + name), SecretString: aws.String(fmt.Sprintf("canary-%s-%d", name, n)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return *out.VersionId
}

func (s *system) advance(t *testing.T, d time.Duration) {
	t.Helper()
	if err := s.Clock().Advance(t.Context(), d); err != nil {
		t.Fatal(err)
	}
}

// aDay reads a version as somebody, and lets a day pass on which the schedule
// runs the audit.
func (s *system) aDay(t *testing.T, who, name, version string) {
	t.Helper()
	s.advance(t, time.Minute)
	_, err := secretsmanager.NewFromConfig(s.as(who)).GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("dev-" + name), VersionId: &version})
	if err != nil {
		t.Fatal(err)
	}
	s.advance(t, 24*time.Hour)
}

func TestTheDeployedFunctionKeepsADaysReportAndTheNextDayTellsWhatIsNew(t *testing.T) {
	t.Parallel()
	s := startSystem(t)
	const name = "provider-admin"
	old := s.put(t, name, 1)
	s.advance(t, time.Minute)
	s.put(t, name, 2)

	s.aDay(t, "first", name, old)
	first := s.received(t)
	s.aDay(t, "second", name, old)
	second := s.received(t)

	for day, got := range map[string][]string{"first": first, "second": second} {
		if len(got) != 1 || !strings.Contains(got[0], "user/"+day) {
			t.Errorf("events of the %s day: %v, want one, of its own laggard\n%s", day, got, s.log.String())
		}
	}
	objects := s.objects(t)
	var kinds []string
	for key, text := range objects {
		kind, _, _ := strings.Cut(text, "\n")
		if strings.HasPrefix(key, "reports/2") {
			kinds = append(kinds, key[len(key)-5:]+" "+kind)
		}
		if strings.Contains(text, "canary-") {
			t.Errorf("%s has the value of a secret", key)
		}
	}
	slices.Sort(kinds)
	want := []string{
		".html text/html; charset=utf-8", ".html text/html; charset=utf-8", ".json application/json", ".json application/json",
		"Z.csv text/csv; charset=utf-8", "Z.csv text/csv; charset=utf-8",
	}
	if diff := cmp.Diff(want, kinds); diff != "" {
		t.Errorf("the reports of two days (-want +got):\n%s", diff)
	}
	if text := strings.Join(append(first, second...), "\n") + s.log.String(); strings.Contains(text, "canary-") {
		t.Error("an event or a log has the value of a secret")
	}
	var latest report.Report
	_, text, _ := strings.Cut(objects["reports/latest.json"], "\n")
	if err := json.Unmarshal([]byte(text), &latest); err != nil {
		t.Fatal(err)
	}
	if got := newcomers(&latest); !slices.Contains(got, "second") || slices.Contains(got, "first") {
		t.Errorf("the second day's report has as new %v, want the second reader and not the first", got)
	}
	if !latest.Coverage.Whole() || !latest.Coverage.Inventory || !latest.Coverage.Leases {
		t.Errorf("the second day's report is not whole: %+v", latest.Coverage)
	}
	if !strings.Contains(s.log.String(), `"Namespace":"Rekey"`) {
		t.Error("the log has no metrics")
	}
	for _, r := range s.Policies().Refused {
		t.Errorf("%s was refused %s on %s", r.Who, r.Action, r.Resource)
	}
}
