package admin

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"github.com/rekey-go/rekey/rotation"
	"github.com/rekey-go/rekey/runtime/secrets"
)

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

// NewToken returns a token as it is kept, for everything.
func NewToken(id, text string) Token {
	sum := sha256.Sum256([]byte(text))
	return Token{ID: id, SHA256: hex.EncodeToString(sum[:])}
}

// is compares in a time that says nothing of the token.
func (t Token) is(v rotation.Value) bool { return t.hasHash(hashOf(v.Reveal())) }

// hasHash compares the hash, in hexadecimal, in a time that says nothing of it.
func (t Token) hasHash(hash string) bool {
	return subtle.ConstantTimeCompare([]byte(hash), []byte(strings.ToLower(t.SHA256))) == 1
}

func hashOf(text string) string { return NewToken("", text).SHA256 }

// live reports whether the token has not ended.
func (t Token) live() bool { return t.Expires.IsZero() || time.Now().Before(t.Expires) }

// principal is who holds the token.
func (t Token) principal() principal {
	g := Grant{Scopes: t.Scopes, Prefixes: t.Prefixes}
	if g.Scopes == nil {
		g.Scopes = Scopes()
	}
	return principal{id: "token/" + t.ID, grants: []Grant{g}}
}

// A TokenSource tells the admin tokens that are valid now.
type TokenSource interface {
	Tokens(ctx context.Context) ([]Token, error)
}

// secretTokens reads the tokens from Secrets Manager, through the cache that
// every consumer uses.
type secretTokens struct{ ref *secrets.Ref[Tokens] }

// Tokens reads the secret. One that has no value yet holds no token.
func (s secretTokens) Tokens(ctx context.Context) ([]Token, error) {
	held, err := s.ref.Get(ctx)
	if errors.Is(err, secrets.ErrNoValue) {
		return nil, nil
	}
	return held.Tokens, err
}

// byToken returns who holds a token. All known tokens are compared, so that the
// time says nothing about which one is close.
func byToken(ctx context.Context, source TokenSource, text string) (principal, error) {
	tokens, err := source.Tokens(ctx)
	if err != nil {
		return principal{}, err
	}
	hash := hashOf(text)
	found, err := principal{}, errNotAdmin
	for _, t := range tokens {
		if t.hasHash(hash) && t.live() {
			found, err = t.principal(), nil
		}
	}
	return found, err
}
