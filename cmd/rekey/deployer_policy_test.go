package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rekey-go/rekey"
	"github.com/rekey-go/rekey/internal/stack"
)

// deployerOf has who deploys, as a role with one policy, CloudFormation's role
// with another, and the boundary of the roles that it makes.
const deployerOf = `Resources:
  Boundary:
    Type: AWS::IAM::ManagedPolicy
    Properties: {ManagedPolicyName: rekey-boundary, PolicyDocument: BOUNDARY}
  CloudFormation:
    Type: AWS::IAM::Role
    Properties:
      RoleName: rekey-deploy
      AssumeRolePolicyDocument: {Statement: {Effect: Allow, Principal: {Service: cloudformation.amazonaws.com}, Action: "sts:AssumeRole"}}
      Policies: [{PolicyName: own, PolicyDocument: ROLE}]
  DeployerRole:
    Type: AWS::IAM::Role
    Properties:
      RoleName: deployer
      AssumeRolePolicyDocument: {Statement: {Effect: Allow, Principal: {Service: lambda.amazonaws.com}, Action: "sts:AssumeRole"}}
      Policies: [{PolicyName: own, PolicyDocument: DEPLOYER}]
  Deployer:
    Type: AWS::Serverless::Function
    Properties: {CodeUri: functions/protected/bootstrap, Role: !GetAtt DeployerRole.Arn}
`

const (
	deployRole = "arn:aws:iam::123456789012:role/rekey-deploy"
	boundary   = "arn:aws:iam::123456789012:policy/rekey-boundary"
)

// A document is a policy of docs/deployer.md.
type document struct {
	Version   string
	Statement []json.RawMessage
}

// deployerPolicies are those of docs/deployer.md: of who deploys, of
// CloudFormation's role, and the boundary.
func deployerPolicies(t *testing.T) [3]document {
	t.Helper()
	found := blocks(t, "../../docs/deployer.md", regexp.MustCompile("(?ms)^```json\n(.*?)^```"))
	var all [3]document
	if len(found) != len(all) {
		t.Fatalf("docs/deployer.md has %d policies, want %d", len(found), len(all))
	}
	for i, block := range found {
		if err := json.Unmarshal([]byte(block), &all[i]); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// without is a policy that lacks one statement.
func (d document) without(i int) document {
	return document{d.Version, slices.Delete(slices.Clone(d.Statement), i, i+1)}
}

// A named statement is what its refusal is known by.
type named struct {
	Sid    string
	Action []string
}

func readStatement(t *testing.T, statement json.RawMessage) named {
	t.Helper()
	var s named
	if err := json.Unmarshal(statement, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// refuses reports whether an output says that something of the statement is not
// allowed. S3 does not say of which action that is so.
func (s named) refuses(output string) bool {
	if strings.HasPrefix(s.Action[0], "s3:") && refusal.MatchString(output) {
		return true
	}
	output = strings.ToLower(output)
	return slices.ContainsFunc(s.Action, func(action string) bool { return strings.Contains(output, strings.ToLower(action)) })
}

// A deployer runs the command on a system whose account has policies.
type deployer struct {
	t         *testing.T
	env       []string
	artifacts string
}

func newDeployer(t *testing.T, artifacts string, policies [3]document) *deployer {
	t.Helper()
	text := deployerOf
	for i, name := range []string{"DEPLOYER", "ROLE", "BOUNDARY"} {
		policy, err := json.Marshal(policies[i])
		if err != nil {
			t.Fatal(err)
		}
		text = strings.Replace(text, "PolicyDocument: "+name, "PolicyDocument: "+string(policy), 1)
	}
	s, err := stack.Start(t.Context(), stack.Options{
		Template: []byte(strings.Replace(string(rekey.Template), "Resources:\n", text, 1)), TemplateFile: "template.yaml",
		Logs: t.Output(), Command: commandFor, NoDatabase: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(context.WithoutCancel(t.Context())) })
	who := s.Engine.CredentialsOf("Deployer")
	return &deployer{t, append(os.Environ(), "AWS_ENDPOINT_URL="+s.Engine.Endpoint(), "AWS_REGION=us-east-1",
		"AWS_ACCESS_KEY_ID="+who.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+who.SecretAccessKey, "AWS_SESSION_TOKEN="+who.SessionToken), artifacts}
}

// run runs a command for the stage prod, with the rights of CloudFormation's role.
func (d *deployer) run(args ...string) (code int, output string) {
	d.t.Helper()
	self, err := os.Executable()
	if err != nil {
		d.t.Fatal(err)
	}
	cmd := exec.CommandContext(d.t.Context(), self)
	cmd.Args = slices.Concat([]string{"rekey"}, args, []string{"--stage", "prod", "--role-arn", deployRole, "--yes"})
	cmd.Env = d.env
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); cmd.ProcessState == nil {
		d.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String()
}

func (d *deployer) deploy(parameters ...string) (int, string) {
	args := []string{"deploy", "--artifacts", d.artifacts}
	for _, p := range parameters {
		args = append(args, "--parameter", p)
	}
	return d.run(args...)
}

// everything are parameters that leave nothing of the template out.
var everything = []string{
	"PermissionsBoundary=" + boundary, "SubnetIds=subnet-1", "VpcId=vpc-1", "VpcEndpoints=true", "RouteTableIds=rtb-1",
	"AgentLayer=true", "ReservedConcurrency=2", "AlertEmail=a@example.com",
}

// life is a stage that is made, changed, removed, removed again, made of what it
// left, and removed: all that one who deploys does.
func (d *deployer) life() (code int, output string) {
	steps := []func() (int, string){
		func() (int, string) { return d.deploy(everything...) },
		func() (int, string) { return d.deploy("AuditDays=8") },
		func() (int, string) { return d.run("destroy") },
		func() (int, string) { return d.run("destroy") },
		func() (int, string) { return d.deploy(everything...) },
	}
	for _, step := range steps {
		code, out := step()
		output += out
		if code != exitDone {
			return code, output
		}
	}
	return exitDone, output
}

// refusal is how the services word one.
var refusal = regexp.MustCompile(`not authorized|AccessDenied|Access Denied|\bForbidden\b`)

func TestTheDeployersPoliciesAreWhatADeploymentTakes(t *testing.T) {
	t.Parallel()
	artifacts := t.TempDir()
	if err := writeEmpty(artifacts); err != nil {
		t.Fatal(err)
	}
	all := deployerPolicies(t)
	t.Run("with all statements", func(t *testing.T) {
		t.Parallel()
		if code, out := newDeployer(t, artifacts, all).life(); code != exitDone || refusal.MatchString(out) {
			t.Errorf("exit code %d\n%s", code, out)
		}
	})
	t.Run("a role beyond the boundary", func(t *testing.T) {
		t.Parallel()
		code, out := newDeployer(t, artifacts, all).deploy()
		if code == exitDone || !strings.Contains(out, "not authorized to perform: iam:CreateRole") {
			t.Errorf("exit code %d; want that a role without the boundary is refused\n%s", code, out)
		}
	})
	for of, policy := range all[:2] {
		for i, statement := range policy.Statement {
			about := readStatement(t, statement)
			t.Run([]string{"who deploys", "the role"}[of]+" without "+about.Sid, func(t *testing.T) {
				t.Parallel()
				less := all
				less[of] = policy.without(i)
				if code, out := newDeployer(t, artifacts, less).life(); code == exitDone || !about.refuses(out) {
					t.Errorf("exit code %d; want a refusal of one of %v\n%s", code, about.Action, out)
				}
			})
		}
	}
}
