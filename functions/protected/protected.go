// Package protected is a sample application: GET /protected answers with
// whether the secret that it needs is there, read when it is asked for.
//
// It is the smallest complete consumer: one client, one read in the handler,
// and an answer for each of the ways in which a read can end.
package protected

import (
	"errors"
	"log/slog"
	"net/http"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/awslabs/aws-lambda-go-api-proxy/httpadapter"

	"github.com/rekey-go/rekey/functions/internal/reply"
	"github.com/rekey-go/rekey/runtime/invalidation"
	"github.com/rekey-go/rekey/runtime/secrets"
)

const secretName = "external-api-keys"

// A handler serves GET /protected.
type handler struct {
	client *secrets.Client
	log    *slog.Logger
}

// ServeHTTP reads the secret and tells which version it is, never its value.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	secret, err := h.client.Get(r.Context(), secretName)
	switch {
	case err == nil:
		reply.JSON(w, http.StatusOK, map[string]any{
			"message": "Access granted", "versionId": secret.VersionID(), "stale": secret.Stale(),
		})
	case errors.Is(err, secrets.ErrNoValue), errors.Is(err, secrets.ErrNotFound):
		reply.JSON(w, http.StatusServiceUnavailable, reply.Failure{Error: "Secret not configured"})
	default:
		h.log.ErrorContext(r.Context(), "reading the secret", "error", err)
		reply.JSON(w, http.StatusInternalServerError, reply.Failure{Error: "Service temporarily unavailable"})
	}
}

// New returns the function.
func New(cfg aws.Config, getenv func(string) string) (lambda.Handler, error) {
	client, err := secrets.FromEnv(cfg, getenv)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /protected", &handler{
		client: client,
		log:    slog.New(slog.NewJSONHandler(os.Stdout, nil)),
	})
	return invalidation.Handler(client, httpadapter.NewV2(mux).ProxyWithContext), nil
}
