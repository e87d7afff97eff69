package pattern

import "strings"

// maxAlike is how many wildcards of one expression may be followed by the
// same character. AWS refuses what makes its automaton large and does not say
// where the limit lies; this one refuses AWS's own example of too much,
// "*:*:*:*:*:event-bus/*".
const maxAlike = 4

// A wildcard is a string in which "*" stands for any text, as the parts
// between the stars.
type wildcard []string

// compileWildcard reads an expression. A backslash takes the meaning from a
// star or a backslash. AWS counts positions from the quote before the text.
func compileWildcard(s string) (wildcard, error) {
	var w wildcard
	var part strings.Builder
	followers := make(map[byte]int)
	for i := 0; i < len(s); i++ {
		follower := byte('"')
		if i+1 < len(s) {
			follower = s[i+1]
		}
		switch {
		case s[i] == '\\':
			if follower != '*' && follower != '\\' {
				return nil, invalidf("Invalid escape character at pos %d", i+1)
			}
			i++
			part.WriteByte(follower)
		case s[i] != '*':
			part.WriteByte(s[i])
		case follower == '*':
			return nil, invalidf("Consecutive wildcard characters at pos %d", i+1)
		default:
			w = append(w, part.String())
			part.Reset()
			followers[follower]++
		}
	}
	for _, n := range followers {
		if n > maxAlike {
			return nil, invalidf("Rule is too complex - try using fewer wildcard characters or fewer repeating character sequences after a wildcard character")
		}
	}
	return append(w, part.String()), nil
}

// match takes each part at its first place after the part before, which finds
// a match whenever there is one, and looks at no place of the text twice for
// one part.
func (w wildcard) match(s string) bool {
	first, last := w[0], w[len(w)-1]
	if len(w) == 1 {
		return s == first
	}
	if len(s) < len(first)+len(last) || !strings.HasPrefix(s, first) || !strings.HasSuffix(s, last) {
		return false
	}
	s = s[len(first) : len(s)-len(last)]
	for _, part := range w[1 : len(w)-1] {
		i := strings.Index(s, part)
		if i < 0 {
			return false
		}
		s = s[i+len(part):]
	}
	return true
}
