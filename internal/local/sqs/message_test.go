package sqs_test

import (
	"crypto/md5"
	"encoding/hex"
	"strconv"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestAMessageComesAsItWasSent(t *testing.T) {
	t.Parallel()
	e := start(t, nil)
	url := e.create(t, "jobs", nil)
	attributes := map[string]types.MessageAttributeValue{
		"reason": {DataType: new("String"), StringValue: new("leak")},
		"count":  {DataType: new("Number.int"), StringValue: new("3")},
		"raw":    {DataType: new("Binary"), BinaryValue: []byte("\x00\xff")},
	}
	sent, err := e.SendMessage(t.Context(), &sdk.SendMessageInput{
		QueueUrl: &url, MessageBody: new("hello <&> world"), MessageAttributes: attributes,
	})
	if err != nil {
		t.Fatal(err)
	}
	m := e.only(t, url)
	if *m.Body != "hello <&> world" || *m.MessageId != *sent.MessageId {
		t.Errorf("got body %q of message %s, sent %s", *m.Body, *m.MessageId, *sent.MessageId)
	}
	if diff := cmp.Diff(attributes, m.MessageAttributes, cmpopts.IgnoreUnexported(types.MessageAttributeValue{})); diff != "" {
		t.Errorf("message attributes (-sent +got):\n%s", diff)
	}
	sum := md5.Sum([]byte("hello <&> world"))
	for what, got := range map[string]string{"send": *sent.MD5OfMessageBody, "receive": *m.MD5OfBody} {
		if got != hex.EncodeToString(sum[:]) {
			t.Errorf("MD5 of the body in the answer to %s: got %s", what, got)
		}
	}
	if *sent.MD5OfMessageAttributes != *m.MD5OfMessageAttributes {
		t.Errorf("MD5 of the attributes: %s when sent, %s when received", *sent.MD5OfMessageAttributes, *m.MD5OfMessageAttributes)
	}
	now := strconv.FormatInt(e.clock.Now().UnixMilli(), 10)
	for name, want := range map[string]string{"ApproximateReceiveCount": "1", "SentTimestamp": now, "ApproximateFirstReceiveTimestamp": now} {
		if got := m.Attributes[name]; got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

// The value was computed by hand from the developer guide's rules.
func TestMD5OfMessageAttributesIsAWSs(t *testing.T) {
	t.Parallel()
	e := start(t, nil)
	url := e.create(t, "jobs", nil)
	sent, err := e.SendMessage(t.Context(), &sdk.SendMessageInput{
		QueueUrl: &url, MessageBody: new("x"),
		MessageAttributes: map[string]types.MessageAttributeValue{
			"b": {DataType: new("Binary"), BinaryValue: []byte{1}},
			"a": {DataType: new("String"), StringValue: new("v")},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	sum := md5.Sum([]byte("\x00\x00\x00\x01a" + "\x00\x00\x00\x06String" + "\x01" + "\x00\x00\x00\x01v" +
		"\x00\x00\x00\x01b" + "\x00\x00\x00\x06Binary" + "\x02" + "\x00\x00\x00\x01\x01"))
	if got, want := *sent.MD5OfMessageAttributes, hex.EncodeToString(sum[:]); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestOnlyTheAttributesThatAreAskedForCome(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		ask  []string
		want []string
	}{
		"none":     {nil, nil},
		"all":      {[]string{"All"}, []string{"app.a", "app.b", "other"}},
		"a prefix": {[]string{"app.*"}, []string{"app.a", "app.b"}},
		"a name":   {[]string{"other"}, []string{"other"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := start(t, nil)
			url := e.create(t, "jobs", nil)
			value := types.MessageAttributeValue{DataType: new("String"), StringValue: new("v")}
			if _, err := e.SendMessage(t.Context(), &sdk.SendMessageInput{
				QueueUrl: &url, MessageBody: new("x"),
				MessageAttributes: map[string]types.MessageAttributeValue{"app.a": value, "app.b": value, "other": value},
			}); err != nil {
				t.Fatal(err)
			}
			out, err := e.ReceiveMessage(t.Context(), &sdk.ReceiveMessageInput{QueueUrl: &url, MessageAttributeNames: tt.ask})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for name := range out.Messages[0].MessageAttributes {
				got = append(got, name)
			}
			if diff := cmp.Diff(tt.want, got, cmpopts.SortSlices(func(a, b string) bool { return a < b })); diff != "" {
				t.Errorf("attributes (-want +got):\n%s", diff)
			}
			if n := len(out.Messages[0].Attributes); n != 0 {
				t.Errorf("%d system attributes came unasked", n)
			}
		})
	}
}

func TestAMessageIsHiddenUntilItsDelayEnds(t *testing.T) {
	t.Parallel()
	e := start(t, nil)
	url := e.create(t, "jobs", map[string]string{"DelaySeconds": "900"})
	e.send(t, url, "by the queue")
	if _, err := e.SendMessage(t.Context(), &sdk.SendMessageInput{QueueUrl: &url, MessageBody: new("by itself"), DelaySeconds: 10}); err != nil {
		t.Fatal(err)
	}
	e.wantNone(t, url, "at once")
	e.advance(t, 10*time.Second)
	if got := *e.only(t, url).Body; got != "by itself" {
		t.Errorf("after 10 s: got %q", got)
	}
	e.advance(t, 890*time.Second-time.Nanosecond)
	if m := e.receive(t, url); len(m) != 1 || *m[0].Body != "by itself" {
		t.Errorf("a moment before 900 s: got %d messages, want the first again", len(m))
	}
	e.advance(t, time.Nanosecond)
	if got := *e.only(t, url).Body; got != "by the queue" {
		t.Errorf("after 900 s: got %q", got)
	}
}

func TestAMessageComesAgainAfterItsVisibilityTimeout(t *testing.T) {
	t.Parallel()
	e := start(t, nil)
	url := e.create(t, "jobs", nil)
	e.send(t, url, "x")
	first := e.only(t, url)
	e.advance(t, 30*time.Second-time.Nanosecond)
	e.wantNone(t, url, "before the timeout")
	e.advance(t, time.Nanosecond)
	second := e.only(t, url)
	if got := second.Attributes["ApproximateReceiveCount"]; got != "2" {
		t.Errorf("receive count: got %s, want 2", got)
	}
	e.delete(t, url, *first.ReceiptHandle) // stale: it deletes nothing
	e.advance(t, 30*time.Second)
	third := e.only(t, url)
	e.delete(t, url, *third.ReceiptHandle)
	e.advance(t, time.Hour)
	e.wantNone(t, url, "after the delete")
}

func (e engine) delete(t *testing.T, url, handle string) {
	t.Helper()
	if _, err := e.DeleteMessage(t.Context(), &sdk.DeleteMessageInput{QueueUrl: &url, ReceiptHandle: &handle}); err != nil {
		t.Fatal(err)
	}
}

func TestChangeMessageVisibility(t *testing.T) {
	t.Parallel()
	e := start(t, nil)
	url := e.create(t, "jobs", nil)
	e.send(t, url, "x")
	change := func(handle string, seconds int32) error {
		_, err := e.ChangeMessageVisibility(t.Context(), &sdk.ChangeMessageVisibilityInput{
			QueueUrl: &url, ReceiptHandle: &handle, VisibilityTimeout: seconds,
		})
		return err
	}
	m := e.only(t, url)
	if err := change(*m.ReceiptHandle, 600); err != nil {
		t.Fatal(err)
	}
	e.advance(t, 599*time.Second)
	e.wantNone(t, url, "while the longer timeout runs")
	if err := change(*m.ReceiptHandle, 0); err != nil {
		t.Fatal(err)
	}
	again := e.only(t, url)
	wantCode(t, change(*m.ReceiptHandle, 10), "InvalidParameterValue") // stale
	wantCode(t, change(*again.ReceiptHandle, 43201), "InvalidParameterValue")
	wantCode(t, change("no handle", 10), "ReceiptHandleIsInvalid")
	e.advance(t, 30*time.Second)
	// It may be received again by now. AWS hides it all the same.
	if err := change(*again.ReceiptHandle, 10); err != nil {
		t.Fatal(err)
	}
	e.wantNone(t, url, "after it was hidden again")
	e.advance(t, 10*time.Second)
	e.only(t, url)
	e.wantNone(t, url, "a second time") // it was listed as visible twice
}

func TestAMessageThatIsReceivedTooOftenGoesToTheDeadLetterQueue(t *testing.T) {
	t.Parallel()
	e := start(t, nil)
	dead := e.create(t, "dead", nil)
	url := e.create(t, "jobs", map[string]string{
		"RedrivePolicy": `{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:123456789012:dead","maxReceiveCount":"2"}`,
	})
	e.send(t, url, "poison")
	for range 2 {
		e.only(t, url)
		e.advance(t, 30*time.Second)
	}
	e.wantNone(t, url, "after two receives")
	m := e.only(t, dead)
	if got, want := m.Attributes["DeadLetterQueueSourceArn"], "arn:aws:sqs:us-east-1:123456789012:jobs"; got != want || *m.Body != "poison" {
		t.Errorf("dead letter %q of %q, want %q", *m.Body, got, want)
	}
}

func TestAMessageIsForgottenAfterItsRetention(t *testing.T) {
	t.Parallel()
	e := start(t, nil)
	url := e.create(t, "jobs", map[string]string{"MessageRetentionPeriod": "60"})
	e.send(t, url, "x")
	e.advance(t, time.Minute)
	e.wantNone(t, url, "after the retention period")
}
