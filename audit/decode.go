package audit

import (
	"encoding/json"
	"errors"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

var (
	errNoJSON = errors.New("no JSON")
	// errOtherType means that a member of a record has an unexpected type.
	errOtherType = errors.New("a member has another type")
)

// maxNesting is how deep objects and lists may be nested, as in encoding/json.
const maxNesting = 10000

// A decoder goes through the JSON of one record and reads what a [record] has
// of it, as encoding/json does, but once, and what is of no interest is not
// looked at further. Texts need no memory of their own: they are parts of the
// record's, which lives as long as one of them.
type decoder struct {
	text  string
	at    int
	depth int
	err   error
	other bool // a member had another type, and was left out
	// folded holds the name of a member in lower case.
	folded [40]byte
}

// decode reads a record. What of it has an unexpected type is left out; the
// error is then errOtherType.
func decode(raw []byte, r *record) error {
	d := decoder{text: string(raw)}
	d.value(reflect.ValueOf(r).Elem(), recordShape())
	if d.space(); d.err == nil && d.at < len(d.text) {
		d.fail()
	}
	if d.err == nil && d.other {
		return errOtherType
	}
	return d.err
}

// fail ends the decoding.
func (d *decoder) fail() {
	d.err, d.at = errNoJSON, len(d.text)
}

// space goes over white space.
func (d *decoder) space() {
	for d.at < len(d.text) && strings.IndexByte(" \t\r\n", d.text[d.at]) >= 0 {
		d.at++
	}
}

// peek is the first byte of what comes next, or zero.
func (d *decoder) peek() byte {
	if d.space(); d.at < len(d.text) {
		return d.text[d.at]
	}
	return 0
}

// take goes over a byte if it comes next.
func (d *decoder) take(c byte) bool {
	if d.peek() != c {
		return false
	}
	d.at++
	return true
}

// want goes over a byte, which must come next.
func (d *decoder) want(c byte) {
	if !d.take(c) {
		d.fail()
	}
}

// mismatch leaves out a value that is not of the type that was expected. None
// is of any type.
func (d *decoder) mismatch() {
	if d.peek() != 'n' {
		d.other = true
	}
	d.skip()
}

// open goes over a bracket that may begin the value, and reports whether it does.
func (d *decoder) open(c byte) bool {
	if !d.take(c) {
		d.mismatch()
		return false
	}
	if d.depth++; d.depth > maxNesting {
		d.fail()
	}
	return true
}

// object calls member with the name of each member of the value, in lower case,
// to read its value.
func (d *decoder) object(member func(name []byte)) {
	if !d.open('{') {
		return
	}
	for first := true; d.err == nil && !d.take('}'); first = false {
		if !first {
			d.want(',')
		}
		name := d.name()
		d.want(':')
		if d.err == nil {
			member(name)
		}
	}
	d.depth--
}

// list calls element for each element of the value, to read it.
func (d *decoder) list(element func()) {
	if !d.open('[') {
		return
	}
	for first := true; d.err == nil && !d.take(']'); first = false {
		if !first {
			d.want(',')
		}
		if d.err == nil {
			element()
		}
	}
	d.depth--
}

// skip goes over a value.
func (d *decoder) skip() {
	switch c := d.peek(); c {
	case '{':
		d.object(func([]byte) { d.skip() })
	case '[':
		d.list(d.skip)
	case '"':
		d.quoted()
	default:
		d.literal()
	}
}

// literal returns what comes next, which must be a number, true, false or null.
func (d *decoder) literal() string {
	begin := d.at
	for d.at < len(d.text) && strings.IndexByte(",]} \t\r\n:", d.text[d.at]) < 0 {
		d.at++
	}
	switch text := d.text[begin:d.at]; {
	case text == "null", text == "true", text == "false":
		return text
	case len(text) > 0 && (text[0] == '-' || '0' <= text[0] && text[0] <= '9') && json.Valid([]byte(text)):
		return text
	}
	d.fail()
	return ""
}

// quoted returns the string that comes next with its quotes, and whether it
// says what it is written as.
func (d *decoder) quoted() (text string, isPlain bool) {
	if d.peek() != '"' {
		d.fail()
		return "", false
	}
	begin := d.at
	isPlain = true
	for i := begin + 1; i < len(d.text); i++ {
		switch c := d.text[i]; {
		case c == '"':
			d.at = i + 1
			if text = d.text[begin:d.at]; !isPlain && !json.Valid([]byte(text)) {
				d.fail()
			}
			return text, isPlain
		case c == '\\':
			i++
			isPlain = false
		case c < ' ':
			d.fail()
			return "", false
		case c >= utf8.RuneSelf:
			isPlain = false
		}
	}
	d.fail()
	return "", false
}

// string returns what the string that comes next says.
func (d *decoder) string() string {
	text, isPlain := d.quoted()
	switch {
	case d.err != nil:
		return ""
	case isPlain:
		return text[1 : len(text)-1]
	}
	var said string
	if json.Unmarshal([]byte(text), &said) != nil {
		d.fail()
	}
	return said
}

// name returns the name that comes next in lower case; nothing for one that is
// longer than any of interest.
func (d *decoder) name() []byte {
	text := d.string()
	if len(text) > len(d.folded) {
		return nil
	}
	for i := range len(text) {
		c := text[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		d.folded[i] = c
	}
	return d.folded[:len(text)]
}

// value reads a value of a type.
func (d *decoder) value(to reflect.Value, of *shape) {
	c := d.peek()
	switch kind := to.Kind(); {
	case kind == reflect.Struct:
		d.object(func(name []byte) {
			if i, ok := of.fields[string(name)]; ok {
				d.value(to.Field(i), of.inner[i])
			} else {
				d.skip()
			}
		})
	case c == 'n':
		if d.skip(); kind == reflect.Slice || kind == reflect.Pointer {
			to.SetZero()
		}
	case kind == reflect.Slice:
		if c == '[' {
			to.SetZero()
		}
		d.list(func() {
			n := to.Len()
			to.Grow(1)
			to.SetLen(n + 1)
			d.value(to.Index(n), of.inner[0])
		})
	case kind == reflect.Pointer && (c == 't' || c == 'f'):
		to.Set(reflect.New(to.Type().Elem()))
		to.Elem().SetBool(d.literal() == "true")
	case kind == reflect.String && c == '"':
		to.SetString(d.string())
	case kind == reflect.Bool && (c == 't' || c == 'f'):
		to.SetBool(d.literal() == "true")
	case kind == reflect.Float64 && c != '"' && c != '{' && c != '[' && c != 't' && c != 'f':
		n, err := strconv.ParseFloat(d.literal(), 64)
		if d.other = d.other || err != nil; err == nil {
			to.SetFloat(n)
		}
	default:
		d.mismatch()
	}
}

// A shape is what there is to know of a type to read a value of it.
type shape struct {
	fields map[string]int // of a struct, by their names in lower case
	inner  []*shape       // of each field of a struct, or of a list's elements
}

func shapeOf(t reflect.Type) *shape {
	s := new(shape)
	switch t.Kind() {
	case reflect.Struct:
		s.fields, s.inner = make(map[string]int), make([]*shape, t.NumField())
		for i := range t.NumField() {
			if f := t.Field(i); f.IsExported() {
				s.fields[strings.ToLower(f.Name)], s.inner[i] = i, shapeOf(f.Type)
			}
		}
	case reflect.Slice:
		s.inner = []*shape{shapeOf(t.Elem())}
	}
	return s
}

// recordShape is that of a record.
var recordShape = sync.OnceValue(func() *shape { return shapeOf(reflect.TypeFor[record]()) })
