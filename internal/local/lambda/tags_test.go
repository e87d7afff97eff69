package lambda_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/google/go-cmp/cmp"

	"github.com/rekey-go/rekey/internal/local/clock"
	"github.com/rekey-go/rekey/internal/local/lambda"
	"github.com/rekey-go/rekey/internal/local/sqs"
)

func TestTagsOfAFunction(t *testing.T) {
	t.Parallel()
	b := start(t, child("function"))
	client := b.client(t)
	ctx := t.Context()
	in := creation(t)
	in.Tags, in.Architectures = map[string]string{"team": "shop", "stage": "dev"}, []types.Architecture{types.ArchitectureArm64}
	made, err := client.CreateFunction(ctx, in)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.TagResource(ctx, &sdk.TagResourceInput{Resource: made.FunctionArn, Tags: map[string]string{"stage": "test"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.UntagResource(ctx, &sdk.UntagResourceInput{Resource: made.FunctionArn, TagKeys: []string{"team", "never"}}); err != nil {
		t.Fatal(err)
	}
	// A change of the configuration leaves them.
	if _, err := client.UpdateFunctionConfiguration(ctx, &sdk.UpdateFunctionConfigurationInput{FunctionName: in.FunctionName, MemorySize: aws.Int32(256)}); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"stage": "test"}
	listed, err := client.ListTags(ctx, &sdk.ListTagsInput{Resource: made.FunctionArn})
	if err != nil {
		t.Fatal(err)
	}
	got, err := client.GetFunction(ctx, &sdk.GetFunctionInput{FunctionName: in.FunctionName})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, listed.Tags) + cmp.Diff(want, got.Tags); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
	if got.Code == nil || got.Configuration.Architectures[0] != types.ArchitectureArm64 {
		t.Errorf("the code is %+v for %v", got.Code, got.Configuration.Architectures)
	}
	_, err = client.ListTags(ctx, &sdk.ListTagsInput{Resource: aws.String(*made.FunctionArn + "-not")})
	if !strings.HasPrefix(refusal(t, err), "ResourceNotFoundException") {
		t.Errorf("tags of a function that is not there: %v", err)
	}
}

func TestAFunctionHasOneVersionAndNoSignature(t *testing.T) {
	t.Parallel()
	b := start(t, child("function"))
	client := b.client(t)
	out, err := client.ListVersionsByFunction(t.Context(), &sdk.ListVersionsByFunctionInput{FunctionName: &b.arn})
	if err != nil || len(out.Versions) != 1 || *out.Versions[0].FunctionArn != b.arn+":$LATEST" || *out.Versions[0].Version != "$LATEST" {
		t.Errorf("versions: %+v, %v", out, err)
	}
	signing, err := client.GetFunctionCodeSigningConfig(t.Context(), &sdk.GetFunctionCodeSigningConfigInput{FunctionName: &b.arn})
	if err != nil || aws.ToString(signing.CodeSigningConfigArn) != "" || !strings.HasSuffix(b.arn, ":"+aws.ToString(signing.FunctionName)) {
		t.Errorf("signing: %+v, %v", signing, err)
	}
}

func TestAnEventSourceMappingOverTheWire(t *testing.T) {
	t.Parallel()
	c := clock.New()
	service, queue := queues(t, c, sqs.Queue{Name: "jobs"})
	b := start(t, child("function"), func(o *lambda.Options) { o.Clock, o.Queues = c, service })
	client := b.client(t)
	ctx := t.Context()
	in := &sdk.CreateEventSourceMappingInput{
		FunctionName: &b.arn, EventSourceArn: &queue, BatchSize: aws.Int32(5), Tags: map[string]string{"team": "shop"},
		FunctionResponseTypes: []types.FunctionResponseType{types.FunctionResponseTypeReportBatchItemFailures},
	}
	made, err := client.CreateEventSourceMapping(ctx, in)
	if err != nil || aws.ToString(made.State) != "Creating" {
		t.Fatalf("creating: %+v, %v", made, err)
	}
	_, err = client.CreateEventSourceMapping(ctx, in)
	if got := refusal(t, err); got != `ResourceConflictException: An event source mapping with SQS arn (" `+queue+` ") and function (" dev-test ") already exists. Please update or delete the existing mapping with UUID `+*made.UUID {
		t.Errorf("creating it twice: %s", got)
	}
	if _, err := client.UpdateEventSourceMapping(ctx, &sdk.UpdateEventSourceMappingInput{UUID: made.UUID, Enabled: aws.Bool(false), BatchSize: aws.Int32(7)}); err != nil {
		t.Fatal(err)
	}
	got, err := client.GetEventSourceMapping(ctx, &sdk.GetEventSourceMappingInput{UUID: made.UUID})
	if err != nil || aws.ToString(got.State) != "Disabled" || *got.BatchSize != 7 || len(got.FunctionResponseTypes) != 1 {
		t.Errorf("after the update: %+v, %v", got, err)
	}
	tags, err := client.ListTags(ctx, &sdk.ListTagsInput{Resource: made.EventSourceMappingArn})
	if err != nil || tags.Tags["team"] != "shop" {
		t.Errorf("tags: %+v, %v", tags, err)
	}
	if _, err := client.DeleteEventSourceMapping(ctx, &sdk.DeleteEventSourceMappingInput{UUID: made.UUID}); err != nil {
		t.Fatal(err)
	}
	_, err = client.GetEventSourceMapping(ctx, &sdk.GetEventSourceMappingInput{UUID: made.UUID})
	if got := refusal(t, err); got != "ResourceNotFoundException: The resource you requested does not exist." {
		t.Errorf("one that is gone: %s", got)
	}
	in.ScalingConfig = &types.ScalingConfig{MaximumConcurrency: aws.Int32(2)}
	_, err = client.CreateEventSourceMapping(ctx, in)
	if !strings.HasPrefix(refusal(t, err), "InvalidParameterValueException: the engine's event source mappings have no") {
		t.Errorf("a maximum concurrency: %v", err)
	}
}
