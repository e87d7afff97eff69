package pattern

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"unicode"
	"unicode/utf8"
)

// A reader hands out the tokens of a pattern one by one, so that what is wrong
// first is told first, and words syntax errors as AWS's reader does.
type reader struct {
	decoder *json.Decoder
	text    []byte
}

func newReader(text []byte) *reader {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	return &reader{decoder: decoder, text: text}
}

// next returns the next token of a value.
func (r *reader) next() (json.Token, error) {
	token, err := r.decoder.Token()
	if err != nil {
		return nil, r.wrong(err, false)
	}
	return token, nil
}

// name returns the name of the next member of an object. It is not ok at the
// object's end.
func (r *reader) name() (name string, ok bool, err error) {
	token, err := r.decoder.Token()
	if err != nil {
		return "", false, r.wrong(err, true)
	}
	name, ok = token.(string)
	return name, ok, nil
}

// close reads the end of an object that has had its one member.
func (r *reader) close(complaint string) error {
	token, err := r.next()
	if err == nil && token != json.Delim('}') {
		err = invalidf("%s", complaint)
	}
	return err
}

// raw returns the text of the next value.
func (r *reader) raw() (json.RawMessage, error) {
	var raw json.RawMessage
	if err := r.decoder.Decode(&raw); err != nil {
		return nil, r.wrong(err, false)
	}
	return raw, nil
}

// wrong says what is wrong with the text behind the last token.
func (r *reader) wrong(err error, wantName bool) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return invalidf("Unexpected end-of-input")
	}
	rest := bytes.TrimLeft(r.text[r.decoder.InputOffset():], " \t\r\n,:")
	c, _ := utf8.DecodeRune(rest)
	word := rest[:len(rest)-len(bytes.TrimLeftFunc(rest, inWord))]
	switch {
	case wantName && c != '"':
		return invalidf("Unexpected character ('%c' (code %d)): was expecting double-quote to start field name", c, c)
	case len(word) > 0 && unicode.IsLetter(c):
		return invalidf("Unrecognized token '%s': was expecting (JSON String, Number, Array, Object or token 'null', 'true' or 'false')", word)
	default:
		return invalidf("Unexpected character ('%c' (code %d)): expected a valid value (JSON String, Number, Array, Object or token 'null', 'true' or 'false')", c, c)
	}
}

func inWord(c rune) bool {
	return c == '_' || c == '$' || unicode.IsLetter(c) || unicode.IsDigit(c)
}
