package iam

import (
	"strings"
	"unicode/utf8"
)

// ArnLike compares an ARN with a pattern part by part, so that a wildcard does
// not reach over a colon of the first five. A pattern with fewer than six parts
// ends in wildcards, as IAM completes it.
func ArnLike(pattern, arn string) bool { return arnLike(glob{text: pattern}, arn) }

// A glob is a pattern in which * stands for any characters and ? for one, and
// whose variables are replaced.
type glob struct {
	text string
	// wild says of each byte whether it may be a wildcard. If nil, all may.
	wild []bool
}

func (g glob) is(i int, wildcard byte) bool {
	return g.text[i] == wildcard && (g.wild == nil || g.wild[i])
}

// slice is a part of the pattern.
func (g glob) slice(from, to int) glob {
	part := glob{text: g.text[from:to]}
	if g.wild != nil {
		part.wild = g.wild[from:to]
	}
	return part
}

// match takes time in proportion to the product of both lengths at worst,
// however many wildcards there are.
func (g glob) match(text string) bool {
	// star and mark are where to go on when what follows the last * does not
	// fit: with one more character taken by it.
	star, mark := -1, 0
	p, t := 0, 0
	for t < len(text) {
		switch {
		case p < len(g.text) && g.is(p, '*'):
			star, mark = p, t
			p++
		case p < len(g.text) && g.is(p, '?'):
			_, width := utf8.DecodeRuneInString(text[t:])
			p++
			t += width
		case p < len(g.text) && g.text[p] == text[t]:
			p++
			t++
		case star >= 0:
			mark++
			p, t = star+1, mark
		default:
			return false
		}
	}
	for p < len(g.text) && g.is(p, '*') {
		p++
	}
	return p == len(g.text)
}

// arnParts is the number of parts of an ARN; the last may have colons.
const arnParts = 6

func arnLike(pattern glob, arn string) bool {
	if pattern.text == "*" && pattern.is(0, '*') {
		return true
	}
	for i := 1; i < arnParts; i++ {
		p, t := strings.IndexByte(pattern.text, ':'), strings.IndexByte(arn, ':')
		switch {
		case t < 0:
			return false // not an ARN
		case p < 0: // the parts that the pattern does not have are wildcards
			return pattern.match(arn[:t])
		case !pattern.slice(0, p).match(arn[:t]):
			return false
		}
		pattern, arn = pattern.slice(p+1, len(pattern.text)), arn[t+1:]
	}
	return pattern.match(arn)
}
