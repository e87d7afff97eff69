package render_test

import (
	"context"
	"encoding/xml"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	cdp "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/rekey-go/rekey/audit"
	"github.com/rekey-go/rekey/audit/render"
	"github.com/rekey-go/rekey/internal/browsertest"
)

// A shown is a page in a browser, as a file that makes no request.
type shown struct {
	*browsertest.Tab
	url string
}

// An opener opens the page of a report.
type opener func(*audit.Report) shown

func show(browser context.Context, t testing.TB, r *audit.Report) shown {
	t.Helper()
	path := filepath.Join(t.TempDir(), "report.html")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := render.HTML(f, r); err != nil {
		t.Fatal(err)
	}
	file := (&url.URL{Scheme: "file", Path: path}).String()
	s := shown{url: file, Tab: browsertest.Open(browser, t, func(url string) string {
		if url == file || url == "about:blank" {
			return ""
		}
		return "a request to " + url
	})}
	s.Do(chromedp.Navigate(file))
	return s
}

// to goes to a view, and waits for it.
func (s shown) to(path string) {
	s.Script(fmt.Sprintf(`new Promise((done) => {
		if (location.hash === %[1]q) return done();
		addEventListener("hashchange", done, { once: true });
		location.hash = %[1]q;
	})`, path))
}

func (s shown) key(keys ...string) {
	for _, key := range keys {
		s.Do(chromedp.KeyEvent(key))
	}
}

// fleet is a report of many secrets and what there is to be said of them.
func fleet(secrets, readers int) *audit.Report {
	r := adoption(time.Hour, 2)
	r.Coverage.Notes = []string{"3 days between the first and the last event without any, the first of them 2026-03-01"}
	one := r.Secrets[0]
	r.Secrets = nil
	for i := range secrets {
		s := one
		s.Name, s.ARN = fmt.Sprintf("app-%03d/db", i), fmt.Sprintf("arn:aws:secretsmanager:eu-west-1:111122223333:secret:app-%03d/db-AbC123", i)
		s.Reads, s.Accesses = i*7%100, nil
		for j := range readers {
			a := one.Accesses[j%2]
			a.Principal, a.Reads = fmt.Sprintf("arn:aws:iam::111122223333:role/reader-%d", j), j
			s.Accesses = append(s.Accesses, a)
		}
		r.Secrets = append(r.Secrets, s)
	}
	for j := range readers {
		r.Principals = append(r.Principals, audit.Principal{ID: fmt.Sprintf("arn:aws:iam::111122223333:role/reader-%d", j), Secrets: secrets, Policy: []byte(`{"Statement":[]}`)})
	}
	s := &r.Secrets[0]
	s.Laggards = []audit.Laggard{
		{Principal: r.Principals[0].ID, Class: audit.ReadsOld, Evidence: audit.GotOld, Proven: true, VersionID: "11111111-old", LastRead: noon, Event: "e1"},
		{Consumer: "lambda/one", Class: audit.HoldsOld, Evidence: audit.LeaseOnOld, Proven: true, VersionID: "11111111-old", Expires: noon},
		{Principal: r.Principals[1].ID, Class: audit.Silent, Evidence: audit.NoReadSince, LastRead: noon},
	}
	s.Versions = slices.Clone(s.Versions)
	s.Versions[1].Adoption = []audit.Adoption{{At: noon, Principal: r.Principals[1].ID, From: "11111111-old", On: 1, Of: 2}}
	s.Rotations = []audit.Rotation{{Started: noon, Ended: noon.Add(time.Minute), Status: audit.Failed, Step: "setSecret", Failures: 1, Events: []string{"e2"}}}
	s.Controls = []audit.Control{{ID: "SecretsManager.1", Severity: audit.Medium, Status: audit.ControlFailed, Reason: "automatic rotation is off"}}
	for i, severity := range []string{audit.High, audit.Medium, audit.Low, audit.Low} {
		r.Findings = append(r.Findings, audit.Finding{
			Severity: severity, Kind: audit.KindLaggard, Secret: s.Name, SecretARN: s.ARN, Principal: r.Principals[0].ID, At: noon,
			Text: fmt.Sprintf("finding %d", i), Events: []string{"event-of-it"}, Next: "rekey status " + s.ARN,
		})
	}
	return r
}

func TestThePageInABrowser(t *testing.T) {
	t.Parallel()
	browser := browsertest.Start(t)
	for name, test := range map[string]func(*testing.T, opener){
		"says first what needs attention":                       pageBegins,
		"finds, opens and comes back by the keyboard":           pageFinds,
		"sorts by the heads of columns":                         pageSorts,
		"turns pages":                                           pageTurns,
		"leads from a secret to a principal and its policy":     pageLeads,
		"shows every text of a report":                          pageShowsAll,
		"shows hostile texts as texts":                          pageShowsHostileTexts,
		"draws reads over any span":                             pageDraws,
		"gives each version a colour, and lets many readers in": pageColours,
		"draws rotations over time":                             pageDrawsRotations,
		"can be read in light and dark":                         pageContrasts,
		"fits a telephone":                                      pageFits,
		"has landmarks, titles and names":                       pageIsAccessible,
		"prints what matters, and says what it leaves out":      pagePrints,
		"says what matters without a script":                    pageWithoutScript,
		"shows a report of nothing":                             pageOfNothing,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, func(r *audit.Report) shown { return show(browser, t, r) })
		})
	}
}

func pageBegins(t *testing.T, open opener) {
	p := open(fleet(3, 2))
	p.UntilText("1 high, 1 medium, 2 low findings")
	p.UntilText("1 given an old version, 1 with a lease on one. 1 silent")
	p.UntilText("3 days between the first and the last event")
	titles := browsertest.Value[[]string](p.Tab, `[...document.querySelectorAll("#view h2")].map((h) => h.textContent)`)
	if want := "Findings, Laggards that were given an old version, Laggards with a lease on an old version, Silent since the version changed"; strings.Join(titles, ", ") != want {
		t.Errorf("the view has %q, want %s", titles, want)
	}
	p.Script(`document.querySelector("#view summary").click()`)
	p.UntilText("event-of-it")
	p.Press("high 1")
	p.Until(`document.querySelector("#view tbody").rows.length === 1`)
	p.Script(`navigator.clipboard.writeText = async (text) => { window.copied = text; }`)
	p.Press("Copy")
	p.Until(`window.copied.startsWith("rekey status arn:") && document.querySelector("#status").textContent === "Copied"`)
}

func pageFinds(t *testing.T, open opener) {
	p := open(fleet(200, 2))
	p.to("#/secrets")
	p.key("/")
	p.Until(`document.activeElement.type === "search"`)
	p.key(kb.Backspace) // the protocol sends the character though the page took its key
	p.key("db p-07")
	p.Until(`document.querySelector("#view tbody").rows.length === 10`)
	p.Until(`document.querySelector("#status").textContent === "Secrets: 10 of 200"`)
	p.key(kb.ArrowDown, kb.ArrowDown, kb.ArrowDown, kb.ArrowUp)
	p.Until(`document.activeElement.textContent === "app-071/db"`)
	p.key(kb.Enter)
	p.Until(`location.hash === "#/secrets/71" && document.activeElement.tagName === "H1" && document.title === "app-071/db - Secrets audit"`)
	p.Script(`history.back()`)
	p.Until(`document.activeElement.textContent === "app-071/db" && document.querySelector("#view input").value === "db p-07"`)
	p.Until(`document.querySelector("#view tbody").rows.length === 10`)
	p.key("/", kb.Escape)
	p.Until(`document.querySelector("#view .shown").textContent === "1 to 50 of 200"`)
	p.key("nothing is like this")
	p.UntilText("Nothing is like this.")
}

func pageSorts(t *testing.T, open opener) {
	p := open(fleet(60, 2))
	p.to("#/secrets")
	const reads = `[...document.querySelectorAll("#view th")].find((h) => h.textContent === "Reads")`
	first := func() string {
		return browsertest.Value[string](p.Tab, reads+`.ariaSort + " " + document.querySelector("#view tbody").rows[0].cells[2].textContent`)
	}
	p.Script(reads + `.querySelector("button").focus()`)
	for _, want := range []string{"descending 99", "ascending 0", "none 0"} {
		p.key(kb.Enter)
		if got := first(); got != want {
			t.Errorf("the column is %q, want %q", got, want)
		}
	}
	p.Press("Secret")
	p.Until(`document.querySelector("#view tbody").rows[0].cells[0].textContent.startsWith("app-000/db")`)
	p.Press("Secret")
	p.Until(`document.querySelector("#view tbody").rows[0].cells[0].textContent.startsWith("app-059/db")`)
}

func pageTurns(t *testing.T, open opener) {
	p := open(fleet(120, 2))
	p.to("#/secrets")
	for _, want := range []string{"51 to 100 of 120", "101 to 120 of 120"} {
		p.Press("Next")
		p.Until(fmt.Sprintf(`document.querySelector("#view .shown").textContent === %q`, want))
	}
	p.Until(`document.activeElement.textContent === "First"`) // there is no next one to press
	p.Do(chromedp.Reload())
	p.Until(`document.querySelector("#view .shown")?.textContent === "101 to 120 of 120"`)
}

func pageLeads(t *testing.T, open opener) {
	p := open(fleet(3, 2))
	p.to("#/secrets/0")
	p.Script(`[...document.querySelectorAll("#view a")].find((a) => a.textContent === "role reader-1").click()`)
	p.Until(`location.hash === "#/principals/1" && document.querySelector("#view h1").textContent.startsWith("role reader-1")`)
	p.UntilText(`"Statement": []`)
	p.Until(`document.querySelector("[aria-label^=Adoption] tbody").innerText.replace(/\s+/g, " ") === "2026-03-02 12:00:00 app-000/db 22222222 ✓ current 11111111 1 of 2"`)
	p.Until(`document.querySelectorAll("nav [aria-current]").length === 1 && document.querySelector("nav [aria-current]").textContent.startsWith("Principals")`)
	p.to("#/no/such/view")
	p.UntilText("1 high, 1 medium, 2 low findings")
}

// everything goes through all views and all rows, and returns what is there to
// be read.
const everything = `(async () => {
	const texts = [];
	const tables = new Map([...document.querySelectorAll("script.report")].map((e) => JSON.parse(e.textContent)).filter((p) => p.table).map((p) => [p.table, p.rows]));
	const paths = [...tables].flatMap(([name, rows]) => ["#/" + name, ...Array.from({ length: rows }, (_, i) => "#/" + name + "/" + i)]);
	const view = document.querySelector("#view");
	for (const path of ["#/", ...paths]) {
		const there = new Promise((done) => addEventListener("hashchange", done, { once: true }));
		location.hash = path + "?";
		await there;
		texts.push(view.textContent, ...[...view.querySelectorAll("[title]")].map((e) => e.title));
	}
	return texts.join("\n");
})()`

func (s shown) everything() string {
	s.Script("window.all = undefined; " + everything + ".then((text) => { window.all = text; })")
	s.Until(`window.all !== undefined`)
	return browsertest.Value[string](s.Tab, `window.all`)
}

func pageShowsAll(t *testing.T, open opener) {
	r, marks := filled("")
	all := open(r).everything()
	for path, mark := range marks {
		if !strings.Contains(all, mark) {
			t.Errorf("no view shows %s", path)
		}
	}
}

func pageShowsHostileTexts(t *testing.T, open opener) {
	r, _ := filled(strings.Join(slices.Sorted(maps.Values(nasties())), " "))
	p := open(r)
	p.everything()
	if n := browsertest.Value[int](p.Tab, `document.querySelectorAll("img, b, script:not(.report, [type=module]), [onmouseover], a:not([href^='#'])").length`); n > 0 {
		t.Errorf("%d elements come from a text", n)
	}
}

var (
	ticks = regexp.MustCompile(`<text class="tick" x="([\d.]+)" y="\d+" dy="16" text-anchor="middle">([^<]+)</text>`)
	rects = regexp.MustCompile(`<rect class="(\w+)"`)
)

// drawing is the chart of the first secret.
func drawing(open opener, r *audit.Report) string {
	p := open(r)
	p.to("#/secrets/0")
	return browsertest.Value[string](p.Tab, `new XMLSerializer().serializeToString(document.querySelector("svg"))`)
}

func pageDraws(t *testing.T, open opener) {
	for name, tt := range map[string]struct {
		span time.Duration
		tick string // form of the axis's texts
	}{
		"a second":      {time.Second, `^\d\d:\d\d:\d\d$`},
		"half a minute": {30 * time.Second, `^\d\d:\d\d:\d\d$`},
		"an hour":       {time.Hour, `^\d\d:\d\d$`},
		"a day":         {24 * time.Hour, `^\d\d:\d\d$`},
		"a month":       {30 * 24 * time.Hour, `^[A-Z][a-z]{2} \d+$`},
		"three years":   {3 * 365 * 24 * time.Hour, `^[A-Z][a-z]{2} \d+$`},
	} {
		chart := drawing(open, adoption(tt.span, 3))
		if err := xml.Unmarshal([]byte(chart), new(struct{})); err != nil {
			t.Fatalf("%s: the chart is no XML: %v", name, err)
		}
		found := ticks.FindAllStringSubmatch(chart, -1)
		if len(found) < 3 || len(found) > 13 {
			t.Errorf("%s: %d ticks, want between 3 and 13", name, len(found))
		}
		last := -1000.0
		for _, tick := range found {
			if !regexp.MustCompile(tt.tick).MatchString(tick[2]) {
				t.Errorf("%s: tick %q does not look like %s", name, tick[2], tt.tick)
			}
			var x float64
			if _, err := fmt.Sscan(tick[1], &x); err != nil {
				t.Fatal(err)
			}
			if x-last < 56 {
				t.Errorf("%s: tick %q at %v runs into the one at %v", name, tick[2], x, last)
			}
			last = x
		}
	}
}

func pageColours(t *testing.T, open opener) {
	classes := make(map[string]int)
	for _, m := range rects.FindAllStringSubmatch(drawing(open, adoption(time.Hour, 2)), -1) {
		classes[m[1]]++
	}
	// Each interval has a column and a cell in both lanes: v0 is the current
	// version, v1 the one before.
	if classes["v0"] == 0 || classes["v1"] == 0 || classes["v0"]%3 != 0 || len(classes) != 2 {
		t.Errorf("rectangles by class: %v", classes)
	}
	p := open(adoption(time.Hour, 40))
	p.to("#/secrets/0")
	p.UntilText("and 28 more readers")
}

func pageDrawsRotations(t *testing.T, open opener) {
	r := adoption(time.Hour, 1)
	for day := range 30 {
		status := audit.Succeeded
		if day%10 == 9 {
			status = audit.Failed
		}
		at := noon.Add(time.Duration(day) * 24 * time.Hour)
		r.Secrets[0].Rotations = append(r.Secrets[0].Rotations, audit.Rotation{Started: at, Ended: at, Status: status})
	}
	p := open(r)
	p.to("#/secrets.rotations")
	classes := make(map[string]int)
	for _, m := range rects.FindAllStringSubmatch(browsertest.Value[string](p.Tab, `document.querySelector("svg").outerHTML`), -1) {
		classes[m[1]]++
	}
	if classes["succeeded"] != 27 || classes["failed"] != 3 {
		t.Errorf("columns by status: %v, want 27 succeeded and 3 failed", classes)
	}
	p.UntilText("3 failed")
}

// views are those that tests look at.
func views() []string {
	return []string{"#/", "#/secrets", "#/secrets/0", "#/principals", "#/principals/0", "#/secrets.accesses", "#/secrets.versions", "#/secrets.rotations", "#/findings/0", "#/report/0"}
}

// contrasts lists the texts that are hard to tell from their background: WCAG's
// ratio of 4.5 is not reached.
const contrasts = `(() => {
	const rgb = (text) => text.match(/[\d.]+/g).map(Number);
	const light = (text) => {
		const [r, g, b] = rgb(text).map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
		return 0.2126 * r + 0.7152 * g + 0.0722 * b;
	};
	const under = (e) => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor; if (rgb(c)[3] !== 0) return c; } return "rgb(255,255,255)"; };
	const bad = [];
	for (const e of document.querySelectorAll("body *")) {
		if (!e.checkVisibility() || e.closest("svg, button:disabled, .hidden, .skip") || ![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())) continue;
		const [a, b] = [light(getComputedStyle(e).color), light(under(e))];
		const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
		if (ratio < 4.5) bad.push(ratio.toFixed(2) + " " + e.tagName + "." + e.className + " " + e.textContent.slice(0, 30));
	}
	return [...new Set(bad)];
})()`

func pageContrasts(t *testing.T, open opener) {
	p := open(fleet(60, 3))
	backgrounds := make(map[string]bool)
	for _, scheme := range []string{"light", "dark"} {
		media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}
		if _, err := chromedp.Call(p.Context(), emulation.SetEmulatedMedia, media); err != nil {
			t.Fatal(err)
		}
		backgrounds[browsertest.Value[string](p.Tab, `getComputedStyle(document.body).backgroundColor`)] = true
		for _, view := range views() {
			p.to(view)
			for _, text := range browsertest.Value[[]string](p.Tab, contrasts) {
				t.Errorf("%s, %s: %s", scheme, view, text)
			}
		}
	}
	if len(backgrounds) != 2 {
		t.Errorf("the backgrounds are %v, want one for light and one for dark", backgrounds)
	}
}

func pageFits(t *testing.T, open opener) {
	p := open(fleet(60, 3))
	phone := emulation.SetDeviceMetricsOverrideParams{Width: 400, Height: 800, DeviceScaleFactor: 1, Mobile: true}
	if _, err := chromedp.Call(p.Context(), emulation.SetDeviceMetricsOverride, phone); err != nil {
		t.Fatal(err)
	}
	for _, view := range views() {
		p.to(view)
		if width := browsertest.Value[int](p.Tab, `document.documentElement.scrollWidth`); width > 400 {
			t.Errorf("%s is %d wide", view, width)
		}
	}
}

func pageIsAccessible(t *testing.T, open opener) {
	p := open(fleet(60, 3))
	for _, view := range views() {
		p.to(view)
		for what, expression := range map[string]string{
			"one first heading":             `[...document.querySelectorAll("h1")].filter((h) => h.checkVisibility()).length === 1`,
			"a header, a main and a footer": `!!document.querySelector("body > header nav[aria-label]") && !!document.querySelector("body > main") && !!document.querySelector("body > footer")`,
			"a caption on each table":       `[...document.querySelectorAll("#view table")].every((t) => t.caption?.textContent)`,
			"a scope on each head":          `[...document.querySelectorAll("#view th")].every((h) => h.scope === "col")`,
			"a name on each field":          `[...document.querySelectorAll("#view input")].every((i) => i.ariaLabel)`,
			"a text on each button":         `[...document.querySelectorAll("#view button, #view a")].every((b) => b.textContent.trim() || b.ariaLabel)`,
			"a title on the page":           `document.title.includes("Secrets audit")`,
			"no element with an id twice":   `new Set([...document.querySelectorAll("[id]")].map((e) => e.id)).size === document.querySelectorAll("[id]").length`,
			"a state not by colour alone":   `[...document.querySelectorAll("#view .pill")].every((p) => p.textContent.trim().length > 2)`,
		} {
			if !browsertest.Value[bool](p.Tab, expression) {
				t.Errorf("%s has not %s", view, what)
			}
		}
	}
}

func pagePrints(t *testing.T, open opener) {
	p := open(fleet(301, 2))
	for view, want := range map[string][]string{
		"#/":          {"finding 0", "app-299/db", "These are the first 300 of 301"},
		"#/secrets":   {"app-299/db", "These are the first 300 of 301."},
		"#/secrets/0": {"SecretsManager.1", "setSecret", "app-000/db"},
	} {
		p.to(view)
		pdf, err := chromedp.Call(p.Context(), cdp.PrintToPDF, cdp.PrintToPDFParams{})
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(pdf.Data), "%PDF") || len(pdf.Data) < 20_000 {
			t.Errorf("%s prints as %d bytes, begins with %.10q", view, len(pdf.Data), pdf.Data)
		}
		print := emulation.SetEmulatedMediaParams{Media: "print"}
		if _, err := chromedp.Call(p.Context(), emulation.SetEmulatedMedia, print); err != nil {
			t.Fatal(err)
		}
		p.Script(`dispatchEvent(new Event("beforeprint"))`)
		text := p.Text()
		for _, one := range want {
			if !strings.Contains(text, one) {
				t.Errorf("%s on paper has no %q", view, one)
			}
		}
		if strings.Contains(text, "app-300/db") || strings.Contains(text, "Copy") {
			t.Errorf("%s on paper has a row beyond its bound, or a button", view)
		}
		p.Script(`dispatchEvent(new Event("afterprint"))`)
		if _, err := chromedp.Call(p.Context(), emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{}); err != nil {
			t.Fatal(err)
		}
		if rows := browsertest.Value[int](p.Tab, `document.querySelector("#view tbody").rows.length`); rows > 50 {
			t.Errorf("%s has %d rows after it was printed", view, rows)
		}
	}
}

func pageWithoutScript(t *testing.T, open opener) {
	p := open(fleet(3, 2))
	if _, err := chromedp.Call(p.Context(), emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
		t.Fatal(err)
	}
	p.Do(chromedp.Navigate("about:blank"), chromedp.Navigate(p.url))
	text := p.Text()
	for _, want := range []string{"Without JavaScript this page shows", "finding 3", "event-of-it", "With a lease on an old version", "app-002/db", "setSecret"} {
		if !strings.Contains(text, want) {
			t.Errorf("without a script the page has no %q", want)
		}
	}
}

func pageOfNothing(t *testing.T, open opener) {
	p := open(&audit.Report{Generated: noon, Coverage: audit.Coverage{Notes: []string{"no event of Secrets Manager was seen"}}})
	p.UntilText("Nothing was seen")
	p.UntilText("no event of Secrets Manager was seen")
	if views := browsertest.Value[string](p.Tab, `document.querySelector("nav").textContent`); views != "Attention 0Secrets 0Coverage" {
		t.Errorf("the views are %q", views)
	}
}
