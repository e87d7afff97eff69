package signing_test

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/rekey-go/rekey/runtime/secrets"
	"github.com/rekey-go/rekey/runtime/signing"
)

func ExampleKeys() {
	api := &store{} // in a service: secretsmanager.NewFromConfig(cfg)
	api.rotate(`{"signing_key":"the-first-secret-key-of-all","issuer":"myapp.com"}`)
	keys := signing.NewKeys(secrets.New(api), "jwt-configuration")

	ctx := context.Background()
	token, err := keys.Sign(ctx, jwt.MapClaims{"iss": "myapp.com", "sub": "7", "exp": time.Now().Add(time.Hour).Unix()})
	if err != nil {
		fmt.Println(err)
		return
	}
	var claims jwt.RegisteredClaims
	fmt.Println(keys.Verify(ctx, token, &claims), claims.Subject)
	// Output: <nil> 7
}

// A server takes webhooks that GitHub signs, while the secret rotates.
func ExampleWebhook() {
	api := &store{}
	api.rotate("whsec_first")
	hook := signing.NewWebhook(secrets.New(api), "webhook")

	server := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mac, err := hex.DecodeString(strings.TrimPrefix(r.Header.Get("X-Hub-Signature-256"), "sha256="))
		body := []byte("payload") // in a service: io.ReadAll(http.MaxBytesReader(...))
		if err == nil {
			err = hook.VerifyMAC(r.Context(), body, mac)
		}
		if err != nil {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	for _, secret := range []string{"whsec_first", "whsec_other"} {
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(macOf(secret, []byte("payload"))))
		answer := httptest.NewRecorder()
		server.ServeHTTP(answer, r)
		fmt.Println(answer.Code)
	}
	// Output:
	// 200
	// 401
}
