package events

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/rekey-go/rekey/internal/local/events/pattern"
	"github.com/rekey-go/rekey/internal/local/wire"
)

// An envelope is an event as targets see it.
type envelope struct {
	Version    string          `json:"version"`
	ID         string          `json:"id"`
	DetailType string          `json:"detail-type"`
	Source     string          `json:"source"`
	Account    string          `json:"account"`
	Time       string          `json:"time"`
	Region     string          `json:"region"`
	Resources  []string        `json:"resources"`
	Detail     json.RawMessage `json:"detail"`
}

// An event is an envelope made ready for delivery. It never changes.
type event struct {
	envelope
	text     []byte // as JSON
	fields   *pattern.Event
	ingested time.Time
	read     bool // it records a call that only reads
}

// newEvent fills in what the publisher does not say.
func (s *Service) newEvent(e envelope) *event {
	now := s.opts.Clock.Now()
	e.Version = "0"
	e.ID = wire.NewID()
	e.Account, e.Region = s.opts.Account, s.opts.Region
	if e.Time == "" {
		e.Time = wireTime(now)
	}
	if e.Resources == nil {
		e.Resources = []string{}
	}
	text := encode(e)
	fields, err := pattern.ParseEvent(text)
	if err != nil {
		// Cannot be: the text was encoded a moment ago.
		s.opts.Logger.Error("event matches nothing: it cannot be read", "id", e.ID)
		fields = new(pattern.Event)
	}
	return &event{envelope: e, text: text, fields: fields, ingested: now}
}

// encode writes JSON that leaves "<" and "&" as they are. The value must be
// one that can be encoded.
func encode(v any) []byte {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(v)
	return bytes.TrimRight(b.Bytes(), "\n")
}

// wireTime is the form of a time in an event.
func wireTime(t time.Time) string { return t.UTC().Format(time.RFC3339) }
