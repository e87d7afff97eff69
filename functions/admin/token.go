package admin

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
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
}

// Tokens is the value of the secret admin-tokens.
type Tokens struct {
	Tokens []Token `json:"tokens"`
}

// NewToken returns a token as it is kept.
func NewToken(id, text string) Token {
	sum := sha256.Sum256([]byte(text))
	return Token{ID: id, SHA256: hex.EncodeToString(sum[:])}
}

// A TokenSource tells the admin tokens that are valid now.
type TokenSource interface {
	Tokens(ctx context.Context) ([]Token, error)
}

// secretTokens reads the tokens from Secrets Manager, through the cache that
// every consumer uses.
type secretTokens struct {
	client *secrets.Client
	name   string
}

// Tokens reads the secret. One that has no value yet holds no token.
func (s secretTokens) Tokens(ctx context.Context) ([]Token, error) {
	held, err := secrets.JSON[Tokens](ctx, s.client, s.name)
	if errors.Is(err, secrets.ErrNoValue) {
		return nil, nil
	}
	return held.Tokens, err
}

// errNotAdmin means that a request carries no valid admin token.
var errNotAdmin = errors.New("no valid admin token")

// authenticate returns the token that a request carries. All known tokens are
// compared, so that the time says nothing about which one is close.
func (h *Handler) authenticate(r *http.Request) (Token, error) {
	text, ok := bearer(r)
	if !ok {
		return Token{}, errNotAdmin
	}
	tokens, err := h.tokens.Tokens(r.Context())
	if err != nil {
		return Token{}, err
	}
	given := rotation.NewValue(text)
	found, err := Token{}, errNotAdmin
	for _, t := range tokens {
		if t.is(given) && t.live() {
			found, err = t, nil
		}
	}
	return found, err
}

// bearer returns the token of the Authorization header.
func bearer(r *http.Request) (string, bool) {
	scheme, text, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	text = strings.TrimSpace(text)
	return text, ok && strings.EqualFold(scheme, "Bearer") && text != ""
}
