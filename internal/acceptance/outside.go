package main

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

// outsideStatements are about setting values past Rekey: by the console, the aws
// CLI, Terraform and CloudFormation; and about stages, which are in the names
// that these use.
func outsideStatements() []statement {
	return []statement{
		{"M72", "a value that is edited in the console is announced, and used at once", consoleEditsAreUsed},
		{"M73", "code says database-credentials, and the aws CLI finds it as dev-database-credentials", namesHaveTheStage},
		{"M74", "a stage is chosen by name, and nothing of one is in another", stagesAreApart},
		{"M75", "put-secret-value of the aws CLI works as it is written", cliExampleWorks},
		{"M76", "Terraform makes a secret and its first value, keeps no value, and neither undoes nor sees a rotation", terraformWorks},
		{"M77", "the template is one for CloudFormation, by cfn-lint and by SAM's own translator", templateIsCloudFormation},
	}
}

// consoleEditsAreUsed makes the call of the console's button Save.
func consoleEditsAreUsed(r *run) error {
	s := r.up("--no-database", "--parameter", "CheckInterval=200ms")
	var before, after struct{ VersionID string }
	heard := s.listen()
	edited := `{"stripe":"sk_test_2","sendgrid":"SG.1.sample"}`
	edit := marshal(map[string]string{"SecretId": "dev-external-api-keys", "SecretString": edited, "ClientRequestToken": newID()}) //nolint:gosec // a sample
	err := errors.Join(
		s.store("external-api-keys", keysValue),
		s.call("GET", "/protected", "").into(&before),
		s.aws("secretsmanager", "secretsmanager.UpdateSecret", edit).answer().into(&after),
		s.until(func() error {
			return s.call("GET", "/protected", "").like(200, `"stale":false,"versionId":"`+after.VersionID+`"`)
		}),
	)
	value, unread := s.current("external-api-keys")
	events := heard(func(messages string) error {
		return contains("what was heard", messages, "Secret Label Updated", "AWSCURRENT", after.VersionID)
	})
	return errors.Join(err, unread, sameJSON(value, edited),
		equal("whether it is another version", before.VersionID != "" && before.VersionID != after.VersionID, true),
		events.went(),
	)
}

func namesHaveTheStage(r *run) error {
	s := r.shop()
	p, err := s.probe(s.Ready.AWS)
	if err != nil {
		return err
	}
	return errors.Join(
		p.gets(order{Name: "database-credentials"}, databaseValue),
		s.sh(`aws --endpoint-url $SM secretsmanager get-secret-value --secret-id dev-database-credentials --query SecretString --output text`).prints(databaseValue),
		s.sh(`rekey get --reveal database-credentials`).prints(databaseValue),
		s.admin("GET", "/admin/secrets/database-credentials", "").like(200, `"name":"database-credentials"`),
		s.admin("POST", "/admin/secrets", `{"secretName":"dev-database-credentials","secretValue":"x","create":true}`).like(400, `"hint":"use \"database-credentials\"`),
	)
}

func stagesAreApart(r *run) error {
	s := r.up("--no-database", "--stage", "prod")
	names := s.sh(`aws secretsmanager list-secrets --query 'SecretList[].Name' --output text | tr '\t' '\n'`)
	var errs []error
	for name := range strings.Lines(names.out) {
		errs = append(errs, equal("whether "+strings.TrimSpace(name)+" is of the stage", strings.HasPrefix(name, "prod-"), true))
	}
	const next = `{"stripe":"sk_test_2","sendgrid":"SG.1.sample"}`
	return errors.Join(append(errs,
		names.shows("prod-database-credentials", "prod-external-api-keys", "prod-jwt-configuration"),
		s.store("external-api-keys", keysValue),
		s.sh("rekey get --reveal external-api-keys").fails("ResourceNotFoundException"), // of stage dev
		r.deployable(), s.sh(deployTest).went(),
		s.sh("rekey get --stage test --reveal external-api-keys").fails("ResourceNotFoundException"),
		s.pipe(next, "rekey put --stage test external-api-keys").went(),
		s.sh("rekey get --stage prod --reveal external-api-keys").prints(keysValue),
		s.sh("rekey get --stage test --reveal external-api-keys").prints(next),
		s.call("GET", "/protected", "").like(200, "Access granted"),
		s.sh(`rekey list --stage test --json`).lacks("prod-"), s.sh(`rekey list --stage prod --json`).lacks("test-"),
	)...)
}

// lacks checks that commands went well and that their output has none of the
// texts.
func (o output) lacks(texts ...string) error {
	return errors.Join(o.went(), lacks("the output", o.out, texts...))
}

func cliExampleWorks(r *run) error {
	const example = `aws secretsmanager put-secret-value \
  --secret-id dev-database-credentials \
  --secret-string '{"host":"prod-db.com","username":"user","password":"pass"}'`
	s := r.up("--no-database")
	var put struct {
		Name, VersionID string
		VersionStages   []string
	}
	o := s.sh(example)
	if err := errors.Join(o.went(), unmarshal(o.out, &put)); err != nil {
		return err
	}
	return errors.Join(
		equal("the answer", fmt.Sprint(put.Name, put.VersionStages), "dev-database-credentials[AWSCURRENT]"),
		s.sh("rekey get --reveal database-credentials").prints(`{"host":"prod-db.com","username":"user","password":"pass"}`),
		s.admin("GET", "/admin/secrets/database-credentials", "").like(200, `"AWSCURRENT":{"versionId":"`+put.VersionID+`"`),
	)
}

func templateIsCloudFormation(r *run) error {
	for _, tool := range []string{"cfn-lint", "python3"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("needs %s, which %w", tool, errNoTool)
		}
	}
	linted := r.shell("", "cfn-lint "+r.bench.root+"/template.yaml")
	return errors.Join(linted.prints(""), r.transformed().shows(`"AWS::Lambda::Function"`, `"AWS::ApiGatewayV2::Api"`, `"AWS::SecretsManager::Secret"`))
}

// transformed is the template as SAM makes it one of CloudFormation.
func (r *run) transformed() output {
	return r.shell("", "cd "+r.bench.root+" && python3 tools/samtransform.py --json template.yaml", "AWS_DEFAULT_REGION=us-east-1")
}
