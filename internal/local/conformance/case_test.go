package conformance_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// A source says where a belief comes from.
type source string

// The kinds of sources, best first.
const (
	recorded source = "recorded from AWS"
	// inferred is from the code of a test that passes on AWS, or a part of a
	// text that was seen.
	inferred   source = "inferred from a test that passes on AWS"
	documented source = "documented by AWS"
	remembered source = "remembered"
)

// A belief is one case: calls in their order, and what AWS answers.
type belief struct {
	source source
	where  string // in the source
	steps  []step
}

// A step is one call. Its texts may hold variables: $name and $other are names
// of secrets that are the case's own, $t1 to $t4 unused tokens, $rotator the
// ARN of a rotation function, $role that of a role for functions, and $function
// that of a function $name. A variable that stands for a whole text of an
// answer and has no value yet gets the text as value; $time is any number, and
// $any is anything.
type step struct {
	call string // the operation
	in   string // JSON
	// want is the JSON of the whole answer. The order of lists does not
	// count, for AWS does not promise any.
	want string
	// refused is the error instead: its name and its text.
	refused string
	// status is that of HTTP where it is not 200, or 400 of an error.
	status int
	// headers are some of the answer's.
	headers map[string]string
	// raw sends the input as it stands, without what the SDK adds and checks.
	raw bool
	// patient repeats the call until the answer is right, where AWS gets
	// there in its own time.
	patient bool
}

func ok(call, in, want string) step      { return step{call: call, in: in, want: want} }
func refused(call, in, text string) step { return step{call: call, in: in, refused: text} }

func (s step) under(headers map[string]string) step { s.headers = headers; return s }
func (s step) as(status int) step                   { s.status = status; return s }
func (s step) raws() step                           { s.raw = true; return s }
func (s step) patiently() step                      { s.patient = true; return s }

// variables are the values of a case's variables.
type variables map[string]string

var errUnknown = errors.New("a variable has no value") //nolint:gochecknoglobals // a sentinel

// expand puts the values of variables into a text. Those without a value stay.
func (v variables) expand(text string) string {
	return regexp.MustCompile(`\$[a-z]+[0-9]*`).ReplaceAllStringFunc(text, func(name string) string {
		if val, ok := v[name[1:]]; ok {
			return val
		}
		return name
	})
}

// match compares an answer with what it should be, and binds variables. Where
// it fails the variables are as before.
func (v variables) match(want, got any) error {
	try := maps.Clone(v)
	if err := try.compare("", want, got); err != nil {
		return err
	}
	maps.Copy(v, try)
	return nil
}

func (v variables) compare(path string, want, got any) error {
	switch want := want.(type) {
	case string:
		return v.compareText(path, want, got)
	case map[string]any:
		return v.compareObject(path, want, got)
	case []any:
		return v.compareList(path, want, got)
	default:
		if fmt.Sprint(want) != fmt.Sprint(got) {
			return fmt.Errorf("%s is %v, want %v", path, got, want)
		}
		return nil
	}
}

func (v variables) compareText(path, want string, got any) error {
	switch text, isText := got.(string); {
	case want == "$any":
		return nil
	case want == "$time":
		if _, ok := got.(json.Number); !ok {
			return fmt.Errorf("%s is %v, want a number", path, got)
		}
		return nil
	case !isText:
		return fmt.Errorf("%s is %v, want %q", path, got, want)
	case strings.HasPrefix(want, "$") && v[want[1:]] == "":
		v[want[1:]] = text
		return nil
	case text != v.expand(want):
		return fmt.Errorf("%s is %q, want %q", path, text, v.expand(want))
	}
	return nil
}

func (v variables) compareObject(path string, want map[string]any, got any) error {
	object, isObject := got.(map[string]any)
	if !isObject {
		return fmt.Errorf("%s is %v, want an object", path, got)
	}
	for key := range object {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(want)), func(k string) bool { return v.expand(k) == key }) {
			return fmt.Errorf("%s.%s is there", path, key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(want)) {
		val, there := object[v.expand(key)]
		if !there {
			return fmt.Errorf("%s.%s is not there", path, v.expand(key))
		}
		if err := v.compare(path+"."+key, want[key], val); err != nil {
			return err
		}
	}
	return nil
}

// compareList finds for each of the wanted members one that is as it is, in
// whatever order.
func (v variables) compareList(path string, want []any, got any) error {
	list, isList := got.([]any)
	if !isList || len(list) != len(want) {
		return fmt.Errorf("%s is %v, want %d members", path, got, len(want))
	}
	left := slices.Clone(list)
	for i, w := range want {
		var err error
		at := slices.IndexFunc(left, func(l any) bool {
			miss := v.match(w, l)
			err = errors.Join(err, miss)
			return miss == nil
		})
		if at < 0 {
			return fmt.Errorf("%s[%d] is not there: %w", path, i, err)
		}
		left = slices.Delete(left, at, at+1)
	}
	return nil
}
