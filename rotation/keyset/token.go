package keyset

import (
	"errors"
	"fmt"

	"github.com/golang-jwt/jwt/v5"
)

// Sign signs claims with the current key, and names it in the token.
func (s *Set) Sign(claims jwt.Claims) (string, error) { return s.Current.sign(claims) }

func (k Key) sign(claims jwt.Claims) (string, error) {
	token := jwt.NewWithClaims(jwt.GetSigningMethod(string(k.Algorithm)), claims)
	token.Header["kid"] = k.ID
	return token.SignedString(*k.material)
}

// Verify reads a token's claims, if a key of the set signed it with its own
// algorithm and the issuer is the set's. The next key counts too: another
// consumer may have the version in which it signs. A token that names no key is
// tried with all. The error wraps [ErrUnknownKey] if the token names a key that
// is not in the set.
func (s *Set) Verify(token string, claims jwt.Claims, options ...jwt.ParserOption) error {
	unverified, _, err := jwt.NewParser().ParseUnverified(token, jwt.MapClaims{})
	if err != nil {
		return err
	}
	id, _ := unverified.Header["kid"].(string)
	keys := s.byID(id)
	if len(keys) == 0 {
		return fmt.Errorf("%w: %q", ErrUnknownKey, id)
	}
	var refused error
	for _, k := range keys {
		err := k.verify(token, claims, s.issuer(k), options)
		if err == nil {
			return nil
		}
		refused = errors.Join(refused, err)
	}
	return refused
}

// issuer is what the tokens of a key name as theirs.
func (s *Set) issuer(k Key) string {
	if k.Issuer != "" {
		return k.Issuer
	}
	return s.Issuer
}

func (k Key) verify(token string, claims jwt.Claims, issuer string, options []jwt.ParserOption) error {
	options = append([]jwt.ParserOption{jwt.WithValidMethods([]string{string(k.Algorithm)}), jwt.WithIssuer(issuer)}, options...)
	_, err := jwt.ParseWithClaims(token, claims, func(*jwt.Token) (any, error) { return k.verifier(), nil }, options...)
	return err
}
