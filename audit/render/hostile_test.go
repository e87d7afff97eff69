package render_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/rekey-go/rekey/audit"
	"github.com/rekey-go/rekey/audit/render"
)

// fill sets every text of a report to a mark of its own and the given text, and
// returns the marks by where they stand. A member that is added is among them.
func fill(v reflect.Value, path, nasty string, marks map[string]string) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), path, nasty, marks)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(noon))
			return
		}
		for f, member := range v.Fields() {
			if f.Tag.Get("json") != "-" {
				fill(member, path+"."+f.Name, nasty, marks)
			}
		}
	case reflect.Slice:
		if v.Type() == reflect.TypeFor[json.RawMessage]() {
			v.SetBytes([]byte(`{"Version":"2012-10-17"}`))
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), path, nasty, marks)
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key, path+"(key)", nasty, marks)
		fill(value, path, nasty, marks)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.String:
		mark := fmt.Sprintf("mark%04d", len(marks))
		marks[path] = mark
		v.SetString(nasty + mark)
	case reflect.Int:
		v.SetInt(1)
	case reflect.Bool:
		v.SetBool(true)
	}
}

func filled(nasty string) (r *audit.Report, marks map[string]string) {
	r, marks = new(audit.Report), make(map[string]string)
	fill(reflect.ValueOf(r).Elem(), "Report", nasty, marks)
	return r, marks
}

func written(t testing.TB, write func(io.Writer, *audit.Report) error, r *audit.Report) string {
	t.Helper()
	var buf bytes.Buffer
	if err := write(&buf, r); err != nil {
		t.Fatal(err)
	}
	return buf.String()
}

// allTables is every table of a report as CSV.
func allTables(w io.Writer, r *audit.Report) error {
	for _, name := range render.Tables() {
		if err := render.CSV(w, r, name); err != nil {
			return err
		}
	}
	return nil
}

func TestEveryTextOfAReportIsShown(t *testing.T) {
	t.Parallel()
	r, marks := filled("")
	tables, prose := written(t, allTables, r), written(t, render.Markdown, r)
	for path, mark := range marks {
		if !strings.Contains(tables, mark) {
			t.Errorf("no CSV table shows %s", path)
		}
		if !strings.Contains(prose, mark) && !strings.Contains(path, "Timeline") {
			t.Errorf("Markdown does not show %s", path)
		}
	}
	page := written(t, render.HTML, r)
	for path, mark := range marks {
		if !strings.Contains(page, mark) {
			t.Errorf("the page does not have %s", path)
		}
	}
	if len(marks) < 90 {
		t.Errorf("only %d texts were filled in", len(marks))
	}
}

// nasties are texts that whoever makes a call may put into a record.
func nasties() map[string]string {
	return map[string]string{
		"a terminal's escapes":    "\x1b]0;title\a\x1b[2J\x9b31m",
		"text turned around":      "\u202egpj.exe\u2066\u200f\u061c",
		"invisible text":          "a\u200bb\ufeff\u00ad\U000e0041",
		"new lines of all kinds":  "a\nb\rc\u0085d\u2028e\u2029f",
		"no UTF-8":                "\xff\xfe\xc0\xaf",
		"a formula":               "=cmd|' /C calc'!A0",
		"a formula after a tab":   "\t=1+1",
		"a formula of plus":       "+1+1",
		"a formula of minus":      "-1+1",
		"a formula of at":         "@SUM(A1)",
		"a formula in full width": "＝1+1",
		"a script":                "</script><script>alert(1)</script><!--",
		"an attribute":            `" onmouseover="alert(1)" x='`,
		"a Markdown cell's end":   `\| x \\| y |`,
		"a Markdown picture":      "![x](https://example.com/p.png)",
		"a link by itself":        "https://example.com www.example.com <https://example.com>",
		"Markdown's other signs":  "# *a* _b_ ~~c~~ `d` [e](f) $x$ &lt;",
	}
}

func TestHostileTextsDoNothing(t *testing.T) {
	t.Parallel()
	for name, nasty := range nasties() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checkInert(t, nasty)
		})
	}
}

func FuzzHostileTexts(f *testing.F) {
	for _, nasty := range nasties() {
		f.Add(nasty)
	}
	f.Fuzz(func(t *testing.T, nasty string) { checkInert(t, nasty) })
}

func checkInert(t *testing.T, nasty string) {
	t.Helper()
	r, _ := filled(nasty)
	tables, prose := written(t, allTables, r), written(t, render.Markdown, r)
	for form, text := range map[string]string{
		"text": written(t, render.Text, r), "CSV": tables, "Markdown": prose,
	} {
		for _, c := range text {
			if c != '\n' && (unicode.IsControl(c) || unicode.Is(unicode.Cf, c) || c == '\u2028' || c == '\u2029') {
				t.Fatalf("%s has the character %U", form, c)
			}
		}
	}
	checkCells(t, tables)
	checkMarkdown(t, prose)
	checkPage(t, written(t, render.HTML, r))
}

// checkCells looks for cells that a spreadsheet would compute.
func checkCells(t *testing.T, text string) {
	t.Helper()
	in := csv.NewReader(strings.NewReader(text))
	in.FieldsPerRecord = -1
	rows, err := in.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		for _, cell := range row {
			if strings.IndexAny(cell, "=+-@\t\r＝＋－＠") == 0 {
				t.Errorf("a cell is the formula %q", cell)
			}
		}
	}
}

// checkMarkdown looks for lines of a table that have not the columns of its
// header, and for what becomes a link, a picture or HTML.
func checkMarkdown(t *testing.T, text string) {
	t.Helper()
	columns := 0
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "|") {
			columns = 0
			continue
		}
		if n := strings.Count(line, "|"); columns == 0 {
			columns = n
		} else if n != columns {
			t.Fatalf("a row has %d columns of %d: %s", n, columns, line)
		}
	}
	for _, sign := range []string{"<", ">", "[", "]", "://", "www."} {
		if strings.Contains(text, sign) {
			t.Errorf("the text has %q", sign)
		}
	}
}

func TestATableThatIsNotThere(t *testing.T) {
	t.Parallel()
	err := render.CSV(io.Discard, new(audit.Report), "nothing")
	if err == nil || !strings.Contains(err.Error(), "findings, laggards, secrets") {
		t.Errorf("CSV: %v, want the names of the tables", err)
	}
}
