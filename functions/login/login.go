// Package login is a sample application: POST /auth/login checks an e-mail
// address and a password against a table in PostgreSQL and answers with a
// signed token. GET /auth/verify tells whose a token is, and
// GET /.well-known/jwks.json has the public keys.
//
// It shows how a service lives through rotations. The database login comes
// from the secret database-credentials through a pool that follows it, the
// signing keys from jwt-configuration. Neither is read before the first
// request, and neither is ever read from the environment.
package login

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/awslabs/aws-lambda-go-api-proxy/httpadapter"
	"github.com/golang-jwt/jwt/v5"
	"github.com/jackc/pgx/v5"
	"golang.org/x/crypto/bcrypt"

	"github.com/rekey-go/rekey/functions/internal/reply"
	"github.com/rekey-go/rekey/runtime/invalidation"
	"github.com/rekey-go/rekey/runtime/secrets"
	"github.com/rekey-go/rekey/runtime/secretspgx"
	"github.com/rekey-go/rekey/runtime/signing"
)

const (
	databaseSecret = "database-credentials"
	signingSecret  = "jwt-configuration" //nolint:gosec // a name.
	// tokenLife is how long a token is valid.
	tokenLife = time.Hour
)

// A handler serves POST /auth/login.
type handler struct {
	client *secrets.Client
	users  *secretspgx.Pool
	keys   *signing.Keys
	log    *slog.Logger
}

// user is a row of the table users.
type user struct {
	ID    string `json:"id"`
	Email string `json:"email"`
}

var errInvalidCredentials = errors.New("unknown user or wrong password")

// ServeHTTP answers one login.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var req struct{ Email, Password string }
	body := http.MaxBytesReader(w, r.Body, 64<<10)
	if err := json.NewDecoder(body).Decode(&req); err != nil || req.Email == "" || req.Password == "" {
		reply.JSON(w, http.StatusBadRequest, reply.Failure{Error: "email and password are required"})
		return
	}
	u, err := h.authenticate(r.Context(), req.Email, req.Password)
	var token string
	if err == nil {
		token, err = h.issue(r.Context(), u)
	}
	switch {
	case err == nil:
		reply.JSON(w, http.StatusOK, map[string]any{"token": token, "user": u})
	case errors.Is(err, errInvalidCredentials):
		reply.JSON(w, http.StatusUnauthorized, reply.Failure{Error: "Invalid credentials"})
	case errors.Is(err, secrets.ErrNoValue), errors.Is(err, secrets.ErrNotFound):
		h.log.ErrorContext(r.Context(), "Authentication error", "error", err)
		reply.JSON(w, http.StatusInternalServerError, reply.Failure{Error: "Database configuration not available"})
	default:
		h.log.ErrorContext(r.Context(), "Authentication error", "error", err)
		reply.JSON(w, http.StatusInternalServerError, reply.Failure{Error: "Authentication failed"})
	}
}

// noUser is the hash of a password that nobody kept. It is compared where
// there is no such user, so that the time of an answer does not tell who has
// an account.
const noUser = "$2a$10$1DIR/Xgcmmx5gaocLUz3H.FTbtuYCEyzjCSo/tItJ8MIoR5HrXeuu"

// authenticate looks the user up with the database login that is current.
func (h *handler) authenticate(ctx context.Context, email, password string) (user, error) {
	u := user{Email: email}
	hash := noUser
	err := h.users.QueryRow(ctx, "SELECT id::text, password_hash FROM users WHERE email = $1", email).Scan(&u.ID, &hash)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return user{}, fmt.Errorf("looking up the user: %w", err)
	}
	if wrong := bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)); wrong != nil || err != nil {
		return user{}, errInvalidCredentials
	}
	return u, nil
}

// issue signs a token for the user with the key that is current.
func (h *handler) issue(ctx context.Context, u user) (string, error) {
	issuer, err := h.keys.Issuer(ctx)
	if errors.Is(err, secrets.ErrNoValue) {
		if err = h.firstKey(ctx); err == nil {
			issuer, err = h.keys.Issuer(ctx)
		}
	}
	if err != nil {
		return "", fmt.Errorf("reading the signing key: %v", err) //nolint:errorlint // a missing signing key is not a missing database login.
	}
	now := time.Now()
	return h.keys.Sign(ctx, jwt.MapClaims{
		"iss": issuer, "sub": u.ID, "email": u.Email,
		"iat": now.Unix(), "exp": now.Add(tokenLife).Unix(),
	})
}

// firstKey makes the first signing key of a fresh deployment: nobody has to know
// it, so nobody has to choose it. Where two environments do so at once, the one
// that comes second takes that of the first.
func (h *handler) firstKey(ctx context.Context) error {
	value, err := json.Marshal(map[string]string{"signing_key": rand.Text() + rand.Text(), "issuer": "rekey"})
	if err != nil {
		return err
	}
	err = h.client.SetFirst(ctx, signingSecret, string(value))
	if errors.Is(err, secrets.ErrHasValue) {
		return nil
	}
	return err
}

// New returns the function. It reads REKEY_DATABASE_PORT, REKEY_DATABASE_NAME
// and REKEY_DATABASE_CA beside the variables of [secrets.FromEnv].
func New(cfg aws.Config, getenv func(string) string) (lambda.Handler, error) {
	client, err := secrets.FromEnv(cfg, getenv)
	if err != nil {
		return nil, err
	}
	users, err := secretspgx.NewPool(client, databaseSecret, secretspgx.FromEnv(getenv))
	if err != nil {
		return nil, err
	}
	h := &handler{
		client: client,
		users:  users,
		keys:   signing.NewKeys(client, signingSecret),
		log:    slog.New(slog.NewJSONHandler(os.Stdout, nil)),
	}
	mux := http.NewServeMux()
	mux.Handle("POST /auth/login", h)
	mux.HandleFunc("GET /auth/verify", h.verify)
	mux.HandleFunc("GET /.well-known/jwks.json", h.publicKeys)
	return invalidation.Handler(client, httpadapter.NewV2(mux).ProxyWithContext), nil
}
