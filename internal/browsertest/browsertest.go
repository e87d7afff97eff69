package browsertest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/rekey-go/rekey/internal/child/childtest"
)

// Start starts a browser without a window, which ends with the test. [Open] opens
// tabs in it.
func Start(tb testing.TB) context.Context {
	tb.Helper()
	program := find()
	if program == "" {
		childtest.Missing(tb, errors.New("no chromium found"), "install it: apt-get install chromium, or Google Chrome")
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program), chromedp.WindowSize(1280, 900))
	if os.Geteuid() == 0 {
		opts = append(opts, chromedp.NoSandbox) // it has none for root
	}
	ctx, cancel := chromedp.NewExecAllocator(context.WithoutCancel(tb.Context()), opts...)
	tb.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	tb.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		tb.Fatalf("starting %s: %v", program, err)
	}
	return ctx
}

// find is the path of the machine's chromium; empty if there is none.
func find() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// A Tab shows a page. Whatever the browser complains of fails the test.
type Tab struct {
	t   testing.TB
	ctx context.Context
	// refuse says what is wrong with a request; nothing if it may be made.
	refuse func(url string) string

	mu      sync.Mutex
	allowed string        // what it may complain of
	did     chan struct{} // has a token when it has complained of that
}

// Open opens a tab with storage of its own. Of each request that the page makes,
// refuse says what is wrong with its URL, or nothing.
func Open(browser context.Context, tb testing.TB, refuse func(url string) string) *Tab {
	tb.Helper()
	ctx, cancel := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	tb.Cleanup(cancel)
	p := &Tab{t: tb, ctx: ctx, refuse: refuse, did: make(chan struct{}, 1)}
	messages := chromedp.Console(ctx)
	if err := chromedp.Listen(ctx, p.hear); err != nil {
		tb.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, network.Enable, network.EnableParams{}); err != nil {
		tb.Fatal(err)
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
	tb.Cleanup(func() { cancel(); <-done })
	return p
}

// Context is the tab's, for what chromedp can do with it besides.
func (p *Tab) Context() context.Context { return p.ctx }

// Allow lets the browser complain of what has a text until it is called with none.
// That waits for the complaint, which comes later than what it is about.
func (p *Tab) Allow(text string) {
	p.t.Helper()
	if text == "" {
		select {
		case <-p.did:
		case <-time.After(patience):
			p.t.Errorf("the browser has not complained of %q", p.allowed)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.allowed = text
}

// patience is how long a test waits for what must happen. It is long, for
// machines under load, and waited out only by a test that fails.
const patience = 3 * time.Minute

func (p *Tab) complain(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.allowed == "" || !strings.Contains(text, p.allowed) {
		p.t.Errorf("the browser complains: %s", text)
		return
	}
	select {
	case p.did <- struct{}{}:
	default: // it has done so before
	}
}

func (p *Tab) hear(event any) {
	switch e := event.(type) {
	case *page.EventJavascriptDialogOpening:
		p.complain("a dialog: " + e.Message)
	case *network.EventRequestWillBeSent:
		if wrong := p.refuse(e.Request.URL); wrong != "" {
			p.complain(wrong)
		}
	}
}

// Do takes steps, and fails the test if one cannot be taken.
func (p *Tab) Do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, steps...); err != nil {
		p.t.Fatalf("%v\nthe page has: %s", err, p.Text())
	}
}

// Script runs a script in the page, and waits for its promise.
func (p *Tab) Script(text string) {
	p.t.Helper()
	p.Do(chromedp.Evaluate[chromedp.Void](text, chromedp.EvalAwaitPromise))
}

// Value is what an expression is in a page.
func Value[T any](p *Tab, expression string) T {
	p.t.Helper()
	value, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		p.t.Fatalf("%s: %v", expression, err)
	}
	return value
}

// Text is what the page has to read.
func (p *Tab) Text() string {
	text, _ := chromedp.Run(p.ctx, chromedp.Evaluate[string](`document.body.innerText`)) // only for a message
	return text
}

// Until waits for an expression to be true. It is not chromedp.Poll, which makes
// a function of a text: a page's policy may not let it.
func (p *Tab) Until(expression string) {
	p.t.Helper()
	p.Script(fmt.Sprintf(`new Promise((is, never) => {
		const end = performance.now() + %d;
		const look = () => (%s) ? is() : performance.now() > end ? never(new Error(%q)) : setTimeout(look, 5);
		look();
	})`, patience.Milliseconds(), expression, "it never was so: "+expression))
}

// UntilText waits for a text in the page.
func (p *Tab) UntilText(text string) {
	p.t.Helper()
	p.Until(fmt.Sprintf(`document.body.innerText.includes(%q)`, text))
}

// Press presses the button with a text.
func (p *Tab) Press(text string) {
	p.t.Helper()
	button := fmt.Sprintf(`[...document.querySelectorAll("button")].findLast((b) => b.textContent === %q && !b.disabled)`, text)
	p.Until("!!" + button)
	p.Script(fmt.Sprintf("{ const b = %s; b.focus(); b.click() }", button))
}
