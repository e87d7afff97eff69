package secrets

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// decode reads the value as JSON.
func decode[T any](s *Secret) (T, error) {
	var v T
	err := json.Unmarshal([]byte(*s.value), &v)
	if err == nil {
		return v, nil
	}
	var zero T
	t := reflect.TypeFor[T]()
	return zero, fmt.Errorf("decoding %s into %v: %s: %w", s.label(), t, misfit(t, err), ErrDecode)
}

// RevealAny returns the value for a program that does not know its shape: where
// it is JSON, what that stands for, as package json decodes it into an any but
// with each number as a [json.Number]; and where it is not, the text itself. It
// decodes on every call.
func (s *Secret) RevealAny() any {
	if !json.Valid([]byte(*s.value)) {
		return *s.value
	}
	d := json.NewDecoder(strings.NewReader(*s.value))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil { // what is valid can be decoded
		return *s.value
	}
	return v
}

// misfit says what is wrong with a value, by names that are in the program
// anyway. The decoder's own error quotes what it read.
func misfit(t reflect.Type, err error) string {
	if _, ok := errors.AsType[*json.SyntaxError](err); ok {
		return "it is not JSON"
	}
	e, ok := errors.AsType[*json.UnmarshalTypeError](err)
	switch {
	case !ok || e.Type == nil:
		return "it does not fit"
	case e.Field == "" || !isField(t, e.Field):
		return fmt.Sprintf("it, or a part of it, is not of type %v", e.Type)
	default:
		return fmt.Sprintf("field %q is not of type %v", e.Field, e.Type)
	}
}

// isField reports whether a path consists of names of a type's own fields. A
// decoder may put keys of a map into it, which are part of the value.
func isField(t reflect.Type, path string) bool {
	names := make(map[string]bool)
	fieldNames(t, names, make(map[reflect.Type]bool))
	for name := range strings.SplitSeq(path, ".") {
		if !names[name] {
			return false
		}
	}
	return true
}

func fieldNames(t reflect.Type, names map[string]bool, seen map[reflect.Type]bool) {
	if seen[t] {
		return
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		fieldNames(t.Elem(), names, seen)
	case reflect.Struct:
		for f := range t.Fields() {
			tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			names[tag], names[f.Name] = true, true
			fieldNames(f.Type, names, seen)
		}
	default: // has none
	}
}
