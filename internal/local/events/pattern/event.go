package pattern

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// ErrNotObject means that an event is JSON, but no object.
var ErrNotObject = errors.New("event is not a JSON object")

// ErrTooDeep means that an event nests objects and arrays deeper than the JSON
// reader of AWS's engine allows, which is 1000 levels.
var ErrTooDeep = errors.New("event nests deeper than 1000 levels")

const maxDepth = 1000

// An Event is an event made ready for matching.
type Event struct {
	root node
}

// A node is what an event holds at one path.
type node struct {
	next   map[string]*node // :: next step of the path -> what is there
	values []value          // several where there are arrays
}

// kind is the JSON type of a value.
type kind int

const (
	text kind = iota + 1
	number
	literal // true, false, null
)

// A value is one leaf of an event.
type value struct {
	kind   kind
	text   string // as it stands in the event, a string without its quotes
	number comparable
	in     *element // the innermost array element that the leaf lies in
}

// An element is one element of an array of an event.
type element struct {
	steps int      // of the array's path
	outer *element // the innermost one around it whose path is shorter
}

// within is the innermost element around e whose array's path has no more than
// that many steps. It is nil if there is none.
func (e *element) within(steps int) *element {
	for e != nil && e.steps > steps {
		e = e.outer
	}
	return e
}

// newElement returns an element of an array at a path of that many steps. Of
// arrays directly within arrays only the innermost element need be known: it
// tells the others.
func newElement(steps int, around *element) *element {
	return &element{steps: steps, outer: around.within(steps - 1)}
}

// ParseEvent reads an event from its JSON text.
func ParseEvent(data []byte) (*Event, error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var root any
	if err := decoder.Decode(&root); err != nil {
		return nil, fmt.Errorf("reading an event: %w", err)
	}
	object, ok := root.(map[string]any)
	if !ok {
		return nil, ErrNotObject
	}
	e := new(Event)
	return e, e.root.fill(object, place{})
}

// A place is where in an event a value stands.
type place struct {
	depth int // of objects and arrays
	steps int // of the path
	in    *element
}

func (n *node) fill(v any, at place) error {
	if at.depth > maxDepth {
		return ErrTooDeep
	}
	at.depth++
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			path := strings.Split(name, ".")
			inner := place{depth: at.depth, steps: at.steps + len(path), in: at.in}
			if err := n.make(path).fill(member, inner); err != nil {
				return err
			}
		}
	case []any:
		around := at.in
		for _, member := range v {
			at.in = newElement(at.steps, around)
			if err := n.fill(member, at); err != nil {
				return err
			}
		}
	default:
		leaf := leafOf(v)
		leaf.in = at.in
		n.values = append(n.values, leaf)
	}
	return nil
}

// make returns the node at a path below n.
func (n *node) make(path []string) *node {
	for _, step := range path {
		next := n.next[step]
		if next == nil {
			next = new(node)
			if n.next == nil {
				n.next = make(map[string]*node)
			}
			n.next[step] = next
		}
		n = next
	}
	return n
}

// lookup returns the values at a path below n.
func (n *node) lookup(path []string) []value {
	for _, step := range path {
		if n = n.next[step]; n == nil {
			return nil
		}
	}
	return n.values
}

// leafOf returns the value of a JSON string, number, boolean or null.
func leafOf(v any) value {
	switch v := v.(type) {
	case string:
		return value{kind: text, text: v}
	case json.Number:
		return value{kind: number, text: v.String(), number: comparableOf(v.String())}
	case bool:
		return value{kind: literal, text: fmt.Sprint(v)}
	default:
		return value{kind: literal, text: "null"}
	}
}

// equals compares two values as JSON does, numbers by value.
func (v *value) equals(w *value) bool {
	if v.kind != w.kind {
		return false
	}
	return v.text == w.text || v.kind == number && v.number.valid && v.number == w.number
}
