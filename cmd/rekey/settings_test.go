package main

import (
	"io/fs"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/rekey-go/rekey"
)

// rowsOf are the rows of the tables of a section of docs/settings.md, by each
// of the names that stand in the first cell: the cells that follow.
func rowsOf(t *testing.T, section string) map[string][]string {
	t.Helper()
	doc, err := os.ReadFile("../../docs/settings.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, ok := strings.Cut(string(doc), "\n## "+section+"\n")
	if !ok {
		t.Fatalf("docs/settings.md has no section %q", section)
	}
	text, _, _ = strings.Cut(text, "\n## ")
	rows := map[string][]string{}
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		for _, name := range quoted.FindAllStringSubmatch(cells[0], -1) {
			if !strings.HasPrefix(line, "| `") {
				break
			}
			if rows[name[1]] != nil {
				t.Errorf("docs/settings.md has two rows of %s", name[1])
			}
			rows[name[1]] = cells[1:]
		}
	}
	return rows
}

// quoted is a name as Markdown sets it.
var quoted = regexp.MustCompile("`([^`]*)`")

// namesIn are the names of a form in the Go sources outside of tests, and where
// each stands.
func namesIn(t *testing.T, form *regexp.Regexp) map[string]string {
	t.Helper()
	found := map[string]string{}
	sources := os.DirFS("../..")
	err := fs.WalkDir(sources, ".", func(file string, _ fs.DirEntry, err error) error {
		if err != nil || path.Ext(file) != ".go" || strings.HasSuffix(file, "_test.go") {
			return err
		}
		source, err := fs.ReadFile(sources, file)
		for _, name := range form.FindAllString(string(source), -1) {
			found[name] = file
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// sameNames compares the names of a document with those that are there.
func sameNames[T any](t *testing.T, documented map[string][]string, there map[string]T) {
	t.Helper()
	if diff := cmp.Diff(slices.Sorted(maps.Keys(there)), slices.Sorted(maps.Keys(documented))); diff != "" {
		t.Errorf("docs/settings.md lacks (-) or has too much (+):\n%s", diff)
	}
}

// settable is what a template lets be set.
type settable struct {
	Parameters map[string]struct {
		Default string `yaml:"Default"`
	} `yaml:"Parameters"`
	Globals struct {
		Function environment `yaml:"Function"`
	} `yaml:"Globals"`
	Resources map[string]struct {
		Properties environment `yaml:"Properties"`
	} `yaml:"Resources"`
}

type environment struct {
	Environment struct {
		Variables map[string]yaml.Node `yaml:"Variables"`
	} `yaml:"Environment"`
}

func readSettable(t *testing.T) settable {
	t.Helper()
	var s settable
	if err := yaml.Unmarshal(rekey.Template, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestTheSettingsHaveEveryParameter holds the table of the parameters to
// template.yaml: the names, and their defaults.
func TestTheSettingsHaveEveryParameter(t *testing.T) {
	t.Parallel()
	documented, there := rowsOf(t, "Parameters"), readSettable(t).Parameters
	sameNames(t, documented, there)
	for name, row := range documented {
		want := "none"
		if value := there[name].Default; value != "" {
			want = "`" + value + "`"
		}
		if row[0] != want {
			t.Errorf("docs/settings.md: the default of %s is %s, want %s", name, row[0], want)
		}
	}
}

// TestTheSettingsHaveEveryVariable holds the table of the variables to the
// names in the code, and to what template.yaml gives the functions.
func TestTheSettingsHaveEveryVariable(t *testing.T) {
	t.Parallel()
	documented, template := rowsOf(t, "Variables"), readSettable(t)
	there := namesIn(t, regexp.MustCompile(`\bREKEY(_[A-Z]+)+`))
	sameNames(t, documented, there)
	given := template.Globals.Function.Environment.Variables
	for _, r := range template.Resources {
		maps.Copy(given, r.Properties.Environment.Variables)
	}
	if len(given) < 20 {
		t.Fatalf("template.yaml gives the functions %d variables", len(given))
	}
	for name, row := range documented {
		if value, ok := given[name]; ok && row[1] != "`"+value.Value+"`" {
			t.Errorf("docs/settings.md: %s is given by %s, want %s", name, row[1], value.Value)
		} else if !ok && len(row) > 1 && strings.HasPrefix(row[1], "`") {
			t.Errorf("docs/settings.md: %s is given by %s, but template.yaml does not give it", name, row[1])
		}
	}
}

// TestTheSettingsHaveEveryTag holds the tables of the tags to the names in the
// code.
func TestTheSettingsHaveEveryTag(t *testing.T) {
	t.Parallel()
	sameNames(t, rowsOf(t, "Tags"), namesIn(t, regexp.MustCompile(`\brekey:[a-z]+(-[a-z]+)*`)))
}

// TestLinksLeadToSections checks what stands behind the # of the links between
// the documents: each is a heading there.
func TestLinksLeadToSections(t *testing.T) {
	t.Parallel()
	documents := os.DirFS("../..")
	files, err := fs.Glob(documents, "docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	link := regexp.MustCompile(`\]\(([a-zA-Z/.-]+\.md)?#([^)]+)\)`)
	for _, file := range append(files, "README.md", "CONTRIBUTING.md", "SECURITY.md") {
		text, err := fs.ReadFile(documents, file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			to := file
			if m[1] != "" {
				to = path.Join(path.Dir(file), m[1])
			}
			target, err := fs.ReadFile(documents, to)
			if err != nil || !slices.Contains(anchors(string(target)), m[2]) {
				t.Errorf("%s: %s has no section #%s (%v)", file, to, m[2], err)
			}
		}
	}
}

// anchors are the names by which GitHub links to the headings of a document.
func anchors(document string) []string {
	var all []string
	for _, m := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(document, -1) {
		name := regexp.MustCompile(`[^a-z0-9 _-]`).ReplaceAllString(strings.ToLower(m[1]), "")
		all = append(all, strings.ReplaceAll(name, " ", "-"))
	}
	return all
}
