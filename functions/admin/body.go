package admin

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"unicode/utf8"
)

const (
	// maxBody is the largest request body, in bytes.
	maxBody = 128 << 10
	// maxValue is the size limit of AWS Secrets Manager, in bytes.
	maxValue = 64 << 10
)

// members are the members that a body may have, each with where it goes: a
// *string, a *bool or a *[json.RawMessage].
type members map[string]any

// decode reads a body. An empty one is an empty object. What could be lost or
// misread is refused: a member that is unknown or stands twice, a value of
// another type, what follows the object, text that is not Unicode. The answer
// names a member of ours, and never quotes what is in it.
func decode(r *http.Request, into members) *problem {
	body, err := io.ReadAll(r.Body)
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return &problem{Status: http.StatusRequestEntityTooLarge, Detail: fmt.Sprintf("the body is larger than %d bytes", maxBody)}
	}
	if err != nil {
		return badRequest("the body could not be read")
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	if !utf8.Valid(body) {
		return badRequest("the body is not UTF-8")
	}
	return decodeObject(body, into)
}

func decodeObject(body []byte, into members) *problem {
	malformed := badRequest("the body is not a JSON object")
	if !json.Valid(body) {
		return malformed
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	if start, err := dec.Token(); err != nil || start != json.Delim('{') {
		return malformed
	}
	seen := make(map[string]bool)
	for dec.More() {
		key, err := dec.Token()
		name, ok := key.(string)
		if err != nil || !ok {
			return malformed
		}
		target, known := into[name]
		switch {
		case !known:
			// Its name may be a part of a value that was put in the wrong place.
			return badRequest("the body has a member that this route does not know; it knows %s", cmp.Or(into.String(), "none"))
		case seen[name]:
			return badRequest("the member %s stands twice in the body", name)
		}
		seen[name] = true
		if p := decodeMember(dec, name, target); p != nil {
			return p
		}
	}
	return nil
}

// String lists the members.
func (m members) String() string {
	var names []byte
	for _, name := range []string{"secretName", "secretValue", "newValue", "create", "clientRequestToken"} {
		if _, ok := m[name]; ok {
			names = append(names, ' ')
			names = append(names, name...)
		}
	}
	return string(bytes.TrimSpace(names))
}

func decodeMember(dec *json.Decoder, name string, target any) *problem {
	var raw json.RawMessage
	if dec.Decode(&raw) != nil {
		return badRequest("the member %s is malformed", name)
	}
	switch into := target.(type) {
	case *json.RawMessage:
		*into = raw
		if repeats(raw) {
			return badRequest("an object in %s has a member twice", name)
		}
	case *string:
		text, ok := textOf(raw)
		if !ok {
			return badRequest("the member %s is not a text", name)
		}
		*into = text
	default:
		if bytes.Equal(raw, []byte("null")) || json.Unmarshal(raw, target) != nil {
			return badRequest("the member %s is neither true nor false", name)
		}
	}
	return nil
}

// textOf returns the text of a JSON string. A half of a surrogate pair is none:
// the decoder would put another character in its place.
func textOf(raw json.RawMessage) (string, bool) {
	var text string
	if len(raw) == 0 || raw[0] != '"' || json.Unmarshal(raw, &text) != nil {
		return "", false
	}
	const replacement = "\uFFFD"
	given := bytes.Count(raw, []byte(replacement)) + bytes.Count(bytes.ToLower(raw), []byte(`\ufffd`))
	return text, bytes.Count([]byte(text), []byte(replacement)) <= given
}

// repeats reports whether an object in a value has a member twice: which of the
// two counts is up to who reads it.
func repeats(raw json.RawMessage) bool {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	return repeatsIn(dec)
}

func repeatsIn(dec *json.Decoder) bool {
	start, err := dec.Token()
	delim, ok := start.(json.Delim)
	if err != nil || !ok {
		return false
	}
	seen := make(map[string]bool)
	for dec.More() {
		if delim == '{' {
			key, err := dec.Token()
			name, ok := key.(string)
			if err != nil || !ok {
				return false
			}
			if seen[name] {
				return true
			}
			seen[name] = true
		}
		if repeatsIn(dec) {
			return true
		}
	}
	_, err = dec.Token() // the closing delimiter
	return err != nil
}

// secretText is a value as it is stored: the text of a JSON string, and
// anything else as compact JSON.
func secretText(member string, raw json.RawMessage) (string, *problem) {
	if len(raw) == 0 || string(raw) == "null" {
		return "", badRequest("%s is missing", member)
	}
	text, ok := textOf(raw)
	if !ok && raw[0] == '"' {
		return "", badRequest("%s has half of a surrogate pair, which is no character", member)
	}
	if !ok {
		var compact bytes.Buffer
		if err := json.Compact(&compact, raw); err != nil {
			return "", badRequest("%s is not valid JSON", member)
		}
		text = compact.String()
	}
	switch {
	case text == "":
		return "", badRequest("%s is empty", member)
	case len(text) > maxValue:
		return "", &problem{Status: http.StatusRequestEntityTooLarge, Detail: fmt.Sprintf("%s is larger than %d bytes", member, maxValue)}
	}
	return text, nil
}
