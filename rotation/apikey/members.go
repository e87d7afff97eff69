package apikey

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"

	"github.com/rekey-go/rekey/rotation"
)

// A span is where a member's name and its JSON value stand in a text.
type span struct {
	name       string
	start, end int
}

// errNoObject quotes nothing: an error of package json could hold a part of the
// value.
var errNoObject = errors.New("the value is not a JSON object")

// spans finds the members of a JSON object.
func spans(text string) ([]span, error) {
	if !json.Valid([]byte(text)) {
		return nil, errNoObject
	}
	dec := json.NewDecoder(strings.NewReader(text))
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return nil, errNoObject
	}
	var found []span
	for dec.More() {
		token, err := dec.Token()
		name, ok := token.(string)
		var raw json.RawMessage
		if err != nil || !ok || dec.Decode(&raw) != nil {
			return nil, errNoObject
		}
		end := int(dec.InputOffset())
		found = append(found, span{name, end - len(raw), end})
	}
	return found, nil
}

// member is the string that a member holds. It is empty where there is no such
// member, or no string in it. Of two members of a name the last counts.
func member(v rotation.Value, name string) rotation.Value {
	text := v.Reveal()
	all, err := spans(text)
	if err != nil {
		return rotation.Value{}
	}
	var held string
	for _, m := range all {
		if m.name != name {
			continue
		}
		var s string
		if json.Unmarshal([]byte(text[m.start:m.end]), &s) != nil {
			s = ""
		}
		held = s
	}
	return rotation.NewValue(held)
}

// setMember returns a value with a string in a member. Every other byte stays as
// it is; a member that is new comes last.
func setMember(v rotation.Value, name string, to rotation.Value) (rotation.Value, error) {
	return setRaw(v, name, quote(to.Reveal()))
}

func setRaw(v rotation.Value, name, raw string) (rotation.Value, error) {
	text := v.Reveal()
	all, err := spans(text)
	if err != nil {
		return rotation.Value{}, configurationf("%v", err)
	}
	var out strings.Builder
	from := 0
	for _, m := range all {
		if m.name == name {
			out.WriteString(text[from:m.start] + raw)
			from = m.end
		}
	}
	if from > 0 {
		return rotation.NewValue(out.String() + text[from:]), nil
	}
	end, comma := strings.LastIndexByte(text, '}'), ""
	if len(all) > 0 {
		end, comma = all[len(all)-1].end, ", "
	}
	return rotation.NewValue(text[:end] + comma + quote(name) + ": " + raw + text[end:]), nil
}

func quote(s string) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a string can be encoded
	return strings.TrimSuffix(b.String(), "\n")
}

// overlay returns a value with the members of another one. A value that is a
// key and nothing else is replaced.
func overlay(v, with rotation.Value, whole bool) (rotation.Value, error) {
	if whole {
		return with, nil
	}
	text := with.Reveal()
	all, err := spans(text)
	if err != nil {
		return rotation.Value{}, configurationf("the supplied value: %v", err)
	}
	if _, err := spans(v.Reveal()); err != nil {
		return with, nil //nolint:nilerr // there is nothing to keep.
	}
	for _, m := range all {
		if v, err = setRaw(v, m.name, text[m.start:m.end]); err != nil {
			return rotation.Value{}, err
		}
	}
	return v, nil
}
