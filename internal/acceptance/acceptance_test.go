package main

import (
	"errors"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestItSharesNoCodeWithTheProduct holds the checks to what a stranger has. The
// probe uses what users import.
func TestItSharesNoCodeWithTheProduct(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("go", "list", "-f", `{{range .Imports}}{{println $.ImportPath .}}{{end}}`, "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		pkg, imported, _ := strings.Cut(strings.TrimSpace(line), " ")
		first, _, _ := strings.Cut(imported, "/")
		ours := strings.HasPrefix(imported, "github.com/rekey-go/rekey/")
		public := strings.HasPrefix(imported, "github.com/rekey-go/rekey/runtime/") || strings.HasPrefix(imported, "github.com/rekey-go/rekey/rotation/")
		switch {
		case !strings.Contains(first, "."), strings.HasPrefix(imported, "github.com/chromedp/"):
		case strings.HasSuffix(pkg, "/probe") && (!ours || public && !strings.HasSuffix(imported, "test")):
		default:
			t.Errorf("%s imports %s", pkg, imported)
		}
	}
}

func TestStatements(t *testing.T) {
	t.Parallel()
	all := statements()
	if len(all) != last || all[0].id != "M01" || all[last-1].id != "M106" {
		t.Errorf("%d statements, from %s to %s; want M01 to M106", len(all), all[0].id, all[len(all)-1].id)
	}
	seen := make(map[string]bool)
	for i, s := range all {
		if number(s.id) != i+1 {
			t.Errorf("%s stands in the place of number %d", s.id, i+1)
		}
		if s.title == "" || seen[s.title] || strings.HasSuffix(s.title, ".") {
			t.Errorf("%s has the title %q", s.id, s.title)
		}
		seen[s.title] = true
	}
}

func TestChoose(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		args, want string // ids
		err        string
	}{
		"one":                   {args: "M39", want: "M39"},
		"a few, in their order": {args: "M106 M02 M02", want: "M02 M106"},
		"a range":               {args: "M98-M100 M99", want: "M98 M99 M100"},
		"a number that is none": {args: "M107", err: `"M107" is not among M01 to M106; write M39 or M40-M49`},
		"no id":                 {args: "login", err: `"login" is not among M01 to M106; write M39 or M40-M49`},
		"a range backwards":     {args: "M04-M02", err: `"M04-M02" is not among M01 to M106; write M39 or M40-M49`},
		"an id without its M":   {args: "39", err: `"39" is not among M01 to M106; write M39 or M40-M49`},
		"nothing takes all":     {want: ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			chosen, err := choose(statements(), strings.Fields(tt.args))
			if err != nil || tt.err != "" {
				if err == nil || err.Error() != tt.err {
					t.Errorf("choose(%s): error %v, want %q", tt.args, err, tt.err)
				}
				return
			}
			var ids []string
			for _, s := range chosen {
				ids = append(ids, s.id)
			}
			if got := strings.Join(ids, " "); tt.want != "" && got != tt.want || tt.want == "" && len(ids) != last {
				t.Errorf("choose(%s) = %s, want %s", tt.args, got, tt.want)
			}
		})
	}
}

func TestReport(t *testing.T) {
	t.Parallel()
	chosen := []statement{
		{id: "M01", title: "one holds", holds: func(*run) error { return nil }},
		{id: "M02", title: "two does not", holds: func(*run) error { return nil }},
		{id: "M03", title: "three wants a tool", holds: func(*run) error { return nil }},
	}
	tests := map[string]struct {
		results []error
		want    []string
		code    int
	}{
		"one failed": {
			results: []error{nil, errors.New("got\n  this"), errNoTool},
			want:    []string{"ok M01 one holds", "FAIL M02 two does not: got this", "FAIL M03 three wants a tool: ", "1 of 3 ok, 3 checked"},
			code:    exitFailed,
		},
		"all held": {results: []error{nil, nil, nil}, want: []string{"3 of 3 ok"}, code: exitOK},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			results := make(chan error, len(tt.results))
			for _, err := range tt.results {
				results <- err
			}
			close(results)
			var out strings.Builder
			if code := report(&out, chosen, results, false); code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			lines := strings.Split(out.String(), "\n")
			for _, want := range tt.want {
				if !slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, want) }) {
					t.Errorf("no line %q in\n%s", want, out.String())
				}
			}
		})
	}
}
