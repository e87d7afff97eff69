package render_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rekey-go/rekey/audit"
	"github.com/rekey-go/rekey/audit/render"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// adoption is a report of a secret that readers move on with, over a span.
func adoption(span time.Duration, readers int) *audit.Report {
	const old, current = "11111111-old", "22222222-current"
	step := max(span/48, time.Second)
	s := audit.Secret{
		Name: "db", ARN: "arn:aws:secretsmanager:eu-west-1:111122223333:secret:db-AbC123",
		Current: current, CurrentSince: noon.Add(span / 2), TimelineStep: int(step / time.Second),
		Versions: []audit.Version{
			{VersionID: old, Reads: 1, FirstRead: noon},
			{VersionID: current, Reads: 1, Since: noon.Add(span / 2)},
		},
	}
	for at := noon.Truncate(step); at.Before(noon.Add(span)); at = at.Add(step) {
		version := old
		if at.After(s.CurrentSince) {
			version = current
		}
		s.Timeline = append(s.Timeline, audit.ReadCount{At: at, VersionID: version, Reads: readers})
		s.Reads += readers
	}
	for i := range readers {
		s.Accesses = append(s.Accesses, audit.Access{
			Principal: fmt.Sprintf("arn:aws:iam::111122223333:role/app/reader-%02d", i), Reads: len(s.Timeline), Timeline: s.Timeline,
			First: noon, Last: noon.Add(span), Versions: []audit.VersionReads{{VersionID: current, Reads: 1}},
		})
	}
	return &audit.Report{
		Secrets: []audit.Secret{s}, Generated: noon,
		Coverage: audit.Coverage{Events: s.Reads, FirstEvent: noon, LastEvent: noon.Add(span)},
	}
}

func page(t *testing.T, r *audit.Report) string {
	t.Helper()
	var buf bytes.Buffer
	if err := render.HTML(&buf, r); err != nil {
		t.Fatalf("HTML: %v", err)
	}
	return buf.String()
}

func TestLaggardsAreToldInTheHead(t *testing.T) {
	t.Parallel()
	r := adoption(time.Hour, 2)
	if text := page(t, r); !strings.Contains(text, `note good`) || !strings.Contains(text, "No laggards: nobody is seen") {
		t.Error("without laggards: want the green note")
	}
	silent := audit.Laggard{Principal: "arn:aws:iam::1:role/slow", Class: audit.Silent, Evidence: audit.NoReadSince}
	r.Secrets[0].Laggards = []audit.Laggard{silent}
	if text := page(t, r); !strings.Contains(text, `note good`) || !strings.Contains(text, "1 silent since a version changed, which proves nothing") {
		t.Error("with a laggard that is not proven: want the green note, and that one is silent")
	}
	r.Secrets[0].Laggards = append(r.Secrets[0].Laggards,
		audit.Laggard{Principal: "arn:aws:iam::1:role/old", Class: audit.ReadsOld, Evidence: audit.GotOld, Proven: true},
		audit.Laggard{Consumer: "lambda/one", Class: audit.HoldsOld, Evidence: audit.LeaseOnOld, Proven: true})
	text := page(t, r)
	if !strings.Contains(text, `note bad`) || strings.Contains(text, `note good`) || !strings.Contains(text, "1 given an old version, 1 with a lease on one. 1 silent") {
		t.Error("with two proven laggards: want the red note, no green one, and the three classes apart")
	}
	for _, title := range []string{"Given an old version after", "With a lease on an old version", "Silent since the version changed"} {
		if !strings.Contains(text, "<h3>"+title) {
			t.Errorf("the static part has no list %q", title)
		}
	}
}

// hostile fills every text of a report with something that must not get
// through.
func hostile(with string) *audit.Report {
	r := adoption(time.Minute, 1)
	s := &r.Secrets[0]
	s.Name, s.ARN, s.Current = with, with, with
	s.Versions[1].VersionID = with
	s.Timeline[len(s.Timeline)-1].VersionID = with
	a := &s.Accesses[0]
	a.Principal, a.Type, a.UserAgents, a.IPs, a.Sessions = with, with, []string{with}, []string{with, with}, []string{with}
	a.Versions[0].VersionID = with
	s.Rotations = []audit.Rotation{{Status: audit.Failed, VersionID: with, RequestedBy: with, Message: with, Function: with, Ended: noon}}
	s.Laggards = []audit.Laggard{{Principal: with, Class: audit.ReadsOld, Evidence: audit.GotOld, Proven: true, VersionID: with}, {Principal: with, Class: audit.Silent, Evidence: audit.NoReadSince}}
	s.Deletions = []audit.Deletion{{By: with, Principals: []string{with}, Attempts: 1, Scheduled: noon}}
	r.Denied = []audit.Denied{{Secret: with, Principal: with, Action: with, Message: with, Count: 1}}
	r.Findings = []audit.Finding{{Severity: audit.High, Kind: "root", Secret: with, Principal: with, Text: with}}
	r.Coverage.Notes = []string{with}
	return r
}

func TestThePageEscapesEverything(t *testing.T) {
	t.Parallel()
	text := page(t, hostile(`"><img src=x onerror=alert(1)>'`))
	if strings.Contains(text, "<img") {
		t.Errorf("a text of the trail became markup: %.80s", text[strings.Index(text, "<img"):])
	}
}

func TestControlCharactersDoNotReachTheTerminal(t *testing.T) {
	t.Parallel()
	r := hostile("\x1b[31mred\x07\r\n\u202eturned\u200b\xff")
	var buf bytes.Buffer
	if err := render.Text(&buf, r); err != nil {
		t.Fatal(err)
	}
	for _, c := range buf.String() {
		if c != '\n' && (c < ' ' || c == 0x7f || c == '\u202e' || c == '\u200b' || c == '\ufffd') {
			t.Fatalf("the text has %q in it", c)
		}
	}
	if text := page(t, r); strings.ContainsAny(text, "\x1b\u202e") {
		t.Error("the page has control characters")
	}
}

func TestTextAndJSONHaveTheSameNumbers(t *testing.T) {
	t.Parallel()
	r := adoption(time.Hour, 3)
	var text, data bytes.Buffer
	if err := errors.Join(render.Text(&text, r), render.JSON(&data, r)); err != nil {
		t.Fatal(err)
	}
	var back audit.Report
	if err := json.Unmarshal(data.Bytes(), &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r, &back); diff != "" {
		t.Errorf("after JSON (-want +got):\n%s", diff)
	}
	if want := fmt.Sprintf("1 secret, %d reads, no laggards", back.Secrets[0].Reads); !strings.Contains(text.String(), want) {
		t.Errorf("the text has no %q:\n%s", want, text.String())
	}
}

func TestJSONByItemsIsThatOfTheWhole(t *testing.T) {
	t.Parallel()
	full, _ := filled("<a & b>\u2028\"\n")
	several := adoption(time.Hour, 3)
	several.Secrets = append(several.Secrets, several.Secrets...)
	for name, r := range map[string]*audit.Report{
		"every member": full, "several items": several, "nothing": {}, "empty lists": {Secrets: []audit.Secret{}, Findings: []audit.Finding{}},
	} {
		var want, got bytes.Buffer
		enc := json.NewEncoder(&want)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		if err := errors.Join(enc.Encode(r), render.JSON(&got, r)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want.String(), got.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestAnEmptyReport(t *testing.T) {
	t.Parallel()
	r := &audit.Report{Generated: noon, Coverage: audit.Coverage{Notes: []string{"no event of Secrets Manager was seen"}}}
	if text := page(t, r); !strings.Contains(text, "No event was seen") || strings.Contains(text, "No laggards") {
		t.Error("the page of nothing judges of laggards, or does not say that there is nothing")
	}
	var buf bytes.Buffer
	if err := render.Text(&buf, r); err != nil || !strings.HasPrefix(buf.String(), "Secrets audit: nothing was seen\n") {
		t.Errorf("Text: %q, %v", buf.String(), err)
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestAWriterThatFails(t *testing.T) {
	t.Parallel()
	for name, write := range map[string]func(io.Writer, *audit.Report) error{"Text": render.Text, "JSON": render.JSON, "HTML": render.HTML} {
		if err := write(broken{}, adoption(time.Hour, 1)); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("%s: %v, want %v", name, err, io.ErrClosedPipe)
		}
	}
}
