package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/rekey-go/rekey"
	"github.com/rekey-go/rekey/internal/stack"
)

// operatorOf is an operator whose role has one policy.
const operatorOf = `Resources:
  OperatorRole:
    Type: AWS::IAM::Role
    Properties:
      RoleName: on-call
      AssumeRolePolicyDocument: {Statement: {Effect: Allow, Principal: {Service: lambda.amazonaws.com}, Action: "sts:AssumeRole"}}
      Policies: [{PolicyName: own, PolicyDocument: POLICY}]
  Operator:
    Type: AWS::Serverless::Function
    Properties: {CodeUri: functions/protected/bootstrap, Role: !GetAtt OperatorRole.Arn}
`

// A grant is a statement of a policy.
type grant struct {
	Sid, Effect, Action, Resource string
	Condition                     json.RawMessage `json:",omitempty"`
}

// documented is the policy of docs/contain.md.
func documented(t *testing.T) []grant {
	t.Helper()
	var policy struct{ Statement []grant }
	for _, block := range blocks(t, "../../docs/contain.md", regexp.MustCompile("(?ms)^```json\n(.*?)^```")) {
		if err := json.Unmarshal([]byte(block), &policy); err != nil {
			t.Fatal(err)
		}
	}
	if len(policy.Statement) == 0 {
		t.Fatal("docs/contain.md has no policy")
	}
	return policy.Statement
}

// containAs runs the command as an operator with a policy on a system of its own,
// whose signing key was stolen.
func containAs(t *testing.T, policy []grant, args ...string) (code int, output string) {
	t.Helper()
	text, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": policy})
	if err != nil {
		t.Fatal(err)
	}
	template := strings.Replace(string(rekey.Template), "Resources:\n", strings.Replace(operatorOf, "POLICY", string(text), 1), 1)
	s, err := stack.Start(t.Context(), stack.Options{
		Template: []byte(template), TemplateFile: "template.yaml", Logs: t.Output(), Command: commandFor, NoDatabase: true,
		Parameters: map[string]string{"Operators": "arn:aws:iam::*:role/on-call"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(context.WithoutCancel(t.Context()))
	cfg := s.Config()
	secret := aws.String("dev-jwt-configuration")
	if _, err := secretsmanager.NewFromConfig(cfg).PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{
		SecretId: secret, SecretString: aws.String(`{"signing_key":"a-long-random-text-for-tokens","issuer":"myapp.com"}`),
	}); err != nil {
		t.Fatal(err)
	}
	cfg.Credentials = credentials.NewStaticCredentialsProvider(stolenKey, stolenKey, "")
	if _, err := secretsmanager.NewFromConfig(cfg).GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: secret}); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	operator := s.Engine.CredentialsOf("Operator")
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Args = append([]string{"rekey", "contain", "--principal", stolenKey, "--since", "1h", "--timeout", "10m"}, args...)
	cmd.Env = append(os.Environ(), "AWS_ENDPOINT_URL="+s.Engine.Endpoint(), "AWS_REGION=us-east-1",
		"AWS_ACCESS_KEY_ID="+operator.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+operator.SecretAccessKey, "AWS_SESSION_TOKEN="+operator.SessionToken)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String()
}

func TestTheOperatorsPolicyIsWhatContainmentTakes(t *testing.T) {
	t.Parallel()
	all := documented(t)
	plan := slices.DeleteFunc(slices.Clone(all), func(g grant) bool { return !strings.HasPrefix(g.Sid, "Plan") })
	run := func(t *testing.T) []string {
		t.Helper()
		return []string{"--run", "--evidence", filepath.Join(t.TempDir(), "incident")}
	}
	t.Run("the plan", func(t *testing.T) {
		t.Parallel()
		if code, out := containAs(t, plan); code != exitDone || !strings.Contains(out, "LIVE") || strings.Contains(out, "AccessDenied") {
			t.Errorf("exit code %d\n%s", code, out)
		}
	})
	t.Run("the run", func(t *testing.T) {
		t.Parallel()
		if code, out := containAs(t, all, run(t)...); code != exitDone || strings.Contains(out, "AccessDenied") {
			t.Errorf("exit code %d\n%s", code, out)
		}
	})
	for i, g := range all {
		t.Run(fmt.Sprint("without ", g.Sid), func(t *testing.T) {
			t.Parallel()
			want := g.Action
			if strings.HasPrefix(want, "kms:") {
				want = "Access to KMS is not allowed" // as Secrets Manager says it
			}
			code, out := containAs(t, slices.Delete(slices.Clone(all), i, i+1), run(t)...)
			if code == exitDone || !strings.Contains(out, want) {
				t.Errorf("exit code %d; want a failure that says %s\n%s", code, want, out)
			}
		})
	}
}
