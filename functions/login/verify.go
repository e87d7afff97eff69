package login

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/golang-jwt/jwt/v5"

	"github.com/rekey-go/rekey/functions/internal/reply"
	"github.com/rekey-go/rekey/runtime/signing"
)

// errInvalidToken means that a request carries no token that is accepted.
var errInvalidToken = errors.New("no valid token")

// verify answers GET /auth/verify: whose the bearer token is. It accepts the
// tokens of every key in the set, and so those from before a rotation until
// their key is retired.
func (h *handler) verify(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	u, err := h.bearer(r)
	switch {
	case err == nil:
		reply.JSON(w, http.StatusOK, map[string]any{"user": u})
	case errors.Is(err, errInvalidToken):
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		reply.JSON(w, http.StatusUnauthorized, reply.Failure{Error: "Invalid token"})
	default:
		h.log.ErrorContext(r.Context(), "Verification error", "error", err)
		reply.JSON(w, http.StatusInternalServerError, reply.Failure{Error: "Verification failed"})
	}
}

// bearer reads the token of the Authorization header.
func (h *handler) bearer(r *http.Request) (user, error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return user{}, errInvalidToken
	}
	var claims struct {
		jwt.RegisteredClaims
		Email string `json:"email"`
	}
	err := h.keys.Verify(r.Context(), strings.TrimSpace(token), &claims)
	switch {
	case err == nil:
		return user{ID: claims.Subject, Email: claims.Email}, nil
	case errors.Is(err, signing.ErrRefused):
		return user{}, fmt.Errorf("%w: %w", errInvalidToken, err)
	default:
		return user{}, err
	}
}

// publicKeys answers GET /.well-known/jwks.json: the keys with which others
// verify tokens. There is none while the keys are HMAC.
func (h *handler) publicKeys(w http.ResponseWriter, r *http.Request) {
	document, err := h.keys.JWKS(r.Context())
	if err != nil {
		h.log.ErrorContext(r.Context(), "reading the signing keys", "error", err)
		reply.JSON(w, http.StatusInternalServerError, reply.Failure{Error: "Keys not available"})
		return
	}
	w.Header().Set("Content-Type", "application/jwk-set+json")
	w.Header().Set("Cache-Control", "public, max-age=60")
	_, _ = w.Write(document) // a client that went away cannot be told
}
