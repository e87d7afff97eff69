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

	"github.com/rekey-go/rekey/internal/token"
	"github.com/rekey-go/rekey/rotation"
	"github.com/rekey-go/rekey/rotation/apikey"
	"github.com/rekey-go/rekey/rotation/keyset"
	"github.com/rekey-go/rekey/rotation/random"
)

// tagStrategy is the tag of a secret that chooses its strategy, by the name that
// the strategy gives itself as a [rotation.Namer].
const tagStrategy = "rekey:strategy"

// named is the strategy that the tag or the function's setting names; empty if
// neither does.
func named(s rotation.Secret, getenv func(string) string) string {
	if name := s.Tags[tagStrategy]; name != "" {
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
		keys, err := Keys(store, getenv)
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context, s rotation.Secret, v rotation.Value) (rotation.Strategy, error) {
			switch rotator(s) {
			case "apikeyrotator":
				return apiKeys(ctx, s, v)
			case "keyrotator":
				return keys(ctx, s, v)
			}
			return databases(ctx, s, v)
		}, nil
	}
}

// rotator is the name of the function that a secret's strategy belongs to: by
// its tag, and else by the function that rotates it. The name of that has the
// stage before it.
func rotator(s rotation.Secret) string {
	switch s.Tags[tagStrategy] {
	case apikey.Name:
		return "apikeyrotator"
	case keyset.Name, random.Name, token.RotationName:
		return "keyrotator"
	case "":
		_, name, _ := strings.Cut(s.FunctionARN, ":function:")
		name, _, _ = strings.Cut(name, ":")
		return name[strings.LastIndexByte(name, '-')+1:]
	}
	return "dbrotator"
}

func unknown(name string, known ...string) error {
	return fmt.Errorf("%w: the strategy %q is none of %s; mend the tag %s", rotation.ErrConfiguration, name, strings.Join(known, ", "), tagStrategy)
}
