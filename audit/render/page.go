package render

import (
	"bufio"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"reflect"
	"strings"

	"github.com/rekey-go/rekey/audit"
)

// pageFiles are what the page is made of: page.html, the static part for print
// and for readers without a script, page.css, and the script.
//
//go:embed page
var pageFiles embed.FS

// scripts are the parts of the page's one script, in their order.
func scripts() []string { return []string{"data.js", "list.js", "chart.js", "page.js"} }

// printed is how many rows of a list the static part has.
const printed = 300

// HTML writes the report as a page that needs no other file and no network, and
// follows the reader's choice of light or dark.
//
// Its static part says what matters most: it is what is printed, and what
// is there to read without a script. With one the page holds the whole report,
// to be filtered and sorted. Its policy lets nothing run but that script.
func HTML(w io.Writer, r *audit.Report) error {
	p, err := newPage(r)
	if err != nil {
		return fmt.Errorf("reading the page's files: %w", err)
	}
	out := bufio.NewWriter(w)
	if err := p.write(out); err != nil {
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
	tmpl          *template.Template
	style, script string

	Reads, DeniedCalls         int
	Rotations, FailedRotations int
	// High, Medium and Low are how many findings there are.
	High, Medium, Low int
	// ReadsOld, HoldsOld and Silent are the laggards by class.
	ReadsOld, HoldsOld, Silent []laggardRow
	RotationRows               []rotationRow
	VersionRows                []versionRow
	FailedControls             []controlRow
}

// The rows of lists that stand within a secret.
type (
	laggardRow struct {
		Secret string
		audit.Laggard
	}
	rotationRow struct {
		Secret string
		audit.Rotation
	}
	versionRow struct {
		Secret  string
		Current bool
		audit.Version
	}
	controlRow struct {
		Secret string
		audit.Control
	}
)

func newPage(r *audit.Report) (*page, error) {
	p := &page{Report: r}
	var err error
	if p.tmpl, err = template.New("page.html").Funcs(pageFuncs()).ParseFS(pageFiles, "page/page.html"); err != nil {
		return nil, err
	}
	if p.style, err = joined("page.css"); err != nil {
		return nil, err
	}
	if p.script, err = joined(scripts()...); err != nil {
		return nil, err
	}
	p.sum()
	return p, nil
}

// joined is the text of some of the page's files, one after the other.
func joined(names ...string) (string, error) {
	var text strings.Builder
	text.WriteByte('\n')
	for _, name := range names {
		part, err := pageFiles.ReadFile("page/" + name)
		if err != nil {
			return "", err
		}
		text.Write(part)
	}
	return text.String(), nil
}

// write writes the parts of the page. The style, the report and the script are
// not the template's: it would have to be told of each that it is what it is.
func (p *page) write(w io.Writer) error {
	report := writerTo(func() error { return pack(p.Report).write(w) })
	text := func(text string) writerTo {
		return func() error { _, err := io.WriteString(w, text); return err }
	}
	part := func(name string) writerTo {
		return func() error { return p.tmpl.ExecuteTemplate(w, name, p) }
	}
	for _, write := range []writerTo{
		part("head"), text("<style>" + p.style + "</style>\n"),
		part("body"), report, text(`<script type="module">` + p.script + "</script>\n"), part("end"),
	} {
		if err := write(); err != nil {
			return err
		}
	}
	return nil
}

// A writerTo writes a part of the page.
type writerTo func() error

// Policy is the page's content security policy: no request at all, its own
// style and its own script.
func (p *page) Policy() string {
	return fmt.Sprintf("default-src 'none'; style-src '%s'; script-src '%s'; base-uri 'none'; form-action 'none'", hash(p.style), hash(p.script))
}

// hash is how a policy names a text.
func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// sum counts what the page's head tells, and lists what stands within secrets.
func (p *page) sum() {
	for i := range p.Secrets {
		p.add(&p.Secrets[i])
	}
	for _, d := range p.Denied {
		p.DeniedCalls += d.Count
	}
	for i := range p.Findings {
		switch p.Findings[i].Severity {
		case audit.High:
			p.High++
		case audit.Medium:
			p.Medium++
		default:
			p.Low++
		}
	}
}

// add counts a secret, and lists what stands within it.
func (p *page) add(s *audit.Secret) {
	p.Reads += s.Reads
	for _, l := range s.Laggards {
		row := laggardRow{s.Name, l}
		switch l.Class {
		case audit.ReadsOld:
			p.ReadsOld = append(p.ReadsOld, row)
		case audit.HoldsOld:
			p.HoldsOld = append(p.HoldsOld, row)
		default:
			p.Silent = append(p.Silent, row)
		}
	}
	for _, r := range s.Rotations {
		p.Rotations++
		if r.Status == audit.Failed || r.Status == audit.Abandoned {
			p.FailedRotations++
		}
		p.RotationRows = append(p.RotationRows, rotationRow{s.Name, r})
	}
	for _, v := range s.Versions {
		p.VersionRows = append(p.VersionRows, versionRow{s.Name, v.VersionID == s.Current, v})
	}
	for _, c := range s.Controls {
		if c.Status == audit.ControlFailed {
			p.FailedControls = append(p.FailedControls, controlRow{s.Name, c})
		}
	}
}

// Proven is how many laggards are seen with an old version.
func (p *page) Proven() int { return len(p.ReadsOld) + len(p.HoldsOld) }

// pageFuncs are what the template calls.
func pageFuncs() template.FuncMap {
	return template.FuncMap{
		"stamp":     stamp,
		"short":     short,
		"clean":     clean,
		"principal": shortPrincipal,
		"number":    number,
		"count":     count,
		"took":      took,
		"where":     where,
		"holder":    holder,
		"notable":   notable,
		"join":      func(list []string) string { return clean(strings.Join(list, ", ")) },
		"most":      func() int { return printed },
		"some":      func(list []string) []string { return list[:min(len(list), 5)] },
		"first": func(list any) any {
			v := reflect.ValueOf(list)
			return v.Slice(0, min(v.Len(), printed)).Interface()
		},
	}
}
