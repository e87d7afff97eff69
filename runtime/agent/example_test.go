package agent_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/rekey-go/rekey/runtime/agent"
	"github.com/rekey-go/rekey/runtime/secrets"
)

// static is a Secrets Manager with one value.
type static struct{ secrets.SecretsManager }

func (static) GetSecretValue(context.Context, *secretsmanager.GetSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error) {
	return &secretsmanager.GetSecretValueOutput{Name: new("stripe-api-key"), VersionId: new("v1"), SecretString: new("sk_test")}, nil
}

func Example() {
	handler := agent.New(secrets.New(static{}), "the token")

	r := httptest.NewRequest(http.MethodGet, "http://localhost:2773/secretsmanager/get?secretId=stripe-api-key", nil)
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	fmt.Println(w.Code, w.Body)

	r.Header.Set("X-Aws-Parameters-Secrets-Token", "the token")
	w = httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	fmt.Println(w.Code)
	// Output:
	// 403 Bad Token
	// 200
}
