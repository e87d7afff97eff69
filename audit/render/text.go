package render

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/rekey-go/rekey/audit"
)

// Text writes the report as tables for a terminal. It uses no colours, and no
// control character but the newline.
func Text(w io.Writer, r *audit.Report) error {
	out := bufio.NewWriter(w)
	t := &text{w: out}
	t.head(r)
	t.findings(r.Findings)
	for i := range r.Secrets {
		t.secret(&r.Secrets[i])
	}
	t.principals(r.Principals)
	t.denied(r.Denied)
	t.changes(r.Changes)
	t.firstSeen(r.FirstSeen)
	t.notes(r.Coverage.Notes)
	if err := out.Flush(); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}

// text writes the parts. What goes wrong with a write, Flush tells.
type text struct{ w *bufio.Writer }

func (t *text) line(format string, args ...any) {
	fmt.Fprintln(t.w, clean(fmt.Sprintf(format, args...)))
}

func (t *text) head(r *audit.Report) {
	reads, laggards := 0, 0
	for _, s := range r.Secrets {
		reads += s.Reads
		laggards += len(provenOf(s.Laggards))
	}
	c := &r.Coverage
	if c.Events == 0 {
		t.line("Secrets audit: nothing was seen")
		t.integrity(c.Integrity)
		return
	}
	t.line("Secrets audit  %s to %s", stamp(c.FirstEvent), stamp(c.LastEvent))
	t.line("%s, %s, %s, %s", count(c.Events, "event"), count(len(r.Secrets), "secret"), count(reads, "read"), orNo(laggards, "laggard"))
	t.integrity(c.Integrity)
}

// integrity says whether the files are CloudTrail's, if that is known.
func (t *text) integrity(i *audit.Integrity) {
	if i != nil {
		t.line("%s verified, %d altered, %d missing, %d without a digest", count(i.Verified, "log file"), i.Altered, i.Missing, i.NoDigest)
	}
}

func (t *text) secret(s *audit.Secret) {
	t.line("")
	t.line("%s", clean(s.Name))
	if s.Current != "" {
		since := ""
		if !s.CurrentSince.IsZero() {
			since = " since " + stamp(s.CurrentSince)
		}
		t.line("  current version %s%s", clean(s.Current), since)
	}
	t.accesses(s)
	t.versions(s)
	t.rotations(s)
	t.deletions(s)
	t.laggards(s)
	t.controls(s)
}

func (t *text) accesses(s *audit.Secret) {
	if len(s.Accesses) == 0 {
		return
	}
	rows := [][]string{{"PRINCIPAL", "READS", "WRITES", "DENIED", "FIRST", "LAST", "LAST VERSION", "FROM"}}
	for _, a := range s.Accesses {
		rows = append(rows, []string{
			principal(a), number(a.Reads), number(a.Writes), number(a.Denied),
			stamp(a.First), stamp(a.Last), short(lastVersion(a)), from(a),
		})
	}
	t.table(rows, 1, 2, 3)
}

// versions show how far each version was adopted: who read it, and who reads it
// still.
func (t *text) versions(s *audit.Secret) {
	if len(s.Versions) == 0 {
		return
	}
	rows := [][]string{{"VERSION", "SINCE", "UNTIL", "READS", "READERS", "HOLDERS", "LEASES", "LAST READ"}}
	for _, v := range s.Versions {
		rows = append(rows, []string{
			short(v.VersionID), stamp(v.Since), stamp(v.Until), number(v.Reads), number(v.Readers),
			number(v.Holders), number(v.Leases), stamp(v.LastRead),
		})
	}
	t.table(rows, 3, 4, 5, 6)
}

func (t *text) rotations(s *audit.Secret) {
	if len(s.Rotations) == 0 {
		return
	}
	rows := [][]string{{"ROTATION", "STATUS", "TOOK", "VERSION", "BY", ""}}
	for _, r := range s.Rotations {
		at := r.Started
		if at.IsZero() {
			at = r.Ended
		}
		by := shortPrincipal(r.RequestedBy)
		if by == "" {
			by = "schedule"
		}
		rows = append(rows, []string{stamp(at), r.Status, took(r), short(r.VersionID), by, where(r)})
	}
	t.table(rows)
}

func (t *text) deletions(s *audit.Secret) {
	for _, d := range s.Deletions {
		switch {
		case !d.Restored.IsZero():
			t.line("  deleted %s by %s, restored %s", stamp(d.Scheduled), shortPrincipal(d.By), stamp(d.Restored))
		case d.Forced:
			t.line("  deleted for good %s by %s", stamp(d.Scheduled), shortPrincipal(d.By))
		default:
			t.line("  deleted %s by %s, gone %s", stamp(d.Scheduled), shortPrincipal(d.By), stamp(d.Due))
		}
		if d.Attempts > 0 {
			t.line("  asked for %s after its deletion", count(d.Attempts, "time"))
		}
	}
}

func (t *text) laggards(s *audit.Secret) {
	if len(s.Laggards) == 0 {
		return
	}
	rows := [][]string{{"LAGGARD", "EVIDENCE", "VERSION", "LAST READ"}}
	for _, l := range s.Laggards {
		evidence := l.Evidence
		if !l.Proven {
			evidence += " (no proof)"
		}
		rows = append(rows, []string{holder(l), evidence, short(l.VersionID), stamp(l.LastRead)})
	}
	t.table(rows)
}

// controls lists the verdicts that are not passed.
func (t *text) controls(s *audit.Secret) {
	for _, c := range s.Controls {
		if c.Status == audit.ControlFailed {
			t.line("  %s failed: %s", c.ID, clean(c.Reason))
		}
	}
}

func (t *text) principals(list []audit.Principal) {
	if len(list) == 0 {
		return
	}
	t.line("")
	t.line("Principals")
	rows := [][]string{{"PRINCIPAL", "SECRETS", "TRIED", "READS", "WRITES", "DENIED", "FIRST", "LAST"}}
	for _, p := range list {
		rows = append(rows, []string{
			principal(audit.Access{Principal: p.ID, Labels: p.Labels, Flags: p.Flags}), number(p.Secrets), number(p.Tried),
			number(p.Reads), number(p.Writes), number(p.Denied), stamp(p.First), stamp(p.Last),
		})
	}
	t.table(rows, 1, 2, 3, 4, 5)
}

func (t *text) changes(list []audit.Change) {
	if len(list) == 0 {
		return
	}
	t.line("")
	t.line("Changes")
	rows := [][]string{{"AT", "PRINCIPAL", "ACTION", "SECRET", "WHAT"}}
	for _, c := range list {
		what := clean(c.Detail)
		if c.Failed {
			what = strings.TrimSpace(what + " (failed)")
		}
		rows = append(rows, []string{stamp(c.At), shortPrincipal(c.Principal), clean(c.Action), clean(c.Secret), what})
	}
	t.table(rows)
}

func (t *text) firstSeen(list []audit.FirstSeen) {
	if len(list) == 0 {
		return
	}
	t.line("")
	t.line("First seen")
	rows := [][]string{{"AT", "SECRET", "NEW", "WHAT", "PRINCIPAL"}}
	for _, f := range list {
		rows = append(rows, []string{stamp(f.At), clean(f.Secret), clean(f.Kind), clean(f.Value), shortPrincipal(f.Principal)})
	}
	t.table(rows)
}

func (t *text) denied(list []audit.Denied) {
	if len(list) == 0 {
		return
	}
	t.line("")
	t.line("Denied")
	rows := [][]string{{"LAST", "COUNT", "PRINCIPAL", "ACTION", "SECRET"}}
	for _, d := range list {
		rows = append(rows, []string{stamp(d.Last), number(d.Count), shortPrincipal(d.Principal), clean(d.Action), clean(d.Secret)})
	}
	t.table(rows, 1)
}

func (t *text) findings(list []audit.Finding) {
	if len(list) == 0 {
		return
	}
	t.line("")
	t.line("Findings")
	rows := [][]string{{"SEVERITY", "KIND", "SECRET", "PRINCIPAL", "WHAT"}}
	for _, f := range list {
		rows = append(rows, []string{f.Severity, f.Kind, clean(f.Secret), finder(f), clean(f.Text)})
	}
	t.table(rows)
	t.next(list)
}

// next lists the commands that the findings name, each once.
func (t *text) next(list []audit.Finding) {
	t.line("")
	t.line("Next")
	seen := make(map[string]bool)
	for _, f := range list {
		if f.Next != "" && !seen[f.Next] {
			seen[f.Next] = true
			t.line("  %s", clean(f.Next))
		}
	}
}

func (t *text) notes(list []string) {
	if len(list) == 0 {
		return
	}
	t.line("")
	t.line("Not seen")
	for _, n := range list {
		t.line("  %s", clean(n))
	}
}

// table writes rows in columns as wide as their widest cell. The columns whose
// numbers are given are aligned to the right.
func (t *text) table(rows [][]string, right ...int) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	toRight := make(map[int]bool)
	for _, i := range right {
		toRight[i] = true
	}
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			line.WriteString("  ")
			if toRight[i] {
				line.WriteString(pad + cell)
			} else {
				line.WriteString(cell + pad)
			}
		}
		t.line("%s", strings.TrimRight(line.String(), " "))
	}
}

// clean replaces what a terminal would act upon, and what would hide or turn
// around the text beside it.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029' {
			return '?'
		}
		return r
	}, text)
}

func stamp(at time.Time) string {
	if at.IsZero() {
		return "-"
	}
	return at.UTC().Format("2006-01-02 15:04:05")
}
