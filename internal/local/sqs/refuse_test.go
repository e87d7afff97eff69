package sqs_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"github.com/rekey-go/rekey/internal/local/clock"
	"github.com/rekey-go/rekey/internal/local/sqs"
	"github.com/rekey-go/rekey/internal/local/wire"
)

// TestRefusalsReadAsOnAWS compares whole messages, for scripts and people
// look for them.
func TestRefusalsReadAsOnAWS(t *testing.T) {
	t.Parallel()
	e := start(t, nil)
	url := e.create(t, "jobs", nil)
	set := func(name, value string) func() error {
		return func() error {
			_, err := e.SetQueueAttributes(t.Context(), &sdk.SetQueueAttributesInput{QueueUrl: &url, Attributes: map[string]string{name: value}})
			return err
		}
	}
	send := func(name string, a types.MessageAttributeValue) func() error {
		return func() error {
			_, err := e.SendMessage(t.Context(), &sdk.SendMessageInput{
				QueueUrl: &url, MessageBody: new("x"), MessageAttributes: map[string]types.MessageAttributeValue{name: a},
			})
			return err
		}
	}
	receive := func(in sdk.ReceiveMessageInput) func() error {
		in.QueueUrl = &url
		return func() error {
			_, err := e.ReceiveMessage(t.Context(), &in)
			return err
		}
	}
	const dummy = `{"deadLetterTargetArn": "dummy", "maxReceiveCount": 42}`
	tests := map[string]struct {
		call       func() error
		code, want string
	}{
		"tags of nothing": {
			func() error {
				_, err := e.TagQueue(t.Context(), &sdk.TagQueueInput{QueueUrl: &url, Tags: map[string]string{}})
				return err
			},
			"MissingParameter", "The request must contain the parameter Tags.",
		},
		"no tags to take away": {
			func() error {
				_, err := e.UntagQueue(t.Context(), &sdk.UntagQueueInput{QueueUrl: &url, TagKeys: []string{}})
				return err
			},
			"MissingParameter", "The request must contain the parameter TagKeys.",
		},
		"a page of no queues": {
			func() error {
				_, err := e.ListQueues(t.Context(), &sdk.ListQueuesInput{MaxResults: new(int32(0))})
				return err
			},
			"InvalidParameterValue", "Value 0 for parameter MaxResults is invalid. Reason: MaxResults must be an integer between 1 and 1000.",
		},
		"too many messages": {
			receive(sdk.ReceiveMessageInput{MaxNumberOfMessages: 11}),
			"InvalidParameterValue", "Value 11 for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided.",
		},
		"too long a wait": {
			receive(sdk.ReceiveMessageInput{WaitTimeSeconds: 21}),
			"InvalidParameterValue", "Value 21 for parameter WaitTimeSeconds is invalid. Reason: Must be >= 0 and <= 20, if provided.",
		},
		"a system attribute that is none": {
			receive(sdk.ReceiveMessageInput{MessageSystemAttributeNames: []types.MessageSystemAttributeName{"Colour"}}),
			"InvalidAttributeName", "Unknown Attribute Colour.",
		},
		"a dead letter queue that is no ARN": {
			set("RedrivePolicy", dummy),
			"InvalidParameterValue", "Value " + dummy + " for parameter RedrivePolicy is invalid. Reason: Invalid value for deadLetterTargetArn.",
		},
		"another kind of queue": {
			set("FifoQueue", "true"),
			"InvalidAttributeName", "Unknown Attribute FifoQueue.",
		},
		"an attribute without a value": {
			send("Why", types.MessageAttributeValue{DataType: new("String"), StringValue: new("")}),
			"InvalidParameterValue", "Message (user) attribute 'Why' must contain a non-empty value of type 'String'.",
		},
		"two kinds of encryption": {func() error {
			_, err := e.SetQueueAttributes(t.Context(), &sdk.SetQueueAttributesInput{
				QueueUrl: &url, Attributes: map[string]string{"KmsMasterKeyId": "k", "SqsManagedSseEnabled": "true"},
			})
			return err
		}, "InvalidAttributeName", "You can use one type of server-side encryption (SSE) at one time. You can either enable KMS SSE or SQS SSE."},
		"an attribute to get that is none": {func() error {
			_, err := e.GetQueueAttributes(t.Context(), &sdk.GetQueueAttributesInput{QueueUrl: &url, AttributeNames: []types.QueueAttributeName{"Colour"}})
			return err
		}, "InvalidAttributeName", "Unknown Attribute Colour."},
		"no body": {func() error {
			_, err := e.SendMessage(t.Context(), &sdk.SendMessageInput{QueueUrl: &url, MessageBody: new("")})
			return err
		}, "MissingParameter", "The request must contain the parameter MessageBody."},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, ok := errors.AsType[smithy.APIError](tt.call())
			if !ok {
				t.Fatal("not refused")
			}
			if got.ErrorCode() != tt.code || got.ErrorMessage() != tt.want {
				t.Errorf("got  %s: %s\nwant %s: %s", got.ErrorCode(), got.ErrorMessage(), tt.code, tt.want)
			}
		})
	}
}

// Clients that speak JSON alone read the name in the body, those that know the
// older protocol the code in the header.
func TestARefusalHasTwoNames(t *testing.T) {
	t.Parallel()
	e := start(t, nil)
	handle := e.service.Wire().Operations["SendMessage"].Handle
	_, err := handle(t.Context(), &wire.Call{Input: json.RawMessage(`{"QueueUrl":"` + e.create(t, "jobs", nil) + `"}`)})
	got, ok := errors.AsType[*wire.Error](err)
	if !ok || got.Code != "MissingRequiredParameterException" || got.QueryCode != "MissingParameter" {
		t.Errorf("got %v, want both names of a missing parameter", err)
	}
}

func TestEncryptionIsOfOneKind(t *testing.T) {
	t.Parallel()
	e := start(t, nil)
	url := e.create(t, "jobs", nil)
	steps := []map[string]string{
		{"KmsMasterKeyId": "key", "KmsDataKeyReusePeriodSeconds": "6000"},
		{"SqsManagedSseEnabled": "true"},
	}
	var got []map[string]string
	for _, attributes := range steps {
		if _, err := e.SetQueueAttributes(t.Context(), &sdk.SetQueueAttributesInput{QueueUrl: &url, Attributes: attributes}); err != nil {
			t.Fatal(err)
		}
		out, err := e.GetQueueAttributes(t.Context(), &sdk.GetQueueAttributesInput{
			QueueUrl: &url, AttributeNames: []types.QueueAttributeName{"KmsMasterKeyId", "SqsManagedSseEnabled"},
		})
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, out.Attributes)
	}
	want := []map[string]string{
		{"KmsMasterKeyId": "key", "SqsManagedSseEnabled": "false"},
		{"SqsManagedSseEnabled": "true"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("attributes after each step (-want +got):\n%s", diff)
	}
}

func TestListDeadLetterSourceQueues(t *testing.T) {
	t.Parallel()
	e := start(t, nil)
	dead := e.create(t, "dead", nil)
	jobs := e.create(t, "jobs", map[string]string{
		"RedrivePolicy": `{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:123456789012:dead","maxReceiveCount":3}`,
	})
	out, err := e.ListDeadLetterSourceQueues(t.Context(), &sdk.ListDeadLetterSourceQueuesInput{QueueUrl: &dead})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{jobs}, out.QueueUrls); diff != "" {
		t.Errorf("sources (-want +got):\n%s", diff)
	}
}

// FuzzOperations checks that whatever JSON an operation gets, it answers or
// refuses, and that what it answers can be encoded.
func FuzzOperations(f *testing.F) {
	const url = `"QueueUrl":"http://queues.test/123456789012/jobs"`
	for body := range strings.SplitSeq(`{`+url+`,"MessageBody":"x","MessageAttributes":{"a":{"DataType":"Number","StringValue":"1e5"}}}
{`+url+`,"WaitTimeSeconds":20,"MessageAttributeNames":["a.*"],"AttributeNames":["All"]}
{`+url+`,"ReceiptHandle":"am9icwoxCng=","VisibilityTimeout":5}
{`+url+`,"Entries":[{"Id":"1","MessageBody":"x"},{"Id":"2","ReceiptHandle":""}]}
{`+url+`,"Attributes":{"RedrivePolicy":"{\"deadLetterTargetArn\":\"arn:aws:sqs:us-east-1:123456789012:jobs\",\"maxReceiveCount\":1}"}}
{"QueueName":"jobs","Attributes":{"DelaySeconds":"5"},"tags":{"a":"b"}}`, "\n") {
		for op := range uint8(20) {
			f.Add(op, body)
		}
	}
	f.Fuzz(func(t *testing.T, op uint8, body string) {
		c := clock.New()
		c.Freeze()
		s, err := sqs.New(sqs.Options{Account: "123456789012", Region: "us-east-1", Clock: c})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.Provision(sqs.Queue{Name: "jobs"}); err != nil {
			t.Fatal(err)
		}
		operations := s.Wire().Operations
		names := slices.Sorted(maps.Keys(operations))
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // a receiver does not wait
		out, err := operations[names[int(op)%len(names)]].Handle(ctx, &wire.Call{Input: json.RawMessage(body)})
		if err != nil {
			if _, ok := errors.AsType[*wire.Error](err); !ok {
				t.Errorf("%s of %q: %v, want a refusal", names[int(op)%len(names)], body, err)
			}
			return
		}
		if _, err := json.Marshal(out); err != nil {
			t.Errorf("the answer to %q cannot be encoded: %v", body, err)
		}
	})
}
