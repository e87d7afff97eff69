package keyrotator_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/rekey-go/rekey/runtime/secrets"
	"github.com/rekey-go/rekey/runtime/signing"
)

// verifier is that of a process that has just started.
func (b *bench) verifier() *signing.Keys {
	return signing.NewKeys(secrets.New(b.Client, func(o *secrets.Options) { o.Stage = "dev" }), "jwt-configuration", func(o *signing.Options) {
		o.Again = time.Nanosecond // the test is quicker than forgers are
	})
}

// Every token that was valid before a rotation is valid after it, whoever
// verifies it: processes that have not heard of the rotation, and those that
// have just started. So it is for each algorithm, and until its key is retired.
func TestTokensOutliveRotations(t *testing.T) {
	t.Parallel()
	for _, alg := range []string{"HS256", "RS256", "ES256", "EdDSA"} {
		t.Run(alg, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.Create(t, jwtSecret, first, map[string]string{"rekey:alg": alg})
			var tokens []string
			verifiers := []*signing.Keys{b.verifier()}
			for range 3 {
				signer := b.verifier()
				issuer, err := signer.Issuer(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				token, err := signer.Sign(t.Context(), jwt.MapClaims{"iss": issuer, "sub": "7", "exp": time.Now().Add(time.Hour).Unix()})
				if err != nil {
					t.Fatal(err)
				}
				tokens = append(tokens, token)
				if err := b.rotateLater(t); err != nil {
					t.Fatal(err)
				}
				verifiers = append(verifiers, b.verifier())
				for i, v := range verifiers {
					for j, token := range tokens {
						if err := v.Verify(t.Context(), token, &jwt.RegisteredClaims{}); err != nil {
							t.Errorf("after %d rotations the verifier since %d refuses the token of %d: %v", len(tokens), i, j, err)
						}
					}
				}
			}
			if got := b.keys(t).Current.Algorithm; string(got) != alg {
				t.Errorf("the current key is for %s, want %s", got, alg)
			}
			if err := b.retire(t, jwtSecret); err != nil {
				t.Fatal(err)
			}
			v := b.verifier()
			if err := v.Verify(t.Context(), tokens[0], &jwt.RegisteredClaims{}); err == nil {
				t.Error("the token of a retired key is accepted")
			}
		})
	}
}

// A webhook that the sender signs with either value is accepted throughout.
func TestWebhooksOutliveRotations(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	const name = "dev-webhook"
	b.Create(t, name, `{"secret":"the-first-one-of-all"}`, map[string]string{"rekey:strategy": "random", "rekey:field": "secret"})
	hook := func() *signing.Webhook {
		return signing.NewWebhook(secrets.New(b.Client, func(o *secrets.Options) { o.Stage = "dev" }), "webhook", func(o *signing.Options) {
			o.Field, o.Again = "secret", time.Nanosecond
		})
	}
	verifier, message := hook(), []byte(`{"paid":true}`)
	for i := range 3 {
		sender := hook() // has the version of before the rotation all the time
		mac, err := sender.MAC(t.Context(), message)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Rotate(t, name); err != nil {
			t.Fatal(err)
		}
		fresh, err := hook().MAC(t.Context(), message)
		if err != nil {
			t.Fatal(err)
		}
		for when, mac := range map[string][]byte{"before": mac, "after": fresh} {
			for _, v := range []*signing.Webhook{verifier, sender, hook()} {
				if err := v.VerifyMAC(t.Context(), message, mac); err != nil {
					t.Errorf("rotation %d, signed %s: %v", i, when, err)
				}
			}
		}
	}
	var held map[string]string
	if err := json.Unmarshal([]byte(b.current(t, name).Reveal()), &held); err != nil || held["secret"] == "the-first-one-of-all" {
		t.Errorf("the value was not rotated: %v", err)
	}
}
