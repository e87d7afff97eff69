package render

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/rekey-go/rekey/audit"
)

// Markdown writes the report as tables for a ticket or a pull request: one for
// each list that is not empty, without the columns that are. The counts over
// time are left to the other forms. No text of a record becomes a link, a
// picture or HTML.
func Markdown(w io.Writer, r *audit.Report) error {
	out := bufio.NewWriter(w)
	c := &r.Coverage
	fmt.Fprintf(out, "# Secrets audit\n\n%s to %s: %s, %s, %s.\n", stamp(c.FirstEvent), stamp(c.LastEvent),
		count(c.Events, "event"), count(len(r.Secrets), "secret"), count(len(r.Findings), "finding"))
	for _, t := range tables(r) {
		if t.name != "timeline" && t.name != "accessTimeline" {
			markdownTable(out, t)
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}

// markdownTable writes a table; what goes wrong with a write, Flush tells.
func markdownTable(out *bufio.Writer, t table) {
	rows := slices.Collect(t.rows)
	if len(rows) == 0 {
		return
	}
	used := make([]bool, len(t.columns))
	for _, row := range rows {
		for i, text := range row {
			used[i] = used[i] || text != "" && text != "0" && text != "false"
		}
	}
	fmt.Fprintf(out, "\n## %s\n\n", t.name)
	line := func(row []string, write func(string) string) {
		for i, text := range row {
			if used[i] {
				fmt.Fprintf(out, "| %s ", write(text))
			}
		}
		fmt.Fprintln(out, "|")
	}
	line(t.columns, markdown)
	line(t.columns, func(string) string { return "---" })
	for _, row := range rows {
		line(row, markdown)
	}
}

// markdown is a text that Markdown shows as it is. Signs that end a cell, or
// begin a link or HTML, become entities, as a backslash before them may be one of a pair.
func markdown(text string) string {
	return strings.NewReplacer(
		`\`, "&#92;", "|", "&#124;", "<", "&lt;", ">", "&gt;", "&", "&amp;",
		"*", `\*`, "_", `\_`, "`", "\\`", "[", "&#91;", "]", "&#93;", "~", `\~`, "!", `\!`, "$", `\$`, "#", `\#`,
		"@", "&#64;", "://", "&#58;//", "www.", "www&#46;",
	).Replace(clean(text))
}
