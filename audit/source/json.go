package source

import (
	"bytes"
	"encoding/json"
)

// escaped reports whether what follows a text is escaped by its end.
func escaped(before []byte) bool {
	n := 0
	for n < len(before) && before[len(before)-1-n] == '\\' {
		n++
	}
	return n%2 == 1
}

// enclosing returns where the innermost object or list begins that is still
// open at the end of a text. The end must lie outside of a string.
func enclosing(text []byte) (begin int, ok bool) {
	depth := 0
	for i := len(text) - 1; i >= 0; i-- {
		switch text[i] {
		case '"':
			if i = stringBegin(text[:i]); i < 0 {
				return 0, false
			}
		case '}', ']':
			depth++
		case '{', '[':
			if depth == 0 {
				return i, true
			}
			depth--
		}
	}
	return 0, false
}

// stringBegin returns the place of the quote that opens the string which a text
// ends in, or -1.
func stringBegin(text []byte) int {
	i := bytes.LastIndexByte(text, '"')
	for i >= 0 && escaped(text[:i]) {
		i = bytes.LastIndexByte(text[:i], '"')
	}
	return i
}

// stringEnd returns the length of the string that a text begins with.
func stringEnd(text []byte) (length int, ok bool) {
	for i := 1; i < len(text); {
		j := bytes.IndexByte(text[i:], '"')
		if j < 0 {
			return 0, false
		}
		i += j
		if !escaped(text[1:i]) {
			return i + 1, true
		}
		i++
	}
	return 0, false
}

// unquoted is what a string says, with its escapes resolved.
func unquoted(quoted []byte) []byte {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return quoted[1 : len(quoted)-1]
	}
	var text string
	if json.Unmarshal(quoted, &text) != nil {
		return nil
	}
	return []byte(text)
}

// isMember reports whether what follows a text is the value of a member.
func isMember(before []byte) bool {
	return lastByte(before) == ':'
}

// An objectKind is what an object is, by the names of its own members.
type objectKind int

const (
	plain      objectKind = iota
	record                // has a member eventSource that is a string
	wrapper               // has records in it: a log file, or an event of LookupEvents
	incomplete            // goes on after the text
	broken                // is no JSON
)

// object returns the length of the object that a text begins with and what it
// is. The length is that of an object which is whole and no wrapper. What is
// not in the grammar of JSON is found where it stands, so that an object that
// was cut off does not reach into the next one.
func object(text []byte) (length int, kind objectKind) {
	if len(text) == 0 || text[0] != '{' {
		return 0, plain
	}
	o := objectScan{text: text}
	return o.run()
}

// run goes over the object or the list that the text begins with.
func (o *objectScan) run() (length int, kind objectKind) {
	for o.at < len(o.text) {
		switch c := o.text[o.at]; c {
		case ' ', '\t', '\r', '\n':
			o.at++
		case '{', '[':
			o.open(c)
		case '}', ']':
			o.close(c)
		case ',', ':':
			o.mark(c)
		case '"':
			o.quoted()
		default:
			o.literal()
		}
		switch {
		case o.kind >= wrapper:
			return 0, o.kind
		case o.depth == 0:
			return o.at, o.kind
		}
	}
	return 0, incomplete
}

// maxDepth is how deep the objects and lists of a record may be nested.
const maxDepth = 64

// An expectation is what may come next.
type expectation uint8

const (
	anyValue  expectation = iota
	valueOrNo             // a value, or the end of the list
	aName
	nameOrNo // a name, or the end of the object
	aColon
	aComma // or an end
)

// An objectScan is how far an object was looked at.
type objectScan struct {
	text     []byte
	at       int
	brackets [maxDepth]byte // those that are open
	depth    int
	next     expectation
	kind     objectKind
	source   bool // the next value is that of eventSource
}

func (o *objectScan) open(c byte) {
	if o.next > valueOrNo || o.depth == maxDepth {
		o.kind = broken
		return
	}
	o.brackets[o.depth] = c
	o.depth++
	o.at++
	o.source = false
	o.next = valueOrNo
	if c == '{' {
		o.next = nameOrNo
	}
}

func (o *objectScan) close(c byte) {
	// In ASCII a closing bracket comes two after its opening one.
	if o.depth == 0 || o.brackets[o.depth-1] != c-2 || o.next != valueOrNo && o.next != nameOrNo && o.next != aComma {
		o.kind = broken
		return
	}
	o.depth--
	o.at++
	o.next = aComma
}

func (o *objectScan) mark(c byte) {
	switch {
	case c == ':' && o.next == aColon:
		o.next = anyValue
	case c == ',' && o.next == aComma && o.brackets[o.depth-1] == '{':
		o.next = aName
	case c == ',' && o.next == aComma:
		o.next = anyValue
	default:
		o.kind = broken
	}
	o.at++
}

// quoted goes over a string, and looks at it if it is a name of the object's
// own members, or the value of its eventSource.
func (o *objectScan) quoted() {
	n, ok := stringEnd(o.text[o.at:])
	if !ok {
		o.kind = incomplete
		return
	}
	switch text := o.text[o.at : o.at+n]; o.next {
	case aName, nameOrNo:
		if o.next = aColon; o.depth == 1 {
			o.name(text)
		}
	case anyValue, valueOrNo:
		if o.next = aComma; o.source {
			o.source, o.kind = false, record
		}
	default:
		o.kind = broken
	}
	o.at += n
}

// name looks at the name of a member.
func (o *objectScan) name(quoted []byte) {
	switch string(unquoted(quoted)) {
	case "eventSource":
		if o.source = true; o.kind == record {
			o.kind = broken // the head of one record and the end of another
		}
	case "Records", "Events", "EventSource", "CloudTrailEvent":
		o.kind = wrapper
	}
}

// literal goes over a number, true, false, or null.
func (o *objectScan) literal() {
	begin := o.at
	for o.at < len(o.text) && isLiteral(o.text[o.at]) {
		o.at++
	}
	if o.at == begin || o.next > valueOrNo {
		o.kind = broken
		return
	}
	o.source = false
	if o.next = aComma; o.at < len(o.text) && !json.Valid(o.text[begin:o.at]) {
		o.kind = broken
	}
}

func isLiteral(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '+' || c == '.' || c == 'E'
}
