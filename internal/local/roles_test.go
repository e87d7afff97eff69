package local_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	eventtypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/rekey-go/rekey/internal/local"
)

// delivering is a system whose rule has a queue and a function as targets.
const delivering = `
Resources:
  Queue: {Type: AWS::SQS::Queue, Properties: {QueueName: dev-queue}}
  Dead: {Type: AWS::SQS::Queue, Properties: {QueueName: dev-dead}}
  Fn: {Type: AWS::Serverless::Function, Properties: {CodeUri: echo}}
  Rule:
    Type: AWS::Events::Rule
    Properties:
      Name: dev-rule
      EventPattern: {source: [test]}
      Targets:
        - {Id: queue, Arn: !GetAtt Queue.Arn, DeadLetterConfig: {Arn: !GetAtt Dead.Arn}}
        - {Id: function, Arn: !GetAtt Fn.Arn, DeadLetterConfig: {Arn: !GetAtt Dead.Arn}}
  DeadPolicy:
    Type: AWS::SQS::QueuePolicy
    Properties:
      Queues: [!Ref Dead]
      PolicyDocument:
        Statement: {Effect: Allow, Principal: {Service: events.amazonaws.com}, Action: "sqs:SendMessage", Resource: "*"}
`

// publish puts an event that the rule is for, and waits for its deliveries.
func publish(t *testing.T, e *local.Engine) {
	t.Helper()
	if _, err := eventbridge.NewFromConfig(configFor(e)).PutEvents(t.Context(), &eventbridge.PutEventsInput{Entries: []eventtypes.PutEventsRequestEntry{{
		Source: aws.String("test"), DetailType: aws.String("x"), Detail: aws.String(`{}`),
	}}}); err != nil {
		t.Fatal(err)
	}
	e.Events.Close()
}

func TestARuleReachesNoTargetThatDoesNotLetIt(t *testing.T) {
	t.Parallel()
	e := start(t, local.Options{Template: []byte(delivering)})
	publish(t, e)
	got, err := sqs.NewFromConfig(configFor(e)).ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{
		QueueUrl: aws.String(e.Endpoint() + "/123456789012/dev-dead"), MaxNumberOfMessages: 10, MessageAttributeNames: []string{"All"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Messages) != 2 {
		t.Fatalf("%d dead letters, want one for each target", len(got.Messages))
	}
	for _, m := range got.Messages {
		if code := aws.ToString(m.MessageAttributes["ERROR_CODE"].StringValue); code != "NO_PERMISSIONS" {
			t.Errorf("the dead letter's code is %s, want NO_PERMISSIONS", code)
		}
	}
	text, err := json.Marshal(e.Policies().Refused)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"because no resource-based policy allows the sqs:SendMessage action",
		`Principal: {Service: events.amazonaws.com}\n  Action: sqs:SendMessage\n  Resource: !GetAtt Queue.Arn\n  Condition: {ArnEquals: {\"aws:SourceArn\": !GetAtt Rule.Arn}}`,
		`Type: AWS::Lambda::Permission\nProperties:\n  Action: lambda:InvokeFunction\n  FunctionName: !GetAtt Fn.Arn\n  Principal: events.amazonaws.com\n  SourceArn: !GetAtt Rule.Arn`,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the refusals %s do not have %s", text, want)
		}
	}
}

func TestARuleReachesTheTargetsThatLetIt(t *testing.T) {
	t.Parallel()
	e := start(t, local.Options{Template: []byte(strings.Replace(delivering, "Queues: [!Ref Dead]", "Queues: [!Ref Dead, !Ref Queue]", 1) + `
  Permission:
    Type: AWS::Lambda::Permission
    Properties: {Action: lambda:InvokeFunction, FunctionName: !Ref Fn, Principal: events.amazonaws.com, SourceAccount: !Ref AWS::AccountId, SourceArn: !GetAtt Rule.Arn}
`)})
	publish(t, e)
	if refused := e.Policies().Refused; len(refused) > 0 {
		t.Errorf("refused: %v", refused)
	}
	got, err := sqs.NewFromConfig(configFor(e)).ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: aws.String(e.Endpoint() + "/123456789012/dev-queue")})
	if err != nil || len(got.Messages) != 1 {
		t.Errorf("the queue has %v (%v), want the event", got, err)
	}
}

// withRole is a function of a role of the template, whose statements and
// principal differ.
func withRole(principal, statements, more string) []byte {
	return []byte(`
Resources:
  Queue: {Type: AWS::SQS::Queue, Properties: {QueueName: dev-queue}}
  Other: {Type: AWS::SecretsManager::Secret, Properties: {Name: dev-other}}
  Limits:
    Type: AWS::IAM::ManagedPolicy
    Properties:
      PolicyDocument: {Version: "2012-10-17", Statement: [{Effect: Allow, Action: ["secretsmanager:*", "sqs:*"], Resource: "*"}]}
  Worker:
    Type: AWS::IAM::Role
    Properties:
      Path: /team/
      PermissionsBoundary: !Ref Limits
      AssumeRolePolicyDocument:
        Version: "2012-10-17"
        Statement: {Effect: Allow, Principal: {Service: ` + principal + `}, Action: "sts:AssumeRole"}
      ManagedPolicyArns: [arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole]
  Inline:
    Type: AWS::IAM::Policy
    Properties:
      PolicyName: inline
      Roles: [!Ref Worker]
      PolicyDocument: {Version: "2012-10-17", Statement: [` + statements + `]}
  Fn:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: echo
      Role: !GetAtt Worker.Arn
      Events:
        Messages: {Type: SQS, Properties: {Queue: !GetAtt Queue.Arn}}
` + more)
}

const receive = `{Effect: Allow, Action: ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"], Resource: !GetAtt Queue.Arn}`

func TestAFunctionHasTheRoleThatItNames(t *testing.T) {
	t.Parallel()
	e := start(t, local.Options{Template: withRole("lambda.amazonaws.com", receive+`, {Effect: Allow, Action: ["secretsmanager:PutSecretValue", "lambda:*"], Resource: "*"}`, "")})
	if warnings := e.Warnings(); len(warnings) > 0 {
		t.Errorf("warnings: %q", warnings)
	}
	cfg := as(e, "Worker")
	if status, answer := post(t, e, e.CredentialsOf("Worker").AccessKeyID, "secretsmanager.PutSecretValue", map[string]any{"SecretId": "dev-other", "SecretString": "x"}); status != 200 {
		t.Errorf("what role and boundary allow: %s", answer)
	}
	if err := getSecret("dev-other")(t, cfg, e); err == nil || !strings.Contains(err.Error(), "no identity-based policy allows") {
		t.Errorf("what the boundary alone allows: %v", err)
	}
	if err := listFunctions(t, cfg, e); err == nil || !strings.Contains(err.Error(), "no permissions boundary allows the lambda:ListFunctions action") {
		t.Errorf("what the role alone allows: %v", err)
	}
}

func TestATemplateWhosePoliciesCannotBeIsRefused(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		template []byte
		want     string
	}{
		"a role for others":         {withRole("events.amazonaws.com", receive, ""), `t.yaml:24:3: function "Fn": the role defined for the function cannot be assumed by Lambda`},
		"a role without its queue":  {withRole("lambda.amazonaws.com", `{Effect: Allow, Action: "sqs:DeleteMessage", Resource: "*"}`, ""), `function "Fn": the provided execution role does not have permissions to call ReceiveMessage on SQS`},
		"an operator that is not":   {withRole("lambda.amazonaws.com", receive+`, {Effect: Allow, Action: "a:b", Resource: "*", Condition: {StringIs: {"a:b": c}}}`, ""), `t.yaml:23:253: policy of "Inline": "StringIs" is no condition operator`},
		"a parameter that is not":   {[]byte(`Resources: {Fn: {Type: AWS::Serverless::Function, Properties: {CodeUri: echo, Policies: [{SQSPollerPolicy: {Queue: q}}]}}}`), `policy of "Fn": the policy template SQSPollerPolicy wants the parameter QueueName`},
		"a public policy":           {[]byte(`Resources: {S: {Type: AWS::SecretsManager::Secret, Properties: {Name: dev-s}}, P: {Type: AWS::SecretsManager::ResourcePolicy, Properties: {SecretId: !Ref S, BlockPublicPolicy: true, ResourcePolicy: {Statement: {Effect: Allow, Principal: "*", Action: "secretsmanager:*", Resource: "*"}}}}}`), "PublicPolicyException"},
		"a rotation without invoke": {[]byte(strings.Replace(system, "Principal: secretsmanager.amazonaws.com}", "Principal: events.amazonaws.com}", 1)), `its policy does not let secretsmanager.amazonaws.com`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := local.Start(t.Context(), local.Options{Template: tt.template, TemplateFile: "t.yaml", Command: command})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

func TestAPolicyThatTheEngineDoesNotKnowIsAWarning(t *testing.T) {
	t.Parallel()
	e := start(t, local.Options{Template: []byte(`Resources: {Fn: {Type: AWS::Serverless::Function, Properties: {CodeUri: echo, Policies: [S3ReadPolicyOfMine, {S3ReadPolicy: {BucketName: b}}]}}}`)})
	got := strings.Join(e.Warnings(), "\n")
	for _, want := range []string{"does not know the managed policy S3ReadPolicyOfMine", "does not have the policy template S3ReadPolicy; for Fn it is left out"} {
		if !strings.Contains(got, want) {
			t.Errorf("warnings %q do not have %q", got, want)
		}
	}
}
