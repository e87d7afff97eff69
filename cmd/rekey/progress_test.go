package main

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rekey-go/rekey/audit/source"
)

func TestProgressOnATerminalIsALineThatIsRewritten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := &printer{stderr: &out, terminal: true}
		n := 0
		stop := p.tell(func() string { n++; return strings.Repeat("x", n) })
		time.Sleep(500 * time.Millisecond)
		stop()
		const clear = "\r\x1b[K"
		if got, want := out.String(), clear+"x"+clear+"xx"+clear; got != want {
			t.Errorf("half a second writes %q, want %q", got, want)
		}
	})
}

func TestProgressElsewhereIsALineNowAndThen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := &printer{stderr: &out}
		lines := []string{"", "one", "two"} // of the first there is nothing to tell yet
		stop := p.tell(func() string {
			line := lines[0]
			lines = lines[1:]
			return line
		})
		time.Sleep(11 * time.Second)
		stop()
		if got, want := out.String(), "one\ntwo\n"; got != want {
			t.Errorf("eleven seconds write %q, want %q", got, want)
		}
	})
}

func TestWhatALineOfProgressSays(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	for want, got := range map[string]string{
		"3 files, 5 MiB at 2 MiB/s, 7 records":                         filesRead(source.Progress{Files: 3, Bytes: 5 << 20, PerSecond: 2 << 20, Records: 7}),
		"1,003 of 2,000 files, 5 MiB at 2 MiB/s, 7 records, 1m5s left": filesRead(source.Progress{Files: 1003, Of: 2000, Bytes: 5 << 20, PerSecond: 2 << 20, Records: 7, Left: 64600 * time.Millisecond}),
		"": eventsLookedUp(source.LookupProgress{}),
		"14 pages, 650 events, back to 2026-03-02T12:00:00Z, 32s left": eventsLookedUp(source.LookupProgress{Pages: 14, Events: 650, At: at, Left: 32 * time.Second}),
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
