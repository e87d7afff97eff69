package local_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/rekey-go/rekey/internal/local"
)

// listening hears of every change of AWSCURRENT, as the function Invalidate
// does.
const listening = `
Resources:
  Heard: {Type: AWS::SQS::Queue, Properties: {QueueName: heard}}
  Rule:
    Type: AWS::Events::Rule
    Properties:
      EventPattern: {source: [aws.secretsmanager], detail-type: [Secret Label Updated], detail: {labelUpdated: [AWSCURRENT]}}
      Targets: [{Id: heard, Arn: !GetAtt Heard.Arn}]
  Policy:
    Type: AWS::SQS::QueuePolicy
    Properties:
      Queues: [!Ref Heard]
      PolicyDocument:
        Statement:
          - {Effect: Allow, Principal: {Service: events.amazonaws.com}, Action: sqs:SendMessage, Resource: !GetAtt Heard.Arn}
`

// TestTerraformAndRotationsDoNotUndoEachOther makes the calls of the recipe in
// docs/values.md as Terraform's provider does: a secret, then its first value
// under a token. A later value is heard of, and what Terraform then reads of
// the secret is what it wrote.
func TestTerraformAndRotationsDoNotUndoEachOther(t *testing.T) {
	t.Parallel()
	e := start(t, local.Options{Template: []byte(listening)})
	client, ctx := secretsmanager.NewFromConfig(configFor(e)), t.Context()
	const firstToken, laterToken = "terraform-20261126000000000000000001", "rotation-202611260000000000000000001"

	made, err := client.CreateSecret(ctx, &secretsmanager.CreateSecretInput{
		Name: aws.String("dev-tf"), Description: aws.String("By Terraform"), ClientRequestToken: aws.String("terraform-20261126000000000000000000"),
		Tags: []types.Tag{{Key: aws.String("team"), Value: aws.String("shop")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	first := &secretsmanager.PutSecretValueInput{SecretId: made.ARN, ClientRequestToken: aws.String(firstToken), SecretString: aws.String("first")}
	for range 2 { // Terraform repeats what it got no answer to
		if put, err := client.PutSecretValue(ctx, first); err != nil || *put.VersionId != firstToken {
			t.Fatalf("PutSecretValue: %v, %v", put, err)
		}
	}
	before := refreshed(t, client, made.ARN)
	expectHeard(t, e, firstToken)

	later := &secretsmanager.PutSecretValueInput{SecretId: made.ARN, ClientRequestToken: aws.String(laterToken), SecretString: aws.String("later")}
	if _, err := client.PutSecretValue(ctx, later); err != nil {
		t.Fatal(err)
	}
	expectHeard(t, e, laterToken)
	if diff := cmp.Diff(before, refreshed(t, client, made.ARN), cmpopts.IgnoreUnexported(types.Tag{})); diff != "" {
		t.Errorf("Terraform would see a change of the secret:\n%s", diff)
	}
	got, err := client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: made.ARN})
	if err != nil || *got.SecretString != "later" {
		t.Errorf("the current value: %v, %v; want that of the rotation", got, err)
	}
}

// managed is what Terraform keeps in its state of a secret.
type managed struct {
	Name, Description, KMSKeyID, Policy string
	Tags                                []types.Tag
}

// refreshed makes the calls by which Terraform looks for drift.
func refreshed(t *testing.T, client *secretsmanager.Client, arn *string) managed {
	t.Helper()
	about, err := client.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: arn})
	if err != nil {
		t.Fatal(err)
	}
	policy, err := client.GetResourcePolicy(t.Context(), &secretsmanager.GetResourcePolicyInput{SecretId: arn})
	if err != nil {
		t.Fatal(err)
	}
	return managed{aws.ToString(about.Name), aws.ToString(about.Description), aws.ToString(about.KmsKeyId), aws.ToString(policy.ResourcePolicy), about.Tags}
}

// expectHeard waits for the event of a version that became current.
func expectHeard(t *testing.T, e *local.Engine, version string) {
	t.Helper()
	client := sqs.NewFromConfig(configFor(e))
	queue, err := client.GetQueueUrl(t.Context(), &sqs.GetQueueUrlInput{QueueName: aws.String("heard")})
	if err != nil {
		t.Fatal(err)
	}
	got, err := client.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: queue.QueueUrl, WaitTimeSeconds: 20})
	if err != nil || len(got.Messages) != 1 || !strings.Contains(*got.Messages[0].Body, version) {
		t.Fatalf("heard %+v, %v; want one event of version %s", got, err, version)
	}
	if _, err := client.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: queue.QueueUrl, ReceiptHandle: got.Messages[0].ReceiptHandle}); err != nil {
		t.Fatal(err)
	}
}
