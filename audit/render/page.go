package render

import (
	"bufio"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/rekey-go/rekey/audit"
)

//go:embed page.html
var pageText string

// HTML writes the report as a page that needs no other file, no script and no
// network, and follows the reader's choice of light or dark.
func HTML(w io.Writer, r *audit.Report) error {
	tmpl, err := template.New("page").Funcs(template.FuncMap{
		"stamp":     stamp,
		"clock":     clockTime,
		"short":     short,
		"clean":     clean,
		"principal": shortPrincipal,
		"number":    number,
		"count":     count,
		"span":      humanSpan,
		"took":      took,
		"where":     where,
		"last":      lastVersion,
		"holder":    holder,
		"notable":   notable,
		"from":      from,
		"join":      func(list []string) string { return clean(strings.Join(list, ", ")) },
	}).Parse(pageText)
	if err != nil {
		return fmt.Errorf("reading the page's template: %w", err)
	}
	out := bufio.NewWriter(w)
	if err := tmpl.Execute(out, newPage(r)); err != nil {
		return fmt.Errorf("writing the page: %w", err)
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("writing the page: %w", err)
	}
	return nil
}

// A page is a report as the template shows it.
type page struct {
	*audit.Report
	Secrets                    []secretView
	Reads, DeniedCalls         int
	Rotations, FailedRotations int
	Proven, Unproven           []laggardView
	From, To                   time.Time
	OtherFindings              []audit.Finding
}

type secretView struct {
	*audit.Secret
	Chart            *chart
	Proven, Unproven []audit.Laggard
	Classes          map[string]string
}

// Class is the colour of a version.
func (s secretView) Class(version string) string { return s.Classes[version] }

// Lags reports whether a principal is proven to use an old version.
func (s secretView) Lags(principal string) bool {
	return slices.ContainsFunc(s.Proven, func(l audit.Laggard) bool { return l.Principal == principal })
}

// FailedControls are the verdicts that are not passed.
func (s secretView) FailedControls() []audit.Control {
	return slices.DeleteFunc(slices.Clone(s.Controls), func(c audit.Control) bool { return c.Status != audit.ControlFailed })
}

type laggardView struct {
	Secret string
	audit.Laggard
}

func newPage(r *audit.Report) *page {
	p := &page{Report: r, From: r.Coverage.FirstEvent, To: r.Coverage.LastEvent}
	for i := range r.Secrets {
		s := &r.Secrets[i]
		v := secretView{Secret: s, Chart: newChart(s), Classes: versionClasses(s)}
		for _, l := range s.Laggards {
			if l.Proven {
				v.Proven = append(v.Proven, l)
				p.Proven = append(p.Proven, laggardView{s.Name, l})
			} else {
				v.Unproven = append(v.Unproven, l)
				p.Unproven = append(p.Unproven, laggardView{s.Name, l})
			}
		}
		p.Reads += s.Reads
		p.Rotations += len(s.Rotations)
		for _, rotation := range s.Rotations {
			if rotation.Status == audit.Failed || rotation.Status == audit.Abandoned {
				p.FailedRotations++
			}
		}
		p.Secrets = append(p.Secrets, v)
	}
	for _, d := range r.Denied {
		p.DeniedCalls += d.Count
	}
	for _, f := range r.Findings {
		if f.Kind != "laggard" && f.Kind != "denied" { // these have their own place
			p.OtherFindings = append(p.OtherFindings, f)
		}
	}
	return p
}

// clockTime is a time without its date, for cells that are narrow.
func clockTime(at time.Time) string {
	if at.IsZero() {
		return "-"
	}
	return at.UTC().Format("Jan 2 15:04:05")
}

// humanSpan writes a duration in its largest whole unit.
func humanSpan(d time.Duration) string {
	switch {
	case d >= day && d%day == 0:
		return count(int(d/day), "day")
	case d >= time.Hour && d%time.Hour == 0:
		return count(int(d/time.Hour), "hour")
	case d >= time.Minute && d%time.Minute == 0:
		return count(int(d/time.Minute), "minute")
	}
	return count(int(d/time.Second), "second")
}

// cut shortens a text to so many characters. Names differ at their ends as
// often as at their beginnings, so the middle goes.
func cut(text string, most int) string {
	runes := []rune(text)
	if len(runes) <= most {
		return text
	}
	head := most / 2
	return string(runes[:head]) + "…" + string(runes[len(runes)-(most-head-1):])
}
