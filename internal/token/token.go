// Package token is the tokens of the admin API: how they are kept, and how one
// is rotated. The API and the function that rotates it have it in common, so
// that neither carries the other.
package token

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"strings"
	"time"

	"github.com/rekey-go/rekey/rotation"
)

// A Scope is something that a token is for.
type Scope string

// A Token is an admin token as it is kept: its hash, never the token. Two or
// more may live at once, so that one can be replaced while it is in use.
type Token struct {
	// ID names the token in the audit line.
	ID string `json:"id"`
	// SHA256 is the token's hash in hexadecimal.
	SHA256 string `json:"sha256"`
	// Expires is when the token ends. If zero, it does not.
	Expires time.Time `json:"expires,omitzero"`
	// Scopes are what the token is for. If nil, it is for everything; if empty,
	// for nothing.
	Scopes []Scope `json:"scopes,omitzero"`
	// Prefixes are what the names of the secrets begin with that it is for. If
	// empty, it is for all.
	Prefixes []string `json:"prefixes,omitempty"`
}

// Tokens is the value of the secret admin-tokens.
type Tokens struct {
	Tokens []Token `json:"tokens"`
}

// New returns a token as it is kept, for everything.
func New(id, text string) Token {
	sum := sha256.Sum256([]byte(text))
	return Token{ID: id, SHA256: hex.EncodeToString(sum[:])}
}

// is compares in a time that says nothing of the token.
func (t Token) is(v rotation.Value) bool { return t.HasHash(Hash(v.Reveal())) }

// HasHash compares the hash, in hexadecimal, in a time that says nothing of it.
func (t Token) HasHash(hash string) bool {
	return subtle.ConstantTimeCompare([]byte(hash), []byte(strings.ToLower(t.SHA256))) == 1
}

// Hash is a token's hash, as it is kept.
func Hash(text string) string { return New("", text).SHA256 }

// Live reports whether the token has not ended.
func (t Token) Live() bool { return t.Expires.IsZero() || time.Now().Before(t.Expires) }
