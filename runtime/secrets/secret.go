package secrets

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// A Secret is one version of a secret. It prints as its name and version id
// under every verb, and marshals and logs so: the value is what
// [Secret.Reveal] and [Secret.RevealAny] return, and nothing else does. It does
// not change, and is safe for concurrent use.
type Secret struct {
	// A pointer: fmt prints the unexported fields of a struct whose methods it
	// cannot call, but follows no pointer inside.
	value   *string
	arn     string
	name    string
	version string
	created time.Time
	labels  []string
	binary  bool
	stale   bool
}

// Reveal returns the value: the text, or the bytes of a binary one.
func (s *Secret) Reveal() string { return *s.value }

// ARN returns the full ARN.
func (s *Secret) ARN() string { return s.arn }

// Name returns the physical name, with the stage.
func (s *Secret) Name() string { return s.name }

// VersionID returns the id of the version.
func (s *Secret) VersionID() string { return s.version }

// Created returns when the version was made.
func (s *Secret) Created() time.Time { return s.created }

// Labels returns the staging labels that the version carried when it was read.
func (s *Secret) Labels() []string { return slices.Clone(s.labels) }

// Binary reports whether the value was stored as bytes rather than as text.
func (s *Secret) Binary() bool { return s.binary }

// Stale reports whether the value is served beyond its time because Secrets
// Manager could not be asked. It may have been superseded.
func (s *Secret) Stale() bool { return s.stale }

func (s *Secret) label() string { return "secret(" + s.name + "@" + s.version + ")" }

// Format prints name and version id, whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.label()) }

// String returns name and version id.
func (s Secret) String() string { return s.label() }

// GoString returns name and version id.
func (s Secret) GoString() string { return s.label() }

// LogValue logs name and version id.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.label()) }

// MarshalText gives name and version id, as text, JSON and XML.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.label()), nil }

// asStale returns the secret with the mark that it is served beyond its time.
func (s *Secret) asStale() *Secret {
	if s.stale {
		return s
	}
	marked := *s
	marked.stale = true
	return &marked
}

// field returns the secret with one member of its JSON object as the value.
func (s *Secret) field(name string) (*Secret, error) {
	var object map[string]json.RawMessage
	// The decoder's own error quotes what it read.
	if json.Unmarshal([]byte(*s.value), &object) != nil {
		return nil, fmt.Errorf("reading field %q of %s: it is not a JSON object: %w", name, s.label(), ErrDecode)
	}
	raw, ok := object[name]
	if !ok {
		return nil, fmt.Errorf("reading field %q of %s: there is no such field: %w", name, s.label(), ErrDecode)
	}
	part := *s
	part.value = new(string(raw))
	var text string
	if strings.HasPrefix(string(raw), `"`) && json.Unmarshal(raw, &text) == nil {
		part.value = &text
	}
	return &part, nil
}
