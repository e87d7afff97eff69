package main

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/golang-jwt/jwt/v5"

	"github.com/rekey-go/rekey"
	"github.com/rekey-go/rekey/internal/polltest"
	"github.com/rekey-go/rekey/internal/stack"
)

// hmacToken signs a token of the sample application with the text of a
// signing_key.
func hmacToken(t *testing.T, key string) string {
	t.Helper()
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"iss": "myapp.com", "sub": "7", "email": "ana@example.com", "exp": time.Now().Add(time.Hour).Unix(),
	}).SignedString([]byte(key))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// rotateAndWait has a secret rotate, and waits until that has ended well. One question
// waits for as long as the API lets it.
func rotateAndWait(t *testing.T, s *stack.Stack, body string) {
	t.Helper()
	answer := fetch(t, s, http.MethodPut, "/admin/secrets/rotate?wait=25s", body)
	for {
		status, text, _ := strings.Cut(answer, " ")
		var state struct{ Status, StatusURL string }
		if err := json.Unmarshal([]byte(text), &state); err != nil || status != "202" && state.Status != "running" {
			break
		}
		answer = fetch(t, s, http.MethodGet, state.StatusURL+"&wait=25s", "")
	}
	if !strings.HasPrefix(answer, "200 ") || !strings.Contains(answer, "rotated successfully") {
		t.Errorf("rotating %s: %s", body, answer)
	}
}

// eventually waits for an answer of the HTTP API to a bearer token.
func eventually(t *testing.T, s *stack.Stack, path, token, want string) {
	t.Helper()
	as := &stack.Stack{Engine: s.Engine, AdminToken: token}
	polltest.Until(t, "GET "+path+" answers "+want, func() bool {
		return strings.HasPrefix(fetch(t, as, http.MethodGet, path, ""), want)
	})
}

// TestKeysAreRotatedAndRetiredByTheTemplatesFunctions runs the whole way, under
// the policies of the template: PUT of a value, keyrotator, the queue, retire,
// the bulletin, the consumers.
func TestKeysAreRotatedAndRetiredByTheTemplatesFunctions(t *testing.T) {
	t.Parallel()
	s, err := stack.Start(t.Context(), stack.Options{
		Template: rekey.Template, TemplateFile: "template.yaml", NoDatabase: true, Logs: t.Output(), Command: commandFor,
		Parameters: map[string]string{"KeyGrace": "1s", "Grace": "1s", "Lease": "2s", "CheckInterval": "100ms"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	old, fresh := hmacToken(t, "old-256-bit-secret-key"), hmacToken(t, "new-256-bit-secret-key")
	body := `{"secretName":"jwt-configuration","secretValue":{"signing_key":"old-256-bit-secret-key","issuer":"myapp.com"}}`
	if got := fetch(t, s, http.MethodPost, "/admin/secrets", body); !strings.HasPrefix(got, "200 ") {
		t.Fatalf("storing the first key: %s", got)
	}
	eventually(t, s, "/auth/verify", old, `200 {"user":{"id":"7","email":"ana@example.com"}}`)
	eventually(t, s, "/auth/verify", fresh, "401 ")
	body = `{"secretName":"jwt-configuration","newValue":{"signing_key":"new-256-bit-secret-key","issuer":"myapp.com"}}`
	rotateAndWait(t, s, body)
	eventually(t, s, "/auth/verify", fresh, "200 ")
	eventually(t, s, "/auth/verify", old, "401 ") // once the grace period is over
	eventually(t, s, "/auth/verify", fresh, "200 ")

	rotateAndWait(t, s, `{"secretName":"admin-token"}`)
	out, err := secretsmanager.NewFromConfig(s.Config()).GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("dev-admin-token")})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, s, "/admin/secrets", *out.SecretString, "200 ")
	eventually(t, s, "/admin/secrets", s.AdminToken, "403 ")
	eventually(t, s, "/admin/secrets", *out.SecretString, "200 ")
}
