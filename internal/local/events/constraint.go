package events

import (
	"fmt"
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
