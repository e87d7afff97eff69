package pattern

import (
	"encoding/json"
	"strings"
)

const (
	oneKey      = "Only one key allowed in match expression"
	tooMany     = "Too many elements in numeric expression"
	noPlainList = "Value of anything-but must be an array or single string/number value."
)

// expression reads a match expression: an object of one operator. Its brace
// was read.
func (r *reader) expression(f *field) error {
	operator, ok, err := r.name()
	switch {
	case err != nil:
		return err
	case !ok:
		return invalidf("Match expression name not found")
	case operator == "exists":
		return r.exists(f)
	}
	accept, err := r.operator(operator)
	if err != nil {
		return err
	}
	f.tests = append(f.tests, accept)
	if operator == "numeric" || operator == "anything-but" {
		return r.close(tooMany)
	}
	return r.close(oneKey)
}

func (r *reader) exists(f *field) error {
	token, err := r.next()
	if err != nil {
		return err
	}
	exists, ok := token.(bool)
	if !ok {
		return invalidf("exists match pattern must be either true or false.")
	}
	if exists {
		f.tests = append(f.tests, func(*value) bool { return true })
	} else {
		f.absent = true
	}
	return r.close(oneKey)
}

func (r *reader) operator(name string) (test, error) {
	switch name {
	case "exactly", "equals-ignore-case", "wildcard":
		s, err := r.string(name)
		if err != nil {
			return nil, err
		}
		return compileText(name, s)
	case "prefix", "suffix":
		return r.affix(name)
	case "cidr":
		s, err := r.string("prefix") // AWS's message really speaks of a prefix
		if err != nil {
			return nil, err
		}
		return compileCIDR(s)
	case "numeric":
		return r.numeric()
	case "anything-but":
		return r.anythingBut()
	default:
		return nil, invalidf("Unrecognized match type %s", name)
	}
}

// string reads the operand of an operator that takes a string.
func (r *reader) string(operator string) (string, error) {
	token, err := r.next()
	if err != nil {
		return "", err
	}
	s, ok := token.(string)
	if !ok {
		return "", invalidf("%s match pattern must be a string", operator)
	}
	return s, nil
}

// affix reads a prefix or suffix, which may be an object that makes it blind
// to case.
func (r *reader) affix(operator string) (test, error) {
	token, err := r.next()
	if err != nil {
		return nil, err
	}
	if token == json.Delim('{') {
		return r.affixBlind(operator)
	}
	s, ok := token.(string)
	if !ok {
		return nil, invalidf("%s match pattern must be a string", operator)
	}
	return compileText(operator, s)
}

func (r *reader) affixBlind(operator string) (test, error) {
	name, ok, err := r.name()
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return nil, invalidf("%s expression name not found", strings.ToUpper(operator[:1])+operator[1:])
	case name != "equals-ignore-case":
		return nil, invalidf("Unsupported %s pattern: %s", operator, name)
	}
	s, err := r.string(name)
	if err != nil {
		return nil, err
	}
	folded, err := compileText(operator, strings.ToLower(s))
	if err != nil {
		return nil, err
	}
	return func(v *value) bool {
		lower := value{kind: v.kind, text: strings.ToLower(v.text)}
		return folded(&lower)
	}, r.close(oneKey)
}

// exactly returns the test for one value. Addresses are equal however they are
// written.
func exactly(want value) test {
	if want.kind == text {
		if ip, err := parseAddress(want.text); err == nil {
			return func(v *value) bool {
				got, err := parseAddress(v.text)
				return v.kind == text && err == nil && got == ip
			}
		}
	}
	return func(v *value) bool { return v.equals(&want) }
}

// compileText returns the test of an operator whose operand is a string.
func compileText(operator, s string) (test, error) {
	var accept func(got string) bool
	switch operator {
	case "prefix":
		accept = func(got string) bool { return strings.HasPrefix(got, s) }
	case "suffix":
		accept = func(got string) bool { return strings.HasSuffix(got, s) }
	case "equals-ignore-case":
		accept = func(got string) bool { return strings.EqualFold(got, s) }
	case "wildcard":
		w, err := compileWildcard(s)
		if err != nil {
			return nil, err
		}
		accept = w.match
	default:
		accept = func(got string) bool { return got == s }
	}
	return func(v *value) bool { return v.kind == text && accept(v.text) }, nil
}

// anythingBut reads what a field may not hold: one value, a list of values, or
// an operator with one or more strings.
func (r *reader) anythingBut() (test, error) {
	token, err := r.next()
	if err != nil {
		return nil, err
	}
	var refused []test
	switch token := token.(type) {
	case json.Delim:
		if token == '{' {
			refused, err = r.refusedExpression()
		} else {
			refused, err = r.refusedList()
		}
	case string, json.Number:
		refused, err = refuse(nil, leafOf(token))
	default:
		err = invalidf(noPlainList)
	}
	return func(v *value) bool {
		for _, refuse := range refused {
			if refuse(v) {
				return false
			}
		}
		return true
	}, err
}

// refusedList reads a list of values, all strings or all numbers.
func (r *reader) refusedList() ([]test, error) {
	var refused []test
	kinds := make(map[kind]bool)
	for {
		token, err := r.next()
		if err != nil {
			return nil, err
		}
		if token == json.Delim(']') {
			break
		}
		unwanted := leafOf(token)
		if _, nested := token.(json.Delim); nested || unwanted.kind == literal {
			return nil, invalidf("Inside anything but list, start|null|boolean is not supported.")
		}
		kinds[unwanted.kind] = true
		if refused, err = refuse(refused, unwanted); err != nil {
			return nil, err
		}
	}
	if len(kinds) != 1 {
		return nil, invalidf("Inside anything but list, either all values are number or string, mixed type is not supported")
	}
	return refused, nil
}

// refuse adds a value to those that a field may not hold.
func refuse(refused []test, unwanted value) ([]test, error) {
	if unwanted.kind == number && !unwanted.number.valid {
		return nil, unwanted.number.refusal()
	}
	return append(refused, func(v *value) bool { return v.equals(&unwanted) }), nil
}

// refusedExpression reads an operator within anything-but, with its end.
func (r *reader) refusedExpression() ([]test, error) {
	operator, ok, err := r.name()
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, invalidf("Anything-But expression name not found")
	}
	switch operator {
	case "prefix", "suffix", "equals-ignore-case", "wildcard":
	default:
		return nil, invalidf("Unsupported anything-but pattern: %s", operator)
	}
	refused, err := r.refusedTexts(operator)
	if err != nil {
		return nil, err
	}
	return refused, r.close(tooMany)
}

// refusedTexts reads the one or more operands of an operator within
// anything-but.
func (r *reader) refusedTexts(operator string) ([]test, error) {
	token, err := r.next()
	if err != nil {
		return nil, err
	}
	switch token.(type) {
	case string, json.Number:
		refuse, err := refusedText(operator, token)
		return []test{refuse}, err
	}
	if token != json.Delim('[') {
		return nil, invalidf(noPlainList)
	}
	var refused []test
	for {
		token, err := r.next()
		if err != nil {
			return nil, err
		}
		if token == json.Delim(']') {
			return refused, nil
		}
		refuse, err := refusedText(operator, token)
		if err != nil {
			return nil, err
		}
		refused = append(refused, refuse)
	}
}

func refusedText(operator string, operand json.Token) (test, error) {
	s, ok := operand.(string)
	affix := operator == "prefix" || operator == "suffix"
	switch {
	case !ok && affix:
		return nil, invalidf("prefix/suffix match pattern must be a string")
	case !ok && operator == "wildcard":
		return nil, invalidf("wildcard match pattern must be a string")
	case !ok:
		return nil, invalidf("Inside anything-but/%s list, number|start|null|boolean is not supported.", operator)
	case s == "" && affix:
		return nil, invalidf("Null prefix/suffix not allowed")
	}
	return compileText(operator, s)
}
