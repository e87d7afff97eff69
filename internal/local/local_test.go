package local_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	awslambda "github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	eventtypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/rekey-go/rekey/internal/local"
	"github.com/rekey-go/rekey/internal/polltest"
)

// The test binary is also the functions of the tests' templates: the engine
// starts it again with this variable.
const functionVariable = "REKEY_TEST_FUNCTION"

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == functionVariable {
		runFunction(os.Args[2])
		return
	}
	os.Exit(m.Run())
}

// runFunction is what happens in the functions' processes.
func runFunction(name string) {
	switch name {
	case "engine":
		runEngine()
	case "rotator":
		awslambda.Start(rotate)
	case "echo":
		awslambda.Start(func(_ context.Context, e events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
			return events.APIGatewayV2HTTPResponse{StatusCode: 200, Body: e.PathParameters["name"] + " " + e.Body}, nil
		})
	}
}

// rotate is the smallest rotation function: the new value says which step made
// it, and finishSecret moves the label.
func rotate(ctx context.Context, e events.SecretsManagerSecretRotationEvent) error {
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return err
	}
	client := secretsmanager.NewFromConfig(cfg)
	switch e.Step {
	case "createSecret":
		_, err = client.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
			SecretId: &e.SecretID, ClientRequestToken: &e.ClientRequestToken, SecretString: aws.String("rotated"), VersionStages: []string{"AWSPENDING"},
		})
	case "finishSecret":
		var about *secretsmanager.DescribeSecretOutput
		if about, err = client.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &e.SecretID}); err != nil {
			return err
		}
		for version, labels := range about.VersionIdsToStages {
			if strings.Contains(strings.Join(labels, " "), "AWSCURRENT") {
				_, err = client.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{
					SecretId: &e.SecretID, VersionStage: aws.String("AWSCURRENT"), RemoveFromVersionId: &version, MoveToVersionId: &e.ClientRequestToken,
				})
			}
		}
	}
	return err
}

const system = `
Parameters:
  Stage: {Type: String, Default: dev}
Resources:
  Secret:
    Type: AWS::SecretsManager::Secret
    Properties: {Name: !Sub "${Stage}-key", Description: A key}
  Schedule:
    Type: AWS::SecretsManager::RotationSchedule
    DependsOn: Permission
    Properties:
      SecretId: !Ref Secret
      RotationLambdaARN: !GetAtt Rotator.Arn
      RotationRules: {AutomaticallyAfterDays: 30}
  Permission:
    Type: AWS::Lambda::Permission
    Properties: {Action: lambda:InvokeFunction, FunctionName: !Ref Rotator, Principal: secretsmanager.amazonaws.com}
  Rotator:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: !Sub "${Stage}-rotator"
      CodeUri: rotator
      Timeout: 60
      Policies:
        - Statement:
            - Effect: Allow
              Action: [secretsmanager:DescribeSecret, secretsmanager:PutSecretValue, secretsmanager:UpdateSecretVersionStage]
              Resource: !Ref Secret
  Api: {Type: AWS::Serverless::HttpApi}
  Echo:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: echo
      Timeout: 60
      Events:
        Get: {Type: HttpApi, Properties: {ApiId: !Ref Api, Method: GET, Path: "/echo/{name}"}}
  Bus: {Type: AWS::Events::EventBus, Properties: {Name: !Sub "${Stage}-bus"}}
  Queue: {Type: AWS::SQS::Queue, Properties: {QueueName: !Sub "${Stage}-queue"}}
  Rule:
    Type: AWS::Events::Rule
    Properties:
      EventBusName: !Ref Bus
      EventPattern: {source: [test]}
      Targets: [{Id: queue, Arn: !GetAtt Queue.Arn}]
  Labels:
    Type: AWS::Events::Rule
    Properties:
      EventPattern: {source: [aws.secretsmanager], detail-type: [Secret Label Updated]}
      Targets: [{Id: queue, Arn: !GetAtt Queue.Arn}]
  Deleted:
    Type: AWS::Events::Rule
    Properties:
      EventPattern: {source: [aws.secretsmanager], detail-type: [AWS API Call via CloudTrail], detail: {eventName: [DeleteSecret]}}
      Targets: [{Id: queue, Arn: !GetAtt Queue.Arn}]
  QueuePolicy:
    Type: AWS::SQS::QueuePolicy
    Properties:
      Queues: [!Ref Queue]
      PolicyDocument:
        Version: "2012-10-17"
        Statement:
          - Effect: Allow
            Principal: {Service: events.amazonaws.com}
            Action: sqs:SendMessage
            Resource: !GetAtt Queue.Arn
            Condition: {ArnEquals: {"aws:SourceArn": [!GetAtt Rule.Arn, !GetAtt Labels.Arn, !GetAtt Deleted.Arn]}}
  Users: {Type: AWS::Cognito::UserPool}
Outputs:
  QueueUrl: {Value: !Ref Queue}
`

func command(codeURI string) ([]string, error) {
	if codeURI != "rotator" && codeURI != "echo" {
		return nil, fmt.Errorf("there is no function %q", codeURI)
	}
	return []string{os.Args[0], functionVariable, codeURI}, nil
}

func start(t testing.TB, opts local.Options) *local.Engine {
	t.Helper()
	if opts.Template == nil {
		opts.Template = []byte(system)
	}
	opts.TemplateFile, opts.Command = "t.yaml", command
	opts.Logs = t.Output()
	e, err := local.Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(context.Background()); err != nil {
			t.Errorf("closing the engine: %v", err)
		}
	})
	return e
}

func configFor(e *local.Engine) aws.Config {
	return aws.Config{
		Region: local.Region, BaseEndpoint: aws.String(e.Endpoint()),
		Credentials: credentials.NewStaticCredentialsProvider("alice", "alice", ""),
	}
}

func TestTheTemplatesSystemRotatesASecret(t *testing.T) {
	t.Parallel()
	e := start(t, local.Options{})
	client := secretsmanager.NewFromConfig(configFor(e))
	put, err := client.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: aws.String("dev-key"), SecretString: aws.String("first")})
	if err != nil {
		t.Fatal(err)
	}
	awaitMessage(t, e, aws.ToString(put.VersionId)) // the native event
	out, err := client.RotateSecret(t.Context(), &secretsmanager.RotateSecretInput{SecretId: aws.String("dev-key")})
	if err != nil {
		t.Fatal(err)
	}
	awaitMessage(t, e, aws.ToString(out.VersionId))
	got, err := client.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("dev-key")})
	if err != nil || aws.ToString(got.SecretString) != "rotated" || aws.ToString(got.VersionId) != aws.ToString(out.VersionId) {
		t.Errorf("after the rotation: version %s, %v; want %s", aws.ToString(got.VersionId), err, aws.ToString(out.VersionId))
	}
	var found *cloudtrail.LookupEventsOutput
	polltest.Until(t, "the call that moved the label is recorded", func() bool { // after its event is sent
		found, err = cloudtrail.NewFromConfig(configFor(e)).LookupEvents(t.Context(), &cloudtrail.LookupEventsInput{
			LookupAttributes: []types.LookupAttribute{{AttributeKey: types.LookupAttributeKeyEventName, AttributeValue: aws.String("UpdateSecretVersionStage")}},
		})
		return err != nil || len(found.Events) > 0
	})
	if err != nil || len(found.Events) != 1 || !strings.Contains(aws.ToString(found.Events[0].CloudTrailEvent), "assumed-role/dev-rotator") {
		t.Errorf("the trail has %d records of UpdateSecretVersionStage (%v), want one by the role of the function", len(found.Events), err)
	}
}

// patience is how long a test waits for what must happen. It is long, for
// machines under load, and waited out only by a test that fails.
const patience = 3 * time.Minute

// awaitMessage waits for a message on the system's queue that holds a text.
func awaitMessage(t *testing.T, e *local.Engine, text string) {
	t.Helper()
	outputs, err := e.Outputs()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	client := sqs.NewFromConfig(configFor(e))
	for {
		got, err := client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: aws.String(outputs["QueueUrl"]), WaitTimeSeconds: 10})
		if err != nil {
			t.Fatalf("waiting for a message with %s: %v", text, err)
		}
		for _, m := range got.Messages {
			if strings.Contains(aws.ToString(m.Body), text) {
				return
			}
		}
	}
}

func TestAnEventReachesTheQueueOfItsRule(t *testing.T) {
	t.Parallel()
	e := start(t, local.Options{})
	out, err := eventbridge.NewFromConfig(configFor(e)).PutEvents(t.Context(), &eventbridge.PutEventsInput{Entries: []eventtypes.PutEventsRequestEntry{{
		EventBusName: aws.String("dev-bus"), Source: aws.String("test"), DetailType: aws.String("x"), Detail: aws.String(`{"n":"needle"}`),
	}}})
	if err != nil || out.FailedEntryCount != 0 {
		t.Fatalf("PutEvents: %v, %d failed", err, out.FailedEntryCount)
	}
	awaitMessage(t, e, "needle")
}

func TestACallThatChangesSomethingReachesTheBusThroughTheTrail(t *testing.T) {
	t.Parallel()
	e := start(t, local.Options{})
	_, err := secretsmanager.NewFromConfig(configFor(e)).DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{
		SecretId: aws.String("dev-key"), RecoveryWindowInDays: aws.Int64(7),
	})
	if err != nil {
		t.Fatal(err)
	}
	awaitMessage(t, e, `"eventName":"DeleteSecret"`)
}

func TestAScheduledRotationHappensWhenTheClockIsAdvanced(t *testing.T) {
	t.Parallel()
	e := start(t, local.Options{})
	client := secretsmanager.NewFromConfig(configFor(e))
	if _, err := client.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: aws.String("dev-key"), SecretString: aws.String("first")}); err != nil {
		t.Fatal(err)
	}
	move, err := http.NewRequestWithContext(t.Context(), http.MethodPost, e.Endpoint()+local.ClockPath, strings.NewReader(`{"advance":"32d"}`))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(move)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("advancing the clock: %v, %v", res, err)
	}
	_ = res.Body.Close()
	got, err := client.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("dev-key")})
	if err != nil || aws.ToString(got.SecretString) != "rotated" {
		t.Errorf("after 32 days the value is not the rotated one (%v)", err)
	}
}

// withoutPut is the system without one permission of its rotator, and with a
// rule for the calls that are refused.
func withoutPut() []byte {
	text := strings.Replace(system, "secretsmanager:PutSecretValue, ", "", 1)
	return []byte(strings.Replace(text, "eventName: [DeleteSecret]", "eventName: [PutSecretValue], errorCode: [{exists: true}]", 1))
}

func TestAFunctionMayDoWhatItsPoliciesSay(t *testing.T) {
	t.Parallel()
	e := start(t, local.Options{Template: withoutPut()})
	client := secretsmanager.NewFromConfig(configFor(e))
	if _, err := client.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: aws.String("dev-key"), SecretString: aws.String("first")}); err != nil {
		t.Fatalf("a person may do everything: %v", err)
	}
	if _, err := client.RotateSecret(t.Context(), &secretsmanager.RotateSecretInput{SecretId: aws.String("dev-key")}); err != nil {
		t.Fatal(err)
	}
	awaitMessage(t, e, "User: arn:aws:sts::123456789012:assumed-role/dev-rotator/dev-rotator is not authorized to perform: secretsmanager:PutSecretValue on resource: arn:aws:secretsmanager:us-east-1:123456789012:secret:dev-key-")
}

func TestWithoutIAMAFunctionMayDoEverything(t *testing.T) {
	t.Parallel()
	e := start(t, local.Options{Template: withoutPut(), NoIAM: true})
	client := secretsmanager.NewFromConfig(configFor(e))
	if _, err := client.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: aws.String("dev-key"), SecretString: aws.String("first")}); err != nil {
		t.Fatal(err)
	}
	out, err := client.RotateSecret(t.Context(), &secretsmanager.RotateSecretInput{SecretId: aws.String("dev-key")})
	if err != nil {
		t.Fatal(err)
	}
	awaitMessage(t, e, aws.ToString(out.VersionId)) // the native event of its becoming current
}

func TestTheHTTPAPIReachesTheFunctionOfItsRoute(t *testing.T) {
	t.Parallel()
	e := start(t, local.Options{})
	if got := get(t, e.APIURL()+"/echo/hello"); got != "200 hello" {
		t.Errorf("GET /echo/hello = %q, want 200 hello", got)
	}
	if got := get(t, e.APIURL()+"/nothing"); got != `404 {"message":"Not Found"}` {
		t.Errorf("GET /nothing = %q, want 404", got)
	}
}

func TestTheStateSurvivesARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := local.Start(t.Context(), local.Options{Template: []byte(system), TemplateFile: "t.yaml", Command: command, StateDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	put, err := secretsmanager.NewFromConfig(configFor(first)).PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{
		SecretId: aws.String("dev-key"), SecretString: aws.String("kept"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	second := start(t, local.Options{StateDir: dir})
	got, err := secretsmanager.NewFromConfig(configFor(second)).GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: put.ARN})
	if err != nil || aws.ToString(got.SecretString) != "kept" {
		t.Errorf("after the restart: %v; want the value that was stored", err)
	}
}

func TestWhatTheEngineDoesNotHaveIsAWarning(t *testing.T) {
	t.Parallel()
	e := start(t, local.Options{})
	if got := strings.Join(e.Warnings(), "\n"); !strings.Contains(got, "AWS::Cognito::UserPool; Users is left out") {
		t.Errorf("warnings %q do not name the user pool", got)
	}
}

func TestATemplateThatCannotBeMadeIsRefused(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ old, new, want string }{
		"an unknown function":    {"CodeUri: echo", "CodeUri: nope", `t.yaml:30:3: function "Echo": there is no function "nope"`},
		"a schedule that is not": {"AutomaticallyAfterDays: 30", "ScheduleExpression: rate(1 hour)", `resource "Schedule" was refused`},
		"a wrong pattern":        {"{source: [test]}", "{source: test}", `resource "Rule" was refused`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := strings.Replace(system, tt.old, tt.new, 1)
			_, err := local.Start(t.Context(), local.Options{Template: []byte(text), TemplateFile: "t.yaml", Command: command})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

func TestATakenPortIsAnError(t *testing.T) {
	t.Parallel()
	e := start(t, local.Options{})
	var port int
	if _, err := fmt.Sscanf(e.Endpoint(), "http://127.0.0.1:%d", &port); err != nil {
		t.Fatal(err)
	}
	_, err := local.Start(t.Context(), local.Options{Template: []byte(system), TemplateFile: "t.yaml", Command: command, Port: port})
	if !errors.Is(err, errAddrInUse) {
		t.Errorf("got %v, want that the address is in use", err)
	}
}
