package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rekey-go/rekey"
	"github.com/rekey-go/rekey/internal/child"
	"github.com/rekey-go/rekey/internal/local/iam"
	"github.com/rekey-go/rekey/internal/pgserver/pgtest"
	"github.com/rekey-go/rekey/internal/polltest"
)

var shellBlock = regexp.MustCompile("(?ms)^```sh\n(.*?)^```")

// blocks are the commands of a document, a block at a time: those that stand in
// one form of block.
func blocks(t *testing.T, path string, form *regexp.Regexp) []string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, m := range form.FindAllStringSubmatch(string(data), -1) {
		all = append(all, m[1])
	}
	return all
}

// TestTheReadmesCommandsRun runs the blocks of the README in their order, in
// one shell beside the first, which starts the system. Only the ports differ,
// so that the test finds free ones.
func TestTheReadmesCommandsRun(t *testing.T) {
	t.Parallel()
	pgtest.Need(t)
	parts := blocks(t, "../../README.md", shellBlock)
	if len(parts) < 4 || !strings.Contains(parts[0], "rekey up") {
		t.Fatalf("the README has %d blocks of commands, and the first is not rekey up", len(parts))
	}
	ready := startFromReadme(t, parts[0])
	script := rekeyIn(t, strings.Join(parts[1:], "\n"))
	script = strings.NewReplacer("http://127.0.0.1:4566", ready.AWS, "http://127.0.0.1:8400", ready.API).Replace(script)
	if _, err := exec.LookPath("aws"); err != nil {
		t.Log("NOT TESTED: there is no aws CLI")
		script = regexp.MustCompile(`(?m)^aws .*$`).ReplaceAllString(script, ":")
	}
	ctx, cancel := context.WithTimeout(t.Context(), longest)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", strings.ReplaceAll(script, "curl ", "curl -sS --fail-with-body "))
	cmd.Dir = t.TempDir()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("the README's commands: %v\n%s", err, out)
	}
	for _, want := range []string{
		`"message":"Secret 'database-credentials' stored successfully"`, `"user":{"id":"1","email":"test@example.com"}`,
		"database-credentials rotated in ", "AWSPREVIOUS", "role LoginRole",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the output of the README's commands lacks %q", want)
		}
	}
	if strings.Contains(string(out), "test123") {
		t.Error("the output of the README's commands shows the password")
	}
}

var answerBlock = regexp.MustCompile("(?ms)^```sh\n(curl .*?)^```\n\n```json\n(.*?)^```")

// TestTheAPIsCommandsRun runs the commands of docs/api.md in their order. Each
// answer has the members of the one that follows the command there, and texts
// without a digit are the same: the others are ids and times.
func TestTheAPIsCommandsRun(t *testing.T) {
	t.Parallel()
	const path = "../../docs/api.md"
	ready := startFromReadme(t, blocks(t, path, shellBlock)[0])
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	blocks := answerBlock.FindAllStringSubmatch(string(data), -1)
	if got := strings.Count(string(data), "```sh\ncurl "); got != len(blocks) || got < 11 {
		t.Fatalf("%d of %d commands have an answer", len(blocks), got)
	}
	for _, m := range blocks {
		script := strings.ReplaceAll(m[1], "http://127.0.0.1:8400", ready.API)
		cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", strings.Replace(script, "curl ", "curl -sS -m 300 ", 1))
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s\n%v\n%s", m[1], err, out)
		}
		var got, want any
		if json.Unmarshal(out, &got) != nil || json.Unmarshal([]byte(m[2]), &want) != nil {
			t.Fatalf("%s\nanswered %s", m[1], out)
		}
		if !answers(got, want) {
			t.Errorf("%s\nanswered %s\nwant %s", m[1], out, m[2])
		}
	}
}

// answers reports whether an answer has what a document shows of it.
func answers(got, want any) bool {
	switch want := want.(type) {
	case map[string]any:
		object, ok := got.(map[string]any)
		for name, member := range want {
			value, there := object[name]
			ok = ok && there && answers(value, member)
		}
		return ok
	case []any:
		list, ok := got.([]any)
		for _, member := range want {
			ok = ok && slices.ContainsFunc(list, func(v any) bool { return answers(v, member) })
		}
		return ok
	case string:
		text, ok := got.(string)
		return ok && (text == want || strings.ContainsAny(want, "0123456789"))
	default:
		return fmt.Sprintf("%T", got) == fmt.Sprintf("%T", want)
	}
}

// rekeyIn lets a script run this test binary where it runs the command.
func rekeyIn(t *testing.T, script string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "rekey") // the name by which it knows what it is
	// Were it written by this process, then a process that another test forks meanwhile
	// would hold it open for writing, and no shell could run it: text file busy.
	if out, err := exec.CommandContext(t.Context(), "cp", self, path).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return strings.ReplaceAll(script, "go run ./cmd/rekey", path)
}

// startFromReadme starts the system as the README says, and stops it with the
// test.
func startFromReadme(t *testing.T, block string) readiness {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ready.json")
	line := strings.TrimSpace(rekeyIn(t, block)) + " --port 0 --api-port 0 --ready-file " + file
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "bash", "-c", "exec "+line)
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGINT)
		if err := cmd.Wait(); err != nil {
			t.Errorf("rekey up ended with %v", err)
		}
	})
	var r readiness
	polltest.Until(t, "rekey up is ready", func() bool {
		data, err := os.ReadFile(file)
		return err == nil && json.Unmarshal(data, &r) == nil
	})
	return r
}

// TestTheDocumentsNameWhatIsThere checks the commands of the documents, which
// are tests and benchmarks: each of their packages is there.
func TestTheDocumentsNameWhatIsThere(t *testing.T) {
	t.Parallel()
	documents, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(documents) == 0 {
		t.Fatalf("no documents: %v", err)
	}
	for _, path := range documents {
		for _, block := range blocks(t, path, shellBlock) {
			if strings.HasPrefix(block, "curl ") || strings.Contains(block, "rekey up") {
				continue // TestTheAPIsCommandsRun runs them
			}
			for line := range strings.Lines(block) {
				fields := strings.Fields(line)
				for len(fields) > 0 && strings.Contains(fields[0], "=") { // a variable of the command's
					fields = fields[1:]
				}
				if len(fields) < 3 || fields[0] != "go" || fields[1] != "test" {
					t.Errorf("%s: %q is no go test", path, strings.TrimSpace(line))
					continue
				}
				cmd := exec.CommandContext(t.Context(), "go", "list", fields[len(fields)-1])
				cmd.Dir = "../.."
				if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(out), "matched no packages") {
					t.Errorf("%s: %s: %s", path, strings.TrimSpace(line), out)
				}
			}
		}
	}
}

var markdownLink = regexp.MustCompile(`\]\(([^)#, ]+)(#[^)]*)?\)`)

// TestLinksLeadSomewhere checks the links between the project's documents.
func TestLinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	documents, err := filepath.Glob("../../*.md")
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range append(documents, more...) {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range markdownLink.FindAllStringSubmatch(string(data), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), m[1])); err != nil {
				t.Errorf("%s: the link to %s leads nowhere", path, m[1])
			}
		}
	}
}

var bashBlock = regexp.MustCompile("(?ms)^```bash\n(.*?)^```")

// ownBlock and yamlBlock are what a secret of one's own takes.
var (
	ownBlock  = regexp.MustCompile("(?ms)^```shell\n(.*?)^```")
	yamlBlock = regexp.MustCompile("(?ms)^```yaml\n(.*?)^```")
)

// longest is how long a document's commands may take on a machine under load. They
// are waited for so long only where they hang.
const longest = 10 * time.Minute

// runCommands runs a document's commands in one shell, which must print certain
// texts.
func runCommands(t *testing.T, doc, dir, commands string, wants ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), longest)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", rekeyIn(t, commands))
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("the commands of %s: %v\n%s", doc, err, out)
	}
	for _, want := range wants {
		if !strings.Contains(string(out), want) {
			t.Errorf("the output lacks %q:\n%s", want, out)
		}
	}
}

// TestTheAgentsCommandsRun runs the commands of docs/agent.md, in their order
// and in one shell.
func TestTheAgentsCommandsRun(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("NOT TESTED: there is no curl")
	}
	script := strings.Join(blocks(t, "../../docs/agent.md", bashBlock), "")
	ready := startFromReadme(t, "go run ./cmd/rekey up --no-database")
	port, err := child.FreePort(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	commands := strings.NewReplacer(
		"http://127.0.0.1:4566", ready.AWS, "localhost:2773", fmt.Sprintf("localhost:%d", port),
		"rekey agent ", fmt.Sprintf("rekey agent --listen 127.0.0.1:%d ", port), "curl ", "curl -sS --fail-with-body ",
	).Replace(script)
	runCommands(t, "docs/agent.md", t.TempDir(), "trap 'kill $(jobs -p)' EXIT\n"+commands,
		`"Name":"dev-external-api-keys"`, "a key of 9 characters", "two keys: 9 and 4 characters")
}

// TestTheGettingStartedCommandsRun runs the commands of
// docs/getting-started.md, in their order and in one shell beside the first,
// in a folder where make build was run.
func TestTheGettingStartedCommandsRun(t *testing.T) {
	t.Parallel()
	pgtest.Need(t)
	parts := blocks(t, "../../docs/getting-started.md", bashBlock)
	dir := t.TempDir()
	if err := errors.Join(writeEmpty(filepath.Join(dir, "dist")), copyFile(filepath.Join(dir, "template.yaml"), "../../template.yaml")); err != nil {
		t.Fatal(err)
	}
	ready := startFromReadme(t, parts[0])
	commands := strings.NewReplacer(
		"http://127.0.0.1:4566", ready.AWS, "rekey deploy ", "rekey deploy --artifacts dist ", "export ", "export AWS_MAX_ATTEMPTS=1 ",
	).Replace(strings.Join(parts[1:], ""))
	if _, err := exec.LookPath("aws"); err != nil {
		t.Log("NOT TESTED: there is no aws CLI")
		commands = regexp.MustCompile(`(?m)^aws .*$`).ReplaceAllString(commands, ":")
	}
	runCommands(t, "docs/getting-started.md", dir, commands,
		"database-credentials rotated in ", "rekey-prod is CREATE_COMPLETE", "nothing would change", " 1.20", "by polling",
		"prod-external-api-keys is deleted on ", "rekey-prod is UPDATE_COMPLETE")
}

// TestASecretOfYourOwnRotates puts what docs/getting-started.md says into the
// template, and runs the commands that follow there.
func TestASecretOfYourOwnRotates(t *testing.T) {
	t.Parallel()
	pgtest.Need(t)
	const path = "../../docs/getting-started.md"
	resources, commands := blocks(t, path, yamlBlock), blocks(t, path, ownBlock)
	if len(resources) != 1 || len(commands) != 2 {
		t.Fatalf("%s has %d blocks of YAML and %d of commands, want 1 and 2", path, len(resources), len(commands))
	}
	before, outputs, ok := strings.Cut(string(rekey.Template), "\nOutputs:")
	if !ok {
		t.Fatal("the template has no Outputs")
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "template.yaml")
	if err := os.WriteFile(file, []byte(before+"\n"+resources[0]+"\nOutputs:"+outputs), 0o600); err != nil {
		t.Fatal(err)
	}
	ready := startFromReadme(t, strings.ReplaceAll(commands[0], "template.yaml", file))
	runCommands(t, path, dir, "export AWS_ENDPOINT_URL="+ready.AWS+"\n"+commands[1],
		"the superuser may change the user", "orders-database rotated in ", "is revoked")
}

// TestTheCommandsAfterALeakRun runs the commands of docs/contain.md, in their
// order and in one shell beside the first.
func TestTheCommandsAfterALeakRun(t *testing.T) {
	t.Parallel()
	pgtest.Need(t)
	parts := blocks(t, "../../docs/contain.md", bashBlock)
	commands := strings.Join(parts[1:], "")
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Log("NOT TESTED: there is no openssl")
		commands = regexp.MustCompile(`(?m)^openssl .*$`).ReplaceAllString(commands, ":")
	}
	ready := startFromReadme(t, parts[0])
	runCommands(t, "docs/contain.md", t.TempDir(), strings.ReplaceAll(commands, "http://127.0.0.1:4566", ready.AWS),
		"LIVE  database-credentials", "rotate by ", "--status Inactive", "the server was asked and refuses it", "records are as they were signed")
}

// TestTheCommandsAboutATrailsBucketRun runs the commands of docs/audit.md, in
// their order and in one shell beside the first.
func TestTheCommandsAboutATrailsBucketRun(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("aws"); err != nil {
		t.Skip("NOT TESTED: there is no aws CLI")
	}
	parts := blocks(t, "../../docs/audit.md", bashBlock)
	ready := startFromReadme(t, parts[0])
	runCommands(t, "docs/audit.md", t.TempDir(), strings.ReplaceAll(strings.Join(parts[1:], ""), "http://127.0.0.1:4566", ready.AWS),
		" verified, 0 altered, 0 missing, ", "dev-external-api-keys", " verified, 1 altered, 0 missing, ", "the log files are not what CloudTrail delivered")
}

// TestTheCommandsAfterALossRun runs the commands of docs/operations.md, in their
// order and in one shell beside the first.
func TestTheCommandsAfterALossRun(t *testing.T) {
	t.Parallel()
	pgtest.Need(t)
	parts := blocks(t, "../../docs/operations.md", bashBlock)
	commands := strings.Join(parts[1:], "")
	if _, err := exec.LookPath("aws"); err != nil {
		t.Log("NOT TESTED: there is no aws CLI")
		commands = regexp.MustCompile(`(?m)^aws .*$`).ReplaceAllString(commands, ":")
	}
	ready := startFromReadme(t, parts[0])
	runCommands(t, "docs/operations.md", t.TempDir(), strings.ReplaceAll(commands, "http://127.0.0.1:4566", ready.AWS),
		`"TableStatus": "ACTIVE"`, "external-api-keys stored as version ", "database-credentials rotated in ", "is revoked: no consumer holds it")
}

var policyBlock = regexp.MustCompile("(?ms)^```json\n(\\{\n  \"Version\": .*?)^```")

// TestThePoliciesOfTheDocumentsArePolicies reads those of docs/operations.md as
// IAM does.
func TestThePoliciesOfTheDocumentsArePolicies(t *testing.T) {
	t.Parallel()
	policies := blocks(t, "../../docs/operations.md", policyBlock)
	if len(policies) != 3 {
		t.Errorf("docs/operations.md has %d policies, want 3", len(policies))
	}
	for _, policy := range policies {
		if _, err := iam.ParseResourceJSON([]byte(policy)); err != nil {
			t.Errorf("%v:\n%s", err, policy)
		}
	}
}

func copyFile(to, from string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o600)
}
