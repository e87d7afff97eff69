// Package pattern compiles EventBridge event patterns and matches events
// against them, as AWS does.
//
// A pattern is a JSON object in the shape of the events it selects. Its leaves
// are arrays of what the field may hold: plain values, or objects that name an
// operator.
//
//	{"source": ["rekey"], "detail": {"name": [{"prefix": "dev-"}]}}
//
// # How a match is decided
//
// A dot in a name and a nested object mean the same: both are steps of a path.
// Every path of the pattern must hold in the event, and one of the values
// listed for it is enough. Where the event has an array at a path, one of its
// elements must match; where it has an array of objects, all fields must match
// within the same object. "$or" lists alternatives; the pattern is multiplied
// out when it is compiled, so that matching is a series of map lookups.
//
// The operators are prefix, suffix, equals-ignore-case, wildcard,
// anything-but, numeric, exists and cidr. Two numbers are equal when their
// values are, within five billion and six decimals; beyond that their digits
// must be. Two addresses are equal however they are written.
//
// # What is wrong with a pattern
//
// AWS reads a pattern from its beginning to its end and tells the first thing
// it stumbles over, so [Compile] does the same. AWS adds the place in the text
// to its message; this package leaves it out.
//
// # Cost
//
// An event is taken apart once by [ParseEvent] and then matched against any
// number of patterns, each in well under a microsecond. Neither an event with
// many or deep arrays nor a pattern with many wildcards takes more than a
// number of steps proportional to the event's size for each field of the
// pattern. A [Pattern] and an [Event] never change, and are safe for
// concurrent use.
package pattern

import "fmt"

// An InvalidError says why a text is no event pattern, in AWS's words. The
// text of the error is the message of AWS's InvalidEventPatternException.
type InvalidError struct {
	// Reason is the part that differs: `"source" must be an object or an
	// array`.
	Reason string
}

// Error is AWS's message.
func (e *InvalidError) Error() string {
	return "Event pattern is not valid. Reason: " + e.Reason
}

func invalidf(format string, args ...any) error {
	return &InvalidError{Reason: fmt.Sprintf(format, args...)}
}

// A Pattern is a compiled event pattern.
type Pattern struct {
	alternatives []conjunction
}

// A conjunction is a list of fields that must all match, in the order of their
// paths.
type conjunction []field

// A field is one path of a pattern with what it may hold.
type field struct {
	path   []string
	tests  []test
	absent bool // {"exists": false}: the field may be missing
	// before and after are how many steps the path shares with those of the
	// fields beside it.
	before, after int
}

// A test says whether a field may hold a value.
type test func(v *value) bool

func (f *field) accepts(v *value) bool {
	for _, accept := range f.tests {
		if accept(v) {
			return true
		}
	}
	return false
}

// Match reports whether the event is one that the pattern selects.
func (p *Pattern) Match(e *Event) bool {
	for _, c := range p.alternatives {
		if c.match(e) {
			return true
		}
	}
	return false
}

// A choice is the set of array elements that the fields so far were found in.
// An empty one leaves everything open.
//
// All fields below one array must be found in the same element of it. As the
// fields are in the order of their paths, those below an array follow upon each
// other: it is enough to keep, after each field, the innermost element at the
// steps that it shares with the next.
type choice map[*element]struct{}

// allows reports whether a value lies in one of the chosen elements.
func (c choice) allows(in *element) bool {
	if len(c) == 0 || in == nil {
		return true
	}
	_, ok := c[in]
	return ok
}

// add puts an element into the choice.
func (c *choice) add(in *element) {
	if *c == nil {
		*c = make(choice)
	}
	(*c)[in] = struct{}{}
}

// within is the choice seen from a shorter path.
func (c choice) within(steps int) choice {
	var outer choice
	for in := range c {
		if in = in.within(steps); in != nil {
			outer.add(in)
		}
	}
	return outer
}

func (c conjunction) match(e *Event) bool {
	var chosen choice
	for i := range c {
		f := &c[i]
		ok := false
		if chosen, ok = f.match(e.root.lookup(f.path), chosen); !ok {
			return false
		}
	}
	return true
}

// match tries all values that the event has for the field, and returns the
// choice that they leave to the next.
func (f *field) match(values []value, chosen choice) (next choice, ok bool) {
	if len(values) == 0 {
		return chosen.within(f.after), f.absent
	}
	found, open := false, false
	for i := range values {
		v := &values[i]
		if !chosen.allows(v.in.within(f.before)) || !f.accepts(v) {
			continue
		}
		found = true
		in := v.in.within(f.after)
		if in == nil {
			open = true
			break
		}
		next.add(in)
	}
	if open {
		// The value is in no array that the next field is in too: what the
		// fields before have chosen stands.
		next = chosen.within(f.after)
	}
	return next, found
}
