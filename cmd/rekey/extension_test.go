package main

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/rekey-go/rekey/internal/polltest"
	"github.com/rekey-go/rekey/internal/stack"
)

// shellTemplate has a function in another language, with the agent's layer.
const shellTemplate = `
Resources:
  App: {Type: AWS::SecretsManager::Secret, Properties: {Name: dev-app}}
  Bulletin:
    Type: AWS::DynamoDB::Table
    Properties:
      TableName: dev-rekey-bulletin
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: pk, AttributeType: S}, {AttributeName: sk, AttributeType: S}]
      KeySchema: [{AttributeName: pk, KeyType: HASH}, {AttributeName: sk, KeyType: RANGE}]
  Invalidate:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: dev-invalidate
      CodeUri: functions/invalidate/bootstrap
      Environment: {Variables: {REKEY_STAGE: dev, REKEY_BULLETIN: !Ref Bulletin}}
      Events:
        LabelUpdated:
          Type: EventBridgeRule
          Properties:
            Pattern: {source: [aws.secretsmanager], detail-type: [Secret Label Updated]}
  Agent: {Type: AWS::Serverless::LayerVersion, Properties: {LayerName: agent, ContentUri: dist/layers/rekey-agent}}
  Shell:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: dev-shell
      Runtime: provided.al2023
      CodeUri: shell
      Timeout: 300
      Layers: [!Ref Agent]
      Environment: {Variables: {REKEY_BULLETIN: !Ref Bulletin, REKEY_CHECK_INTERVAL: 50ms, REKEY_LEASE: 10s}}
`

// shellFunction answers with what localhost says of the secret, when so many of its
// environments as the event says are at it: each leaves a file in a folder.
const shellFunction = `#!/bin/sh
api=http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime
dir=$(mktemp -d)
while curl -sS -D $dir/head -o $dir/event $api/invocation/next; do
  id=$(tr -d '\r' < $dir/head | sed -n 's/^[Ll]ambda-[Rr]untime-[Aa]ws-[Rr]equest-[Ii]d: *//p')
  curl -sS -o $dir/answer -H "X-Aws-Parameters-Secrets-Token: $AWS_SESSION_TOKEN" \
    "http://localhost:$PARAMETERS_SECRETS_EXTENSION_HTTP_PORT/secretsmanager/get?secretId=dev-app"
  meet=$(sed 's/.*"Folder":"\([^"]*\)".*/\1/' $dir/event)
  all=$(sed 's/.*"Environments":\([0-9]*\).*/\1/' $dir/event)
  touch $meet/$$
  while [ $(ls $meet | wc -l) -lt $all ]; do sleep 0.02; done
  sed "s/^{/{\"Pid\":$$,/" $dir/answer | curl -sS -o /dev/null -d @- $api/invocation/$id/response
done
`

// TestAFunctionInAnotherLanguageFollowsRotations has a shell script, which
// knows nothing of AWS, read a secret from the agent in three environments at
// once: after a rotation each has the new version at its next invocation.
func TestAFunctionInAnotherLanguageFollowsRotations(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("NOT TESTED: there is no curl")
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "shell"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "shell", "bootstrap"), []byte(shellFunction), 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := stack.Start(t.Context(), stack.Options{
		Template: []byte(shellTemplate), TemplateFile: filepath.Join(dir, "template.yaml"),
		NoDatabase: true, NoIAM: true, Logs: t.Output(), Command: commandFor,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	const environments = 3
	first := putApp(t, s, "sk_1")
	before := invokeShells(t, s, environments)
	for pid, version := range before {
		if version != first {
			t.Errorf("environment %d began with version %s, want %s", pid, version, first)
		}
	}
	second := putApp(t, s, "sk_2")
	polltest.Until(t, "all environments have the new version", func() bool {
		fresh := true
		for pid, version := range invokeShells(t, s, environments) {
			if _, warm := before[pid]; !warm {
				t.Errorf("environment %d is a new one", pid)
			}
			fresh = fresh && version == second
		}
		return fresh
	})
}

func putApp(t *testing.T, s *stack.Stack, value string) (version string) {
	t.Helper()
	out, err := secretsmanager.NewFromConfig(s.Config()).PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{
		SecretId: aws.String("dev-app"), SecretString: &value,
	})
	if err != nil {
		t.Fatal(err)
	}
	return aws.ToString(out.VersionId)
}

// invokeShells has n environments of the function invoked at once, and returns the
// version that each had.
func invokeShells(t *testing.T, s *stack.Stack, n int) map[int]string {
	t.Helper()
	if err := s.Engine.Lambda.Warm(t.Context(), s.Engine.Function("Shell"), n); err != nil {
		t.Fatal(err)
	}
	event, err := json.Marshal(map[string]any{"Folder": t.TempDir(), "Environments": n})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var all sync.WaitGroup
	versions := map[int]string{}
	for range n {
		all.Go(func() {
			answer, functionError, err := s.Engine.Lambda.Invoke(t.Context(), s.Engine.Function("Shell"), event)
			var got struct {
				Pid       int
				VersionID string `json:"VersionId"`
			}
			if err != nil || functionError != "" || json.Unmarshal(answer, &got) != nil {
				t.Errorf("the function answered %s, %q, %v", answer, functionError, err)
			}
			mu.Lock()
			defer mu.Unlock()
			versions[got.Pid] = got.VersionID
		})
	}
	all.Wait()
	if len(versions) != n {
		t.Fatalf("%d environments answered %d invocations", len(versions), n)
	}
	return versions
}
