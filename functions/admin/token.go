package admin

import (
	"context"
	"errors"

	"github.com/rekey-go/rekey/internal/token"
	"github.com/rekey-go/rekey/runtime/secrets"
)

// A Token is an admin token as it is kept: its hash, never the token.
type Token = token.Token

// Tokens is the value of the secret admin-tokens.
type Tokens = token.Tokens

// NewToken returns a token as it is kept, for everything.
func NewToken(id, text string) Token { return token.New(id, text) }

// tokenHolder is who holds a token.
func tokenHolder(t Token) principal {
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
	hash := token.Hash(text)
	found, err := principal{}, errNotAdmin
	for _, t := range tokens {
		if t.HasHash(hash) && t.Live() {
			found, err = tokenHolder(t), nil
		}
	}
	return found, err
}
