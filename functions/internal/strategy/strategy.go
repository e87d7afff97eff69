// Package strategy chooses how a secret is rotated, for the functions that
// rotate and the one that retires.
//
// The tag rekey:strategy of the secret says it. Without the tag the variable
// REKEY_STRATEGY of the function does, and without that the secret's value.
package strategy

import (
	"fmt"
	"strings"

	"github.com/rekey-go/rekey/rotation"
)

// Tag is the tag of a secret that chooses its strategy, by one of the names
// below.
const Tag = "rekey:strategy"

// The names of the strategies for database logins.
const (
	SingleUser       = "single-user"
	AlternatingUsers = "alternating-users"
	DualPassword     = "dual-password"
)

// named is the strategy that the tag or the function's setting names; empty if
// neither does.
func named(s rotation.Secret, getenv func(string) string) string {
	if name := s.Tags[Tag]; name != "" {
		return name
	}
	return getenv("REKEY_STRATEGY")
}

func unknown(name string, known ...string) error {
	return fmt.Errorf("%w: the strategy %q is none of %s; mend the tag %s", rotation.ErrConfiguration, name, strings.Join(known, ", "), Tag)
}
