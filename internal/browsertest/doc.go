// Package browsertest lets a test use a page as people do: in a browser, by its
// keyboard, with what the browser complains of as a failure of the test.
//
// # A browser, and its tabs
//
// [Start] starts the chromium of the machine without a window, once for a test,
// and each [Open] opens a tab with storage of its own, so that tests that share
// the browser share nothing else. Without a chromium a test is skipped, and says
// so; REQUIRE_ENGINES=1 makes that a failure.
//
// # What fails a test by itself
//
// Anything on the console, which has errors of scripts and whatever breaks the
// page's content security policy; a dialog; and a request that the test's own rule
// refuses.
//
// # Waiting
//
// A page changes when it does. [Tab.Until] waits for an expression to be true,
// and [Tab.UntilText] for a text: there is no sleep.
package browsertest
