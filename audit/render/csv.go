package render

import (
	"encoding/csv"
	"fmt"
	"io"
	"strings"

	"github.com/rekey-go/rekey/audit"
)

// Tables are the names of the lists that [CSV] writes, what needs attention
// first.
func Tables() []string {
	var names []string
	for _, t := range tables(&audit.Report{}) {
		names = append(names, t.name)
	}
	return names
}

// CSV writes one of the [Tables] of a report, its header first. The columns are
// named as the members of the report's JSON form, times are in RFC 3339, and
// the parts of a list stand with semicolons between them.
//
// A text that a spreadsheet would take for a formula has an apostrophe before
// it, and a control character is a question mark: programs that want the texts
// as the records have them read the JSON form.
func CSV(w io.Writer, r *audit.Report, name string) error {
	for _, t := range tables(r) {
		if t.name == name {
			return writeCSV(w, t)
		}
	}
	return fmt.Errorf("no table %q in a report: choose one of %s", name, strings.Join(Tables(), ", "))
}

func writeCSV(w io.Writer, t table) error {
	out := csv.NewWriter(w)
	_ = out.Write(t.columns) // Error tells what went wrong
	for row := range t.rows {
		for i := range row {
			row[i] = inert(row[i])
		}
		_ = out.Write(row)
	}
	out.Flush()
	if err := out.Error(); err != nil {
		return fmt.Errorf("writing the table %s: %w", t.name, err)
	}
	return nil
}

// inert is a text that a spreadsheet shows and does not compute: not by its
// plain signs, nor by their full-width forms.
func inert(text string) string {
	text = clean(text)
	if strings.IndexAny(text, "=+-@＝＋－＠") == 0 {
		return "'" + text
	}
	return text
}
