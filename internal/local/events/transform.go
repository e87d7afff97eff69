package events

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// errInput means that a target's input could not be made from the event.
var errInput = errors.New("input of the target is not valid")

// The variables that a template may use without a path.
const (
	varRuleARN   = "aws.events.rule-arn"
	varRuleName  = "aws.events.rule-name"
	varIngestion = "aws.events.event.ingestion-time"
	varEvent     = "aws.events.event"
	varEventJSON = "aws.events.event.json"
)

func predefined() []string {
	return []string{varRuleARN, varRuleName, varIngestion, varEvent, varEventJSON}
}

// transform makes a target's input of the event.
func (d *delivery) transform(t *InputTransformer) ([]byte, error) {
	filled := t.fill(func(name string) []byte { return d.variable(t, name) })
	if !t.wellFormed(filled) {
		return nil, fmt.Errorf("%w: the filled template is not JSON", errInput)
	}
	return filled, nil
}

// isText reports whether the template is one or more JSON strings, rather than
// an object or another value.
func (t *InputTransformer) isText() bool {
	return strings.HasPrefix(strings.TrimSpace(t.InputTemplate), `"`)
}

// wellFormed reports whether what was made of the template is JSON. A text may
// be several strings, line by line.
func (t *InputTransformer) wellFormed(filled []byte) bool {
	if !t.isText() {
		return json.Valid(filled)
	}
	for decoder := json.NewDecoder(bytes.NewReader(filled)); ; {
		var line string
		if err := decoder.Decode(&line); err != nil {
			return errors.Is(err, io.EOF)
		}
	}
}

// placeholders are the names that the template holds.
func (t *InputTransformer) placeholders() map[string]bool {
	names := make(map[string]bool)
	t.fill(func(name string) []byte {
		names[name] = true
		return nil
	})
	return names
}

// fill puts values in the place of placeholders. In a JSON string a
// placeholder takes text, elsewhere a JSON value. What a path does not lead to
// is an empty text.
func (t *InputTransformer) fill(value func(name string) []byte) []byte {
	var out bytes.Buffer
	quoted := false
	rest := t.InputTemplate
	for rest != "" {
		i := strings.IndexAny(rest, `"<\`)
		if i < 0 {
			break
		}
		out.WriteString(rest[:i])
		name, after, ok := placeholder(rest[i:])
		switch {
		case ok:
			t.write(&out, value(name), quoted)
			rest = after
		case rest[i] == '\\' && i+1 < len(rest):
			out.WriteString(rest[i : i+2])
			rest = rest[i+2:]
		default:
			quoted = quoted != (rest[i] == '"')
			out.WriteByte(rest[i])
			rest = rest[i+1:]
		}
	}
	out.WriteString(rest)
	return out.Bytes()
}

// placeholder reads "<name>" from the front of s.
func placeholder(s string) (name, after string, ok bool) {
	if s[0] != '<' {
		return "", s, false
	}
	end := strings.IndexByte(s, '>')
	if end < 2 || strings.ContainsAny(s[1:end], "\" <\\\n") {
		return "", s, false
	}
	return s[1:end], s[end+1:], true
}

// variable is the JSON that a placeholder stands for, nil where nothing is.
func (d *delivery) variable(t *InputTransformer, name string) []byte {
	switch name {
	case varRuleARN:
		return encode(d.ruleARN)
	case varRuleName:
		return encode(d.ruleName)
	case varIngestion:
		return encode(wireTime(d.event.ingested))
	case varEventJSON:
		return d.event.text
	case varEvent:
		return d.event.bare()
	}
	found, _ := lookup(d.event.text, t.InputPathsMap[name])
	return found
}

// bare is the event without its detail, and with the name that AWS gives to
// the type of what is not there.
func (e *event) bare() []byte {
	return encode(struct {
		Version    string   `json:"version"`
		ID         string   `json:"id"`
		DetailType string   `json:"detailType"`
		Source     string   `json:"source"`
		Account    string   `json:"account"`
		Time       string   `json:"time"`
		Region     string   `json:"region"`
		Resources  []string `json:"resources"`
	}{e.Version, e.ID, e.DetailType, e.Source, e.Account, e.Time, e.Region, e.Resources})
}

// write puts JSON as it is, or as the inside of a JSON string. A template that
// is a text takes objects and lists without their quotes.
func (t *InputTransformer) write(out *bytes.Buffer, value []byte, quoted bool) {
	switch {
	case quoted && len(value) == 0:
	case len(value) == 0:
		out.WriteString(`""`)
	case !quoted:
		out.Write(value)
	case value[0] == '"':
		out.Write(value[1 : len(value)-1])
	case t.isText():
		inner := encode(strings.ReplaceAll(string(value), `"`, ""))
		out.Write(inner[1 : len(inner)-1])
	default:
		inner := encode(string(value))
		out.Write(inner[1 : len(inner)-1])
	}
}

// lookup follows a JSON path such as "$.detail.name", "$.resources[0]" or
// "$['detail-type']" and returns the text of the value there.
func lookup(text []byte, path string) ([]byte, bool) {
	steps, ok := parsePath(path)
	if !ok {
		return nil, false
	}
	for _, step := range steps {
		if text, ok = step.follow(text); !ok {
			return nil, false
		}
	}
	return text, true
}

// A step goes from a JSON value to one of its members or elements.
type step struct {
	name  string
	index int // used where name is empty
}

func (p step) follow(text []byte) ([]byte, bool) {
	if p.name != "" {
		var object map[string]json.RawMessage
		if json.Unmarshal(text, &object) != nil {
			return nil, false
		}
		member, ok := object[p.name]
		return member, ok
	}
	var list []json.RawMessage
	if json.Unmarshal(text, &list) != nil || p.index >= len(list) {
		return nil, false
	}
	return list[p.index], true
}

// parsePath reads a JSON path. It reports false for what is none.
func parsePath(path string) (steps []step, ok bool) {
	rest, ok := strings.CutPrefix(path, "$")
	for ok && rest != "" {
		var next step
		next, rest, ok = parseStep(rest)
		steps = append(steps, next)
	}
	return steps, ok
}

func parseStep(s string) (p step, rest string, ok bool) {
	if s[0] == '.' {
		end := strings.IndexAny(s[1:], ".[") + 1
		if end == 0 {
			end = len(s)
		}
		return step{name: s[1:end]}, s[end:], end > 1
	}
	inside, rest, ok := strings.Cut(strings.TrimPrefix(s, "["), "]")
	if !ok || s[0] != '[' {
		return p, "", false
	}
	if name, ok := strings.CutPrefix(inside, "'"); ok {
		name, ok = strings.CutSuffix(name, "'")
		return step{name: name}, rest, ok && name != ""
	}
	index, err := strconv.Atoi(inside)
	return step{index: index}, rest, err == nil && index >= 0
}
