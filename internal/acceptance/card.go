package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// cardStatements are about what Rekey is made of, and that it is the same on
// AWS and on a laptop.
func cardStatements() []statement {
	return []statement{
		{"M93", "it is Go, with aws-lambda-go and the SDK's clients for its four services", modulesAreUsed},
		{"M94", "the repository has the folders and files by which it is known", layoutIsThere},
		{"M105", "one binary of a function answers alike to Lambda's own protocol, to the local bus and in the template as SAM makes it", oneBinaryForAll},
		{"M106", "testdata is there, and the README's commands run", readmeRuns},
	}
}

func modulesAreUsed(r *run) error {
	const sdk = "github.com/aws/aws-sdk-go-v2/service/"
	deps := r.goList("./functions/...", "./rotation/...", "./runtime/...", "./audit/...", "./cmd/...")
	return errors.Join(
		contains("go.mod", r.file("go.mod"), "module github.com/rekey-go/rekey\n"),
		deps.shows("github.com/aws/aws-lambda-go/lambda\n", sdk+"secretsmanager\n", sdk+"eventbridge\n", sdk+"cloudtrail\n", sdk+"sqs\n"),
		r.goList("./functions/dbrotator").shows("github.com/aws/aws-lambda-go/lambda\n", sdk+"secretsmanager\n", sdk+"eventbridge\n"),
		r.goList("./functions/audit").shows(sdk+"cloudtrail\n"), r.goList("./functions/retire").shows(sdk+"sqs\n"),
	)
}

func layoutIsThere(r *run) error {
	o := r.shell("", "cd "+r.bench.root+" && ls -dp go.mod functions rotation runtime audit template.yaml testdata README.md")
	return o.prints("README.md\naudit/\nfunctions/\ngo.mod\nrotation/\nruntime/\ntemplate.yaml\ntestdata/")
}

// oneBinaryForAll builds functions/protected/bootstrap, as SAM's build method
// go1.x does, and has it answer in three places.
func oneBinaryForAll(r *run) error {
	if err := r.deployable(); err != nil {
		return err
	}
	binary := filepath.Join(r.dir, "dist", "functions", "protected", "bootstrap", "bootstrap")
	errs := []error{os.Remove(binary), r.goTool("build -o " + binary + " ./functions/protected/bootstrap").went()}

	// Under the Runtime API, with the variables that the template gives it.
	s := r.up("--no-database")
	f, err := s.function("protected", s.Ready.AWS)
	if err != nil {
		return err
	}
	f.command = []string{binary}
	errs = append(errs, f.protected().is(503, `{"error":"Secret not configured"}`), s.store("external-api-keys", keysValue))
	version := s.sh("aws secretsmanager get-secret-value --secret-id dev-external-api-keys --query VersionId --output text").text()
	granted := `{"message":"Access granted","stale":false,"versionId":"` + version + `"}`
	errs = append(errs,
		r.until(func() error { return f.protected().is(200, granted) }),
		s.call("GET", "/protected", "").is(200, granted), // the function of rekey up
	)

	// Deployed from the template, with its API, and told by its bus.
	const next = `{"stripe":"sk_test_2"}`
	errs = append(errs, s.sh(deployTest).went())
	api := s.sh(`aws cloudformation describe-stacks --stack-name rekey-test --query "Stacks[0].Outputs[?OutputKey=='ApiUrl'].OutputValue" --output text`).text()
	get := func() answer { return s.sh("curl " + api + "/protected").answer() }
	errs = append(errs, get().is(503, `{"error":"Secret not configured"}`), s.pipe(keysValue, "rekey put --stage test external-api-keys").went())
	current := func() string {
		v := s.sh("aws secretsmanager get-secret-value --secret-id test-external-api-keys --query VersionId --output text").text()
		return `{"message":"Access granted","stale":false,"versionId":"` + v + `"}`
	}
	errs = append(errs, r.until(func() error { return get().is(200, current()) }), s.pipe(next, "rekey put --stage test external-api-keys").went())
	errs = append(errs, r.until(func() error { return get().is(200, current()) }))
	return errors.Join(append(errs, r.samAgrees())...)
}

// samAgrees checks that SAM's translator makes of the function what the local
// system runs: its code's folder, runtime, handler and route.
func (r *run) samAgrees() error {
	if _, err := exec.LookPath("python3"); err != nil {
		return fmt.Errorf("needs python3, which %w", errNoTool)
	}
	o := r.transformed()
	var template struct {
		Resources map[string]struct {
			Type       string
			Properties struct {
				Code             struct{ S3Bucket, S3Key string }
				Runtime, Handler string
				Environment      struct{ Variables map[string]any }
			}
		}
	}
	if err := errors.Join(o.went(), unmarshal(o.out, &template)); err != nil {
		return err
	}
	p := template.Resources["Protected"]
	return errors.Join(
		equal("SAM's resource", p.Type+" "+p.Properties.Runtime+" "+p.Properties.Handler+" "+p.Properties.Code.S3Key,
			"AWS::Lambda::Function provided.al2023 bootstrap functions/protected/bootstrap"),
		equal("the stage that SAM gives it", marshal(p.Properties.Environment.Variables["REKEY_STAGE"]), `{"Ref":"Stage"}`),
		contains("SAM's API", o.out, `"/protected"`), contains("SAM's rules", o.out, `"Secret Rotated"`),
	)
}

var shellBlock = regexp.MustCompile("(?ms)^```sh\n(.*?)^```")

// readmeRuns runs the README's commands against a system that the first of them
// would start.
func readmeRuns(r *run) error {
	var blocks []string
	for _, m := range shellBlock.FindAllStringSubmatch(r.file("README.md"), -1) {
		blocks = append(blocks, m[1])
	}
	if len(blocks) < 4 || blocks[0] != "go run ./cmd/rekey up --admin-token "+token+"\n" {
		return fmt.Errorf("README.md has %d blocks of commands, and the first is not rekey up", len(blocks))
	}
	s := r.up()
	script := strings.NewReplacer("http://127.0.0.1:4566", s.Ready.AWS, "http://127.0.0.1:8400", s.Ready.API, "go run ./cmd/rekey", "rekey",
		"curl ", "command curl -sS --fail-with-body ").Replace(strings.Join(blocks[1:], "\n"))
	errs := []error{
		s.sh(script).shows(`"message":"Secret 'database-credentials' stored successfully"`, `"email":"test@example.com"`,
			"database-credentials rotated in ", "AWSPREVIOUS", "role"),
		contains("cmd/rekey/readme_test.go", r.file("cmd/rekey/readme_test.go"), "func TestTheReadmesCommandsRun("),
	}
	for _, path := range []string{"testdata/cloudtrail/report.json", "testdata/cloudtrail/report.txt", "testdata/cloudtrail/AWSLogs", "cmd/rekey/testdata/script"} {
		_, err := os.Stat(filepath.Join(r.bench.root, path))
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
