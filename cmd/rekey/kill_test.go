package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/rekey-go/rekey/internal/local"
)

// killedTemplate has one resource of each kind that a deployment treats in its
// own way: a secret and a key, which outlive the stack, and a function, whose
// package is uploaded.
const killedTemplate = `
Parameters:
  Stage: {Type: String}
Resources:
  Key: {Type: AWS::KMS::Key, DeletionPolicy: Retain, Properties: {EnableKeyRotation: true}}
  Secret:
    Type: AWS::SecretsManager::Secret
    DeletionPolicy: Retain
    Properties: {Name: !Sub "${Stage}-key", KmsKeyId: !GetAtt Key.Arn}
  Queue: {Type: AWS::SQS::Queue, Properties: {QueueName: !Sub "${Stage}-jobs"}}
  Work:
    Type: AWS::Serverless::Function
    Properties: {FunctionName: !Sub "${Stage}-work", CodeUri: functions/work/bootstrap, Runtime: provided.al2023, Handler: bootstrap}
`

// A fatal is the way to an engine, on which a process is killed: once its n-th
// call was done, and before it was answered. So each moment is tried between
// what the process did and its knowing of it.
type fatal struct {
	to      string
	left    atomic.Int64 // calls until the kill
	victims chan *os.Process
	slow    atomic.Int64 // answers that still tell of an update of the stack
}

var stackStatus = regexp.MustCompile(`<StackStatus>\w+<`)

func (f *fatal) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	out, err := http.NewRequestWithContext(r.Context(), r.Method, f.to+r.URL.RequestURI(), r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	out.Header, out.ContentLength = r.Header, r.ContentLength
	res, err := http.DefaultTransport.RoundTrip(out)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if f.left.Add(-1) == 0 || err != nil {
		_ = (<-f.victims).Kill()
		panic(http.ErrAbortHandler) // no answer
	}
	if bytes.Contains(body, []byte("<StackStatus>")) && f.slow.Add(-1) >= 0 {
		body = stackStatus.ReplaceAll(body, []byte("<StackStatus>UPDATE_IN_PROGRESS<"))
	}
	maps.Copy(w.Header(), res.Header)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(res.StatusCode)
	_, _ = w.Write(body)
}

// A killing is an engine with a stage for each run.
type killing struct {
	*local.Engine
	way       *fatal
	endpoint  string
	template  string
	artifacts string
}

func newKilling(t *testing.T) *killing {
	t.Helper()
	e, err := local.Start(t.Context(), local.Options{
		Template: []byte("Resources: {Q: {Type: AWS::SQS::Queue}}"), TemplateFile: "main.yaml",
		Command: func(string) ([]string, error) { return nil, errors.New("there are no functions") },
	})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	k := &killing{Engine: e, way: &fatal{to: e.Endpoint(), victims: make(chan *os.Process, 1)}, template: filepath.Join(dir, "t.yaml"), artifacts: filepath.Join(dir, "dist")}
	server := httptest.NewServer(k.way)
	k.endpoint = server.URL
	t.Cleanup(func() {
		server.Close()
		if err := e.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	program := filepath.Join(k.artifacts, "functions", "work", "bootstrap")
	if err := errors.Join(
		os.WriteFile(k.template, []byte(killedTemplate), 0o600), os.MkdirAll(program, 0o700),
		os.WriteFile(filepath.Join(program, "bootstrap"), []byte("#!/bin/sh\n"), 0o700),
	); err != nil {
		t.Fatal(err)
	}
	return k
}

// direct has a command reach the engine by no way on which it could be killed.
const direct = -1

// run runs a command on a stage, and kills it after some calls, unless it is
// direct. It reports whether the command ended by itself, and what it said.
func (k *killing) run(t *testing.T, after int, stage, command string) (whole bool, said string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Args = []string{"rekey", command, "--stage", stage, "--yes"}
	if command == "deploy" {
		cmd.Args = append(cmd.Args, "--template", k.template, "--artifacts", k.artifacts)
	}
	cmd.Env = append(os.Environ(), "AWS_ENDPOINT_URL="+k.Endpoint(), "AWS_REGION=us-east-1", "AWS_ACCESS_KEY_ID=me", "AWS_SECRET_ACCESS_KEY=me")
	if after != direct {
		cmd.Env = append(cmd.Env, "AWS_ENDPOINT_URL="+k.endpoint)
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	k.way.left.Store(int64(after))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	k.way.victims <- cmd.Process
	err = cmd.Wait()
	select { // of one that ended by itself
	case <-k.way.victims:
	default:
	}
	if killed := cmd.ProcessState.ExitCode() == -1; killed && after > 0 {
		return false, out.String()
	}
	if err != nil {
		t.Fatalf("%s %s after a kill at call %d: %v\n%s", command, stage, after, err, out.String())
	}
	return true, out.String()
}

// TestADeploymentThatIsKilledIsCompletedByTheNext kills deploy and destroy with
// SIGKILL at each of their calls, on a stage of its own, and runs them again.
func TestADeploymentThatIsKilledIsCompletedByTheNext(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		before  []string // commands that make the situation
		command string
		want    string // of the stack
		calls   int    // there are at least so many
	}{
		"a first deployment":                  {nil, "deploy", "CREATE_COMPLETE", 15},
		"a removal":                           {[]string{"deploy"}, "destroy", "DELETE_COMPLETE", 8},
		"a deployment in the recovery window": {[]string{"deploy", "destroy"}, "deploy", "UPDATE_COMPLETE", 15},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKilling(t)
			calls := 0
			for whole := false; !whole; {
				calls++
				stage := fmt.Sprintf("s%d", calls)
				for i, command := range tt.before {
					k.run(t, direct, stage, command)
					if i == 0 {
						k.put(t, stage)
					}
				}
				if whole, _ = k.run(t, calls, stage, tt.command); !whole {
					k.run(t, direct, stage, tt.command)
				}
				k.check(t, stage, tt.want, len(tt.before) > 0)
			}
			t.Logf("%d calls", calls)
			if calls <= tt.calls {
				t.Errorf("the command made %d calls, want more than %d", calls, tt.calls)
			}
		})
	}
}

// TestADeploymentWaitsForTheLast has the stack being changed still when the next
// deployment begins, as it is on AWS for minutes.
func TestADeploymentWaitsForTheLast(t *testing.T) {
	t.Parallel()
	k := newKilling(t)
	k.run(t, direct, "slow", "deploy")
	k.way.slow.Store(3)
	_, said := k.run(t, 0, "slow", "deploy")
	for _, want := range []string{"rekey-slow is UPDATE_IN_PROGRESS; waiting for it", "nothing would change", "rekey-slow is CREATE_COMPLETE"} {
		if !strings.Contains(said, want) {
			t.Errorf("it does not say %q:\n%s", want, said)
		}
	}
	if left := k.way.slow.Load(); left > 0 {
		t.Errorf("it asked %d times fewer than the stack was busy", left)
	}
}

// TestADeploymentTakesOverTheSecretsThatAreThere has no stack and no table, and
// secrets of the stage's names: as where replicas were promoted in a Region that
// had none.
func TestADeploymentTakesOverTheSecretsThatAreThere(t *testing.T) {
	t.Parallel()
	k := newKilling(t)
	_, err := secretsmanager.NewFromConfig(k.config()).CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("far-key")})
	if err != nil {
		t.Fatal(err)
	}
	k.put(t, "far")
	_, said := k.run(t, direct, "far", "deploy")
	if !strings.Contains(said, "IMPORT_COMPLETE              Secret") {
		t.Errorf("it does not say that it imports the secret:\n%s", said)
	}
	k.check(t, "far", "UPDATE_COMPLETE", true)
}

func (k *killing) config() aws.Config {
	return aws.Config{Region: local.Region, BaseEndpoint: aws.String(k.Endpoint()), Credentials: credentials.NewStaticCredentialsProvider("me", "me", "")}
}

// put gives the stage's secret a value.
func (k *killing) put(t *testing.T, stage string) {
	t.Helper()
	_, err := secretsmanager.NewFromConfig(k.config()).PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{
		SecretId: aws.String(stage + "-key"), SecretString: aws.String("value of " + stage),
	})
	if err != nil {
		t.Fatal(err)
	}
}

// check looks at what became of a stage.
func (k *killing) check(t *testing.T, stage, want string, valued bool) {
	t.Helper()
	stacks := cloudformation.NewFromConfig(k.config())
	out, err := stacks.ListStacks(t.Context(), &cloudformation.ListStacksInput{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range out.StackSummaries {
		if *s.StackName == "rekey-"+stage {
			got = append(got, string(s.StackStatus))
		}
	}
	if len(got) == 0 || got[0] != want && got[len(got)-1] != want || strings.Contains(strings.Join(got, " "), "REVIEW") {
		t.Errorf("%s: the stacks are %v, want %s", stage, got, want)
	}
	about, err := secretsmanager.NewFromConfig(k.config()).DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: aws.String(stage + "-key")})
	if err != nil || (about.DeletedDate != nil) != (want == "DELETE_COMPLETE") {
		t.Errorf("%s: the secret is %+v, %v", stage, about, err)
		return
	}
	if !valued || about.DeletedDate != nil {
		return
	}
	value, err := secretsmanager.NewFromConfig(k.config()).GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: about.ARN})
	if err != nil || *value.SecretString != "value of "+stage {
		t.Errorf("%s: the value is gone: %v", stage, err)
	}
}
