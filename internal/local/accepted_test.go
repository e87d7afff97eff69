package local

import (
	"context"
	"os"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestTheTypesThatAreAcceptedAreListed holds docs/engine.md to the table.
func TestTheTypesThatAreAcceptedAreListed(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/engine.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(AWS::\\S+)` \\| (.*) \\|$").FindAllStringSubmatch(string(text), -1) {
		listed[row[1]] = row[2]
	}
	want := map[string]string{}
	for name, about := range acceptedTypes {
		want[name] = about.reason
		if makers[name] != nil {
			t.Errorf("%s is made, and accepted without being made", name)
		}
	}
	if diff := cmp.Diff(want, listed); diff != "" {
		t.Errorf("docs/engine.md lists other types (-want +got):\n%s", diff)
	}
}

func TestTheSystemsTemplateIsMadeWithoutAWarning(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	e, err := Start(t.Context(), Options{
		Template: text, TemplateFile: "template.yaml",
		Command: func(string) ([]string, error) { return []string{"/bin/true"}, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close(context.Background()) })
	for _, warning := range e.Warnings() {
		t.Error(warning)
	}
}
