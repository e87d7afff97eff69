package admin_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/rekey-go/rekey/runtime/bulletin"
)

// newBrowser starts a browser without a window, for tests that open tabs in it.
func newBrowser(t testing.TB) context.Context {
	t.Helper()
	program := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			program = path
			break
		}
	}
	if program == "" {
		if os.Getenv("REQUIRE_ENGINES") == "" {
			t.Skip("SKIPPED: there is no chromium; REQUIRE_ENGINES=1 makes this a failure")
		}
		t.Fatal("there is no chromium")
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program), chromedp.WindowSize(1280, 900))
	if os.Geteuid() == 0 {
		opts = append(opts, chromedp.NoSandbox) // it has none for root
	}
	ctx, cancel := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), opts...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("starting %s: %v", program, err)
	}
	return ctx
}

// A tab shows the page of a system. Whatever the browser complains of, and each
// request that leaves the host, fails the test.
type tab struct {
	t   testing.TB
	ctx context.Context
	url string

	mu      sync.Mutex
	allowed string // what it may complain of
}

func openTab(browser context.Context, t testing.TB, s *system) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	p := &tab{t: t, ctx: ctx, url: s.url}
	messages := chromedp.Console(ctx)
	if err := chromedp.Listen(ctx, p.hear); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, network.Enable, network.EnableParams{}); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for m, err := range messages {
			if err != nil {
				return // the tab is closed
			}
			p.complain(fmt.Sprintf("%v %s %s", m, m.Source, m.URL)) // what breaks the policy is among them
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	p.do(chromedp.Navigate(s.url+"/admin"), chromedp.WaitVisible(chromedp.CSS("#token")))
	return p
}

// allow lets the browser complain of what has a text.
func (p *tab) allow(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.allowed = text
}

func (p *tab) complain(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.allowed == "" || !strings.Contains(text, p.allowed) {
		p.t.Errorf("the browser complains: %s", text)
	}
}

func (p *tab) hear(event any) {
	switch e := event.(type) {
	case *page.EventJavascriptDialogOpening:
		p.complain("a dialog: " + e.Message)
	case *network.EventRequestWillBeSent:
		if !strings.HasPrefix(e.Request.URL, p.url+"/admin") {
			p.complain("a request to " + e.Request.URL)
		}
		if strings.Contains(e.Request.URL, token) {
			p.complain("the token is in the URL " + e.Request.URL)
		}
	}
}

func (p *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, steps...); err != nil {
		p.t.Fatalf("%v\nthe page has: %s", err, p.text())
	}
}

// script runs a script in the page, and waits for its promise.
func (p *tab) script(text string) {
	p.t.Helper()
	p.do(chromedp.Evaluate[chromedp.Void](text, chromedp.EvalAwaitPromise))
}

// text is what the page has to read.
func (p *tab) text() string {
	text, _ := chromedp.Run(p.ctx, chromedp.Evaluate[string](`document.body.innerText`)) // only for a message
	return text
}

// until waits for an expression to be true. It is not chromedp.Poll, which makes
// a function of a text: the page's policy does not let it.
func (p *tab) until(expression string) {
	p.t.Helper()
	p.script(fmt.Sprintf(`new Promise((is, never) => {
		const end = performance.now() + 20_000;
		const look = () => (%s) ? is() : performance.now() > end ? never(new Error(%q)) : setTimeout(look, 5);
		look();
	})`, expression, "it never was so: "+expression))
}

// untilText waits for a text in the page.
func (p *tab) untilText(text string) {
	p.t.Helper()
	p.until(fmt.Sprintf(`document.body.innerText.includes(%q)`, text))
}

// press presses the button with a text.
func (p *tab) press(text string) {
	p.t.Helper()
	button := fmt.Sprintf(`[...document.querySelectorAll("button")].findLast((b) => b.textContent === %q && !b.disabled)`, text)
	p.until("!!" + button)
	p.script(fmt.Sprintf("{ const b = %s; b.focus(); b.click() }", button))
}

func (p *tab) signIn() {
	p.t.Helper()
	p.do(chromedp.SendKeys(chromedp.CSS("#token"), token+kb.Enter), chromedp.WaitVisible(chromedp.CSS("input[type=search]")))
	p.until(`document.querySelectorAll("tbody tr").length > 0`)
}

// open opens the view of a secret by its link in the list.
func (p *tab) open(name string) {
	p.t.Helper()
	link := fmt.Sprintf(`[...document.querySelectorAll("td a")].find((a) => a.textContent === %q)`, name)
	p.until("!!" + link)
	p.script(link + ".click()")
	p.until(`document.querySelectorAll(".tile").length > 0`)
}

func TestThePage(t *testing.T) {
	t.Parallel()
	browser := newBrowser(t)
	for name, test := range map[string]func(*testing.T, *system, *tab){
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

func pageSignsIn(t *testing.T, _ *system, p *tab) {
	p.allow("403")
	p.do(chromedp.SendKeys(chromedp.CSS("#token"), "wrong"+kb.Enter))
	p.untilText("This token is not accepted")
	p.until(`document.activeElement.id === "token" && sessionStorage.length === 0`)
	p.allow("")
	p.signIn() // the field's content is selected, so that it is typed over
	p.until(`document.activeElement.textContent === "Secrets" && localStorage.length === 0 && document.cookie === ""`)
	p.press("Sign out")
	p.do(chromedp.WaitVisible(chromedp.CSS("#token")))
	p.until(`sessionStorage.length === 0 && !document.body.innerText.includes("jwt-configuration")`)
}

func pageFinds(t *testing.T, _ *system, p *tab) {
	p.signIn()
	p.do(chromedp.KeyEvent("/"))
	p.until(`document.activeElement.type === "search"`)
	p.do(chromedp.KeyEvent(kb.Backspace)) // the protocol sends the character though the page took its key
	p.do(chromedp.KeyEvent("signing jwt"))
	p.until(`document.querySelectorAll("tbody tr").length === 1`)
	p.until(`document.querySelector("#status").textContent === "1 secret"`)
	for range 20 { // by the tabulator to the secret
		p.do(chromedp.KeyEvent(kb.Tab))
		at, err := chromedp.Run(p.ctx, chromedp.Evaluate[string](`document.activeElement.textContent`))
		if err != nil {
			t.Fatal(err)
		}
		if at == signed {
			p.do(chromedp.KeyEvent(kb.Enter))
			p.until(`document.activeElement.tagName === "H1" && document.activeElement.textContent.startsWith("jwt-configuration")`)
			return
		}
	}
	t.Error("the tabulator does not lead to the secret")
}

func pageRotates(t *testing.T, s *system, p *tab) {
	s.put(t, signed, firstKey)
	p.signIn()
	p.open(signed)
	p.untilText("CloudTrail tells of no rotation yet")
	p.press("Rotate now")
	p.until(`document.querySelector("ol.steps[aria-live=polite]")?.innerText.includes("consumers changed over")`)
	p.until(`document.querySelectorAll("ol.steps li.done").length === 4`)
	p.until(`[...document.querySelectorAll("td .pill")].some((e) => e.textContent === "✓ succeeded")`)
	rotated := s.current(t, signed)

	p.press("Roll back")
	p.until(`document.querySelector("dialog[open]").contains(document.activeElement)`)
	p.press("Keep it as it is")
	p.until(`!document.querySelector("dialog") && document.activeElement.textContent === "Roll back"`)
	if now := s.current(t, signed); now != rotated {
		t.Error("it was rolled back though the answer was no")
	}
	p.press("Roll back")
	p.until(`!!document.querySelector("dialog[open]")`)
	p.script(`document.querySelector("dialog button.main").click()`)
	p.until(`document.querySelectorAll("td .pill.good").length === 2`)
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

func pageShowsFailures(t *testing.T, s *system, p *tab) {
	s.put(t, broken, `{"host":"localhost","username":"app","password":"x"}`)
	p.signIn()
	p.open(broken)
	p.press("Rotate now")
	p.until(`document.querySelector("ol.steps li.failed")?.innerText.includes("createSecret failed")`)
	p.until(`document.querySelector("ol.steps li.failed").innerText.includes("Next: rekey plan database-credentials")`)
	p.script(`location.hash = "#/"`)
	p.press("failed 1")
	p.until(`document.querySelectorAll("tbody tr").length === 1`)
	p.open(broken)
	p.until(`document.querySelector(".note.bad").innerText.includes("Next: rekey plan database-credentials")`)
	p.press("Cancel the rotation")
	p.until(`!!document.querySelector("dialog[open]")`)
	p.script(`document.querySelector("dialog button.main").click()`)
	p.untilText("Rotation of secret 'database-credentials' cancelled")
	if aws.ToBool(s.describe(t, broken).RotationEnabled) {
		t.Error("it was not cancelled")
	}
}

func pageShowsHostileTexts(t *testing.T, s *system, p *tab) {
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
	p.untilText(hostile)
	p.open(name)
	p.until(fmt.Sprintf(`[...document.querySelectorAll("td")].some((e) => e.textContent === %q)`, hostile))
	p.until(`document.querySelectorAll("main img, main script, main b").length === 0`)
	p.until(fmt.Sprintf(`!document.documentElement.outerHTML.includes(%q)`, canary))
}

func pageShowsTheAudit(t *testing.T, s *system, p *tab) {
	s.put(t, plain, "v")
	s.value(t, plain, "AWSCURRENT")
	p.signIn()
	p.do(chromedp.Click(chromedp.CSS(`nav a[href="#/audit"]`)))
	p.untilText("Nobody is seen to use a superseded version.")
	p.until(`[...document.querySelectorAll("tbody tr")].some((r) => r.innerText.includes("provider-admin"))`)
	p.until(`document.querySelector("nav a[aria-current]").textContent === "Audit"`)
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
	browser := newBrowser(b)
	s := loaded(b, 5000)
	p := openTab(browser, b, s)
	p.signIn()
	var usable, complete float64
	for b.Loop() {
		s.api.Forget()
		p.do(chromedp.Reload())
		p.until(`document.querySelectorAll("tbody tr").length === 50 && (window.usable ??= performance.now()) > 0`)
		p.until(`document.querySelector("[data-state=all]")?.textContent === "all 5,007" && document.body.innerText.includes("of 5,007")`)
		at, err := chromedp.Run(p.ctx, chromedp.Evaluate[[2]float64](`[window.usable, performance.now()]`))
		if err != nil {
			b.Fatal(err)
		}
		usable, complete = usable+at[0], complete+at[1]
	}
	b.ReportMetric(usable/float64(b.N), "usable-ms")
	b.ReportMetric(complete/float64(b.N), "complete-ms")
}
