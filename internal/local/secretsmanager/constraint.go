package secretsmanager

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/rekey-go/rekey/internal/local/wire"
)

// What the service's model allows.
const (
	maxSecretID    = 2048 // characters
	maxName        = 512
	maxDescription = 2048
	maxKMSKey      = 2048
	maxValue       = 65536 // bytes
	minToken       = 32    // characters
	maxToken       = 64
	maxLabelLength = 256
	maxNextToken   = 4096
	maxPage        = 100
	maxLambdaARN   = 2048
	maxDays        = 1000 // between rotations

	minRotationToken = 36
	maxRotationToken = 256
)

// The constraints of the service's model are checked before anything else of
// a call, all of them at once. The answer quotes each value that broke one,
// but for values of secrets.

// constraints collect what an input breaks.
type constraints struct {
	broken      []string
	invalidName bool
	// blank has the members that are there as empty texts, in small letters.
	// Only they break a constraint: to be absent is no fault.
	blank map[string]bool
}

// An input is what an operation takes.
type input interface {
	// check tells the constraints all members that have any.
	check(c *constraints)
}

// err is what AWS answers for what is broken.
func (c *constraints) err() error {
	switch n := len(c.broken); {
	case n == 1:
		return validation("1 validation error detected: %s", c.broken[0])
	case n > 1:
		return validation("%d validation errors detected: %s", n, strings.Join(c.broken, "; "))
	case c.invalidName:
		return validation("Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!")
	}
	return nil
}

// checked is the error of an input that breaks constraints. The body is what
// it was read from.
func checked(in input, body json.RawMessage) error {
	c := &constraints{blank: blank(body)}
	in.check(c)
	return c.err()
}

// blank finds the members of a body that are empty texts.
func blank(body json.RawMessage) map[string]bool {
	const empty = `""`
	var members map[string]json.RawMessage
	if !bytes.Contains(body, []byte(empty)) || json.Unmarshal(body, &members) != nil {
		return nil
	}
	found := make(map[string]bool)
	for name, val := range members {
		found[lower(name)] = string(val) == empty
	}
	return found
}

// fail notes that a member breaks a constraint.
func (c *constraints) fail(member string, val any, constraint string, args ...any) {
	c.broken = append(c.broken, fmt.Sprintf("Value '%v' at '%s' failed to satisfy constraint: ", val, member)+fmt.Sprintf(constraint, args...))
}

// size checks that a number is in a range, and says so in the given words.
func (c *constraints) size(words string, n, least, most int, fail func(constraint string)) {
	switch {
	case n < least:
		fail("Member must have " + words + " greater than or equal to " + strconv.Itoa(least))
	case n > most:
		fail("Member must have " + words + " less than or equal to " + strconv.Itoa(most))
	}
}

// text checks the length of a text that need not be there.
func (c *constraints) text(member, val string, least, most int) {
	if val != "" || c.blank[lower(member)] {
		c.given(member, val, least, most)
	}
}

// given checks the length of a text that is there.
func (c *constraints) given(member, val string, least, most int) {
	c.size("length", utf8.RuneCountInString(val), least, most, func(constraint string) { c.fail(member, val, "%s", constraint) })
}

// required checks the length of a text that must be there.
func (c *constraints) required(member, val string, most int) {
	if val == "" && !c.blank[lower(member)] {
		c.missing(member)
		return
	}
	c.given(member, val, 1, most)
}

// list checks that a list that must be there is.
func (c *constraints) list(member string, absent bool) {
	if absent {
		c.missing(member)
	}
}

func (c *constraints) missing(member string) {
	c.broken = append(c.broken, "Value null at '"+member+"' failed to satisfy constraint: Member must not be null")
}

// count checks the length of a list that is there.
func (c *constraints) count(member string, n, least, most int) {
	c.size("length", n, least, most, func(constraint string) { c.fail(member, "["+strconv.Itoa(n)+" members]", "%s", constraint) })
}

// number checks a number from 1 that need not be there.
func (c *constraints) number(member string, n *int, most int) {
	if n != nil {
		c.size("value", *n, 1, most, func(constraint string) { c.fail(member, *n, "%s", constraint) })
	}
}

// oneOf checks a text that need not be there against the model's list.
func (c *constraints) oneOf(member, val string, set ...string) {
	if (val != "" || c.blank[lower(member)]) && !slices.Contains(set, val) {
		c.fail(member, val, "Member must satisfy enum value set: [%s]", strings.Join(set, ", "))
	}
}

// pattern checks a text that need not be there.
func (c *constraints) pattern(member, val, expression string) {
	if val != "" && !regexp.MustCompile(`\A(?:`+expression+`)\z`).MatchString(val) {
		c.fail(member, val, "Member must satisfy regular expression pattern: %s", expression)
	}
}

// value checks the size of a secret value, which is not quoted.
func (c *constraints) value(text *string, binary []byte) {
	hidden := func(member string) func(string) {
		return func(constraint string) {
			c.broken = append(c.broken, "Value at '"+member+"' failed to satisfy constraint: "+constraint)
		}
	}
	if text != nil {
		c.size("length", len(*text), 1, maxValue, hidden("secretString"))
	}
	if binary != nil {
		c.size("length", len(binary), 1, maxValue, hidden("secretBinary"))
	}
}

// token checks a ClientRequestToken, which becomes a version id. That it is
// missing is for the operation to say.
func (c *constraints) token(val string) { c.text("clientRequestToken", val, minToken, maxToken) }

func (c *constraints) kmsKey(val string) { c.text("kmsKeyId", val, 0, maxKMSKey) }

func (c *constraints) tags(tags []tag) {
	for i, t := range tags {
		at := "tags." + strconv.Itoa(i+1) + ".member."
		c.given(at+"key", t.Key, 1, maxTagKey)
		c.given(at+"value", t.Value, 0, maxTagValue)
	}
}

// secretID checks what names a secret.
func (c *constraints) secretID(id string) {
	c.required("secretId", id, maxSecretID)
	c.name(id)
}

// name checks the characters of a secret's name; an ARN has others.
func (c *constraints) name(name string) {
	if !strings.HasPrefix(name, "arn:") && !validName(name) {
		c.invalidName = true
	}
}

// validName reports whether a secret may have the name, as AWS's answer to one
// that it may not have says it.
func validName(name string) bool {
	return !strings.ContainsFunc(name, func(r rune) bool {
		return !strings.ContainsRune(alphanumerics+"-/_+=.@!", r)
	})
}

// op makes an operation that checks the constraints of its input first.
func op[T, Out any, In interface {
	*T
	input
}](access wire.Access, fn func(ctx context.Context, c *wire.Call, in *T) (*Out, error), redact ...string,
) wire.Operation {
	return wire.Op(access, func(ctx context.Context, c *wire.Call, in *T) (*Out, error) {
		if err := checked(In(in), c.Input); err != nil {
			return nil, err
		}
		return fn(ctx, c, in)
	}, redact...)
}
