package local_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/google/go-cmp/cmp"

	"github.com/rekey-go/rekey/internal/local"
)

// apiToo has what is not in the state folder itself, and is made again: a bus
// with a rule, a role and an HTTP API.
const apiToo = `
  Bus: {Type: AWS::Events::EventBus, Properties: {Name: two-bus}}
  Rule:
    Type: AWS::Events::Rule
    Properties: {EventBusName: !Ref Bus, EventPattern: {source: [x]}, Targets: [{Id: q, Arn: !GetAtt Queue.Arn}]}
  Key: {Type: AWS::KMS::Key, DeletionPolicy: Retain, Properties: {EnableKeyRotation: true}}
  Role:
    Type: AWS::IAM::Role
    Properties: {AssumeRolePolicyDocument: {Version: "2012-10-17", Statement: [{Effect: Allow, Principal: {Service: lambda.amazonaws.com}, Action: "sts:AssumeRole"}]}}
  Api: {Type: AWS::Serverless::HttpApi, Properties: {Name: two}}
`

const apiOutput = `  Url: {Value: !GetAtt Api.ApiEndpoint}
`

// TestStacksAreThereAfterARestart deploys a stack, restarts the engine, and
// goes on with it: it is read, changed and removed as if nothing had been.
func TestStacksAreThereAfterARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a, end := accountOn(t, dir)
	template := secretTemplate("two-key", strings.ReplaceAll(queueToo, "%s", "5")+apiToo) + apiOutput
	objects := s3.NewFromConfig(configFor(a.Engine), func(o *s3.Options) { o.UsePathStyle = true })
	if _, err := objects.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: new("artifacts")}); err != nil {
		t.Fatal(err)
	}
	if _, err := objects.PutObject(t.Context(), &s3.PutObjectInput{Bucket: new("artifacts"), Key: new("two.yaml"), Body: strings.NewReader(template)}); err != nil {
		t.Fatal(err)
	}
	capable := []types.Capability{types.CapabilityCapabilityIam, types.CapabilityCapabilityAutoExpand}
	_, before := a.change(t, &cloudformation.CreateChangeSetInput{
		StackName: new("two"), ChangeSetType: types.ChangeSetTypeCreate, TemplateURL: new(a.Endpoint() + "/artifacts/two.yaml"),
		Parameters: []types.Parameter{{ParameterKey: new("About"), ParameterValue: new("mine")}},
		Tags:       []types.Tag{{Key: new("team"), Value: new("blue")}}, Capabilities: capable,
	})
	if before.StackStatus != types.StackStatusCreateComplete {
		t.Fatalf("the stack is %s: %s", before.StackStatus, aws.ToString(before.StackStatusReason))
	}
	if _, err := a.secrets.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: new("two-key"), SecretString: new("x")}); err != nil {
		t.Fatal(err)
	}
	listed := a.statuses(t, "two")
	end()

	a, end = accountOn(t, dir)
	after := a.settled(t, "two")
	if diff := cmp.Diff(told(before), told(after)); diff != "" {
		t.Errorf("the stack after a restart (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(listed, a.statuses(t, "two")); diff != "" {
		t.Errorf("its resources (-before +after):\n%s", diff)
	}
	changes, changed := a.change(t, &cloudformation.CreateChangeSetInput{
		StackName: new("two"), Capabilities: capable, TemplateBody: new(strings.ReplaceAll(template, "DelaySeconds: 5", "DelaySeconds: 7")),
		Parameters: []types.Parameter{{ParameterKey: new("About"), UsePreviousValue: new(true)}},
	})
	if want := []string{"Modify Queue False"}; !slices.Equal(changes, want) || changed.StackStatus != types.StackStatusUpdateComplete {
		t.Errorf("changes %v lead to %s, want %v", changes, changed.StackStatus, want)
	}
	end()

	a, _ = accountOn(t, dir)
	if _, err := a.stacks.DeleteStack(t.Context(), &cloudformation.DeleteStackInput{StackName: new("two")}); err != nil {
		t.Fatal(err)
	}
	if got := a.settled(t, *before.StackId).StackStatus; got != types.StackStatusDeleteComplete {
		t.Errorf("the stack is %s", got)
	}
	if value, err := a.secrets.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: new("two-key")}); err != nil || *value.SecretString != "x" {
		t.Errorf("the retained secret is %v, %v", value, err)
	}
	if a.Queues.Has("jobs") {
		t.Error("the queue outlived its stack")
	}
}

// told is what a stack tells of itself.
func told(s *types.Stack) map[string]any {
	outputs, parameters, tags := map[string]string{}, map[string]string{}, map[string]string{}
	for _, o := range s.Outputs {
		outputs[*o.OutputKey] = *o.OutputValue
	}
	for _, p := range s.Parameters {
		parameters[*p.ParameterKey] = *p.ParameterValue
	}
	for _, tag := range s.Tags {
		tags[*tag.Key] = *tag.Value
	}
	return map[string]any{"id": *s.StackId, "status": s.StackStatus, "created": *s.CreationTime, "outputs": outputs, "parameters": parameters, "tags": tags}
}

// accountOn is newAccount with a state folder, and how to end it.
func accountOn(t *testing.T, dir string) (a account, end func()) {
	t.Helper()
	e, err := local.Start(t.Context(), local.Options{
		Template: []byte(secretTemplate("dev-key", "")), TemplateFile: "main.yaml", StackName: "main", StateDir: dir,
		Command: func(string) ([]string, error) { return nil, errors.New("there are no functions") },
	})
	if err != nil {
		t.Fatal(err)
	}
	end = func() {
		if err := e.Close(t.Context()); err != nil && !errors.Is(err, t.Context().Err()) {
			t.Error(err)
		}
	}
	t.Cleanup(end)
	return account{e, cloudformation.NewFromConfig(configFor(e)), secretsmanager.NewFromConfig(configFor(e))}, end
}
