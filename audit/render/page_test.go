package render_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rekey-go/rekey/audit"
)

// The parts of a page's file.
var (
	policies = regexp.MustCompile(`http-equiv="Content-Security-Policy" content="([^"]*)"`)
	styles   = regexp.MustCompile(`(?s)<style>(.*?)</style>`)
	code     = regexp.MustCompile(`(?s)<script type="module">(.*?)</script>`)
	data     = regexp.MustCompile(`(?s)<script type="application/json" class="report">(.*?)</script>`)
)

// part is what one of these finds, which must be there once.
func part(t testing.TB, of *regexp.Regexp, text string) string {
	t.Helper()
	found := of.FindAllStringSubmatch(text, -1)
	if len(found) != 1 {
		t.Fatalf("the page has %d parts like %s, want one", len(found), of)
	}
	return found[0][1]
}

func sha(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

func TestThePageNeedsNothingElse(t *testing.T) {
	t.Parallel()
	text := page(t, adoption(time.Hour, 3))
	outside := strings.ReplaceAll(text, "http://www.w3.org/2000/svg", "") // the name of SVG, which nobody gets
	for _, what := range []string{`src=`, `url(`, `@import`, `import(`, `fetch(`, `http://`, `https://`, `<link`, `<iframe`, `style="`} {
		if strings.Contains(outside, what) {
			t.Errorf("the page has %q in it", what)
		}
	}
	for _, link := range regexp.MustCompile(`href="([^"]*)"`).FindAllStringSubmatch(text, -1) {
		if !strings.HasPrefix(link[1], "#") {
			t.Errorf("the page has a link to %s", link[1])
		}
	}
}

func TestThePagesPolicyLetsNothingElseRun(t *testing.T) {
	t.Parallel()
	text := page(t, adoption(time.Hour, 3))
	script, style := part(t, code, text), part(t, styles, text)
	want := fmt.Sprintf("default-src 'none'; style-src %s; script-src %s; base-uri 'none'; form-action 'none'", sha(style), sha(script))
	if got := html.UnescapeString(part(t, policies, text)); got != want {
		t.Errorf("the policy is\n%s, want\n%s", got, want)
	}
	if n := strings.Count(text, "<script"); n != len(data.FindAllString(text, -1))+1 {
		t.Errorf("the page has %d script elements, want its data and its script", n)
	}
	if at := strings.Index(text, "Content-Security-Policy"); at > strings.Index(text, "<style") {
		t.Error("the policy stands behind what it is about")
	}
	if regexp.MustCompile(`(?i)\son[a-z]+=["']`).MatchString(text) {
		t.Error("the page has a handler as an attribute")
	}
	for _, what := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "srcdoc", "javascript:"} {
		if strings.Contains(strings.ReplaceAll(script, "there is no innerHTML", ""), what) {
			t.Errorf("the script has %s", what)
		}
	}
}

// static is a page's text without its data and its script.
func static(text string) string { return code.ReplaceAllString(data.ReplaceAllString(text, ""), "") }

// checkPage looks for what would end the part of the page that it stands in.
func checkPage(t *testing.T, text string) {
	t.Helper()
	parts := data.FindAllStringSubmatch(text, -1)
	if strings.Count(text, "<script") != len(parts)+1 || strings.Count(text, "</script") != len(parts)+1 || strings.Contains(text, "<!--") || strings.Contains(static(text), `" onmouseover=`) {
		t.Error("the page has a text of a record as markup")
	}
	for _, part := range parts {
		if strings.ContainsAny(part[1], "<>&\u2028\u2029") {
			t.Error("the page's data has a character that HTML or a script reads")
		}
		if !json.Valid([]byte(part[1])) {
			t.Error("the page's data is no JSON")
		}
	}
}

// unpack returns a table of the page's data, by column.
func unpack(t *testing.T, r *audit.Report, name string) map[string][]float64 {
	t.Helper()
	out := make(map[string][]float64)
	for _, part := range data.FindAllStringSubmatch(page(t, r), -1) {
		var one struct {
			Table, Column string
			Values        []float64
		}
		if err := json.Unmarshal([]byte(part[1]), &one); err != nil {
			t.Fatal(err)
		}
		if one.Table == name {
			out[one.Column] = one.Values
		}
	}
	return out
}

func TestThePagesTimesAreExact(t *testing.T) {
	t.Parallel()
	r := adoption(time.Hour, 1)
	r.Secrets[0].Leases = []audit.Lease{{Consumer: "a", Expires: noon.Add(1500 * time.Millisecond)}, {Consumer: "b"}, {Consumer: "c", Expires: noon.Add(-time.Minute)}}
	got := unpack(t, r, "secrets.leases")["expires"]
	// The earliest of all times is a second after what they count from.
	if want := []float64{62.5, 0, 1}; !slices.Equal(got, want) {
		t.Errorf("the leases expire at %v, want %v", got, want)
	}
}

func TestThePageIsSmall(t *testing.T) {
	t.Parallel()
	r := adoption(96*time.Hour, 200)
	var all bytes.Buffer
	if err := json.NewEncoder(&all).Encode(r); err != nil {
		t.Fatal(err)
	}
	packed := 0
	for _, part := range data.FindAllString(page(t, r), -1) {
		packed += len(part)
	}
	if packed > all.Len()/4 {
		t.Errorf("the page has %d bytes of data for %d of JSON", packed, all.Len())
	}
}

func TestTheStaticPartSaysWhatItLeavesOut(t *testing.T) {
	t.Parallel()
	r := adoption(time.Hour, 1)
	for i := range 301 {
		r.Findings = append(r.Findings, audit.Finding{Severity: audit.Low, Text: fmt.Sprintf("finding %d.", i)})
	}
	text := static(page(t, r))
	if !strings.Contains(text, "finding 299.") || strings.Contains(text, "finding 300.") || !strings.Contains(text, "These are the first 300 of 301") {
		t.Error("want the first 300 findings, and that there are 301")
	}
	r.Findings = r.Findings[:300]
	if strings.Contains(static(page(t, r)), "These are the first") {
		t.Error("it says that something is left out where nothing is")
	}
}
