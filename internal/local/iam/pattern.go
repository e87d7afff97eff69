package iam

import (
	"errors"
	"strings"
)

// A pattern is a text of a policy with wildcards and policy variables:
// "arn:aws:dynamodb:*:*:table/${aws:PrincipalTag/team}".
type pattern struct {
	glob
	variables []variable // in the order of the text
}

// A variable is replaced by a condition key of the request.
type variable struct {
	at  int    // in the pattern's text, which does not have it
	key string // in lower case
	// fallback stands for a key that the request does not have. If nil, there
	// is none, and the pattern matches nothing.
	fallback *string
}

// compilePattern reads a text. Policies of the version 2008-10-17 have no
// variables: there ${ is plain text.
func compilePattern(text string, variables bool) (pattern, error) {
	if !variables || !strings.Contains(text, "${") {
		return pattern{glob: glob{text: text}}, nil
	}
	var p pattern
	plain := func(text string, wild bool) {
		p.text += text
		for range len(text) {
			p.wild = append(p.wild, wild)
		}
	}
	for {
		before, rest, found := strings.Cut(text, "${")
		plain(before, true)
		if !found {
			return p, nil
		}
		inner, after, closed := strings.Cut(rest, "}")
		if !closed {
			return p, errors.New("a policy variable has no closing brace")
		}
		text = after
		switch inner {
		case "*", "?", "$":
			plain(inner, false)
			continue
		}
		v, err := compileVariable(inner)
		if err != nil {
			return p, err
		}
		v.at = len(p.text)
		p.variables = append(p.variables, v)
	}
}

// compileVariable reads what stands in the braces: a key, and after a comma
// what stands for it in quotes.
func compileVariable(text string) (variable, error) {
	key, fallback, has := strings.Cut(text, ",")
	v := variable{key: strings.ToLower(strings.TrimSpace(key))}
	if v.key == "" || strings.ContainsAny(v.key, " ${") {
		return v, errors.New("a policy variable has no condition key")
	}
	if has {
		quoted := strings.TrimSpace(fallback)
		if len(quoted) < 2 || quoted[0] != '\'' || quoted[len(quoted)-1] != '\'' {
			return v, errors.New("the default of a policy variable stands in single quotes")
		}
		v.fallback = new(quoted[1 : len(quoted)-1])
	}
	return v, nil
}

// expand replaces the variables. It is false where the request does not have
// one value for each.
func (p *pattern) expand(c Context) (glob, bool) {
	if len(p.variables) == 0 {
		return p.glob, true
	}
	var out glob
	from := 0
	for _, v := range p.variables {
		value, ok := v.value(c)
		if !ok {
			return out, false
		}
		out.text += p.text[from:v.at] + value
		out.wild = append(append(out.wild, p.wild[from:v.at]...), make([]bool, len(value))...)
		from = v.at
	}
	out.text += p.text[from:]
	out.wild = append(out.wild, p.wild[from:]...)
	return out, true
}

func (v *variable) value(c Context) (string, bool) {
	values := c.Get(v.key)
	switch {
	case len(values) == 1:
		return values[0], true
	case len(values) == 0 && v.fallback != nil:
		return *v.fallback, true
	default:
		return "", false
	}
}
