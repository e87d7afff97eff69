package strategy

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/rekey-go/rekey/internal/token"
	"github.com/rekey-go/rekey/rotation"
	"github.com/rekey-go/rekey/rotation/keyset"
	"github.com/rekey-go/rekey/rotation/random"
)

// The tags of secrets that no server knows but their consumers. Each stands for
// a member of [keyset.Strategy] or [random.Strategy].
const (
	tagAlgorithm = "rekey:alg"
	tagPublish   = "rekey:publish"
	tagField     = "rekey:field"
	tagPrefix    = "rekey:prefix"
	tagLength    = "rekey:length"
	tagCharset   = "rekey:charset"
)

// untold is how long a consumer without a bulletin goes on with a value.
const untold = 5 * time.Minute

// keys are the settings of the function.
type keys struct {
	store   rotation.Store
	getenv  func(string) string
	publish time.Duration
}

// Keys returns the chooser for signing keys, opaque values and the admin token.
// It reads REKEY_ADMIN_TOKENS, which names the secret with the hashes of the
// admin API; and REKEY_LEASE with REKEY_BULLETIN, because after that time every
// consumer has looked at the bulletin.
//
// A secret that names no strategy is a key set where its value has a signing
// key, and an opaque value where it is a plain text.
func Keys(store rotation.Store, getenv func(string) string) (rotation.Chooser, error) {
	k := &keys{store: store, getenv: getenv, publish: untold}
	if lease := getenv("REKEY_LEASE"); lease != "" && getenv("REKEY_BULLETIN") != "" {
		var err error
		if k.publish, err = time.ParseDuration(lease); err != nil {
			return nil, fmt.Errorf("%w: REKEY_LEASE is not a duration such as 60s: %q", rotation.ErrConfiguration, lease)
		}
	}
	return k.choose, nil
}

func (k *keys) choose(_ context.Context, s rotation.Secret, v rotation.Value) (rotation.Strategy, error) {
	name := named(s, k.getenv)
	if name == "" {
		name = shape(v)
	}
	switch name {
	case keyset.Name:
		return k.keySet(s)
	case random.Name:
		return opaque(s)
	case token.RotationName:
		return token.Rotation{Store: k.store, Tokens: k.getenv("REKEY_ADMIN_TOKENS")}, nil
	case "":
		return nil, fmt.Errorf("%w: the value is a JSON object without a signing_key; name the strategy with the tag %s", rotation.ErrConfiguration, tagStrategy)
	}
	return nil, unknown(name, keyset.Name, random.Name, token.RotationName)
}

// shape is the strategy that a value calls for, if it calls for one.
func shape(v rotation.Value) string {
	var members map[string]json.RawMessage
	if json.Unmarshal([]byte(v.Reveal()), &members) != nil {
		return random.Name
	}
	if _, ok := members["signing_key"]; ok {
		return keyset.Name
	}
	return ""
}

func (k *keys) keySet(s rotation.Secret) (rotation.Strategy, error) {
	strategy := keyset.Strategy{Algorithm: keyset.Algorithm(s.Tags[tagAlgorithm]), Publish: k.publish}
	if text := s.Tags[tagPublish]; text != "" {
		publish, err := time.ParseDuration(text)
		if err != nil || publish < 0 {
			return nil, fmt.Errorf("%w: the tag %s is not a duration such as 2h: %q", rotation.ErrConfiguration, tagPublish, text)
		}
		strategy.Publish = publish
	}
	return strategy, nil
}

func opaque(s rotation.Secret) (rotation.Strategy, error) {
	strategy := random.Strategy{Field: s.Tags[tagField], Prefix: s.Tags[tagPrefix], Charset: random.Charset(s.Tags[tagCharset])}
	if text := s.Tags[tagLength]; text != "" {
		length, err := strconv.Atoi(text)
		if err != nil || length < 1 {
			return nil, fmt.Errorf("%w: the tag %s is not a number of characters: %q", rotation.ErrConfiguration, tagLength, text)
		}
		strategy.Length = length
	}
	return strategy, nil
}
