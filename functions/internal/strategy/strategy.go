// Package strategy chooses how a secret is rotated, for the functions that
// rotate and the one that retires.
//
// The tag rekey:strategy of the secret says it. Without the tag the variable
// REKEY_STRATEGY of the function does, and without that the secret's value.
package strategy

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"

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

// All returns what makes the chooser for the secrets of every rotating function,
// for the function that retires. The tag tells the kind of a secret, and without
// it the function that rotates the secret.
func All(cfg aws.Config) func(rotation.Store, func(string) string) (rotation.Chooser, error) {
	return func(store rotation.Store, getenv func(string) string) (rotation.Chooser, error) {
		databases, err := Databases(store, getenv)
		if err != nil {
			return nil, err
		}
		apiKeys, err := APIKeys(cfg)(store, getenv)
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context, s rotation.Secret, v rotation.Value) (rotation.Strategy, error) {
			if s.Tags[Tag] == APIKey || s.Tags[Tag] == "" && strings.HasSuffix(s.FunctionARN, "apikeyrotator") {
				return apiKeys(ctx, s, v)
			}
			return databases(ctx, s, v)
		}, nil
	}
}

func unknown(name string, known ...string) error {
	return fmt.Errorf("%w: the strategy %q is none of %s; mend the tag %s", rotation.ErrConfiguration, name, strings.Join(known, ", "), Tag)
}
