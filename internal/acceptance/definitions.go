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

// definitionStatements are about what is defined at deployment, and that it has
// no value.
func definitionStatements() []statement {
	return []statement{
		{"M01", "one documented command starts an example that stores, logs in and charges", theExampleRuns},
		{"M02", "a deployed secret is a placeholder without a value", placeholdersHaveNoValue},
		{"M03", "a value that is stored through the API is nowhere but in the secret", valuesAreNowhereElse},
		{"M04", "a consumer that runs already gets a value that is stored later", consumersReadAtRuntime},
		{"M05", "a secret is rotated without a new binary, and without a new process", rotationNeedsNoDeployment},
		{"M06", "the security practices are documented, and held by tests", practicesAreDocumented},
		{"M07", "a value in a definition is refused, with file, line and what to do", hardcodedValuesAreRefused},
		{"M08", "a secret is defined by its name and its description", definitionsAreNameAndDescription},
		{"M09", "a value comes by API, aws CLI, console or rekey put, and is used", valuesComeByAnyWay},
		{"M10", "GET /protected reads its secret when it is called", protectedReadsItsSecret},
		{"M11", "a function calls for no secret before a request needs it", readsAreLazy},
		{"M12", "what deploys and what runs are separate, and the template needs no account", contextsAreSeparate},
		{"M13", "database-credentials is defined with its description", described("database-credentials", "Production database connection details")},
		{"M14", "external-api-keys is defined with its description", described("external-api-keys", "Third-party service API keys")},
		{"M15", "jwt-configuration is defined with its description", described("jwt-configuration", "JWT signing and encryption keys")},
	}
}

// theExampleRuns takes the command from the README.
func theExampleRuns(r *run) error {
	const command = "go run ./cmd/rekey up --admin-token " + token
	if err := contains("README.md", r.file("README.md"), "\n"+command+"\n"); err != nil {
		return err
	}
	s := r.up()
	return errors.Join(
		s.stock(),
		s.call("GET", "/protected", "").like(200, `"message":"Access granted"`),
		s.call("POST", "/payments/charge", `{"amount":12.34,"token":"tok_m01"}`).like(200, `"receipt":true`),
	)
}

// file is the content of one of the repository's files.
func (r *run) file(path string) string { return read(filepath.Join(r.bench.root, path)) }

func placeholdersHaveNoValue(r *run) error {
	s := r.empty()
	errs := []error{s.sh(`aws secretsmanager list-secrets --query 'SecretList[].Name' --output text`).
		shows("dev-database-credentials", "dev-external-api-keys", "dev-jwt-configuration")}
	for _, name := range []string{"database-credentials", "external-api-keys", "jwt-configuration"} {
		errs = append(errs,
			s.sh(`aws secretsmanager describe-secret --secret-id dev-`+name+` --query VersionIdsToStages`).prints("null"),
			s.sh(`aws secretsmanager get-secret-value --secret-id dev-`+name).fails("(ResourceNotFoundException)", "AWSCURRENT"),
		)
	}
	return errors.Join(errs...)
}

// valuesAreNowhereElse stores two values with a marker, has them used and
// rotated, listens to all events, and looks for the marker in all that comes out
// and in each file.
func valuesAreNowhereElse(r *run) error {
	const marker = "marker-of-m03"
	s := r.up("--no-database")
	events := s.listen()
	outputs := []output{
		s.sh(`curl $API/admin/secrets -H "Authorization: Bearer $TOKEN" -d '{"secretName":"jwt-configuration","secretValue":{"signing_key":"a-first-key-with-` + marker + `-0","issuer":"myapp.com"}}'`),
		s.pipe(`{"secretName":"external-api-keys","secretValue":{"stripe":"sk_test_1","sendgrid":"`+marker+`-1"}}`,
			`curl -X POST $API/admin/secrets -H "Authorization: Bearer $TOKEN" --data-binary @-`),
		s.sh(`curl $API/protected; curl $API/payments/charge -d '{"amount":1,"token":"tok_m03"}'`),
		s.pipe(`{"secretName":"jwt-configuration","newValue":{"signing_key":"another-key-with-`+marker+`-2","issuer":"myapp.com"}}`,
			`curl -X PUT "$API/admin/secrets/rotate?wait=25s" -H "Authorization: Bearer $TOKEN" --data-binary @-`),
		s.sh(`curl $API/admin/secrets -H "Authorization: Bearer $TOKEN"; curl $API/admin/audit -H "Authorization: Bearer $TOKEN"
			rekey audit --json; rekey status --json; rekey history external-api-keys --json`),
		s.sh("rekey clock advance 2h"), // the trail's files are written
		events(func(messages string) error {
			return contains("what was heard", messages, "Secret Label Updated", "Secret Rotated")
		}),
	}
	all := together(outputs)
	s.stop()
	return errors.Join(
		contains("what came out", all, "stored successfully", "rotated successfully", "Secret Label Updated", "Secret Rotated", "dev-external-api-keys"),
		contains("the log", s.log(), `"action":"secrets.store"`),
		lacks("what came out", all, marker), lacks("the log", s.log(), marker), lacks("the output of rekey up", s.said(), marker),
		nowhere(marker, s.state(), 3),
	)
}

func consumersReadAtRuntime(r *run) error {
	s := r.up("--no-database")
	before := s.call("GET", "/protected", "").is(503, `{"error":"Secret not configured"}`)
	process := s.functions("protected")
	return errors.Join(
		before,
		s.store("external-api-keys", keysValue),
		s.until(func() error { return s.call("GET", "/protected", "").like(200, `"Access granted"`) }),
		s.runsOn("protected", process),
		equal("the number of the consumer's processes", len(strings.Fields(process)), 1),
	)
}

// functions are the ids of the processes that run a function, in order.
func (s *system) functions(name string) string {
	o := s.shell("", `ps -A -o pid=,ppid=,args= | awk '$2 == `+s.pid()+` && $4 == "function" && $5 == "`+name+`" {print $1}' | sort -n`)
	if o.fault != nil {
		return o.fault.Error()
	}
	return o.text()
}

// runsOn checks that the processes of a function from before run on. There may
// be more by now: an event and a request at once take one each.
func (s *system) runsOn(name, before string) error {
	now := strings.Fields(s.functions(name))
	for process := range strings.FieldsSeq(before) {
		if !slices.Contains(now, process) {
			return fmt.Errorf("process %s of %s does not run any more, but %v", process, name, now)
		}
	}
	return equal("whether there was a process", before != "", true)
}

func rotationNeedsNoDeployment(r *run) error {
	s := r.up("--no-database")
	stored := s.store("external-api-keys", keysValue)
	key, err := s.otherKey("")
	if err = errors.Join(stored, err); err != nil {
		return err
	}
	const sum = `cksum < "$(command -v rekey)"`
	binary, process := s.sh(sum).text(), s.functions("charge")
	rotated := s.rotate(`{"secretName":"external-api-keys","newValue":{"stripe":"sk_test_2"}}`)
	_, err = s.otherKey(key)
	return errors.Join(
		rotated.like(200, "rotated successfully"), err,
		s.sh(sum).prints(binary),
		s.runsOn("charge", process),
		s.sh("kill -0 "+s.pid()).went(),
	)
}

var namedTest = regexp.MustCompile("`([a-z/]+)\\.((?:Test|Fuzz)[A-Za-z]+)`")

// practicesAreDocumented also looks for each test that the document names.
func practicesAreDocumented(r *run) error {
	document := r.file("docs/security.md")
	if err := errors.Join(
		contains("README.md", r.file("README.md"), "(docs/security.md)", "(SECURITY.md)"),
		contains("docs/security.md", document, "## What holds", "KMS", "TLS", "CloudTrail", "refuses a value in a template"),
		contains(".ci/run", r.file(".ci/run"), "go test"),
	); err != nil {
		return err
	}
	named := namedTest.FindAllStringSubmatch(document, -1)
	if len(named) < 20 {
		return fmt.Errorf("docs/security.md names %d tests", len(named))
	}
	for _, m := range named {
		files, err := filepath.Glob(filepath.Join(r.bench.root, filepath.FromSlash(m[1]), "*_test.go"))
		found := false
		for _, file := range files {
			found = found || strings.Contains(read(file), "func "+m[2]+"(")
		}
		if !found {
			return errors.Join(err, fmt.Errorf("there is no %s in %s", m[2], m[1]))
		}
	}
	return nil
}

// hardcodedValuesAreRefused puts a value into each place of the template where
// one could stand.
func hardcodedValuesAreRefused(r *run) error {
	var errs []error
	for _, value := range []string{`SecretString: hardcoded-secret-value`, `SecretString: !Sub "hardcoded-${AWS::Region}"`} {
		template := strings.Replace(r.file("template.yaml"), "      Description: Production database connection details\n",
			"      Description: Production database connection details\n      "+value+"\n", 1)
		line := 1 + strings.Count(template[:strings.Index(template, "      "+value)], "\n")
		if err := os.WriteFile(filepath.Join(r.dir, "mine.yaml"), []byte(template), 0o600); err != nil {
			return err
		}
		refused := r.shell("", "rekey up --no-database --port 0 --api-port 0 --template mine.yaml")
		errs = append(errs,
			refused.fails(fmt.Sprintf("mine.yaml:%d:", line), "DatabaseCredentials", "rekey: hint: ", "remove", "rekey put"),
			lacks("the message", refused.out+refused.err, "hardcoded"),
		)
	}
	return errors.Join(errs...)
}

func definitionsAreNameAndDescription(r *run) error {
	const template = "Resources:\n  Mine:\n    Type: AWS::SecretsManager::Secret\n    Properties: {Name: dev-my-secret, Description: My application secret}\n"
	file := filepath.Join(r.dir, "mine.yaml")
	if err := os.WriteFile(file, []byte(template), 0o600); err != nil {
		return err
	}
	s := r.up("--no-database", "--template", file)
	return errors.Join(
		s.sh(`aws secretsmanager describe-secret --secret-id dev-my-secret --query '[Name,Description,VersionIdsToStages]' --output text`).
			prints("dev-my-secret\tMy application secret\tNone"),
		s.sh("rekey list").shows("my-secret", "My application secret", "(no value)"),
	)
}

// valuesComeByAnyWay sets a value in four ways. The console edits a value by
// UpdateSecret.
func valuesComeByAnyWay(r *run) error {
	s := r.up("--no-database", "--parameter", "CheckInterval=50ms")
	key := "" // of Stripe, with which the last charge was made
	for _, way := range []struct{ name, value, command string }{
		{"the API", keysValue, `{ printf '{"secretName":"external-api-keys","secretValue":'; cat; printf '}'; } |
			command curl -sS --fail-with-body $API/admin/secrets -H "Authorization: Bearer $TOKEN" --data-binary @-`},
		{"the aws CLI", nextKeysValue, `cat > value.json; aws secretsmanager put-secret-value --secret-id dev-external-api-keys --secret-string file://value.json`},
		{"the console", keysValue, `cat > value.json; aws secretsmanager update-secret --secret-id dev-external-api-keys --secret-string file://value.json`},
		{"rekey put", nextKeysValue, `rekey put external-api-keys`},
	} {
		if err := s.pipe(way.value, way.command).went(); err != nil {
			return fmt.Errorf("by %s: %w", way.name, err)
		}
		var err error
		if key, err = s.otherKey(key); err != nil {
			return fmt.Errorf("by %s: %w", way.name, err)
		}
	}
	return nil
}

func protectedReadsItsSecret(r *run) error {
	s := r.up("--no-database")
	var got struct {
		Message, VersionID string
		Stale              bool
	}
	err := errors.Join(
		s.call("GET", "/protected", "").is(503, `{"error":"Secret not configured"}`),
		s.store("external-api-keys", keysValue),
		s.until(func() error { return s.call("GET", "/protected", "").like(200, "") }),
		s.call("GET", "/protected", "").into(&got),
	)
	current := s.sh(`aws secretsmanager get-secret-value --secret-id dev-external-api-keys --query VersionId --output text`)
	return errors.Join(err,
		equal("the message", got.Message, "Access granted"), equal("stale", got.Stale, false),
		current.prints(got.VersionID), contains("docs/api.md or README.md", r.file("README.md"), "`GET /protected`"),
	)
}

// readsAreLazy starts the environments of the functions with requests that need
// no secret. The trail then has no read of theirs.
func readsAreLazy(r *run) error {
	s := r.up("--no-database")
	reads := func() string {
		return s.sh(`aws cloudtrail lookup-events --lookup-attributes AttributeKey=EventName,AttributeValue=GetSecretValue \
			--query 'Events[].CloudTrailEvent' --output text | { grep -o 'function:dev-[a-z]*' || true; } | sort | uniq | paste -sd' '`).text()
	}
	err := errors.Join(
		s.call("GET", "/auth/verify", "").is(401, `{"error":"Invalid token"}`),
		s.call("POST", "/auth/login", "{}").like(400, ""),
		s.call("POST", "/payments/charge", "{}").like(400, ""),
		equal("the functions that run and have read a secret", s.functions("login")+s.functions("charge") != "" && reads() != "", false),
	)
	return errors.Join(err,
		s.call("POST", "/payments/charge", `{"amount":1,"token":"tok"}`).like(500, ""),
		s.call("POST", "/auth/login", aLogin).like(500, ""),
		equal("the functions that have read a secret", reads(), "function:dev-charge function:dev-login"),
	)
}

// contextsAreSeparate deploys where there is no account and no network, and
// looks at what imports what.
func contextsAreSeparate(r *run) error {
	s := r.up("--no-database") // has no credentials, and no network
	imports := r.goList("./functions/*/bootstrap", "./runtime/secrets", "./runtime/invalidation")
	return errors.Join(
		s.sh("rekey list").shows("database-credentials", "external-api-keys", "jwt-configuration"),
		imports.shows("github.com/rekey-go/rekey/runtime/secrets\n"),
		lacks("what runs", imports.out, "/internal/deploy", "/internal/stack", "/internal/local", "aws-sdk-go-v2/service/cloudformation"),
		lacks("what deploys", r.goList("./internal/deploy").out, "rekey/runtime/", "rekey/functions/"),
	)
}

// goList lists what packages import, also through others.
func (r *run) goList(packages ...string) output {
	return r.goTool("list -deps " + strings.Join(packages, " "))
}

func described(name, description string) func(*run) error {
	return func(r *run) error {
		return r.empty().sh("aws secretsmanager describe-secret --secret-id dev-" + name + " --query '[Name,Description]' --output text").
			prints("dev-" + name + "\t" + description)
	}
}
