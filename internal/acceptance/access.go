package main

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// accessStatements are about who may read what, and how values are kept.
func accessStatements() []statement {
	return []statement{
		{"M67", "the login uses the database's login, and the charge the provider's key, and neither the other's", applicationsUseTheirs},
		{"M69", "a function reads its own secrets and is refused all others", functionsReadTheirs},
		{"M70", "values are encrypted under a key of KMS, and no file has one in clear", valuesAreEncrypted},
	}
}

// secretsOf are the secrets that each application is for.
var secretsOf = map[string][]string{ //nolint:gochecknoglobals // a constant table
	"login":     {"database-credentials", "jwt-configuration"},
	"charge":    {"external-api-keys"},
	"protected": {"external-api-keys"},
}

// credentials are those with which a process of a function signs, as flags of
// curl. They are in its environment, as in Lambda.
func (s *system) credentials(function string) (string, error) {
	pid, _, _ := strings.Cut(s.functions(function), "\n")
	o := s.shell("", "ps eww -o args= -p "+pid)
	values := make(map[string]string)
	for _, m := range regexp.MustCompile(`AWS_(ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN)=(\S+)`).FindAllStringSubmatch(o.out, -1) {
		values[m[1]] = m[2]
	}
	if len(values) != 3 {
		return "", errors.Join(o.fault, fmt.Errorf("process %q of %s shows %d credentials", pid, function, len(values)))
	}
	return "--user " + values["ACCESS_KEY_ID"] + ":" + values["SECRET_ACCESS_KEY"] + " -H 'X-Amz-Security-Token: " + values["SESSION_TOKEN"] + "'", nil
}

// use has each application run.
func (s *system) use() error {
	return errors.Join(
		s.call("POST", "/auth/login", aLogin).like(200, `"token"`),
		s.call("GET", "/protected", "").like(200, "granted"),
		s.call("POST", "/payments/charge", `{"amount":1,"token":"tok_use"}`).like(200, `"receipt":true`),
	)
}

// applicationsUseTheirs looks into the trail for who has read what.
func applicationsUseTheirs(r *run) error {
	s := r.up("--parameter", "CheckInterval=100ms")
	if err := errors.Join(s.stock(), s.use()); err != nil {
		return err
	}
	o := s.sh(`aws cloudtrail lookup-events --lookup-attributes AttributeKey=EventName,AttributeValue=GetSecretValue --query 'Events[].CloudTrailEvent' --output json`)
	var texts []string
	if err := errors.Join(o.went(), unmarshal(o.out, &texts)); err != nil {
		return err
	}
	got := make(map[string]bool)
	for _, text := range texts {
		var one record
		if err := unmarshal(text, &one); err != nil {
			return err
		}
		arn := one.UserIdentity.ARN
		got[arn[strings.LastIndexByte(arn, '/')+1:]+" "+fmt.Sprint(one.RequestParameters["secretId"])] = true
	}
	var errs []error
	for function, own := range secretsOf {
		for _, name := range []string{"database-credentials", "external-api-keys", "jwt-configuration", "admin-tokens", "database-superuser"} {
			what := "dev-" + function + " dev-" + name
			errs = append(errs, equal("whether the trail has a read of "+what, got[what], contained(own, name)))
		}
	}
	return errors.Join(append(errs,
		s.store("database-credentials", `{"host":"localhost","username":"nobody","password":"x"}`),
		s.store("database-credentials", `{"host":"localhost","username":"nobody","password":"y"}`), // the one before is tried too
		s.until(func() error {
			return s.call("POST", "/auth/login", aLogin).is(500, `{"error":"Authentication failed"}`)
		}),
		s.call("POST", "/payments/charge", `{"amount":1,"token":"tok_m67"}`).like(200, `"receipt":true`), // is not concerned
	)...)
}

func contained(list []string, one string) bool {
	return strings.Contains(" "+strings.Join(list, " ")+" ", " "+one+" ")
}

// functionsReadTheirs calls with the credentials of each function's process.
func functionsReadTheirs(r *run) error {
	s := r.shop()
	if err := s.use(); err != nil {
		return err
	}
	var errs []error
	for function, own := range secretsOf {
		keys, err := s.credentials(function)
		if err != nil {
			return err
		}
		for _, name := range []string{"database-credentials", "external-api-keys", "jwt-configuration", "admin-tokens", "admin-token", "database-superuser", "provider-admin"} {
			a := s.pipe(`{"SecretId":"dev-`+name+`"}`, `curl "$SM" --aws-sigv4 aws:amz:us-east-1:secretsmanager `+keys+
				` -H 'X-Amz-Target: secretsmanager.GetSecretValue' -H 'Content-Type: application/x-amz-json-1.1' --data-binary @-`).answer()
			if contained(own, name) {
				errs = append(errs, a.like(200, `"Name":"dev-`+name+`"`))
				continue
			}
			errs = append(errs, a.like(400, "AccessDeniedException"), a.like(400, "is not authorized to perform: secretsmanager:GetSecretValue"))
		}
	}
	return errors.Join(append(errs, noReadOfAll(r.file("template.yaml")))...)
}

// noReadOfAll looks at each statement of the template's policies. Only what
// rotates a secret may read secrets by a pattern: those that name it.
func noReadOfAll(template string) error {
	reads := 0
	for _, statement := range strings.Split(template, "- Effect: Allow")[1:] {
		resource, _, _ := strings.Cut(statement[max(strings.Index(statement, "Resource:"), 0):], "\n")
		if !strings.Contains(statement[:max(strings.Index(statement, "Resource:"), 0)], "secretsmanager:GetSecretValue") {
			continue
		}
		reads++
		bound := strings.Contains(resource, "secret:${Stage}-*") && strings.Contains(statement, "secretsmanager:resource/AllowRotationLambdaArn")
		if strings.Contains(resource, "*") && !bound {
			return fmt.Errorf("a policy lets secretsmanager:GetSecretValue of %s", resource)
		}
	}
	return equal("whether policies let secrets be read", reads > 5, true)
}

var aSecret = regexp.MustCompile(`(?m)^    Type: AWS::SecretsManager::Secret\n(?:    .*\n)*`)

// valuesAreEncrypted looks for a value in each file that the system keeps.
func valuesAreEncrypted(r *run) error {
	const marker = "marker-of-m70"
	s := r.up("--no-database")
	all := aSecret.FindAllString(r.file("template.yaml"), -1)
	errs := []error{equal("whether the template has secrets", len(all) >= 5, true)}
	for _, secret := range all {
		errs = append(errs, contains("a secret of the template", secret, "      KmsKeyId: !GetAtt Key.Arn\n"))
	}
	errs = append(errs,
		s.store("external-api-keys", `{"stripe":"`+marker+`"}`),
		s.store("jwt-configuration", `{"signing_key":"a-long-key-with-`+marker+`","issuer":"myapp.com"}`),
		s.rotate(`{"secretName":"jwt-configuration"}`).like(200, "rotated"),
		s.call("GET", "/protected", "").like(200, "granted"),
		s.sh(`aws secretsmanager describe-secret --secret-id dev-external-api-keys --query KmsKeyId --output text`).shows("arn:aws:kms:us-east-1:123456789012:key/"),
		s.sh("rekey get --reveal external-api-keys").shows(marker), // it is there
	)
	s.stop()
	return errors.Join(append(errs, nowhere(marker, s.state(), 2))...)
}
