package browsertest_test

import (
	"net/url"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/rekey-go/rekey/internal/browsertest"
)

func Example() {
	test := func(t *testing.T) {
		page := "data:text/html," + url.PathEscape(`<button>Go</button><script>document.querySelector("button").onclick = () => document.body.append("gone")</script>`)
		tab := browsertest.Open(browsertest.Start(t), t, func(url string) string {
			if url != page {
				return "a request to " + url
			}
			return ""
		})
		tab.Do(chromedp.Navigate(page))
		tab.Press("Go")
		tab.UntilText("gone")
	}
	_ = test // testing calls it
}

func TestExample(t *testing.T) {
	t.Parallel()
	tab := browsertest.Open(browsertest.Start(t), t, func(string) string { return "" })
	tab.Do(chromedp.Navigate("data:text/html,<title>A page</title>"))
	if title := browsertest.Value[string](tab, "document.title"); title != "A page" {
		t.Errorf("the title is %q", title)
	}
}
