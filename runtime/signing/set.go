package signing

import (
	"crypto/hmac"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

// A set is a version of the keys.
type set struct {
	issuer  string
	current key
	others  []key // that verify too: the next one, and those before
}

// errShape stands for all that is wrong with a value. Whoever decodes it says
// [secrets.ErrDecode], since a cause could quote the value.
var errShape = errors.New("the value is no key set")

// The states of a key.
const (
	stateNext     = "next"
	stateCurrent  = "current"
	statePrevious = "previous"
)

// UnmarshalJSON reads the value of a secret.
func (s *set) UnmarshalJSON(data []byte) error {
	var v struct {
		SigningKey string            `json:"signing_key"`
		Issuer     string            `json:"issuer"`
		Alg        string            `json:"alg"`
		Keys       []json.RawMessage `json:"keys"`
	}
	if json.Unmarshal(data, &v) != nil {
		return errShape
	}
	*s = set{issuer: v.Issuer}
	ids := map[string]bool{}
	for _, raw := range v.Keys {
		k, state, ok := parseJWK(raw)
		if !ok || ids[k.id] {
			return errShape
		}
		ids[k.id] = true
		if state == stateCurrent {
			if s.current.material != nil {
				return errShape
			}
			s.current = k
			continue
		}
		s.others = append(s.others, k)
	}
	if v.SigningKey != "" {
		k, ok := parseText(v.SigningKey, v.Alg)
		if !ok {
			return errShape
		}
		s.take(k)
	}
	if s.current.material == nil {
		return errShape
	}
	return nil
}

// take makes the key of signing_key current. Where keys calls another so, the
// value was edited by hand: then that one is previous.
func (s *set) take(k key) {
	held := s.current
	switch {
	case held.material == nil:
	case thumbprint(*held.material) == k.id:
		return
	default:
		held.issuer = s.issuer
		s.others = append(s.others, held)
	}
	s.current = k
}

// accepted are the keys whose signatures count.
func (s set) accepted() []key { return append([]key{s.current}, s.others...) }

// verify reads the claims of a token.
func (s set) verify(token string, claims jwt.Claims, options []jwt.ParserOption) error {
	unverified, _, err := jwt.NewParser().ParseUnverified(token, jwt.MapClaims{})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, jwt.ErrTokenMalformed) // the cause may quote the token
	}
	id, _ := unverified.Header["kid"].(string)
	for _, k := range s.accepted() {
		if id != "" && k.id != id {
			continue
		}
		err = k.verify(token, claims, s.issuerOf(k), options)
		switch {
		case err == nil:
			return nil
		case id != "", !errors.Is(err, jwt.ErrTokenSignatureInvalid):
			return fmt.Errorf("%w: %w", ErrRefused, err)
		}
	}
	return ErrUnknownKey
}

// issuerOf is what the tokens of a key name as theirs.
func (s set) issuerOf(k key) string {
	if k.issuer != "" {
		return k.issuer
	}
	return s.issuer
}

// verifyMAC compares a MAC with that of every accepted key.
func (s set) verifyMAC(message, mac []byte) error {
	for _, k := range s.accepted() {
		if want, ok := k.mac(message); ok && hmac.Equal(want, mac) {
			return nil
		}
	}
	return ErrUnknownKey
}

// public writes the public keys.
func (s set) public() ([]byte, error) {
	all := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, k := range s.accepted() {
		jwk := jose.JSONWebKey{Key: k.verifier(), KeyID: k.id, Algorithm: k.alg, Use: "sig"}
		if jwk.IsPublic() {
			all.Keys = append(all.Keys, jwk)
		}
	}
	return json.Marshal(all)
}
