package deploy_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rekey-go/rekey"
)

var (
	alarmName      = regexp.MustCompile(`(?m)^ +AlarmName: !Sub "\$\{Stage\}-(\S+)"$`)
	alarmParagraph = regexp.MustCompile(`\n\n\*\*rekey-[^:]+:`) // its head, which may name several
	boldName       = regexp.MustCompile(`\*\*([a-z-]+)\*\*`)
)

// TestEveryAlarmHasItsParagraphInTheRunbook compares the alarms of the template
// with docs/operations.md.
func TestEveryAlarmHasItsParagraphInTheRunbook(t *testing.T) {
	t.Parallel()
	runbook, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	alarms := names(alarmName, rekey.Template)
	if len(alarms) < 15 {
		t.Fatalf("only %d alarms were found in the template: %q", len(alarms), alarms)
	}
	if diff := cmp.Diff(alarms, names(boldName, bytes.Join(alarmParagraph.FindAll(runbook, -1), nil))); diff != "" {
		t.Errorf("alarms of the template (-) and paragraphs of docs/operations.md (+):\n%s", diff)
	}
}

// names are what a pattern finds, sorted.
func names(pattern *regexp.Regexp, text []byte) []string {
	var all []string
	for _, m := range pattern.FindAllSubmatch(text, -1) {
		all = append(all, string(m[1]))
	}
	slices.Sort(all)
	return all
}

var resourcesLine = regexp.MustCompile(`\nto (\d+) resources after the SAM transform, of which (\d+) are the sample application's`)

// TestTheResourcesAreCounted compares what docs/getting-started.md says with what
// the SAM transform makes of the template.
func TestTheResourcesAreCounted(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../../docs/getting-started.md")
	if err != nil {
		t.Fatal(err)
	}
	transformed, ok := transform(t)
	if !ok {
		t.Skip("NOT TESTED: there is no aws-sam-translator")
	}
	var all struct {
		Resources map[string]struct{ Condition string }
	}
	if err := json.Unmarshal(transformed, &all); err != nil {
		t.Fatal(err)
	}
	sample := 0
	for _, r := range all.Resources {
		if r.Condition == "WithSample" {
			sample++
		}
	}
	m := resourcesLine.FindSubmatch(doc)
	if m == nil || string(m[1]) != strconv.Itoa(len(all.Resources)) || string(m[2]) != strconv.Itoa(sample) {
		t.Errorf("docs/getting-started.md says %q; there are %d, and %d of the sample", m, len(all.Resources), sample)
	}
}

var costLine = regexp.MustCompile(`(?m)^\| (\d+) (secrets|key|alarms on (\d+) metrics|metrics|dashboard)[^|]*\| ([\d.]+) \|$`)

// TestTheCostOfAStageCountsTheTemplate compares the table of
// docs/getting-started.md with the template, and adds it up. The metrics are
// those that functions write, which no template says.
func TestTheCostOfAStageCountsTheTemplate(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../../docs/getting-started.md")
	if err != nil {
		t.Fatal(err)
	}
	made := func(kind string) int {
		return len(regexp.MustCompile(`(?m)^    Type: AWS::`+kind+`$`).FindAll(rekey.Template, -1))
	}
	// An alarm on a sum is paid for by each metric in it.
	alarms, summed := made("CloudWatch::Alarm"), bytes.Count(rekey.Template, []byte("MetricStat: "))
	watched := strconv.Itoa(alarms - 1 + summed)
	want := map[string]int{
		"secrets": made("SecretsManager::Secret"), "key": made("KMS::Key"), "dashboard": made("CloudWatch::Dashboard"),
		"alarms on " + watched + " metrics": alarms, "metrics": 11,
	}
	got, cents := map[string]int{}, 0
	for _, m := range costLine.FindAllSubmatch(doc, -1) {
		got[string(m[2])], _ = strconv.Atoi(string(m[1]))
		each, _ := strconv.Atoi(string(bytes.ReplaceAll(m[4], []byte("."), nil)))
		cents += each
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what the template makes (-) and what docs/getting-started.md counts (+):\n%s", diff)
	}
	if total := fmt.Sprintf("| together | %d.%02d |", cents/100, cents%100); !bytes.Contains(doc, []byte(total)) {
		t.Errorf("docs/getting-started.md lacks %q, which is the sum of its lines", total)
	}
}
