package events_test

import (
	"strings"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/google/go-cmp/cmp"
)

func TestPutEventsAnswersEachEntry(t *testing.T) {
	t.Parallel()
	e := start(t, nil)
	e.rule(t, "default", "all", `{"account":["123456789012"]}`, types.Target{Id: new("function"), Arn: new(function)})
	entry := func(source, detailType, detail string) types.PutEventsRequestEntry {
		return types.PutEventsRequestEntry{Source: &source, DetailType: &detailType, Detail: &detail}
	}
	out, err := e.PutEvents(t.Context(), &sdk.PutEventsInput{Entries: []types.PutEventsRequestEntry{
		entry("rekey", "x", `not json`), entry("rekey", "x", `[1]`), entry("rekey", "x", "null"),
		entry("aws.secretsmanager", "x", `{}`), entry("", "x", `{}`), entry("rekey", "", `{}`), entry("rekey", "x", ""),
		entry("rekey", "good", `{"n":1}`),
	}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range out.Entries {
		if r.ErrorCode == nil {
			got = append(got, "")
			continue
		}
		got = append(got, *r.ErrorCode)
		if r.EventId != nil {
			t.Errorf("an entry that was refused with %s has an event id", *r.ErrorCode)
		}
	}
	want := []string{
		"MalformedDetail", "MalformedDetail", "MalformedDetail",
		"NotAuthorizedForSourceException", "InvalidArgument", "InvalidArgument", "InvalidArgument", "",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("error codes (-want +got):\n%s", diff)
	}
	if out.FailedEntryCount != 7 {
		t.Errorf("FailedEntryCount: got %d, want 7", out.FailedEntryCount)
	}
	event := parse(t, e.invoked(t))
	if event.DetailType != "good" || event.ID != *out.Entries[7].EventId {
		t.Errorf("delivered %q with id %s, want the id %s of the answer", event.DetailType, event.ID, *out.Entries[7].EventId)
	}
}

func TestPutEventsRefusesTooMuch(t *testing.T) {
	t.Parallel()
	e := start(t, nil)
	entry := types.PutEventsRequestEntry{Source: new("rekey"), DetailType: new("x"), Detail: new(`{}`)}
	large := entry
	large.Detail = new(`{"x":"` + strings.Repeat("x", 256<<10) + `"}`)
	tests := map[string][]types.PutEventsRequestEntry{
		"none":             {},
		"more than ten":    {entry, entry, entry, entry, entry, entry, entry, entry, entry, entry, entry},
		"more than 256 KB": {large},
	}
	for name, entries := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := e.PutEvents(t.Context(), &sdk.PutEventsInput{Entries: entries})
			wantCode(t, err, "ValidationException")
		})
	}
}

func TestTestEventPattern(t *testing.T) {
	t.Parallel()
	e := start(t, nil)
	const event = `{"id":"1","account":"123456789012","source":"rekey","time":"2026-01-01T00:00:00Z","region":"us-east-1","resources":[],"detail-type":"x","detail":{"n":5}}`
	tests := map[string]struct {
		event, pattern string
		want           bool
		code           string
	}{
		"matches":               {event: event, pattern: `{"detail":{"n":[{"numeric":[">",4]}]}}`, want: true},
		"matches not":           {event: event, pattern: `{"detail":{"n":[{"numeric":[">",5]}]}}`},
		"an event without time": {event: strings.Replace(event, "time", "tim", 1), pattern: rotated, code: "ValidationException"},
		"a large pattern":       {event: event, pattern: `{"source":["` + strings.Repeat("x", 4096) + `"]}`, code: "ValidationException"},
		"an invalid pattern":    {event: event, pattern: `{"detail":5}`, code: "InvalidEventPatternException"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, err := e.TestEventPattern(t.Context(), &sdk.TestEventPatternInput{Event: &tt.event, EventPattern: &tt.pattern})
			if tt.code != "" {
				wantCode(t, err, tt.code)
				return
			}
			if err != nil || out.Result != tt.want {
				t.Errorf("got %v, error %v, want %v", out, err, tt.want)
			}
		})
	}
}
