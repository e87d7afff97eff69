package sqs_test

import (
	"strings"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/google/go-cmp/cmp"

	"github.com/rekey-go/rekey/internal/local/sqs"
	"github.com/rekey-go/rekey/internal/local/store"
)

func TestCreateQueueRefuses(t *testing.T) {
	t.Parallel()
	e := start(t, nil)
	e.create(t, "have", map[string]string{"VisibilityTimeout": "60"})
	tests := map[string]struct {
		name       string
		attributes map[string]string
		code       string
	}{
		"a FIFO queue":                {"jobs.fifo", nil, "AWS.SimpleQueueService.UnsupportedOperation"},
		"a FIFO queue by attribute":   {"jobs", map[string]string{"FifoQueue": "true"}, "AWS.SimpleQueueService.UnsupportedOperation"},
		"a name with a dot":           {"a.b", nil, "InvalidParameterValue"},
		"a name of 81":                {strings.Repeat("x", 81), nil, "InvalidParameterValue"},
		"an attribute that is none":   {"jobs", map[string]string{"Colour": "red"}, "InvalidAttributeName"},
		"a timeout of half a day":     {"jobs", map[string]string{"VisibilityTimeout": "43201"}, "InvalidAttributeValue"},
		"a wait of 21":                {"jobs", map[string]string{"ReceiveMessageWaitTimeSeconds": "21"}, "InvalidAttributeValue"},
		"a dead letter queue missing": {"jobs", map[string]string{"RedrivePolicy": `{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:123456789012:none","maxReceiveCount":1}`}, "InvalidParameterValue"},
		"a receive count of 0":        {"jobs", map[string]string{"RedrivePolicy": `{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:123456789012:have","maxReceiveCount":0}`}, "InvalidParameterValue"},
		"a policy that is no JSON":    {"jobs", map[string]string{"RedrivePolicy": `{`}, "InvalidParameterValue"},
		"one that is there otherwise": {"have", map[string]string{"VisibilityTimeout": "61"}, "QueueAlreadyExists"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := e.CreateQueue(t.Context(), &sdk.CreateQueueInput{QueueName: &tt.name, Attributes: tt.attributes})
			wantCode(t, err, tt.code)
		})
	}
}

// denyAll is a policy that a queue may have.
const denyAll = `{"Statement":{"Effect":"Deny","Principal":"*","Action":"sqs:*","Resource":"*"}}`

func TestAQueueFromMakingToDeleting(t *testing.T) {
	t.Parallel()
	e := start(t, nil)
	url := e.create(t, "jobs", map[string]string{"VisibilityTimeout": "60"})
	if want := "http://queues.test/123456789012/jobs"; url != want {
		t.Errorf("URL: got %s, want %s", url, want)
	}
	if again := e.create(t, "jobs", map[string]string{"VisibilityTimeout": "60"}); again != url {
		t.Errorf("URL of the same again: got %s", again)
	}
	if _, err := e.SetQueueAttributes(t.Context(), &sdk.SetQueueAttributesInput{
		QueueUrl: &url, Attributes: map[string]string{"DelaySeconds": "5", "Policy": denyAll},
	}); err != nil {
		t.Fatal(err)
	}
	e.send(t, url, "delayed")
	e.advance(t, 5*time.Second)
	e.send(t, url, "delayed too")
	e.only(t, url)
	e.advance(t, 5*time.Second)
	out, err := e.GetQueueAttributes(t.Context(), &sdk.GetQueueAttributesInput{
		QueueUrl: &url, AttributeNames: []types.QueueAttributeName{"All"},
	})
	if err != nil {
		t.Fatal(err)
	}
	delete(out.Attributes, "CreatedTimestamp")
	delete(out.Attributes, "LastModifiedTimestamp")
	want := map[string]string{
		"QueueArn":          "arn:aws:sqs:us-east-1:123456789012:jobs",
		"VisibilityTimeout": "60", "DelaySeconds": "5", "MessageRetentionPeriod": "345600",
		"ReceiveMessageWaitTimeSeconds": "0", "MaximumMessageSize": "1048576", "SqsManagedSseEnabled": "true", "Policy": denyAll,
		"ApproximateNumberOfMessages": "1", "ApproximateNumberOfMessagesNotVisible": "1", "ApproximateNumberOfMessagesDelayed": "0",
	}
	if diff := cmp.Diff(want, out.Attributes); diff != "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}
	if _, err := e.DeleteQueue(t.Context(), &sdk.DeleteQueueInput{QueueUrl: &url}); err != nil {
		t.Fatal(err)
	}
	_, err = e.GetQueueUrl(t.Context(), &sdk.GetQueueUrlInput{QueueName: new("jobs")})
	wantCode(t, err, "AWS.SimpleQueueService.NonExistentQueue")
}

func TestPurgeQueueOnceAMinute(t *testing.T) {
	t.Parallel()
	e := start(t, nil)
	url := e.create(t, "jobs", map[string]string{"DelaySeconds": "10"})
	e.send(t, url, "delayed")
	purge := func() error {
		_, err := e.PurgeQueue(t.Context(), &sdk.PurgeQueueInput{QueueUrl: &url})
		return err
	}
	if err := purge(); err != nil {
		t.Fatal(err)
	}
	e.advance(t, 10*time.Second)
	e.wantNone(t, url, "after the purge")
	wantCode(t, purge(), "AWS.SimpleQueueService.PurgeQueueInProgress")
	e.advance(t, 50*time.Second)
	if err := purge(); err != nil {
		t.Errorf("a minute later: %v", err)
	}
}

func TestListQueuesAndTags(t *testing.T) {
	t.Parallel()
	e := start(t, nil)
	for _, name := range []string{"dev-b", "dev-a", "prod"} {
		e.create(t, name, nil)
	}
	page, err := e.ListQueues(t.Context(), &sdk.ListQueuesInput{QueueNamePrefix: new("dev-"), MaxResults: new(int32(1))})
	if err != nil {
		t.Fatal(err)
	}
	rest, err := e.ListQueues(t.Context(), &sdk.ListQueuesInput{QueueNamePrefix: new("dev-"), NextToken: page.NextToken})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"http://queues.test/123456789012/dev-a", "http://queues.test/123456789012/dev-b"}
	if diff := cmp.Diff(want, append(page.QueueUrls, rest.QueueUrls...)); diff != "" {
		t.Errorf("URLs (-want +got):\n%s", diff)
	}
	url := want[0]
	if _, err := e.TagQueue(t.Context(), &sdk.TagQueueInput{QueueUrl: &url, Tags: map[string]string{"a": "1", "b": "2"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := e.UntagQueue(t.Context(), &sdk.UntagQueueInput{QueueUrl: &url, TagKeys: []string{"a"}}); err != nil {
		t.Fatal(err)
	}
	tags, err := e.ListQueueTags(t.Context(), &sdk.ListQueueTagsInput{QueueUrl: &url})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"b": "2"}, tags.Tags); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
}

func TestQueuesAndMessagesSurviveARestart(t *testing.T) {
	t.Parallel()
	kept, err := store.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = kept.Close() })
	e := start(t, kept)
	dead := e.create(t, "dead", nil)
	url := e.create(t, "jobs", map[string]string{
		"RedrivePolicy": `{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:123456789012:dead","maxReceiveCount":1}`,
	})
	e.send(t, url, "buried")
	e.only(t, url)
	e.advance(t, 30*time.Second)
	e.wantNone(t, url, "after one receive")
	e.send(t, url, "deleted")
	e.delete(t, url, *e.only(t, url).ReceiptHandle)
	e.send(t, url, "in flight")
	e.only(t, url)
	e.send(t, url, "waiting") // its commit has those before it on disk, too

	e = start(t, kept)
	var got []string
	for _, m := range e.receive(t, url) {
		got = append(got, *m.Body)
	}
	if diff := cmp.Diff(map[string]bool{"in flight": true, "waiting": true}, set(got)); diff != "" {
		t.Errorf("messages after the restart (-want +got):\n%s", diff)
	}
	if m := e.only(t, dead); *m.Body != "buried" {
		t.Errorf("dead letter: got %q", *m.Body)
	}
}

func set(texts []string) map[string]bool {
	s := make(map[string]bool)
	for _, text := range texts {
		s[text] = true
	}
	return s
}

func TestProvisionKeepsTheMessages(t *testing.T) {
	t.Parallel()
	e := start(t, nil)
	arn, url, err := e.service.Provision(sqs.Queue{Name: "jobs"})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.service.Deliver(arn, "x", map[string]any{"why": "test", "empty": ""}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := e.service.Provision(sqs.Queue{Name: "jobs", VisibilityTimeout: new(0)}); err != nil {
		t.Fatal(err)
	}
	for range 2 { // a visibility timeout of zero shows it at once
		m := e.only(t, url)
		if len(m.MessageAttributes) != 1 || *m.MessageAttributes["why"].StringValue != "test" {
			t.Errorf("attributes: got %v", m.MessageAttributes)
		}
	}
	wantNoQueue(t, e.service.Deliver("arn:aws:sqs:us-east-1:123456789012:none", "x", nil))
}
