package source

import (
	"bytes"
	"slices"
)

// service stands in every record of Secrets Manager, as its event source, and
// in every record of what KMS did for it, as who asked.
const service = "secretsmanager.amazonaws.com"

// longest is the length of the longest text that is looked for.
const longest = len(service)

// A keyChange is the name of an event that makes a KMS key unusable, or usable
// again, in two parts.
type keyChange struct{ verb, rest string }

// keyChanges lists them. Their records do not name Secrets Manager.
func keyChanges() [4]keyChange {
	return [...]keyChange{{"Disable", "Key"}, {"Enable", "Key"}, {"Schedule", "KeyDeletion"}, {"Cancel", "KeyDeletion"}}
}

// isNeedle reports whether a text is one of those that are looked for.
func isNeedle(text []byte) bool {
	changes := keyChanges()
	return string(text) == service || slices.ContainsFunc(changes[:], func(c keyChange) bool { return string(text) == c.verb+c.rest })
}

// A hit is where something begins that was looked for, and how long it is: zero
// for a letter that is written as an escape.
type hit struct{ at, length int }

// searches is how many searches there are. Each returns the first hit in a text
// from a place on; at -1, there is none. They look for the letter of their text
// that records have least of.
const searches = 3

// indexService finds the name of the service.
func indexService(text []byte, from int) hit {
	const before, tip = len("secretsmanager.ama"), 'z'
	for at := from; ; at++ {
		found := bytes.IndexByte(text[at:], tip)
		if found < 0 {
			return hit{at: -1}
		}
		at += found
		if begin := at - before; begin >= from && bytes.HasPrefix(text[begin:], []byte(service)) {
			return hit{begin, len(service)}
		}
	}
}

// indexKeyChange finds the name of an event of [keyChanges].
func indexKeyChange(text []byte, from int) hit {
	const tip = "Key"
	for at := from; ; at += len(tip) {
		found := bytes.Index(text[at:], []byte(tip))
		if found < 0 {
			return hit{at: -1}
		}
		if at += found; at == from || text[at-1] != 'e' && text[at-1] != 'l' {
			continue // accessKeyId, mostly
		}
		for _, c := range keyChanges() {
			begin := at - len(c.verb)
			if begin >= from && string(text[begin:at]) == c.verb && bytes.HasPrefix(text[at:], []byte(c.rest)) {
				return hit{begin, len(c.verb) + len(c.rest)}
			}
		}
	}
}

// indexEscape finds a letter or a dot that is written as an escape, as nobody
// needs to but JSON allows: \u0073.
func indexEscape(text []byte, from int) hit {
	const mark, length = `\u00`, len(`\u0073`)
	for at := from; ; at += len(mark) {
		found := bytes.Index(text[at:], []byte(mark))
		if found < 0 || at+found+length > len(text) {
			return hit{at: -1}
		}
		at += found
		switch code := text[at+len(mark):]; code[0] {
		case '4', '5', '6', '7':
			return hit{at: at}
		case '2':
			if code[1]|' ' == 'e' {
				return hit{at: at}
			}
		}
	}
}
