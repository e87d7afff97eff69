package lambda_test

import (
	"encoding/json"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/google/go-cmp/cmp"

	"github.com/rekey-go/rekey/internal/local/clock"
	"github.com/rekey-go/rekey/internal/local/lambda"
	"github.com/rekey-go/rekey/internal/local/sqs"
)

// told is an invocation record as its reader sees it.
type told struct {
	Version        string `json:"version"`
	RequestContext struct {
		FunctionArn            string `json:"functionArn"`
		Condition              string `json:"condition"`
		ApproximateInvokeCount int    `json:"approximateInvokeCount"`
	} `json:"requestContext"`
	RequestPayload  command `json:"requestPayload"`
	ResponseContext struct {
		StatusCode    int    `json:"statusCode"`
		FunctionError string `json:"functionError"`
	} `json:"responseContext"`
	ResponsePayload any `json:"responsePayload"`
}

func TestWhatCameOfAnEventIsToldToItsDestination(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		in        sdk.PutFunctionEventInvokeConfigInput
		event     command
		condition string
		tries     int
		err       string
	}{
		"success":                             {event: command{Do: "pid"}, condition: "Success", tries: 1},
		"failure, tried as often as AWS does": {event: command{Do: "fail", Text: "it rains"}, condition: "RetriesExhausted", tries: 3, err: "Unhandled"},
		"failure, tried once more": {
			in:    sdk.PutFunctionEventInvokeConfigInput{MaximumRetryAttempts: new(int32(1))},
			event: command{Do: "fail", Text: "it rains"}, condition: "RetriesExhausted", tries: 2, err: "Unhandled",
		},
		"failure, too old for a second try": {
			in:    sdk.PutFunctionEventInvokeConfigInput{MaximumEventAgeInSeconds: new(int32(60))},
			event: command{Do: "fail", Text: "it rains"}, condition: "EventAgeExceeded", tries: 2, err: "Unhandled",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := clock.New()
			q, results := queues(t, c, sqs.Queue{Name: "results"})
			b := start(t, child("function"), func(o *lambda.Options) {
				o.Clock, o.Queues = c, q
				o.AsyncRetry = []time.Duration{0, 0}
				if tt.in.MaximumEventAgeInSeconds != nil {
					o.AsyncRetry = []time.Duration{0, time.Hour}
				}
			})
			to := types.DestinationConfig{OnSuccess: &types.OnSuccess{Destination: &results}, OnFailure: &types.OnFailure{Destination: &results}}
			tt.in.FunctionName, tt.in.DestinationConfig = &b.arn, &to
			if _, err := b.client(t).PutFunctionEventInvokeConfig(t.Context(), &tt.in); err != nil {
				t.Fatal(err)
			}
			b.async(tt.event)
			var got told
			if err := json.Unmarshal([]byte(receive(t, q, results).Body), &got); err != nil {
				t.Fatal(err)
			}
			want := told{Version: "1.0", RequestPayload: tt.event, ResponsePayload: got.ResponsePayload}
			want.RequestContext.FunctionArn = b.arn + ":$LATEST"
			want.RequestContext.Condition, want.RequestContext.ApproximateInvokeCount = tt.condition, tt.tries
			want.ResponseContext.StatusCode, want.ResponseContext.FunctionError = 200, tt.err
			if diff := cmp.Diff(want, got); diff != "" || got.ResponsePayload == nil {
				t.Errorf("the record, with payload %v (-want +got):\n%s", got.ResponsePayload, diff)
			}
		})
	}
}

func TestTheHandlingOfEventsIsSetChangedAndTakenAway(t *testing.T) {
	t.Parallel()
	b := start(t, child("function"))
	client, name := b.client(t), &b.arn
	get := func() error {
		_, err := client.GetFunctionEventInvokeConfig(t.Context(), &sdk.GetFunctionEventInvokeConfigInput{FunctionName: name})
		return err
	}
	none := "ResourceNotFoundException: The function " + b.arn + ":$LATEST doesn't have an EventInvokeConfig"
	if got := refusal(t, get()); got != none {
		t.Errorf("got %s, want %s", got, none)
	}
	_, err := client.PutFunctionEventInvokeConfig(t.Context(), &sdk.PutFunctionEventInvokeConfigInput{FunctionName: name})
	if got, want := refusal(t, err), "InvalidParameterValueException: You must specify at least one of error handling or destination setting."; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	_, err = client.PutFunctionEventInvokeConfig(t.Context(), &sdk.PutFunctionEventInvokeConfigInput{
		FunctionName: name, DestinationConfig: &types.DestinationConfig{OnFailure: &types.OnFailure{Destination: new("arn:aws:sns:us-east-1:123456789012:topic")}},
	})
	if got, want := refusal(t, err), "InvalidParameterValueException: the engine sends what came of an event to SQS queues and functions, not to arn:aws:sns:us-east-1:123456789012:topic"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if _, err := client.PutFunctionEventInvokeConfig(t.Context(), &sdk.PutFunctionEventInvokeConfigInput{
		FunctionName: name, MaximumRetryAttempts: new(int32(0)),
	}); err != nil {
		t.Fatal(err)
	}
	out, err := client.UpdateFunctionEventInvokeConfig(t.Context(), &sdk.UpdateFunctionEventInvokeConfigInput{
		FunctionName: name, MaximumEventAgeInSeconds: new(int32(60)),
	})
	if err != nil || *out.MaximumRetryAttempts != 0 || *out.MaximumEventAgeInSeconds != 60 || out.LastModified == nil {
		t.Errorf("after the change: %+v, error %v", out, err)
	}
	if _, err := client.DeleteFunctionEventInvokeConfig(t.Context(), &sdk.DeleteFunctionEventInvokeConfigInput{FunctionName: name}); err != nil {
		t.Fatal(err)
	}
	if got := refusal(t, get()); got != none {
		t.Errorf("after the deletion: %s, want %s", got, none)
	}
}
