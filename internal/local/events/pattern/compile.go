package pattern

import (
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
)

// maxAlternatives bounds what the "$or" of a pattern multiply out to.
const maxAlternatives = 1000

// Compile reads a pattern. An error is an [*InvalidError].
func Compile(text []byte) (*Pattern, error) {
	r := newReader(text)
	token, err := r.decoder.Token()
	switch {
	case errors.Is(err, io.EOF):
		return nil, invalidf("Filter is not an object")
	case err != nil:
		return nil, r.wrong(err, false)
	case token != json.Delim('{'):
		return nil, invalidf("Filter is not an object")
	}
	alternatives, err := r.object(nil, []conjunction{nil}, false)
	if err != nil {
		return nil, err
	}
	if _, err := r.decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, r.wrong(err, false)
	}
	for _, c := range alternatives {
		c.order()
	}
	return &Pattern{alternatives: alternatives}, nil
}

// order sorts the fields of a conjunction by their paths, and tells each what
// it shares with its neighbours.
func (c conjunction) order() {
	slices.SortFunc(c, func(a, b field) int { return slices.Compare(a.path, b.path) })
	for i := 1; i < len(c); i++ {
		n := shared(c[i-1].path, c[i].path)
		c[i-1].after, c[i].before = n, n
	}
}

// shared counts the steps with which two paths begin alike.
func shared(a, b []string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// object reads the members of an object whose brace was read, and adds what
// they ask for to each of the alternatives.
func (r *reader) object(path []string, all []conjunction, inOr bool) ([]conjunction, error) {
	empty := true
	for {
		name, ok, err := r.name()
		switch {
		case err != nil:
			return nil, err
		case !ok && empty:
			return nil, invalidf("Empty objects are not allowed")
		case !ok:
			return all, nil
		case inOr && reserved(name):
			return nil, invalidf("%s is Ruler reserved fieldName which cannot be used inside $or.", name)
		}
		empty = false
		if name == "$or" {
			all, err = r.relation(path, all, inOr)
		} else {
			all, err = r.member(path, name, all, inOr)
		}
		if err != nil {
			return nil, err
		}
	}
}

func (r *reader) member(path []string, name string, all []conjunction, inOr bool) ([]conjunction, error) {
	token, err := r.next()
	if err != nil {
		return nil, err
	}
	path = slices.Concat(path, strings.Split(name, "."))
	switch token {
	case json.Delim('{'):
		return r.object(path, all, inOr)
	case json.Delim('['):
		f := field{path: path}
		err := r.list(&f)
		return with(all, f), err
	default:
		return nil, invalidf("%q must be an object or an array", name)
	}
}

// with adds a field to each of the alternatives. As on AWS, a path that stands
// in a pattern twice means what it says the second time.
func with(all []conjunction, f field) []conjunction {
	added := make([]conjunction, 0, len(all))
	for _, c := range all {
		c = slices.DeleteFunc(slices.Clone(c), func(old field) bool { return slices.Equal(old.path, f.path) })
		added = append(added, append(c, f))
	}
	return added
}

// relation reads what the name "$or" stands before.
func (r *reader) relation(path []string, all []conjunction, inOr bool) ([]conjunction, error) {
	raw, err := r.raw()
	if err != nil {
		return nil, err
	}
	branches, ok := orBranches(raw)
	if !ok {
		return newReader(raw).member(path, "$or", all, inOr)
	}
	var joined []conjunction
	for _, branch := range branches {
		within := newReader(branch)
		if _, err := within.next(); err != nil { // the brace
			return nil, err
		}
		some, err := within.object(path, all, true)
		if err != nil {
			return nil, err
		}
		if joined = append(joined, some...); len(joined) > maxAlternatives {
			return nil, invalidf("Rule is too complex - try reducing the number of $or combinations")
		}
	}
	return joined, nil
}

// orBranches reports whether a value makes "$or" a relation, rather than a
// field that happens to bear the name: it is a list of two or more objects,
// none of which is an operator.
func orBranches(raw json.RawMessage) ([]json.RawMessage, bool) {
	var branches []json.RawMessage
	if json.Unmarshal(raw, &branches) != nil || len(branches) < 2 {
		return nil, false
	}
	for _, branch := range branches {
		var object map[string]json.RawMessage
		if json.Unmarshal(branch, &object) != nil || len(object) == 0 {
			return nil, false
		}
		for name := range object {
			if reserved(name) {
				return nil, false
			}
		}
	}
	return branches, true
}

// reserved reports whether a branch of "$or" may not use a name for a field:
// those of operators, and of some that AWS may add.
func reserved(name string) bool {
	switch name {
	case "exactly", "equals-ignore-case", "prefix", "suffix", "anything-but", "exists", "wildcard", "numeric", "cidr", "html",
		"=", "<", "<=", ">", ">=",
		"regex", "not-wildcard", "not-equals-ignore-case",
		"date-after", "date-on-or-after", "date-before", "date-on-or-before", "in-date-range",
		"ip-address-in-range", "ip-address-not-in-range":
		return true
	default:
		return false
	}
}

// list reads what a field may hold. Its bracket was read.
func (r *reader) list(f *field) error {
	for {
		token, err := r.next()
		switch {
		case err != nil:
			return err
		case token == json.Delim(']') && len(f.tests) == 0 && !f.absent:
			return invalidf("Empty arrays are not allowed")
		case token == json.Delim(']'):
			return nil
		case token == json.Delim('['):
			return invalidf("Match value must be String, number, true, false, or null")
		case token == json.Delim('{'):
			err = r.expression(f)
		default:
			f.tests = append(f.tests, exactly(leafOf(token)))
		}
		if err != nil {
			return err
		}
	}
}
