// Package keyset rotates signing keys as a key set, so that every token that
// was valid before a rotation is valid after it.
//
// # The value
//
// A first value is what the simplest consumer reads:
//
//	{"signing_key": "a-long-random-text", "issuer": "myapp.com"}
//
// After a rotation the value has these members still, for the key that signs
// now, and beside them the algorithm and all keys as JSON Web Keys (RFC 7517),
// each with its state:
//
//	{"signing_key": "...", "issuer": "myapp.com", "alg": "HS256", "keys": [
//	  {"kty": "oct", "kid": "...", "alg": "HS256", "k": "...", "state": "next", ...},
//	  {"kty": "oct", "kid": "...", "alg": "HS256", "k": "...", "state": "current", ...},
//	  {"kty": "oct", "kid": "...", "alg": "HS256", "k": "...", "state": "previous", ...}]}
//
// The algorithms are HS256, HS384, HS512, RS256, ES256 and EdDSA (Ed25519). A
// signing_key that is none of HMAC is PEM. Where signing_key is not the key
// that keys calls current, somebody has edited the value: signing_key counts,
// and the other is previous.
//
// # A rotation
//
// The next key becomes current, the current one previous, and a new next key is
// made. So whoever holds the value from before knows the key that signs now, and
// whoever has the new value knows the one that signed until now: consumers may
// take a version over in any order. A first value has no next key yet. Its first
// rotation publishes one and goes on to sign with the old; the second uses it. A
// key that came into the set less than [Strategy.Publish] ago does not sign yet:
// the rotation waits for it, or fails with a text that says from when on it may
// where that would take longer than its context allows.
//
// A signing key that an operator supplies signs at once. Verifiers that hold an
// older version learn of it when they meet the key id, which [Set.Verify]
// answers with [ErrUnknownKey], and look again.
//
// Retire takes the previous keys out of the set. The grace period of the secret
// has to be at least the longest life of a token, and the time that it takes for
// the last signer to have the new version.
package keyset

import (
	"crypto"
	"errors"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/rekey-go/rekey/rotation"
)

// ErrUnknownKey means that a token names a key that is not in the set. It may
// be of a newer version than the one at hand, or of one long ago.
var ErrUnknownKey = errors.New("the token's key is not in the set")

// A State says what a key is for.
type State string

// The states, in the order in which a key goes through them.
const (
	// Next is for a key that everybody knows and nobody signs with yet.
	Next State = "next"
	// Current is for the one that signs.
	Current State = "current"
	// Previous is for one that signed, and whose tokens are still accepted.
	Previous State = "previous"
)

// A Key is a key of a [Set]. It prints as its id.
type Key struct {
	// ID is the key id (kid) in the tokens that the key signs.
	ID        string
	Algorithm Algorithm
	// Created is when the key was made; zero where an operator made it, and for
	// the next key of a first value.
	Created time.Time
	// Published is from when on, at the latest, consumers knew a key that
	// signs. It is zero for one that an operator supplied.
	Published time.Time
	// LastVersion is the last version of the secret in which a previous key
	// signed; empty where it is not known.
	LastVersion string
	// Issuer is that of a previous key's tokens.
	Issuer string

	// material is a []byte, or a private or public key; behind a pointer, as in
	// [rotation.Value].
	material *any
}

// Format writes the id, for every verb.
func (k Key) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "key(%s)", k.ID) }

// jwk is the key as a JSON Web Key.
func (k Key) jwk() jose.JSONWebKey {
	return jose.JSONWebKey{Key: *k.material, KeyID: k.ID, Algorithm: string(k.Algorithm), Use: "sig"}
}

// signs reports whether the key has what it needs to sign.
func (k Key) signs() bool {
	switch (*k.material).(type) {
	case []byte, crypto.Signer:
		return true
	}
	return false
}

// verifier is what the key's signatures are checked with.
func (k Key) verifier() any {
	if private, ok := (*k.material).(crypto.Signer); ok {
		return private.Public()
	}
	return *k.material
}

// retired is the key without what only signing needs.
func (k Key) retired() Key {
	k.material = new(k.verifier())
	return k
}

// A Set is the keys of one issuer. It prints as its key ids.
type Set struct {
	// Issuer is what tokens name as theirs (iss). It may be empty.
	Issuer string
	// Next is nil where none is published.
	Next    *Key
	Current Key
	// Previous are the keys whose tokens are still accepted, newest first.
	Previous []Key

	// trimmedFrom is the version whose previous keys this one was stored
	// without; empty where a rotation made it.
	trimmedFrom string
	members     *members
}

// Format writes the key ids, for every verb.
func (s Set) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "keys of %q: next %v, current %v, previous %v", s.Issuer, s.Next, s.Current, s.Previous)
}

// New makes a set with a key that signs and the next one.
func New(issuer string, alg Algorithm) (*Set, error) {
	now := time.Now()
	current, err := NewKey(alg, now)
	if err != nil {
		return nil, err
	}
	next, err := NewKey(alg, now)
	if err != nil {
		return nil, err
	}
	next.Created = time.Time{} // known as long as the set is: nobody has a version without it
	return &Set{Issuer: issuer, Current: current, Next: &next}, nil
}

// all lists the keys.
func (s *Set) all() []Key {
	var keys []Key
	if s.Next != nil {
		keys = append(keys, *s.Next)
	}
	keys = append(keys, s.Current)
	return append(keys, s.Previous...)
}

// succeed makes a key current in the place of one that signed for the last time
// in a version.
func (s *Set) succeed(k Key, version string) {
	old := s.Current.retired()
	old.LastVersion, old.Issuer = version, s.Issuer
	previous := []Key{old}
	for _, p := range s.Previous {
		if p.ID != k.ID {
			previous = append(previous, p)
		}
	}
	k.LastVersion, k.Issuer = "", ""
	s.Current, s.Previous = k, previous
	if s.Next != nil && s.Next.ID == k.ID {
		s.Next = nil
	}
}

func configurationf(format string, args ...any) error {
	return fmt.Errorf("%w: %s", rotation.ErrConfiguration, fmt.Sprintf(format, args...))
}
