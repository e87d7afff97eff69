package events

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/rekey-go/rekey/internal/local/events/pattern"
	"github.com/rekey-go/rekey/internal/local/wire"
)

const (
	maxEntries = 10
	// maxPut bounds the entries of one PutEvents together.
	maxPut = 256 << 10
	// timeSize is what AWS counts for an entry that has a time.
	timeSize = 14
)

// An entry is one event of PutEvents.
type entry struct {
	Source       string
	DetailType   string
	Detail       string
	Resources    []string
	Time         wire.Timestamp
	EventBusName string
}

type putEventsInput struct{ Entries []entry }

type putEventsOutput struct {
	Entries          []putResult
	FailedEntryCount int
}

type putResult struct {
	EventID      string `json:"EventId,omitempty"`
	ErrorCode    string `json:",omitempty"`
	ErrorMessage string `json:",omitempty"`
}

// putEvents answers each entry by itself: a bad one does not keep the others
// from being published.
func (s *Service) putEvents(_ context.Context, _ *wire.Call, in *putEventsInput) (*putEventsOutput, error) {
	var f faults
	if f.count(len(in.Entries), "entries", maxEntries); len(f) > 0 {
		return nil, f.refusal()
	}
	size := 0
	for _, e := range in.Entries {
		size += e.size()
	}
	if size > maxPut {
		return nil, validationf("Total size of the entries in the request is over the limit.")
	}
	out := new(putEventsOutput)
	for _, e := range in.Entries {
		result := s.putEntry(e)
		if result.ErrorCode != "" {
			out.FailedEntryCount++
		}
		out.Entries = append(out.Entries, result)
	}
	return out, nil
}

func (e entry) size() int {
	n := len(e.Source) + len(e.DetailType) + len(e.Detail)
	for _, r := range e.Resources {
		n += len(r)
	}
	if !e.Time.IsZero() {
		n += timeSize
	}
	return n
}

func (s *Service) putEntry(e entry) putResult {
	if failure := e.check(); failure.ErrorCode != "" {
		return failure
	}
	env := envelope{
		Source: e.Source, DetailType: e.DetailType, Resources: e.Resources, Detail: json.RawMessage(e.Detail),
	}
	if !e.Time.IsZero() {
		env.Time = wireTime(time.Time(e.Time))
	}
	ev := s.newEvent(env)
	// As on AWS, an event for a bus that does not exist is lost in silence.
	s.route(busName(e.EventBusName), ev, 0)
	return putResult{EventID: ev.ID}
}

// check returns what is wrong with an entry, with an empty code where nothing
// is.
func (e entry) check() putResult {
	for _, member := range []struct{ name, value string }{
		{"Source", e.Source}, {"DetailType", e.DetailType}, {"Detail", e.Detail},
	} {
		if member.value == "" {
			return putResult{
				ErrorCode:    "InvalidArgument",
				ErrorMessage: "Parameter " + member.name + " is not valid. Reason: " + member.name + " is a required argument.",
			}
		}
	}
	if _, err := pattern.ParseEvent([]byte(e.Detail)); err != nil || !json.Valid([]byte(e.Detail)) {
		return putResult{ErrorCode: "MalformedDetail", ErrorMessage: "Detail is malformed."}
	}
	if strings.HasPrefix(e.Source, "aws.") {
		return putResult{ErrorCode: "NotAuthorizedForSourceException", ErrorMessage: "Not authorized for the source."}
	}
	return putResult{}
}

// busName takes a bus's name out of its name or ARN. None is the default bus.
func busName(nameOrARN string) string {
	if _, name, ok := strings.Cut(nameOrARN, ":event-bus/"); ok {
		return name
	}
	if nameOrARN == "" {
		return defaultBus
	}
	return nameOrARN
}

type testEventPatternInput struct{ Event, EventPattern string }

type testEventPatternOutput struct{ Result bool }

func (s *Service) testEventPattern(_ context.Context, _ *wire.Call, in *testEventPatternInput) (*testEventPatternOutput, error) {
	var f faults
	if f.length(in.EventPattern, "eventPattern", maxPattern); len(f) > 0 {
		return nil, f.refusal()
	}
	p, err := compile(in.EventPattern)
	if err != nil {
		return nil, err
	}
	e, err := pattern.ParseEvent([]byte(in.Event))
	if err != nil || !complete(in.Event) {
		return nil, validationf("Parameter Event is not valid.")
	}
	return &testEventPatternOutput{Result: p.Match(e)}, nil
}

// complete reports whether an event has the fields which every event has.
func complete(text string) bool {
	var fields map[string]json.RawMessage
	if json.Unmarshal([]byte(text), &fields) != nil {
		return false
	}
	for _, name := range []string{"id", "account", "source", "time", "region", "detail-type"} {
		if _, ok := fields[name]; !ok {
			return false
		}
	}
	return true
}

// compile compiles a pattern and gives AWS's name to what is wrong with it.
func compile(text string) (*pattern.Pattern, error) {
	p, err := pattern.Compile([]byte(text))
	if err != nil {
		return nil, wire.Errorf("InvalidEventPatternException", "%s", err.Error())
	}
	return p, nil
}
