package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// deployStatements are about what a deployment makes, and the first examples.
func deployStatements() []statement {
	return []statement{
		{"M36", "a deployment makes empty placeholders, and the next keeps their values", deploymentsKeepValues},
		{"M37", "functions have the permission for their secrets, and fail without it", functionsHavePermission},
		{"M38", "no value is deployed with the code", nothingIsDeployedWithCode},
		{"M39", "the first example of storing works as it is written", exampleOfLoginWorks},
		{"M40", "the second example of storing works as it is written", exampleOfKeysWorks},
		{"M41", "the routes are those that the template deploys on AWS", routesAreTheTemplates},
		{"M42", "a body is taken as application/json, also with a charset", contentTypesAreTaken},
	}
}

// deployable makes a folder of artifacts: each function is this machine's rekey
// command in that function's place.
func (r *run) deployable() error {
	functions, err := filepath.Glob(filepath.Join(r.bench.root, "functions", "*", "bootstrap"))
	if err != nil || len(functions) < 5 {
		return fmt.Errorf("there are %d functions: %w", len(functions), err)
	}
	programs := map[string]string{"layers/rekey-agent/extensions/rekey-agent": "extension"}
	for _, f := range functions {
		name := filepath.Base(filepath.Dir(f))
		programs["functions/"+name+"/bootstrap/bootstrap"] = "function " + name
	}
	for file, command := range programs {
		path := filepath.Join(r.dir, "dist", file)
		script := "#!/bin/sh\nexec " + filepath.Join(r.bench.dir, "bin", "rekey") + " " + command + "\n"
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(script), 0o700)); err != nil { //nolint:gosec // a program
			return err
		}
	}
	return nil
}

const deployTest = "rekey deploy --stage test --artifacts dist --yes"

// deploymentsKeepValues deploys a stage by CloudFormation twice, and starts
// "rekey up" twice in one folder.
func deploymentsKeepValues(r *run) error {
	s := r.up("--no-database")
	deployed := errors.Join(r.deployable(), s.sh(deployTest).went())
	for _, name := range []string{"database-credentials", "external-api-keys", "jwt-configuration"} {
		deployed = errors.Join(deployed, s.sh("rekey get --stage test --reveal "+name).fails("ResourceNotFoundException", "AWSCURRENT"))
	}
	deployed = errors.Join(deployed,
		s.pipe(keysValue, "rekey put --stage test external-api-keys").went(),
		s.sh(deployTest).went(),
		s.sh("rekey get --stage test --reveal external-api-keys").prints(keysValue),
		s.store("external-api-keys", keysValue),
	)
	s.stop()
	again := r.upIn("up", "--no-database")
	return errors.Join(deployed,
		again.sh("rekey get --reveal external-api-keys").prints(keysValue),
		again.sh("rekey get --reveal jwt-configuration").fails("ResourceNotFoundException", "AWSCURRENT"),
	)
}

// functionsHavePermission takes the permission for its secret from one function.
func functionsHavePermission(r *run) error {
	const action = "Action: secretsmanager:GetSecretValue"
	template := r.file("template.yaml")
	function := strings.Index(template, "\n  ProtectedRole:\n")
	statement := strings.Index(template[max(function, 0):], action)
	if function < 0 || statement < 0 {
		return errors.New("the template gives function Protected no permission")
	}
	at := function + statement
	less := template[:at] + "Action: secretsmanager:DescribeSecret" + template[at+len(action):]
	file := filepath.Join(r.dir, "less.yaml")
	if err := os.WriteFile(file, []byte(less), 0o600); err != nil {
		return err
	}
	with, without := r.up("--no-database"), r.upIn("less", "--no-database", "--template", file)
	return errors.Join(
		with.store("external-api-keys", keysValue), without.store("external-api-keys", keysValue),
		with.call("GET", "/protected", "").like(200, "Access granted"),
		with.sh("rekey policy --fail-on refused").went(),
		without.call("GET", "/protected", "").is(500, `{"error":"Service temporarily unavailable"}`),
		without.sh("rekey policy").shows("ProtectedRole may not secretsmanager:GetSecretValue", "Resource: !Ref ExternalApiKeys"),
	)
}

// nothingIsDeployedWithCode stores a value, deploys again, and looks through all
// that was deployed: templates, packages, settings of functions, and the command.
func nothingIsDeployedWithCode(r *run) error {
	const marker = "marker-of-m38"
	s := r.up("--no-database")
	deployed := errors.Join(
		r.deployable(), s.sh(deployTest).went(),
		s.pipe(marker, "rekey put --stage test external-api-keys").went(),
		s.store("external-api-keys", `{"stripe":"`+marker+`"}`),
		s.sh(deployTest+" --parameter CheckInterval=7s").went(),
		s.sh("aws s3 cp --quiet --recursive s3://rekey-artifacts-123456789012-us-east-1 deployed").went(),
	)
	settings := s.sh(`aws lambda list-functions; for view in Original Processed; do
		aws cloudformation get-template --stack-name rekey-test --template-stage $view; done; ps -A -o args=`)
	return errors.Join(deployed,
		settings.shows("test-protected", "AWS::SecretsManager::Secret", "7s"), lacks("what is deployed", settings.out, marker),
		nowhere(marker, filepath.Join(r.dir, "deployed"), 10), nowhere(marker, filepath.Join(r.dir, "dist"), 10),
		nowhere(marker, filepath.Join(r.bench.dir, "bin"), 1),
		lacks("template.yaml", r.file("template.yaml"), marker),
	)
}

// The examples of the interface that Rekey grew from.
const (
	firstExample = `curl -X POST https://your-api.amazonaws.com/admin/secrets \
  -H "Authorization: Bearer admin-token" \
  -H "Content-Type: application/json" \
  -d '{
    "secretName": "database-credentials",
    "secretValue": {
      "host": "prod-db.example.com",
      "username": "app_user",
      "password": "actual-secure-password",
      "database": "production"
    }
  }'`
	secondExample = `curl -X POST https://your-api.amazonaws.com/admin/secrets \
  -H "Authorization: Bearer admin-token" \
  -H "Content-Type: application/json" \
  -d '{
    "secretName": "external-api-keys",
    "secretValue": {
      "stripe": "sk_live_actual_stripe_key",
      "sendgrid": "SG.actual_sendgrid_key"
    }
  }'`
)

// exampleOfLoginWorks stores the login of the first example, whose server there
// is not.
func exampleOfLoginWorks(r *run) error {
	_, err := storeExample(r, firstExample, "database-credentials")
	return err
}

// exampleOfKeysWorks charges with the keys of the second example.
func exampleOfKeysWorks(r *run) error {
	s, err := storeExample(r, secondExample, "external-api-keys")
	return errors.Join(err, s.pay("1", "tok_m40").like(200, `"receipt":true`))
}

// storeExample runs an example with the address of the API in the place of its
// own. The document has it with the address of rekey up.
func storeExample(r *run, example, name string) (*system, error) {
	const its, documented = "https://your-api.amazonaws.com", "http://127.0.0.1:8400"
	s := r.up("--no-database")
	a := s.sh(strings.Replace(example, its, s.Ready.API, 1)).answer()
	value, err := s.current(name)
	_, want, _ := strings.Cut(example, `"secretValue": `)
	return s, errors.Join(
		a.is(200, `{"message":"Secret '`+name+`' stored successfully"}`), err,
		sameJSON(value, strings.TrimSuffix(strings.TrimSpace(want), "}'")),
		contains("docs/api.md", r.file("docs/api.md"), strings.Replace(example, its, documented, 1)),
	)
}

var (
	routeInTemplate = regexp.MustCompile(`Method: ([A-Z]+), Path: (?:"([^"]+)"|([^"{}]+))\}`)
	routeInOutput   = regexp.MustCompile(`(?m)^([A-Z]+) +(/\S+) +-> dev-`)
)

func routesAreTheTemplates(r *run) error {
	s := r.empty()
	routes := func(pattern *regexp.Regexp, text string) string {
		var all []string
		for _, m := range pattern.FindAllStringSubmatch(text, -1) {
			all = append(all, m[1]+" "+strings.Join(m[2:], ""))
		}
		slices.Sort(all)
		return strings.Join(all, ", ")
	}
	onAWS := routes(routeInTemplate, r.file("template.yaml"))
	errs := []error{
		equal("the routes of rekey up", routes(routeInOutput, s.said()), onAWS),
		contains("the routes", onAWS, "POST /admin/secrets,", "PUT /admin/secrets/rotate", "POST /auth/login", "POST /payments/charge"),
	}
	for _, route := range []string{"POST /admin/secrets", "PUT /admin/secrets/rotate", "POST /auth/login", "POST /payments/charge"} {
		method, path, _ := strings.Cut(route, " ")
		a := s.call(method, path, "{}")
		errs = append(errs, a.fault, equal("whether there is "+route, a.status != 404 && a.status != 405, true))
	}
	return errors.Join(errs...)
}

func contentTypesAreTaken(r *run) error {
	s := r.shop()
	var errs []error
	for _, header := range []string{isJSON, isJSON + "; charset=utf-8", isJSON + ";charset=UTF-8", "Content-Type: APPLICATION/JSON"} {
		errs = append(errs,
			s.call("POST", "/admin/secrets", `{"secretName":"m42","secretValue":"ключ","create":true}`, header, asAdmin).like(200, "stored successfully"),
			s.call("POST", "/auth/login", aLogin, header).like(200, `"token"`),
		)
	}
	value, err := s.current("m42")
	return errors.Join(append(errs, err, equal("the value", value, "ключ"))...)
}
