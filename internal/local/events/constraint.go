package events

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"github.com/rekey-go/rekey/internal/local/wire"
)

// The patterns of names, as AWS quotes them.
const (
	namePattern    = `[\.\-_A-Za-z0-9]+`
	busNamePattern = `[/\.\-_A-Za-z0-9]+`
)

// Faults collects in which members an input does not keep to the service's
// model. AWS tells them all at once.
type faults []string

// add notes a fault of the member at a path such as "targets.1.member.id".
func (f *faults) add(value, path, constraint string, args ...any) {
	*f = append(*f, fmt.Sprintf("Value '%s' at '%s' failed to satisfy constraint: ", value, path)+fmt.Sprintf(constraint, args...))
}

// length checks that a text has at most limit characters.
func (f *faults) length(value, path string, limit int) {
	if len(value) > limit {
		f.add(value, path, "Member must have length less than or equal to %d", limit)
	}
}

// count checks that a list has 1 to limit members. AWS quotes the list in its
// message, whose members may hold what is nobody's business in a log.
func (f *faults) count(n int, path string, limit int) {
	switch {
	case n == 0:
		f.add("[]", path, "Member must have length greater than or equal to 1")
	case n > limit:
		f.add("[...]", path, "Member must have length less than or equal to %d", limit)
	}
}

// between checks a number.
func (f *faults) between(n int, path string, low, high int) {
	if n < low {
		f.add(fmt.Sprint(n), path, "Member must have value greater than or equal to %d", low)
	}
	if n > high {
		f.add(fmt.Sprint(n), path, "Member must have value less than or equal to %d", high)
	}
}

// name checks a name of 1 to limit characters.
func (f *faults) name(value, path string, limit int, pattern string) {
	f.length(value, path, limit)
	letters := nameLetters
	if pattern == busNamePattern {
		letters += "/"
	}
	switch {
	case value == "":
		f.add(value, path, "Member must have length greater than or equal to 1")
	case strings.Trim(value, letters) != "":
		f.add(value, path, "Member must satisfy regular expression pattern: %s", pattern)
	}
}

// nameLetters are the characters that AWS allows in the names of rules,
// targets and buses.
const nameLetters = ".-_ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// A text is what the model says of a member of an input that is a text.
type text struct {
	member   string
	required bool
	least    int            // characters
	most     int            // no bound where it is zero
	pattern  *regexp.Regexp // nil where it may be anything
}

// texts checks those members of a body that are there, and that those are
// there that must be.
func (f *faults) texts(body json.RawMessage, all []text) {
	var members map[string]json.RawMessage
	if json.Unmarshal(body, &members) != nil {
		return // it was decoded before
	}
	for _, t := range all {
		var value *string
		if json.Unmarshal(members[t.member], &value) != nil {
			value = nil // it is not there
		}
		switch path := strings.ToLower(t.member[:1]) + t.member[1:]; {
		case value != nil:
			f.text(*value, path, t)
		default:
			f.given(path, t.required)
		}
	}
}

// given notes a member that must be there and is not.
func (f *faults) given(path string, missing bool) {
	if missing {
		*f = append(*f, "Value null at '"+path+"' failed to satisfy constraint: Member must not be null")
	}
}

func (f *faults) text(value, path string, t text) {
	if len(value) < t.least {
		f.add(value, path, "Member must have length greater than or equal to %d", t.least)
	}
	if t.most > 0 {
		f.length(value, path, t.most)
	}
	if t.pattern != nil && !t.pattern.MatchString(value) {
		pattern := t.pattern.String()
		f.add(value, path, "Member must satisfy regular expression pattern: %s", pattern[1:len(pattern)-1])
	}
}

// tags checks the tags of a rule or bus.
func (f *faults) tags(tags []tag) {
	for i, t := range tags {
		path := fmt.Sprintf("tags.%d.member.", i+1)
		f.text(t.Key, path+"key", text{least: 1, most: 128})
		f.length(t.Value, path+"value", 256)
	}
}

// The members that several operations have.
//
//nolint:gochecknoglobals // a constant table.
var (
	ruleLetters = regexp.MustCompile(`^` + namePattern + `$`)
	busLetters  = regexp.MustCompile(`^` + busNamePattern + `$`)
	busOrARN    = regexp.MustCompile(`^(arn:aws[\w-]*:events:[a-z]+-[a-z]+-[\w-]+:[0-9]{12}:event-bus\/)?[/\.\-_A-Za-z0-9]+$`)

	onBus     = text{member: "EventBusName", least: 1, most: 1600, pattern: busOrARN}
	nextToken = text{member: "NextToken", least: 1, most: 2048}
)

// named is a member that has to name a rule.
func named(member string) text {
	return text{member: member, required: true, least: 1, most: maxName, pattern: ruleLetters}
}

// arnOf is a member that has to be an ARN.
func arnOf(member string) text { return text{member: member, required: true, least: 1, most: 1600} }

// op is an operation that checks members of its input first.
func op[In, Out any](access wire.Access, fn func(ctx context.Context, c *wire.Call, in *In) (*Out, error), members ...text) wire.Operation {
	return wire.Op(access, func(ctx context.Context, c *wire.Call, in *In) (*Out, error) {
		var f faults
		if f.texts(c.Input, members); len(f) > 0 {
			return nil, f.refusal()
		}
		return fn(ctx, c, in)
	})
}

// refusal is the answer that tells the faults, nil where there are none.
func (f faults) refusal() error {
	switch len(f) {
	case 0:
		return nil
	case 1:
		return validationf("1 validation error detected: %s", f[0])
	default:
		return validationf("%d validation errors detected: %s", len(f), strings.Join(f, "; "))
	}
}

func validationf(format string, args ...any) *wire.Error {
	return wire.Unmodelled("ValidationException", format, args...)
}
