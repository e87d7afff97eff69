package lambda_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"github.com/rekey-go/rekey/internal/local/clock"
	"github.com/rekey-go/rekey/internal/local/lambda"
	"github.com/rekey-go/rekey/internal/local/sqs"
	"github.com/rekey-go/rekey/internal/local/wire"
)

// client is the SDK's, to the service behind the front door.
func (b *bench) client(t *testing.T) *sdk.Client {
	t.Helper()
	server := httptest.NewServer(wire.NewFront(wire.FrontOptions{Account: account, Region: region, Now: time.Now}, b.Wire()))
	t.Cleanup(server.Close)
	return sdk.New(sdk.Options{
		BaseEndpoint: new(server.URL), Region: region, HTTPClient: server.Client(),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "operator", SecretAccessKey: "none"}, nil
		}),
	})
}

func TestInvokeOverTheWire(t *testing.T) {
	t.Parallel()
	b := start(t, child("function"))
	client := b.client(t)
	type result struct {
		Status         int32
		Payload, Error string
		Version        string
	}
	tests := map[string]struct {
		in   sdk.InvokeInput
		want result
	}{
		"by name":            {sdk.InvokeInput{FunctionName: aws.String("dev-test"), Payload: []byte(`{"do":"echo","text":"hi"}`)}, result{200, `"hi"`, "", "$LATEST"}},
		"by ARN":             {sdk.InvokeInput{FunctionName: &b.arn, Payload: []byte(`{"do":"echo","text":"hi"}`)}, result{200, `"hi"`, "", "$LATEST"}},
		"by qualifier":       {sdk.InvokeInput{FunctionName: &b.arn, Qualifier: aws.String("$LATEST"), Payload: []byte(`{"do":"echo"}`)}, result{200, `""`, "", "$LATEST"}},
		"that fails":         {sdk.InvokeInput{FunctionName: &b.arn, Payload: []byte(`{"do":"fail","text":"it rains"}`)}, result{200, `{"errorMessage":"it rains","errorType":"errorString"}`, "Unhandled", "$LATEST"}},
		"with no event":      {sdk.InvokeInput{FunctionName: &b.arn}, result{200, `{"errorMessage":"the test function cannot do \"\"","errorType":"errorString"}`, "Unhandled", "$LATEST"}},
		"as a dry run":       {sdk.InvokeInput{FunctionName: &b.arn, InvocationType: types.InvocationTypeDryRun}, result{Status: 204}},
		"for a later moment": {sdk.InvokeInput{FunctionName: &b.arn, InvocationType: types.InvocationTypeEvent, Payload: []byte(`{"do":"echo"}`)}, result{Status: 202}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, err := client.Invoke(t.Context(), &tt.in)
			if err != nil {
				t.Fatal(err)
			}
			got := result{out.StatusCode, string(out.Payload), aws.ToString(out.FunctionError), aws.ToString(out.ExecutedVersion)}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Invoke (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRefusalsOverTheWire(t *testing.T) {
	t.Parallel()
	b := start(t, child("function"))
	client := b.client(t)
	invoke := func(in sdk.InvokeInput) func(ctx context.Context) error {
		return func(ctx context.Context) error {
			_, err := client.Invoke(ctx, &in)
			return err
		}
	}
	tests := map[string]struct {
		call   func(ctx context.Context) error
		code   string
		status int
	}{
		"a function that does not exist": {invoke(sdk.InvokeInput{FunctionName: aws.String("nobody")}), "ResourceNotFoundException", 404},
		"a function of another Region":   {invoke(sdk.InvokeInput{FunctionName: aws.String(strings.Replace(b.arn, region, "eu-north-1", 1))}), "ResourceNotFoundException", 404},
		"a version":                      {invoke(sdk.InvokeInput{FunctionName: &b.arn, Qualifier: aws.String("7")}), "ResourceNotFoundException", 404},
		"an event that is no JSON":       {invoke(sdk.InvokeInput{FunctionName: &b.arn, Payload: []byte("{")}), "InvalidRequestContentException", 400},
		"an event that is too large":     {invoke(sdk.InvokeInput{FunctionName: &b.arn, Payload: []byte(`"` + strings.Repeat("x", 6<<20) + `"`)}), "RequestTooLargeException", 413},
		"a type of invocation":           {invoke(sdk.InvokeInput{FunctionName: &b.arn, InvocationType: "Later"}), "InvalidParameterValueException", 400},
		"a policy that is empty": {func(ctx context.Context) error {
			_, err := client.GetPolicy(ctx, &sdk.GetPolicyInput{FunctionName: &b.arn})
			return err
		}, "ResourceNotFoundException", 404},
		"an operation that the engine does not have": {func(ctx context.Context) error {
			_, err := client.ListLayers(ctx, &sdk.ListLayersInput{})
			return err
		}, "NotImplementedException", 501},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := tt.call(t.Context())
			refused, ok := errors.AsType[smithy.APIError](err)
			if !ok || refused.ErrorCode() != tt.code {
				t.Fatalf("got %v, want %s", err, tt.code)
			}
			response, ok := errors.AsType[interface {
				error
				HTTPStatusCode() int
			}](err)
			if !ok || response.HTTPStatusCode() != tt.status {
				t.Errorf("got %v, want status %d", err, tt.status)
			}
		})
	}
}

// The id of an answer finds the invocation in the function's log.
func TestTheRequestIDIsTheInvocations(t *testing.T) {
	t.Parallel()
	b := start(t, child("function"))
	server := httptest.NewServer(wire.NewFront(wire.FrontOptions{Account: account, Region: region, Now: time.Now}, b.Wire()))
	t.Cleanup(server.Close)
	resp, err := server.Client().Post(server.URL+"/2015-03-31/functions/dev-test/invocations", "application/json", strings.NewReader(`{"do":"context"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var body strings.Builder
	if err := resp.Write(&body); err != nil {
		t.Fatal(err)
	}
	id := resp.Header.Get("X-Amzn-Requestid")
	if resp.StatusCode != http.StatusOK || id == "" || !strings.Contains(body.String(), `"id":"`+id+`"`) {
		t.Errorf("the answer %s has not the id %q", body.String(), id)
	}
}

func TestDescriptionsOverTheWire(t *testing.T) {
	t.Parallel()
	q, queue := queues(t, clock.New(), sqs.Queue{Name: "jobs"})
	f := child("function")
	f.ReservedConcurrency, f.DeadLetterARN = 3, queue
	b := start(t, f, func(o *lambda.Options) { o.Queues = q })
	client := b.client(t)
	if _, err := b.Define(lambda.Function{Name: "another", Command: []string{"x"}}); err != nil {
		t.Fatal(err)
	}
	list, err := client.ListFunctions(t.Context(), &sdk.ListFunctionsInput{})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range list.Functions {
		names = append(names, *c.FunctionName)
	}
	if diff := cmp.Diff([]string{"another", "dev-test"}, names); diff != "" {
		t.Errorf("functions (-want +got):\n%s", diff)
	}
	got, err := client.GetFunction(t.Context(), &sdk.GetFunctionInput{FunctionName: &b.arn})
	if err != nil {
		t.Fatal(err)
	}
	c := got.Configuration
	if *c.FunctionArn != b.arn || *c.Timeout != 60 || *c.MemorySize != 128 || *c.DeadLetterConfig.TargetArn != queue || *got.Concurrency.ReservedConcurrentExecutions != 3 {
		t.Errorf("GetFunction: %+v", c)
	}
	one, err := client.GetFunctionConfiguration(t.Context(), &sdk.GetFunctionConfigurationInput{FunctionName: aws.String("another")})
	if err != nil {
		t.Fatal(err)
	}
	if *one.FunctionName != "another" || *one.Timeout != 3 || one.State != types.StateActive {
		t.Errorf("GetFunctionConfiguration: %+v", one)
	}
	if _, err := b.MapQueue(b.arn, queue, 5, true); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int{"dev-test": 1, "another": 0} {
		out, err := client.ListEventSourceMappings(t.Context(), &sdk.ListEventSourceMappingsInput{FunctionName: &name})
		if err != nil {
			t.Fatal(err)
		}
		if got := len(out.EventSourceMappings); got != want {
			t.Fatalf("%s has %d mappings, want %d", name, got, want)
		}
		for _, m := range out.EventSourceMappings {
			if *m.EventSourceArn != queue || *m.BatchSize != 5 || m.FunctionResponseTypes[0] != types.FunctionResponseTypeReportBatchItemFailures {
				t.Errorf("mapping %+v", m)
			}
		}
	}
}

func TestPermissionsOverTheWire(t *testing.T) {
	t.Parallel()
	b := start(t, child("function"))
	client := b.client(t)
	in := &sdk.AddPermissionInput{
		FunctionName: &b.arn, StatementId: aws.String("rotation"), Action: aws.String("lambda:InvokeFunction"),
		Principal: aws.String("secretsmanager.amazonaws.com"), SourceArn: aws.String("arn:aws:secretsmanager:us-east-1:123456789012:secret:*"),
		SourceAccount: aws.String(account),
	}
	const want = `{"Sid":"rotation","Effect":"Allow","Principal":{"Service":"secretsmanager.amazonaws.com"},"Action":"lambda:InvokeFunction","Resource":"arn:aws:lambda:us-east-1:123456789012:function:dev-test","Condition":{"ArnLike":{"AWS:SourceArn":"arn:aws:secretsmanager:us-east-1:123456789012:secret:*"},"StringEquals":{"AWS:SourceAccount":"123456789012"}}}`
	out, err := client.AddPermission(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, *out.Statement); diff != "" {
		t.Errorf("statement (-want +got):\n%s", diff)
	}
	if !b.Allows(b.arn, *in.Principal, "arn:aws:secretsmanager:us-east-1:123456789012:secret:x") {
		t.Error("the permission has no effect")
	}
	policy, err := client.GetPolicy(t.Context(), &sdk.GetPolicyInput{FunctionName: &b.arn})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(`{"Version":"2012-10-17","Id":"default","Statement":[`+want+`]}`, *policy.Policy); diff != "" {
		t.Errorf("policy (-want +got):\n%s", diff)
	}
	if _, err := client.AddPermission(t.Context(), in); err == nil {
		t.Error("the same statement again: no error")
	} else if refused, ok := errors.AsType[*types.ResourceConflictException](err); !ok {
		t.Errorf("the same statement again: %v, want %T", err, refused)
	}
	in.StatementId, in.Action = aws.String("update"), aws.String("lambda:UpdateFunctionCode")
	if _, err := client.AddPermission(t.Context(), in); err == nil {
		t.Error("a permission that the engine does not have: no error")
	}
}
