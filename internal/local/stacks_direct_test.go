package local_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/google/go-cmp/cmp"
)

// queueAnd has a queue, and then what cannot be made: a name that is taken.
const queueAnd = `
Resources:
  First: {Type: AWS::SQS::Queue, Properties: {QueueName: first}}
  Taken: {Type: AWS::SecretsManager::Secret, DependsOn: First, Properties: {Name: dev-key}}
  Never: {Type: AWS::SQS::Queue, DependsOn: Taken, Properties: {QueueName: never}}
`

func TestAStackIsMadeAndChangedWithoutAChangeSet(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	in := &cloudformation.CreateStackInput{
		StackName: new("two"), TemplateBody: new(secretTemplate("two-key", "")), ClientRequestToken: new("first"),
		Parameters: []types.Parameter{{ParameterKey: new("About"), ParameterValue: new("mine")}}, Tags: []types.Tag{{Key: new("b"), Value: new("2")}, {Key: new("a"), Value: new("1")}},
		RoleARN: new("arn:aws:iam::123456789012:role/mine"), NotificationARNs: []string{"arn:aws:sns:us-east-1:123456789012:mine"}, TimeoutInMinutes: new(int32(5)),
	}
	made, err := a.stacks.CreateStack(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	again, err := a.stacks.CreateStack(t.Context(), in)
	if err != nil || *again.StackId != *made.StackId {
		t.Errorf("the same call again: %v, %v; want %s", again, err, *made.StackId)
	}
	st := a.settled(t, *made.StackId)
	if st.StackStatus != types.StackStatusCreateComplete || aws.ToInt32(st.TimeoutInMinutes) != 5 || aws.ToString(st.RoleARN) != *in.RoleARN || len(st.NotificationARNs) != 1 {
		t.Errorf("the stack is %+v", st)
	}
	// What is left out stays: the tags, and by its name a parameter.
	update := &cloudformation.UpdateStackInput{
		StackName: made.StackId, TemplateBody: new(secretTemplate("two-key", strings.ReplaceAll(queueToo, "%s", "1"))),
		Parameters: []types.Parameter{{ParameterKey: new("About"), UsePreviousValue: new(true)}},
	}
	if _, err := a.stacks.UpdateStack(t.Context(), update); err != nil {
		t.Fatal(err)
	}
	st = a.settled(t, "two")
	tags := map[string]string{}
	for _, tag := range st.Tags {
		tags[*tag.Key] = *tag.Value
	}
	if diff := cmp.Diff(map[string]string{"a": "1", "b": "2"}, tags); diff != "" || st.StackStatus != types.StackStatusUpdateComplete || *st.Parameters[0].ParameterValue != "mine" || !a.Queues.Has("jobs") {
		t.Errorf("the stack is %+v, its tags (-want +got):\n%s", st, diff)
	}
	_, err = a.stacks.UpdateStack(t.Context(), update)
	if err == nil || !strings.Contains(err.Error(), "ValidationError: No updates are to be performed.") {
		t.Errorf("an update of nothing: %v", err)
	}
	update.Tags = []types.Tag{}
	if _, err := a.stacks.UpdateStack(t.Context(), update); err != nil {
		t.Errorf("an update of the tags: %v", err)
	}
	if st = a.settled(t, "two"); len(st.Tags) != 0 {
		t.Errorf("the tags are %+v, want none", st.Tags)
	}
}

func TestACreationThatFails(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		onFailure types.OnFailure
		disable   *bool
		want      types.StackStatus
		left      map[string]string
		queue     bool
	}{
		"goes back":        {want: types.StackStatusRollbackComplete, left: map[string]string{"First": "DELETE_COMPLETE", "Taken": "DELETE_COMPLETE"}},
		"is deleted":       {onFailure: types.OnFailureDelete, want: types.StackStatusDeleteComplete, left: map[string]string{"First": "DELETE_COMPLETE", "Taken": "DELETE_COMPLETE"}},
		"is left":          {onFailure: types.OnFailureDoNothing, want: types.StackStatusCreateFailed, left: map[string]string{"First": "CREATE_COMPLETE", "Taken": "CREATE_FAILED"}, queue: true},
		"is left, by flag": {disable: new(true), want: types.StackStatusCreateFailed, left: map[string]string{"First": "CREATE_COMPLETE", "Taken": "CREATE_FAILED"}, queue: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAccount(t)
			made, err := a.stacks.CreateStack(t.Context(), &cloudformation.CreateStackInput{
				StackName: new("two"), TemplateBody: new(queueAnd), OnFailure: tt.onFailure, DisableRollback: tt.disable,
			})
			if err != nil {
				t.Fatal(err)
			}
			st := a.settled(t, *made.StackId)
			if st.StackStatus != tt.want || a.Queues.Has("first") != tt.queue || a.Queues.Has("never") {
				t.Errorf("the stack is %s, its queue there: %v", st.StackStatus, a.Queues.Has("first"))
			}
			if diff := cmp.Diff(tt.left, a.statuses(t, *made.StackId)); diff != "" {
				t.Errorf("resources (-want +got):\n%s", diff)
			}
			if _, err := a.stacks.DeleteStack(t.Context(), &cloudformation.DeleteStackInput{StackName: made.StackId}); err != nil {
				t.Fatal(err)
			}
			if st = a.settled(t, *made.StackId); st.StackStatus != types.StackStatusDeleteComplete || a.Queues.Has("first") {
				t.Errorf("deleted, the stack is %s, its queue there: %v", st.StackStatus, a.Queues.Has("first"))
			}
		})
	}
}

func TestStacksAreRefused(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	body := secretTemplate("two-key", "")
	creates := map[string]struct {
		in   cloudformation.CreateStackInput
		want string
	}{
		"a stack that is there":  {cloudformation.CreateStackInput{StackName: new("main"), TemplateBody: &body}, "AlreadyExistsException: Stack [main] already exists"},
		"two ends of a failure":  {cloudformation.CreateStackInput{StackName: new("two"), TemplateBody: &body, OnFailure: types.OnFailureDelete, DisableRollback: new(true)}, "either DisableRollback or OnFailure, but not both"},
		"a template that is bad": {cloudformation.CreateStackInput{StackName: new("two"), TemplateBody: new("Resources: {A: {Type: AWS::SQS::Queue, Properties: {QueueName: !Ref B}}}")}, "ValidationError"},
		"a name with a slash":    {cloudformation.CreateStackInput{StackName: new("../two"), TemplateBody: &body}, "1 validation error detected: Value '../two' at 'stackName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z][-a-zA-Z0-9]*"},
		"no name":                {cloudformation.CreateStackInput{StackName: new(""), TemplateBody: &body}, "Value '' at 'stackName' failed to satisfy constraint: Member must have length greater than or equal to 1"},
		"a name that is long":    {cloudformation.CreateStackInput{StackName: new(strings.Repeat("n", 129)), TemplateBody: &body}, "Member must have length less than or equal to 128"},
		"a stack policy":         {cloudformation.CreateStackInput{StackName: new("two"), TemplateBody: &body, StackPolicyBody: new("{}")}, "does not have StackPolicyBody"},
		"a template too long":    {cloudformation.CreateStackInput{StackName: new("two"), TemplateBody: new(body + strings.Repeat("#", 51200))}, "length less than or equal to 51200"},
	}
	for name, tt := range creates {
		if _, err := a.stacks.CreateStack(t.Context(), &tt.in); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
	if _, err := a.stacks.UpdateStack(t.Context(), &cloudformation.UpdateStackInput{StackName: new("none"), TemplateBody: &body}); err == nil || !strings.Contains(err.Error(), "Stack [none] does not exist") {
		t.Errorf("an update of a stack that is not there: %v", err)
	}
	if _, err := a.stacks.DescribeStacks(t.Context(), &cloudformation.DescribeStacksInput{StackName: new("two")}); err == nil {
		t.Error("a refused call made a stack")
	}
}
