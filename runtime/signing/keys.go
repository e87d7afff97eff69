package signing

import (
	"context"
	"errors"
	"fmt"

	"github.com/golang-jwt/jwt/v5"

	"github.com/rekey-go/rekey/runtime/secrets"
)

// Keys sign and verify with a key set, a secret as package rotation/keyset
// rotates it:
//
//	{"signing_key": "...", "issuer": "myapp.com", "alg": "HS256", "keys": [
//	  {"kty": "oct", "kid": "...", "alg": "HS256", "k": "...", "state": "next"}, ...]}
//
// Before its first rotation it may have signing_key and issuer alone. They are
// safe for concurrent use.
type Keys struct {
	set   *secrets.Ref[set]
	name  string
	again *again
}

// NewKeys returns the keys in a secret. It makes no call.
func NewKeys(client *secrets.Client, name string, optFns ...func(*Options)) *Keys {
	opts := optionsOf(optFns)
	return &Keys{
		set: secrets.Bind[set](client, name), name: name,
		again: &again{client: client, name: name, every: opts.Again},
	}
}

// Sign signs claims with the current key, and names it in the token. Claims are
// taken as they are: set iss to what [Keys.Issuer] returns, and exp, without
// which no token is verified.
func (k *Keys) Sign(ctx context.Context, claims jwt.Claims) (token string, err error) {
	s, err := k.read(ctx)
	if err != nil {
		return "", err
	}
	return s.current.sign(claims)
}

// Issuer is what tokens name as theirs (iss). It may be empty.
func (k *Keys) Issuer(ctx context.Context) (string, error) {
	s, err := k.read(ctx)
	return s.issuer, err
}

// Verify reads a token's claims, if an accepted key has signed it with its own
// algorithm, the issuer is that of the key, and the token has an expiry that has
// not passed. Options add to that, such as jwt.WithAudience. The error wraps
// [ErrRefused] and one of package jwt that says what is wrong with the token, or
// one of package secrets where the keys could not be read.
func (k *Keys) Verify(ctx context.Context, token string, claims jwt.Claims, options ...jwt.ParserOption) error {
	return k.tryTwice(ctx, func(s set) error { return s.verify(token, claims, options) })
}

// MAC is the HMAC of a message under the current key, with the hash of the key's
// algorithm. The error says so where the current key is none for HMAC.
func (k *Keys) MAC(ctx context.Context, message []byte) ([]byte, error) {
	s, err := k.read(ctx)
	if err != nil {
		return nil, err
	}
	mac, ok := s.current.mac(message)
	if !ok {
		return nil, fmt.Errorf("the current key in %s is for %s, and makes no MAC", k.name, s.current.alg)
	}
	return mac, nil
}

// VerifyMAC checks the HMAC of a message under every accepted key, in constant
// time. The error wraps [ErrUnknownKey] if none has made it.
func (k *Keys) VerifyMAC(ctx context.Context, message, mac []byte) error {
	return k.tryTwice(ctx, func(s set) error { return s.verifyMAC(message, mac) })
}

// JWKS is the public keys as a JSON Web Key Set (RFC 7517), for those who verify
// and may not sign. HMAC keys are not in it: there is nothing public in them.
func (k *Keys) JWKS(ctx context.Context) ([]byte, error) {
	s, err := k.read(ctx)
	if err != nil {
		return nil, err
	}
	return s.public()
}

func (k *Keys) read(ctx context.Context) (set, error) {
	s, err := k.set.Get(ctx)
	if err != nil {
		return set{}, fmt.Errorf("reading the signing keys: %w", err)
	}
	return s, nil
}

// tryTwice verifies, and where no key has signed again with keys that were read
// anew.
func (k *Keys) tryTwice(ctx context.Context, verify func(set) error) error {
	s, err := k.read(ctx)
	if err != nil {
		return err
	}
	refused := verify(s)
	if !errors.Is(refused, ErrUnknownKey) {
		return refused
	}
	if err := k.again.read(ctx); err != nil {
		return fmt.Errorf("reading the signing keys again: %w", err)
	}
	if s, err = k.read(ctx); err != nil {
		return err
	}
	return verify(s)
}
