package keyset_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/rekey-go/rekey/rotation"
	"github.com/rekey-go/rekey/rotation/keyset"
	"github.com/rekey-go/rekey/rotation/rotationtest"
)

// first is a value as the seed of a deployment has it.
const first = `{"signing_key":"new-256-bit-secret-key","issuer":"myapp.com","audience":"everyone"}`

// value is the value of a fresh set that has a next key.
func value(t *testing.T, alg keyset.Algorithm) rotation.Value {
	t.Helper()
	s, err := keyset.New("myapp.com", alg)
	if err != nil {
		t.Fatal(err)
	}
	v, err := s.Value()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func parse(t *testing.T, v rotation.Value) *keyset.Set {
	t.Helper()
	s, err := keyset.Parse(v)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// verifiers are consumers of a secret that lag one version behind, and of which
// each signs and verifies.
type verifiers struct {
	store *rotationtest.Store
	last  rotation.Value
}

// accepts checks that consumers with a value and those with the current one or
// the one that they had before accept each other's tokens.
func (c *verifiers) accepts(ctx context.Context, v rotation.Value) error {
	now, err := c.store.Get(ctx, "", "", rotation.LabelCurrent)
	if err != nil {
		return err
	}
	for _, verifier := range []rotation.Value{now, v, c.last} {
		if err := signedAndVerified(v, verifier); err != nil {
			return err
		}
	}
	c.last = now
	return nil
}

func signedAndVerified(signer, verifier rotation.Value) error {
	signs, err := keyset.Parse(signer)
	if err != nil {
		return err
	}
	verifies, err := keyset.Parse(verifier)
	if err != nil {
		return err
	}
	token, err := signs.Sign(jwt.RegisteredClaims{Issuer: signs.Issuer, Subject: "7"})
	if err != nil {
		return err
	}
	var claims jwt.RegisteredClaims
	if err := verifies.Verify(token, &claims); err != nil {
		return fmt.Errorf("%v refuses a token of %v: %w", verifies, signs, err)
	}
	if claims.Subject != "7" {
		return errors.New("the claims are lost")
	}
	return nil
}

func TestSuite(t *testing.T) {
	t.Parallel()
	values := map[string]rotation.Value{
		"a first value": rotation.NewValue(first), "HMAC": value(t, keyset.HS256), "EdDSA": value(t, keyset.EdDSA),
	}
	for name, v := range values {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rotationtest.Exercise(t, func(*testing.T) rotationtest.Target {
				store := rotationtest.NewStore(v, nil)
				consumers := &verifiers{store, v}
				return rotationtest.Target{
					Value: v, Store: store, Accepts: consumers.accepts, Lasting: v.Reveal() == first,
					Strategy: func(rotationtest.Call) rotation.Strategy { return keyset.Strategy{} },
				}
			})
		})
	}
}

func silent() *slog.Logger { return slog.New(slog.DiscardHandler) }
