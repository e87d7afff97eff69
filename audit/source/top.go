package source

import "bytes"

// isTop reports whether an object or a list that follows a text stands where
// records do: by itself, or in a list of them. The text begins where nothing
// that a record is part of is open, or breaks off what was.
//
// Lists that the object may be in are rare, so those are looked for, and the
// way back to where the object's own list begins is gone only if there is one.
func isTop(before []byte) bool {
	if isMember(before) {
		return false
	}
	for i := 0; ; i++ {
		next := bytes.IndexByte(before[i:], '[')
		if next < 0 {
			return true
		}
		if i += next; isPart(before[:i]) && isOpen(before[i:]) {
			break
		}
	}
	// One of them is open, or a bracket in a text passes for it.
	i, ok := enclosing(before)
	return !ok || before[i] == '{' || holdsRecords(before[:i])
}

// isPart reports whether a bracket after a text may begin a list that is part of
// a record. If not, it is at the top, in a string, or holds records.
func isPart(before []byte) bool {
	switch lastByte(before) {
	case ':':
		return !holdsRecords(before)
	case ',', '[':
		return true
	}
	return false
}

// holdsRecords reports whether a list after a text is one of records: a list by
// itself, or that of a log file or of an answer of LookupEvents.
func holdsRecords(before []byte) bool {
	if !isMember(before) {
		_, isInside := enclosing(before)
		return !isInside
	}
	name := trimmedRight(before)
	name = trimmedRight(name[:len(name)-1])
	begin := stringBegin(name[:max(len(name)-1, 0)])
	if begin < 0 {
		return false
	}
	switch string(unquoted(name[begin:])) {
	case "Records", "Events":
		i, ok := enclosing(name[:begin])
		if !ok {
			return true // its beginning is not there any more
		}
		_, isInside := enclosing(name[:i])
		return !isInside
	}
	return false
}

// isOpen reports whether a list that a text begins with goes on after the text,
// or is too deep to tell.
func isOpen(text []byte) bool {
	o := objectScan{text: text}
	_, kind := o.run()
	return kind == incomplete || o.depth == maxDepth
}

// trimmedRight is a text without the white space at its end: there is none, mostly.
func trimmedRight(text []byte) []byte {
	n := len(text)
	for n > 0 && (text[n-1] == ' ' || text[n-1] == '\t' || text[n-1] == '\r' || text[n-1] == '\n') {
		n--
	}
	return text[:n]
}

// lastByte is the last byte of a text that is no white space, or zero.
func lastByte(text []byte) byte {
	if text = trimmedRight(text); len(text) > 0 {
		return text[len(text)-1]
	}
	return 0
}
