package conformance_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	awslambda "github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/rekey-go/rekey/internal/local"
)

// asRotator is the argument that makes this program the rotation function.
const asRotator = "conformance-rotator"

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == asRotator {
		awslambda.Start(rotate)
		return
	}
	os.Exit(m.Run())
}

// rotate is what AWS's template of a rotation function does: the new value
// says which version it is of, and AWSPENDING is left where it is.
func rotate(ctx context.Context, e events.SecretsManagerSecretRotationEvent) error {
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return err
	}
	client := secretsmanager.NewFromConfig(cfg)
	switch e.Step {
	case "createSecret":
		_, err = client.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
			SecretId: &e.SecretID, ClientRequestToken: &e.ClientRequestToken,
			SecretString: new("rotated"), VersionStages: []string{"AWSPENDING"},
		})
	case "finishSecret":
		err = finish(ctx, client, e)
	}
	return err
}

func finish(ctx context.Context, client *secretsmanager.Client, e events.SecretsManagerSecretRotationEvent) error {
	current, err := client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &e.SecretID})
	if err != nil {
		return err
	}
	_, err = client.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{
		SecretId: &e.SecretID, VersionStage: new("AWSCURRENT"),
		MoveToVersionId: &e.ClientRequestToken, RemoveFromVersionId: current.VersionId,
	})
	return err
}

// startEngine runs the engine with a rotation function.
func startEngine(t *testing.T) *local.Engine {
	t.Helper()
	const system = `
Resources:
  Permission:
    Type: AWS::Lambda::Permission
    Properties: {Action: lambda:InvokeFunction, FunctionName: !Ref Rotator, Principal: secretsmanager.amazonaws.com}
  Rotator:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: rotator
      Timeout: 60
      Policies:
        - Statement:
            - Effect: Allow
              Action: [secretsmanager:GetSecretValue, secretsmanager:PutSecretValue, secretsmanager:UpdateSecretVersionStage]
              Resource: "*"
`
	e, err := local.Start(t.Context(), local.Options{
		Template: []byte(system), TemplateFile: "conformance.yaml", Logs: t.Output(),
		Command: func(codeURI string) ([]string, error) {
			if codeURI != "rotator" {
				return nil, fmt.Errorf("there is no function %q", codeURI)
			}
			return []string{os.Args[0], asRotator}, nil
		},
	})
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
