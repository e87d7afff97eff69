package deploy_test

import (
	"bytes"
	"os"
	"regexp"
	"slices"
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
