package local_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/google/go-cmp/cmp"

	"github.com/rekey-go/rekey/internal/local"
	"github.com/rekey-go/rekey/internal/polltest"
)

// An account is an engine with clients of its services.
type account struct {
	*local.Engine
	stacks  *cloudformation.Client
	secrets *secretsmanager.Client
}

// newAccount starts an engine with one secret, dev-key, as the stack "main".
func newAccount(t *testing.T) account {
	t.Helper()
	return newAccountOf(t, secretTemplate("dev-key", ""))
}

// newAccountOf starts an engine with a template as the stack "main".
func newAccountOf(t *testing.T, template string) account {
	t.Helper()
	e, err := local.Start(t.Context(), local.Options{
		Template: []byte(template), TemplateFile: "main.yaml", StackName: "main",
		Command: func(string) ([]string, error) { return nil, errors.New("there are no functions") },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(t.Context()); err != nil && !errors.Is(err, t.Context().Err()) {
			t.Error(err)
		}
	})
	cfg := aws.Config{Region: local.Region, BaseEndpoint: new(e.Endpoint()), Credentials: credentials.NewStaticCredentialsProvider("me", "me", "")}
	return account{e, cloudformation.NewFromConfig(cfg), secretsmanager.NewFromConfig(cfg)}
}

// secretTemplate has a secret that is retained, and what else is given.
func secretTemplate(name, more string) string {
	return fmt.Sprintf(`
Parameters:
  About: {Type: String, Default: a key}
Resources:
  Secret:
    Type: AWS::SecretsManager::Secret
    DeletionPolicy: Retain
    Properties: {Name: %s, Description: !Ref About}
%s
Outputs:
  Arn: {Value: !Ref Secret}
`, name, more)
}

const queueToo = `
  Queue: {Type: AWS::SQS::Queue, Properties: {QueueName: jobs, DelaySeconds: %s}}
`

// change proposes and executes a change, and returns what it was and what
// became of the stack.
func (a account) change(t *testing.T, in *cloudformation.CreateChangeSetInput) ([]string, *types.Stack) {
	t.Helper()
	in.ChangeSetName = new("change")
	if in.ChangeSetType == "" {
		in.ChangeSetType = types.ChangeSetTypeUpdate
	}
	made, err := a.stacks.CreateChangeSet(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	about, err := a.stacks.DescribeChangeSet(t.Context(), &cloudformation.DescribeChangeSetInput{ChangeSetName: made.Id})
	if err != nil {
		t.Fatal(err)
	}
	var changes []string
	for _, c := range about.Changes {
		r := c.ResourceChange
		changes = append(changes, strings.TrimSpace(fmt.Sprintf("%s %s %s", r.Action, aws.ToString(r.LogicalResourceId), r.Replacement)))
	}
	if about.Status == types.ChangeSetStatusFailed {
		return []string{aws.ToString(about.StatusReason)}, nil
	}
	if _, err := a.stacks.ExecuteChangeSet(t.Context(), &cloudformation.ExecuteChangeSetInput{ChangeSetName: made.Id}); err != nil {
		t.Fatal(err)
	}
	return changes, a.settled(t, *made.StackId)
}

// settled waits until nothing is done to a stack.
func (a account) settled(t *testing.T, name string) *types.Stack {
	t.Helper()
	var stack *types.Stack
	polltest.Until(t, "nothing is done to "+name, func() bool {
		out, err := a.stacks.DescribeStacks(t.Context(), &cloudformation.DescribeStacksInput{StackName: &name})
		if err != nil {
			t.Fatal(err)
		}
		stack = &out.Stacks[0]
		return !strings.HasSuffix(string(stack.StackStatus), "_IN_PROGRESS")
	})
	return stack
}

// statuses are those of a stack's resources.
func (a account) statuses(t *testing.T, name string) map[string]string {
	t.Helper()
	out, err := a.stacks.ListStackResources(t.Context(), &cloudformation.ListStackResourcesInput{StackName: &name})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, r := range out.StackResourceSummaries {
		all[*r.LogicalResourceId] = string(r.ResourceStatus)
	}
	return all
}

func create(name, body string) *cloudformation.CreateChangeSetInput {
	return &cloudformation.CreateChangeSetInput{StackName: &name, TemplateBody: &body, ChangeSetType: types.ChangeSetTypeCreate}
}

func update(name, body string, parameters ...types.Parameter) *cloudformation.CreateChangeSetInput {
	return &cloudformation.CreateChangeSetInput{StackName: &name, TemplateBody: &body, Parameters: parameters}
}

func TestTheEnginesOwnTemplateIsAStack(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	st := a.settled(t, "main")
	if st.StackStatus != types.StackStatusCreateComplete || !strings.Contains(aws.ToString(st.Outputs[0].OutputValue), ":secret:dev-key-") {
		t.Errorf("the stack is %s with %+v", st.StackStatus, st.Outputs)
	}
	changes, st := a.change(t, update("main", secretTemplate("dev-key", ""), types.Parameter{ParameterKey: new("About"), ParameterValue: new("another")}))
	if diff := cmp.Diff([]string{"Modify Secret False"}, changes); diff != "" || st.StackStatus != types.StackStatusUpdateComplete {
		t.Errorf("changes (-want +got):\n%s%s", diff, st.StackStatus)
	}
	out, err := a.secrets.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: new("dev-key")})
	if err != nil || aws.ToString(out.Description) != "another" {
		t.Errorf("the secret is %v, %v; want the new description", out, err)
	}
	const none = "The submitted information didn't contain changes. Submit different information to create a change set."
	changes, _ = a.change(t, update("main", secretTemplate("dev-key", ""), types.Parameter{ParameterKey: new("About"), UsePreviousValue: new(true)}))
	if diff := cmp.Diff([]string{none}, changes); diff != "" {
		t.Errorf("changes of nothing (-want +got):\n%s", diff)
	}
}

func TestAStackIsMadeChangedAndRemoved(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	changes, st := a.change(t, create("two", secretTemplate("two-key", fmt.Sprintf(queueToo, "1"))))
	if diff := cmp.Diff([]string{"Add Secret", "Add Queue"}, changes); diff != "" || st.StackStatus != types.StackStatusCreateComplete {
		t.Fatalf("changes (-want +got):\n%s%s", diff, st.StackStatus)
	}
	changes, st = a.change(t, update("two", secretTemplate("new-key", "")))
	if diff := cmp.Diff([]string{"Modify Secret True", "Remove Queue"}, changes); diff != "" || st.StackStatus != types.StackStatusUpdateComplete {
		t.Errorf("changes (-want +got):\n%s%s", diff, st.StackStatus)
	}
	if a.Queues.Has("jobs") {
		t.Error("the queue is there, which the template does not have any more")
	}
	if _, err := a.stacks.DeleteStack(t.Context(), &cloudformation.DeleteStackInput{StackName: new("two")}); err != nil {
		t.Fatal(err)
	}
	if st = a.settled(t, *st.StackId); st.StackStatus != types.StackStatusDeleteComplete {
		t.Errorf("the stack is %s", st.StackStatus)
	}
	if diff := cmp.Diff(map[string]string{"Secret": "DELETE_SKIPPED"}, a.statuses(t, *st.StackId)); diff != "" {
		t.Errorf("resources (-want +got):\n%s", diff)
	}
	if _, err := a.stacks.DescribeStacks(t.Context(), &cloudformation.DescribeStacksInput{StackName: new("two")}); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("a removed stack is found by its name: %v", err)
	}
}

func TestAFailureIsTakenBack(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	// A name that is taken is an error on AWS, where nothing is taken over.
	_, st := a.change(t, create("two", strings.Replace(secretTemplate("dev-key", fmt.Sprintf(queueToo, "1")), "Resources:", "Resources:\n  First: {Type: AWS::SQS::Queue, Properties: {QueueName: first}}", 1)))
	if st.StackStatus != types.StackStatusRollbackComplete {
		t.Errorf("the stack is %s", st.StackStatus)
	}
	if a.Queues.Has("first") {
		t.Error("the queue is there that was made before the failure")
	}
	events, err := a.stacks.DescribeStackEvents(t.Context(), &cloudformation.DescribeStackEventsInput{StackName: new("two")})
	if err != nil {
		t.Fatal(err)
	}
	failed := slices.IndexFunc(events.StackEvents, func(e types.StackEvent) bool { return e.ResourceStatus == types.ResourceStatusCreateFailed })
	if failed < 0 || !strings.Contains(aws.ToString(events.StackEvents[failed].ResourceStatusReason), "The operation failed because the secret dev-key already exists.") {
		t.Errorf("no event says what failed: %+v", events.StackEvents)
	}
	// An update goes back to what was there.
	if _, st = a.change(t, create("three", secretTemplate("three-key", fmt.Sprintf(queueToo, "1")))); st.StackStatus != types.StackStatusCreateComplete {
		t.Fatalf("the stack is %s", st.StackStatus)
	}
	_, st = a.change(t, update("three", secretTemplate("three-key", fmt.Sprintf(queueToo, "901")), types.Parameter{ParameterKey: new("About"), ParameterValue: new("not this")}))
	if st.StackStatus != types.StackStatusUpdateRollbackComplete {
		t.Errorf("the stack is %s", st.StackStatus)
	}
	out, err := a.secrets.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: new("three-key")})
	if err != nil || aws.ToString(out.Description) != "a key" {
		t.Errorf("the secret is %v, %v; want the description before the change", out, err)
	}
}

func TestASecretIsImported(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	made, err := a.secrets.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: new("old-key"), SecretString: new("value")})
	if err != nil {
		t.Fatal(err)
	}
	in := create("two", secretTemplate("old-key", ""))
	in.ChangeSetType = types.ChangeSetTypeImport
	in.ResourcesToImport = []types.ResourceToImport{{
		LogicalResourceId: new("Secret"), ResourceType: new("AWS::SecretsManager::Secret"), ResourceIdentifier: map[string]string{"Id": *made.ARN},
	}}
	changes, st := a.change(t, in)
	if diff := cmp.Diff([]string{"Import Secret"}, changes); diff != "" || st.StackStatus != types.StackStatusImportComplete {
		t.Fatalf("changes (-want +got):\n%s%s", diff, st.StackStatus)
	}
	if got := aws.ToString(st.Outputs[0].OutputValue); got != *made.ARN {
		t.Errorf("the stack has %s, want %s", got, *made.ARN)
	}
	out, err := a.secrets.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: made.ARN})
	if err != nil || aws.ToString(out.SecretString) != "value" {
		t.Errorf("the value is %v, %v; want the one it had", out, err)
	}
}

func TestChangeSetsAreRefused(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	const function = "Resources:\n  F: {Type: AWS::Serverless::Function, Properties: {CodeUri: f}}\n"
	for name, tt := range map[string]struct {
		in   *cloudformation.CreateChangeSetInput
		want string
	}{
		"a name with a space":        {create("a stack", secretTemplate("x", "")), "1 validation error detected: Value 'a stack' at 'stackName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z][-a-zA-Z0-9]*|arn:[-a-zA-Z0-9:/._+]*"},
		"an update of nothing":       {update("none", secretTemplate("x", "")), "Stack with id none does not exist"},
		"a stack that is there":      {create("main", secretTemplate("x", "")), "Stack [main] already exists"},
		"no capability":              {create("two", function), "Requires capabilities : [CAPABILITY_AUTO_EXPAND]"},
		"no template":                {&cloudformation.CreateChangeSetInput{StackName: new("two"), ChangeSetType: types.ChangeSetTypeCreate}, "Either Template URL or Template Body must be specified."},
		"a template that is nowhere": {&cloudformation.CreateChangeSetInput{StackName: new("two"), ChangeSetType: types.ChangeSetTypeCreate, TemplateURL: new("https://b.s3.amazonaws.com/k")}, "no such object"},
	} {
		tt.in.ChangeSetName = new("change")
		if tt.in.ChangeSetType == "" {
			tt.in.ChangeSetType = types.ChangeSetTypeUpdate
		}
		if _, err := a.stacks.CreateChangeSet(t.Context(), tt.in); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

// rolesTemplate has the roles of who deploys and of CloudFormation.
const rolesTemplate = `
Resources:
  Deployer:
    Type: AWS::IAM::Role
    Properties:
      RoleName: deployer
      AssumeRolePolicyDocument: {Statement: {Effect: Allow, Principal: {Service: lambda.amazonaws.com}, Action: "sts:AssumeRole"}}
      Policies:
        - PolicyDocument:
            Statement:
              - {Effect: Allow, Action: "cloudformation:*", Resource: "arn:aws:cloudformation:us-east-1:123456789012:stack/two/*"}
              - {Effect: Allow, Action: "iam:PassRole", Resource: "arn:aws:iam::123456789012:role/maker", Condition: {StringEquals: {"iam:PassedToService": cloudformation.amazonaws.com}}}
  Maker:
    Type: AWS::IAM::Role
    Properties:
      RoleName: maker
      AssumeRolePolicyDocument: {Statement: {Effect: Allow, Principal: {Service: cloudformation.amazonaws.com}, Action: "sts:AssumeRole"}}
      Policies: [{PolicyDocument: {Statement: {Effect: Allow, Action: "sqs:*", Resource: "arn:aws:sqs:*:*:jobs"}}}]
  Other:
    Type: AWS::IAM::Role
    Properties:
      RoleName: other
      AssumeRolePolicyDocument: {Statement: {Effect: Allow, Principal: {Service: lambda.amazonaws.com}, Action: "sts:AssumeRole"}}
`

// TestCloudFormationWorksWithTheRightsOfItsRole has a caller who may do nothing
// but change one stack and pass one role on.
func TestCloudFormationWorksWithTheRightsOfItsRole(t *testing.T) {
	t.Parallel()
	a := newAccountOf(t, rolesTemplate)
	who := a.CredentialsOf("Deployer")
	a.stacks = cloudformation.NewFromConfig(aws.Config{
		Region: local.Region, BaseEndpoint: new(a.Endpoint()), Credentials: credentials.NewStaticCredentialsProvider(who.AccessKeyID, who.SecretAccessKey, who.SessionToken),
	})
	const arn = "arn:aws:iam::123456789012:role/"
	queue := func(name string) string {
		return "Resources:\n  Queue: {Type: AWS::SQS::Queue, Properties: {QueueName: " + name + "}}\n"
	}
	refused := func(name, role, body, want string) {
		t.Helper()
		in := create(name, body)
		in.ChangeSetName, in.RoleARN = new("change"), new(arn+role)
		if _, err := a.stacks.CreateChangeSet(t.Context(), in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("a stack %s by the role %s: %v, want %q", name, role, err, want)
		}
	}
	refused("three", "maker", queue("jobs"), "is not authorized to perform: cloudformation:CreateChangeSet on resource: arn:aws:cloudformation:us-east-1:123456789012:stack/three/")
	refused("two", "other", queue("jobs"), "is not authorized to perform: iam:PassRole on resource: arn:aws:iam::123456789012:role/other")

	in := create("two", queue("work"))
	in.RoleARN = new(arn + "maker")
	_, st := a.change(t, in)
	if st.StackStatus != types.StackStatusRollbackComplete {
		t.Errorf("a queue that the role may not make: the stack is %s", st.StackStatus)
	}
	if _, err := a.stacks.DeleteStack(t.Context(), &cloudformation.DeleteStackInput{StackName: st.StackId}); err != nil {
		t.Fatal(err)
	}
	a.settled(t, *st.StackId)
	in = create("two", queue("jobs"))
	in.RoleARN = new(arn + "maker")
	if _, st = a.change(t, in); st.StackStatus != types.StackStatusCreateComplete || aws.ToString(st.RoleARN) != arn+"maker" {
		t.Fatalf("the stack is %s, by %s", st.StackStatus, aws.ToString(st.RoleARN))
	}
	// The role stays the stack's.
	if _, st = a.change(t, update("two", strings.Replace(queue("jobs"), "jobs", "jobs, DelaySeconds: 1", 1))); st.StackStatus != types.StackStatusUpdateComplete {
		t.Errorf("a change without a role: the stack is %s", st.StackStatus)
	}
}

// TestARoleThatIsForOthersIsNotTaken is about what only CloudFormation may be.
func TestARoleThatIsForOthersIsNotTaken(t *testing.T) {
	t.Parallel()
	a := newAccountOf(t, rolesTemplate)
	in := create("two", secretTemplate("two-key", ""))
	in.ChangeSetName, in.RoleARN = new("change"), new("arn:aws:iam::123456789012:role/other")
	const want = "Role arn:aws:iam::123456789012:role/other is invalid or cannot be assumed"
	if _, err := a.stacks.CreateChangeSet(t.Context(), in); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("CreateChangeSet: %v, want %q", err, want)
	}
}
