package deploy_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/rekey-go/rekey/internal/child/childtest"
)

const rulesFolder = "../../tools/guard"

// A violation is a rule that a resource does not keep. A rule that no resource
// in particular breaks has "*" for it.
type violation struct{ rule, resource string }

// TestTheTemplateKeepsItsRules holds the template, as it is deployed and as the
// SAM transform leaves it, to the rules of tools/guard.
func TestTheTemplateKeepsItsRules(t *testing.T) {
	t.Parallel()
	guard := cfnGuard(t)
	places := map[string]string{}
	for _, uri := range ownTemplate(t).CodeURIs() {
		places[uri] = "s3://artifacts/a.zip"
	}
	body, err := ownTemplate(t).Packaged(places)
	if err != nil {
		t.Fatal(err)
	}
	found := violations(t, guard, "template.yaml", body)
	transformed, complete := transform(t)
	if complete {
		maps.Copy(found, violations(t, guard, "transformed.json", transformed))
	}
	exempt := exemptions(t)
	for v := range found {
		if exempt[v] == "" {
			t.Errorf("%s does not keep %s: tools/guard has the rule, and why", v.resource, v.rule)
		}
	}
	for v := range exempt {
		if !found[v] && complete {
			t.Errorf("%s keeps %s: its exemption in tools/guard/exemptions.yaml has to go", v.resource, v.rule)
		}
	}
}

// TestTheRulesStopWhatTheyAreFor runs the rules' own cases. Each rule has one
// that keeps it and one that does not, and says which threat it answers.
func TestTheRulesStopWhatTheyAreFor(t *testing.T) {
	t.Parallel()
	rules := rulesAndThreats(t)
	if len(rules) < 15 {
		t.Errorf("tools/guard has %d rules, want at least 15", len(rules))
	}
	expected, sections := expectations(t), threatSections(t)
	for rule, threats := range rules {
		if threats == "" {
			t.Errorf("%s does not say which threats of docs/security.md it answers", rule)
		}
		for _, threat := range threatNumber.FindAllString(threats, -1) {
			if !strings.Contains(sections[threat], "`"+rule+"`") {
				t.Errorf("docs/security.md does not name %s under %s", rule, threat)
			}
		}
		if !slices.Contains(expected[rule], "PASS") || !slices.Contains(expected[rule], "FAIL") {
			t.Errorf("%s has cases that %v, want one that PASS and one that FAIL", rule, expected[rule])
		}
	}
	guard := cfnGuard(t)
	if out, err := exec.CommandContext(t.Context(), guard, "test", "--dir", rulesFolder).CombinedOutput(); err != nil {
		t.Errorf("cfn-guard test: %v\n%s", err, strings.Join(regexp.MustCompile(`(?m)^.*Evaluated = .*$`).FindAllString(string(out), -1), "\n"))
	}
}

// cfnGuard finds the program, or has it fetched where everything has to be
// tried.
func cfnGuard(t *testing.T) string {
	t.Helper()
	if path, err := exec.LookPath("cfn-guard"); err == nil {
		return path
	}
	if _, err := exec.LookPath("npm"); err != nil || !childtest.Required() {
		t.Skip("NOT TESTED: there is no cfn-guard; tools/guard/fetch fetches it, with npm")
	}
	out, err := exec.CommandContext(t.Context(), rulesFolder+"/fetch").Output()
	if failure, ok := errors.AsType[*exec.ExitError](err); ok {
		t.Fatalf("tools/guard/fetch: %v: %s", err, failure.Stderr)
	}
	return strings.TrimSpace(string(out))
}

// transform is what the SAM transform makes of the template, where its
// translator is installed.
func transform(t *testing.T) (out []byte, ok bool) {
	t.Helper()
	if exec.CommandContext(t.Context(), "python3", "-c", "import samtranslator").Run() != nil {
		t.Log("NOT TESTED: the template after the SAM transform; there is no aws-sam-translator")
		return nil, false
	}
	cmd := exec.CommandContext(t.Context(), "python3", "tools/samtransform.py", "--json", "template.yaml")
	cmd.Dir = "../.."
	cmd.Env = append(os.Environ(), "AWS_DEFAULT_REGION=us-east-1")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tools/samtransform.py: %v", err)
	}
	return out, true
}

// violations are what cfn-guard finds in a template.
func violations(t *testing.T, guard, name string, template []byte) map[violation]bool {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, template, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), guard, "validate", "--rules", rulesFolder, "--data", file, "--structured", "--output-format", "json", "--show-summary", "none")
	out, err := cmd.Output() // it ends with 19 where something was found
	var reports []struct {
		Failed []struct{ Rule guardCheck } `json:"not_compliant"`
		Passed []string                    `json:"compliant"`
	}
	if json.Unmarshal(out, &reports) != nil || len(reports) != 1 || len(reports[0].Passed) == 0 {
		t.Fatalf("cfn-guard of %s: %v\n%s", name, err, out)
	}
	found := map[violation]bool{}
	for _, failed := range reports[0].Failed {
		for _, resource := range failed.Rule.resources() {
			found[violation{failed.Rule.Name, resource}] = true
		}
	}
	return found
}

// A guardCheck is a rule that failed, with its checks as cfn-guard nests them.
type guardCheck struct {
	Name   string            `json:"name"`
	Checks []json.RawMessage `json:"checks"`
}

var resourcePath = regexp.MustCompile(`^/Resources/([^/]+)`)

// resources are those that the checks failed for.
func (c guardCheck) resources() []string {
	found := map[string]bool{}
	for _, check := range c.Checks {
		var parsed any
		if json.Unmarshal(check, &parsed) == nil {
			subjects(parsed, found)
		}
	}
	if len(found) == 0 {
		return []string{"*"}
	}
	return slices.Sorted(maps.Keys(found))
}

// subjects collects what was looked at, and not what it was compared with. A
// name that was looked for is a resource's itself.
func subjects(check any, found map[string]bool) {
	switch check := check.(type) {
	case []any:
		for _, part := range check {
			subjects(part, found)
		}
	case map[string]any:
		for name, part := range check {
			place, _ := part.(map[string]any)
			path, isPlace := place["path"].(string)
			switch {
			case name == "to":
			case !isPlace:
				subjects(part, found)
			case resourcePath.MatchString(path):
				found[resourcePath.FindStringSubmatch(path)[1]] = true
			default:
				found[fmt.Sprint(place["value"])] = true
			}
		}
	}
}

// exemptions are the reasons of what the template need not keep.
func exemptions(t *testing.T) map[violation]string {
	t.Helper()
	var all []struct {
		Rule, Reason string
		Resources    []string
	}
	readYAML(t, filepath.Join(rulesFolder, "exemptions.yaml"), &all)
	exempt := map[violation]string{}
	for _, e := range all {
		if e.Reason == "" || len(e.Resources) == 0 {
			t.Errorf("the exemption of %s has no reason, or no resources", e.Rule)
		}
		for _, resource := range e.Resources {
			exempt[violation{e.Rule, resource}] = e.Reason
		}
	}
	return exempt
}

func readYAML(t *testing.T, file string, into any) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err == nil {
		err = yaml.Unmarshal(data, into)
	}
	if err != nil {
		t.Fatalf("reading %s: %v", file, err)
	}
}

// A rule with parameters only serves others.
var (
	ruleLine   = regexp.MustCompile(`(?m)^rule (\w+)(?: when .*)? \{`)
	threatLine = regexp.MustCompile(`(?m)^# T\d+(?:, T\d+)*: `)

	threatNumber = regexp.MustCompile(`T\d+`)
)

// threatSections are those of docs/security.md, by their numbers.
func threatSections(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]string{}
	for section := range strings.SplitSeq(string(text), "\n## ") {
		number, rest, _ := strings.Cut(section, ": ")
		sections[number] = rest
	}
	return sections
}

// rulesAndThreats are the rules by their names, with the last line before each
// that names threats.
func rulesAndThreats(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(rulesFolder, "*.guard"))
	if err != nil {
		t.Fatal(err)
	}
	rules := map[string]string{}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range ruleLine.FindAllSubmatchIndex(source, -1) {
			threats := threatLine.FindAllString(string(source[:at[0]]), -1)
			rules[string(source[at[2]:at[3]])] = strings.Join(threats[max(len(threats)-1, 0):], "")
		}
	}
	return rules
}

// expectations are the outcomes of the cases of each rule.
func expectations(t *testing.T) map[string][]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(rulesFolder, "tests", "*_tests.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	expected := map[string][]string{}
	for _, file := range files {
		var cases []struct {
			Expectations struct{ Rules map[string]string }
		}
		readYAML(t, file, &cases)
		for _, c := range cases {
			for name, outcome := range c.Expectations.Rules {
				expected[name] = append(expected[name], outcome)
			}
		}
	}
	return expected
}
