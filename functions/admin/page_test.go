package admin_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/rekey-go/rekey/internal/browsertest"
	"github.com/rekey-go/rekey/runtime/bulletin"
)

// A tab shows the page of a system. A request that leaves its host, or tells the
// token, fails the test.
type tab struct{ *browsertest.Tab }

func openTab(browser context.Context, t testing.TB, s *system) tab {
	t.Helper()
	p := tab{browsertest.Open(browser, t, func(url string) string {
		switch {
		case !strings.HasPrefix(url, s.url+"/admin"):
			return "a request to " + url
		case strings.Contains(url, token):
			return "the token is in the URL " + url
		}
		return ""
	})}
	p.Do(chromedp.Navigate(s.url+"/admin"), chromedp.WaitVisible(chromedp.CSS("#token")))
	return p
}

func (p tab) signIn() {
	p.Do(chromedp.SendKeys(chromedp.CSS("#token"), token+kb.Enter), chromedp.WaitVisible(chromedp.CSS("input[type=search]")))
	p.Until(`document.querySelectorAll("tbody tr").length > 0`)
}

// open opens the view of a secret by its link in the list.
func (p tab) open(name string) {
	link := fmt.Sprintf(`[...document.querySelectorAll("td a")].find((a) => a.textContent === %q)`, name)
	p.Until("!!" + link)
	p.Script(link + ".click()")
	p.Until(`document.querySelectorAll(".tile").length > 0`)
}

func TestThePage(t *testing.T) {
	t.Parallel()
	browser := browsertest.Start(t)
	for name, test := range map[string]func(*testing.T, *system, tab){
		"takes a right token and says so of a wrong one":               pageSignsIn,
		"finds a secret by the keyboard":                               pageFinds,
		"rotates with live steps, and rolls back after a question":     pageRotates,
		"shows a failed rotation with what to do next, and cancels it": pageShowsFailures,
		"shows hostile texts as texts":                                 pageShowsHostileTexts,
		"shows the audit":                                              pageShowsTheAudit,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			test(t, s, openTab(browser, t, s))
		})
	}
}

func pageSignsIn(t *testing.T, _ *system, p tab) {
	p.Allow("403")
	p.Do(chromedp.SendKeys(chromedp.CSS("#token"), "wrong"+kb.Enter))
	p.UntilText("This token is not accepted")
	p.Until(`document.activeElement.id === "token" && sessionStorage.length === 0`)
	p.Allow("")
	p.signIn() // the field's content is selected, so that it is typed over
	p.Until(`document.activeElement.textContent === "Secrets" && localStorage.length === 0 && document.cookie === ""`)
	p.Press("Sign out")
	p.Do(chromedp.WaitVisible(chromedp.CSS("#token")))
	p.Until(`sessionStorage.length === 0 && !document.body.innerText.includes("jwt-configuration")`)
}

func pageFinds(t *testing.T, _ *system, p tab) {
	p.signIn()
	p.Do(chromedp.KeyEvent("/"))
	p.Until(`document.activeElement.type === "search"`)
	p.Do(chromedp.KeyEvent(kb.Backspace)) // the protocol sends the character though the page took its key
	p.Do(chromedp.KeyEvent("signing jwt"))
	p.Until(`document.querySelectorAll("tbody tr").length === 1`)
	p.Until(`document.querySelector("#status").textContent === "1 secret"`)
	for range 20 { // by the tabulator to the secret
		p.Do(chromedp.KeyEvent(kb.Tab))
		if browsertest.Value[string](p.Tab, `document.activeElement.textContent`) == signed {
			p.Do(chromedp.KeyEvent(kb.Enter))
			p.Until(`document.activeElement.tagName === "H1" && document.activeElement.textContent.startsWith("jwt-configuration")`)
			return
		}
	}
	t.Error("the tabulator does not lead to the secret")
}

func pageRotates(t *testing.T, s *system, p tab) {
	s.put(t, signed, firstKey)
	p.signIn()
	p.open(signed)
	p.UntilText("CloudTrail tells of no rotation yet")
	p.Press("Rotate now")
	p.Until(`document.querySelector("ol.steps[aria-live=polite]")?.innerText.includes("consumers changed over")`)
	p.Until(`document.querySelectorAll("ol.steps li.done").length === 4`)
	p.Until(`[...document.querySelectorAll("td .pill")].some((e) => e.textContent === "✓ succeeded")`)
	rotated := s.current(t, signed)

	p.Press("Roll back")
	p.Until(`document.querySelector("dialog[open]").contains(document.activeElement)`)
	p.Press("Keep it as it is")
	p.Until(`!document.querySelector("dialog") && document.activeElement.textContent === "Roll back"`)
	if now := s.current(t, signed); now != rotated {
		t.Error("it was rolled back though the answer was no")
	}
	p.Press("Roll back")
	p.Until(`!!document.querySelector("dialog[open]")`)
	p.Script(`document.querySelector("dialog button.main").click()`)
	p.Until(`document.querySelectorAll("td .pill.good").length === 2`)
	if now := s.current(t, signed); now == rotated {
		t.Error("it was not rolled back")
	}
}

// current is the version that is current.
func (s *system) current(t testing.TB, name string) string {
	t.Helper()
	for version, labels := range s.describe(t, name).VersionIdsToStages {
		if slices.Contains(labels, "AWSCURRENT") {
			return version
		}
	}
	return ""
}

func pageShowsFailures(t *testing.T, s *system, p tab) {
	s.put(t, broken, `{"host":"localhost","username":"app","password":"x"}`)
	p.signIn()
	p.open(broken)
	p.Press("Rotate now")
	p.Until(`document.querySelector("ol.steps li.failed")?.innerText.includes("createSecret failed")`)
	p.Until(`document.querySelector("ol.steps li.failed").innerText.includes("Next: rekey plan database-credentials")`)
	p.Script(`location.hash = "#/"`)
	p.Press("failed 1")
	p.Until(`document.querySelectorAll("tbody tr").length === 1`)
	p.open(broken)
	p.Until(`document.querySelector(".note.bad").innerText.includes("Next: rekey plan database-credentials")`)
	p.Press("Cancel the rotation")
	p.Until(`!!document.querySelector("dialog[open]")`)
	p.Script(`document.querySelector("dialog button.main").click()`)
	p.UntilText("Rotation of secret 'database-credentials' cancelled")
	if aws.ToBool(s.describe(t, broken).RotationEnabled) {
		t.Error("it was not cancelled")
	}
}

func pageShowsHostileTexts(t *testing.T, s *system, p tab) {
	const hostile = `<img src=x onerror=alert(1)><script>alert(2)</script>"'><b>`
	const name = "a/b+c=d@e.f-" // what a name may have
	made, err := s.operator.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{
		Name: aws.String("dev-" + name), Description: aws.String(hostile), SecretString: aws.String(canary),
	})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	err = bulletin.New(dynamodb.NewFromConfig(s.config("operator")), "dev-rekey-bulletin").Renew(t.Context(), bulletin.Lease{
		SecretARN: *made.ARN, Consumer: hostile, VersionID: *made.VersionId, Since: now, Expires: now.Add(time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	p.signIn()
	p.UntilText(hostile)
	p.open(name)
	p.Until(fmt.Sprintf(`[...document.querySelectorAll("td")].some((e) => e.textContent === %q)`, hostile))
	p.Until(`document.querySelectorAll("main img, main script, main b").length === 0`)
	p.Until(fmt.Sprintf(`!document.documentElement.outerHTML.includes(%q)`, canary))
}

func pageShowsTheAudit(t *testing.T, s *system, p tab) {
	s.put(t, plain, "v")
	s.value(t, plain, "AWSCURRENT")
	p.signIn()
	p.Do(chromedp.Click(chromedp.CSS(`nav a[href="#/audit"]`)))
	p.UntilText("Nobody is seen to use a superseded version.")
	p.Until(`[...document.querySelectorAll("tbody tr")].some((r) => r.innerText.includes("provider-admin"))`)
	p.Until(`document.querySelector("nav a[aria-current]").textContent === "Audit"`)
}

// TestThePageIsPublicAndHoldsNothing gets its files without a token.
func TestThePageIsPublicAndHoldsNothing(t *testing.T) {
	t.Parallel()
	s := start(t)
	for path, want := range map[string]string{
		"/admin": "text/html; charset=utf-8", "/admin/assets/page.js": "text/javascript; charset=utf-8",
		"/admin/assets/page.css": "text/css; charset=utf-8", "/admin/assets/icon.svg": "image/svg+xml",
	} {
		res, err := http.Get(s.url + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		policy := res.Header.Get("Content-Security-Policy")
		if got := res.Header.Get("Content-Type"); res.StatusCode != http.StatusOK || got != want ||
			!strings.HasPrefix(policy, "default-src 'none'; ") || !strings.Contains(policy, "frame-ancestors 'none'") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: %d %s, policy %q; want %s", path, res.StatusCode, got, policy, want)
		}
	}
}

// BenchmarkPage opens the page with 5,000 secrets, signed in, until their list is
// there to be used, and until all can be searched.
func BenchmarkPage(b *testing.B) {
	browser := browsertest.Start(b)
	s := loaded(b, 5000)
	p := openTab(browser, b, s)
	p.signIn()
	var usable, complete float64
	for b.Loop() {
		s.api.Forget()
		p.Do(chromedp.Reload())
		p.Until(`document.querySelectorAll("tbody tr").length === 50 && (window.usable ??= performance.now()) > 0`)
		p.Until(`document.querySelector("[data-state=all]")?.textContent === "all 5,007" && document.body.innerText.includes("of 5,007")`)
		at := browsertest.Value[[2]float64](p.Tab, `[window.usable, performance.now()]`)
		usable, complete = usable+at[0], complete+at[1]
	}
	b.ReportMetric(usable/float64(b.N), "usable-ms")
	b.ReportMetric(complete/float64(b.N), "complete-ms")
}
