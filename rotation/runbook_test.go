package rotation_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rekey-go/rekey/rotation"
)

var (
	explainedCode  = regexp.MustCompile(`\{Class\w+, "([a-z.-]+)", "`)
	runbookSection = regexp.MustCompile(`(?m)^### (\S+)$`)
)

// TestEveryCodeHasItsSectionInTheRunbook compares the codes that the package
// gives errors with the sections of docs/operations.md, which Section promises.
func TestEveryCodeHasItsSectionInTheRunbook(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var codes []string
	for _, file := range files {
		if !strings.HasSuffix(file, "_test.go") {
			codes = append(codes, firstGroups(t, explainedCode, file)...)
		}
	}
	slices.Sort(codes)
	codes = slices.Compact(codes)
	if len(codes) < 20 {
		t.Fatalf("only %d codes were found in the sources: %q", len(codes), codes)
	}
	sections := firstGroups(t, runbookSection, filepath.FromSlash("../docs/operations.md"))
	for _, section := range sections { // as GitHub makes the anchor of a heading
		if got, want := rotation.Section(section), "docs/operations.md#"+regexp.MustCompile(`[^a-z-]`).ReplaceAllString(section, ""); got != want {
			t.Errorf("Section(%q) = %q, want %q", section, got, want)
		}
	}
	slices.Sort(sections)
	if diff := cmp.Diff(codes, sections); diff != "" {
		t.Errorf("codes in the sources (-) and sections of docs/operations.md (+):\n%s", diff)
	}
}

func firstGroups(t *testing.T, re *regexp.Regexp, file string) []string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, m := range re.FindAllStringSubmatch(string(data), -1) {
		found = append(found, m[1])
	}
	return found
}
