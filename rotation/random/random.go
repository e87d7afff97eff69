// Package random rotates values that mean something only to those who hold
// them: webhook secrets, pepper, tokens between one's own services.
//
// # The window
//
// There is no server that accepts such a value; its consumers do. Whoever proves
// something with it, such as the sender of a webhook, takes AWSCURRENT. Whoever
// checks the proof accepts AWSCURRENT and AWSPREVIOUS, and, since a sender may
// hear of a version first, looks again before it refuses. So a rotation has two
// live values until the superseded one is retired, which takes the label
// AWSPREVIOUS off it. A further rotation before that moves the label, and ends
// the older value early: rotate no faster than the grace period of the secret.
//
// # The value
//
// It is the whole text of the secret, or one member of a JSON object
// ([Strategy.Field]), whose other members stay as they are.
package random

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/rekey-go/rekey/rotation"
)

// Strategy rotates an opaque value.
type Strategy struct {
	// Field is the member of a JSON object that is rotated. If empty, the whole
	// value is, and must not be an object.
	Field string
	// Prefix stands before every new value, such as "whsec_".
	Prefix string
	// Length is how many random characters follow it. If zero, 32.
	Length int
	// Charset names what they are taken from. If empty, [Alphanumeric].
	Charset Charset
}

var (
	_ rotation.Strategy = Strategy{}
	_ rotation.Retirer  = Strategy{}
	_ rotation.Namer    = Strategy{}
)

// Name is what operators call the [Strategy]: the word of the tag
// rekey:strategy.
const Name = "random"

// Name is [Name].
func (Strategy) Name() string { return Name }

// A Charset names characters.
type Charset string

// The sets. A text of [Base64] decodes as such if its length is a multiple of 4.
const (
	Alphanumeric Charset = "alphanumeric"
	Hex          Charset = "hex"
	Base64       Charset = "base64"
	Base64URL    Charset = "base64url"
)

// letters are the characters of each set.
//
//nolint:gochecknoglobals // a constant table.
var letters = map[Charset]string{
	Alphanumeric: upper + lower + digits,
	Hex:          digits + "abcdef",
	Base64:       upper + lower + digits + "+/",
	Base64URL:    upper + lower + digits + "-_",
}

const (
	upper  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	lower  = "abcdefghijklmnopqrstuvwxyz"
	digits = "0123456789"

	defaultLength = 32
	maxLength     = 4096
	// minBits is how much a new value has to be worth at least.
	minBits = 128
)

// Create makes a new value, or takes the one that an operator supplied: the
// text alone, or an object with the member.
func (s Strategy) Create(_ context.Context, c rotation.Change, supplied rotation.Value) (rotation.Value, error) {
	text := supplied.Reveal()
	if members, ok := object(supplied); ok && s.Field != "" {
		return s.merge(c.Current, members)
	}
	if supplied.Empty() {
		var err error
		if text, err = s.generate(); err != nil {
			return rotation.Value{}, err
		}
	}
	if s.Field != "" {
		raw, err := json.Marshal(text)
		if err != nil {
			return rotation.Value{}, errNotWritten
		}
		return s.merge(c.Current, map[string]json.RawMessage{s.Field: raw})
	}
	for _, v := range []rotation.Value{c.Current, supplied} {
		if _, ok := object(v); ok {
			return rotation.Value{}, configurationf("the value is a JSON object; name the member to rotate with the tag rekey:field")
		}
	}
	return rotation.NewValue(text), nil
}

// Set has nothing to do: the value is all that there is.
func (s Strategy) Set(_ context.Context, c rotation.Change) error { return s.check(c.Pending) }

// Test reads the value as a consumer does.
func (s Strategy) Test(_ context.Context, c rotation.Change) error { return s.check(c.Pending) }

// check says why a value cannot be read.
func (s Strategy) check(v rotation.Value) error {
	if s.Field == "" {
		return nil // it is a text, and no empty one
	}
	members, ok := object(v)
	var text string
	if !ok || json.Unmarshal(members[s.Field], &text) != nil || text == "" {
		return configurationf("the value is no JSON object with a text in the member %q", s.Field)
	}
	return nil
}

// Retire takes AWSPREVIOUS off the superseded version, and with it the value out
// of what verifiers accept.
func (Strategy) Retire(ctx context.Context, r rotation.Retirement) error {
	previous := func() (bool, error) {
		now, err := r.Store.Describe(ctx, r.Secret.ARN)
		return now.Has(r.VersionID, rotation.LabelPrevious), err
	}
	labelled, err := previous()
	if err != nil || !labelled {
		return err
	}
	err = r.Store.MoveLabel(ctx, r.Secret.ARN, rotation.LabelPrevious, r.VersionID, "")
	if err == nil {
		return nil
	}
	if labelled, describeErr := previous(); describeErr == nil && !labelled {
		return nil // a rotation took it at the same time
	}
	return err
}

// generate makes a text.
func (s Strategy) generate() (string, error) {
	charset, length := s.Charset, s.Length
	if charset == "" {
		charset = Alphanumeric
	}
	if length == 0 {
		length = defaultLength
	}
	from, ok := letters[charset]
	switch {
	case !ok:
		return "", configurationf("the charset %q is none of %v; mend the tag rekey:charset", charset, slices.Sorted(maps.Keys(letters)))
	case float64(length)*math.Log2(float64(len(from))) < minBits, length > maxLength:
		return "", configurationf("%d characters of %s are fewer than %d bits, or more than %d characters; mend the tag rekey:length", length, charset, minBits, maxLength)
	}
	var text strings.Builder
	text.WriteString(s.Prefix)
	for range length {
		text.WriteByte(from[rotation.Random(len(from))])
	}
	return text.String(), nil
}

// merge writes members over those of the current value.
func (s Strategy) merge(current rotation.Value, over map[string]json.RawMessage) (rotation.Value, error) {
	members, ok := object(current)
	if !ok {
		return rotation.Value{}, configurationf("the value is no JSON object, and so has no member %q; mend the tag rekey:field", s.Field)
	}
	maps.Copy(members, over)
	data, err := json.Marshal(members)
	if err != nil {
		return rotation.Value{}, errNotWritten
	}
	v := rotation.NewValue(string(data))
	return v, s.check(v)
}

// errNotWritten stands for an error that could quote the value.
var errNotWritten = errors.New("writing the new value as JSON")

// object reads a value that is a JSON object.
func object(v rotation.Value) (map[string]json.RawMessage, bool) {
	var members map[string]json.RawMessage
	err := json.Unmarshal([]byte(v.Reveal()), &members)
	return members, err == nil && members != nil
}

func configurationf(format string, args ...any) error {
	return fmt.Errorf("%w: %s", rotation.ErrConfiguration, fmt.Sprintf(format, args...))
}
