package mysql

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/rekey-go/rekey/rotation"
)

// A token is a part of a statement that the server has written: a word or a
// sign as it stands, or what was in quotes.
type token struct {
	text   string
	quoted bool
}

// is reports whether the token is a word or a sign.
func (t token) is(text string) bool { return !t.quoted && strings.EqualFold(t.text, text) }

// tokens takes a statement of the server apart. In quotes a quote is doubled;
// in a string a backslash stands before one too.
func tokens(statement string) ([]token, error) {
	var all []token
	for rest := strings.TrimSpace(statement); rest != ""; rest = strings.TrimSpace(rest) {
		var t token
		var ok bool
		switch rest[0] {
		case '`', '\'', '"':
			t.quoted = true
			if t.text, rest, ok = unquote(rest); !ok {
				return nil, fmt.Errorf("%w: a quote in it does not end", errStatement)
			}
		default:
			n := wordLength(rest)
			t.text, rest = rest[:n], rest[n:]
		}
		all = append(all, t)
	}
	return all, nil
}

// errStatement means that the server wrote a statement that is not understood;
// nothing is done by halves then.
var errStatement = fmt.Errorf("%w: the server's own statement is not understood", rotation.ErrConfiguration)

// unquote takes what is in quotes from the beginning of a text.
func unquote(text string) (inner, rest string, ok bool) {
	quote := text[0]
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == quote && i+1 < len(text) && text[i+1] == quote:
			b.WriteByte(quote)
			i++
		case c == quote:
			return b.String(), text[i+1:], true
		case c == '\\' && quote != '`' && i+1 < len(text):
			i++
			b.WriteByte(unescape(text[i]))
		default:
			b.WriteByte(c)
		}
	}
	return "", "", false
}

// unescape is what a character after a backslash stands for.
func unescape(c byte) byte {
	switch c {
	case '0':
		return 0
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'b':
		return '\b'
	case 'Z':
		return 26
	}
	return c
}

// wordLength is how long the word is that a text begins with, or 1 for a sign.
func wordLength(text string) int {
	n := 0
	for n < len(text) {
		r, size := utf8.DecodeRuneInString(text[n:])
		if r != '_' && r != '$' && !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			break
		}
		n += size
	}
	if n == 0 {
		_, n = utf8.DecodeRuneInString(text)
	}
	return n
}

// A scanner goes over tokens.
type scanner struct {
	tokens []token
	next   int
}

// scan takes a statement apart for a scanner.
func scan(statement string) (*scanner, error) {
	all, err := tokens(statement)
	return &scanner{tokens: all}, err
}

// peek is the token to come; none at the end.
func (s *scanner) peek() token {
	if s.next == len(s.tokens) {
		return token{}
	}
	return s.tokens[s.next]
}

// take takes the next tokens if they are these words and signs.
func (s *scanner) take(words ...string) bool {
	for i, w := range words {
		if s.next+i >= len(s.tokens) || !s.tokens[s.next+i].is(w) {
			return false
		}
	}
	s.next += len(words)
	return true
}

// quoted takes a name or a string.
func (s *scanner) quoted() (text string, ok bool) {
	t := s.peek()
	if !t.quoted {
		return "", false
	}
	s.next++
	return t.text, true
}

// name takes an account or a role.
func (s *scanner) name() (n name, ok bool) {
	if n.user, ok = s.quoted(); ok && s.take("@") {
		n.host, ok = s.quoted()
	}
	return n, ok
}

// parseIdentified reads the ways to log in of MariaDB's SHOW CREATE USER.
func parseIdentified(statement string) ([]method, error) {
	s, err := scan(statement)
	if err != nil {
		return nil, err
	}
	if !s.take("CREATE", "USER") {
		return nil, fmt.Errorf("%w: it is no CREATE USER", errStatement)
	}
	if _, ok := s.name(); !ok {
		return nil, fmt.Errorf("%w: it names no account", errStatement)
	}
	if s.take("IDENTIFIED", "BY", "PASSWORD") {
		stored, ok := s.quoted()
		if !ok {
			return nil, fmt.Errorf("%w: it has no password", errStatement)
		}
		return []method{{nativePassword, stored}}, nil
	}
	if !s.take("IDENTIFIED", "VIA") {
		return nil, nil // an account without a password
	}
	return s.alternatives()
}

// alternatives takes what follows IDENTIFIED VIA.
func (s *scanner) alternatives() ([]method, error) {
	var all []method
	for {
		m := method{plugin: s.peek().text}
		s.next = min(s.next+1, len(s.tokens))
		if m.plugin == "" {
			return nil, fmt.Errorf("%w: a plugin has no name", errStatement)
		}
		if s.take("USING") || s.take("AS") {
			var ok bool
			if m.stored, ok = s.quoted(); !ok {
				return nil, fmt.Errorf("%w: the plugin %q has nothing stored", errStatement, m.plugin)
			}
		}
		all = append(all, m)
		if !s.take("OR") {
			return all, nil
		}
	}
}
