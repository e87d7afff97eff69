package iam

import (
	"fmt"
	"slices"
	"strings"
)

// A condition is one key under one operator of a statement.
type condition struct {
	key        string // in lower case
	quantifier quantifier
	ifExists   bool
	negated    bool
	// absent is set for Null: whether the key has to be absent.
	absent *bool
	wanted []matcher
}

// A quantifier says how several values of a request are judged.
type quantifier int

const (
	anyway quantifier = iota // one value is expected
	forAll
	forAny
)

// compileCondition reads the operator and the values of a key.
func compileCondition(name, key string, values []string, variables bool) (condition, error) {
	c := condition{key: strings.ToLower(key)}
	base := name
	if rest, ok := strings.CutPrefix(base, "ForAllValues:"); ok {
		c.quantifier, base = forAll, rest
	} else if rest, ok := strings.CutPrefix(base, "ForAnyValue:"); ok {
		c.quantifier, base = forAny, rest
	}
	base, c.ifExists = strings.CutSuffix(base, "IfExists")
	switch {
	case c.key == "" || !strings.Contains(c.key, ":"):
		return c, fmt.Errorf("%q is no condition key such as aws:SourceArn", key)
	case len(values) == 0:
		return c, fmt.Errorf("%s of %s has no value", name, key)
	case base == "Null":
		return c.null(name, values)
	}
	op, ok := operators[base]
	if !ok {
		return c, fmt.Errorf("%q is no condition operator", name)
	}
	c.negated = op.negated
	for _, value := range values {
		match, err := op.compile(value, variables)
		if err != nil {
			return c, fmt.Errorf("%s of %s: %w", name, key, err)
		}
		c.wanted = append(c.wanted, match)
	}
	return c, nil
}

// null is the condition that looks whether a key is there.
func (c condition) null(name string, values []string) (condition, error) {
	value := strings.ToLower(values[0])
	if name != "Null" || len(values) != 1 || value != "true" && value != "false" {
		return c, fmt.Errorf("%s takes one value, true or false, and neither a quantifier nor IfExists", name)
	}
	c.absent = new(value == "true")
	return c, nil
}

// holds judges a request. Where it does not have the key, negated operators
// hold, as do ForAllValues and IfExists; all others do not.
func (c *condition) holds(context Context) bool {
	got := context.Get(c.key)
	if c.absent != nil {
		return *c.absent == (len(got) == 0)
	}
	if len(got) == 0 {
		return c.ifExists || c.quantifier == forAll || c.negated && c.quantifier != forAny
	}
	fits := func(value string) bool {
		return c.negated != slices.ContainsFunc(c.wanted, func(match matcher) bool { return match(value, context) })
	}
	if c.quantifier == forAll || c.negated && c.quantifier == anyway {
		return !slices.ContainsFunc(got, func(value string) bool { return !fits(value) })
	}
	return slices.ContainsFunc(got, fits)
}
