package keyrotator_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	lambdaevents "github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/golang-jwt/jwt/v5"

	"github.com/rekey-go/rekey/functions/admin"
	"github.com/rekey-go/rekey/functions/internal/rotatortest"
	"github.com/rekey-go/rekey/functions/internal/strategy"
	"github.com/rekey-go/rekey/functions/keyrotator"
	"github.com/rekey-go/rekey/functions/login"
	"github.com/rekey-go/rekey/rotation"
	"github.com/rekey-go/rekey/rotation/keyset"
)

const (
	function  = "arn:aws:lambda:us-east-1:123456789012:function:dev-keyrotator"
	jwtSecret = "dev-jwt-configuration"
)

// A bench is AWS with the rotating function and the sample application.
type bench struct {
	*rotatortest.AWS
	store  rotation.Store
	choose rotation.Chooser
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{AWS: rotatortest.New(t, "dev-keyrotator", map[string]string{"REKEY_ADMIN_TOKENS": "dev-admin-tokens"})}
	b.store = rotation.NewStore(b.Client)
	var err error
	if b.Function, err = keyrotator.New(b.Config, b.Getenv); err != nil {
		t.Fatal(err)
	}
	if b.choose, err = strategy.All(b.Config)(b.store, b.Getenv); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) labelled(t *testing.T, name, label string) string {
	t.Helper()
	about, err := b.store.Describe(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return about.VersionWith(label)
}

// retire revokes what the last rotation superseded.
func (b *bench) retire(t *testing.T, name string) error {
	t.Helper()
	return rotation.Retire(t.Context(), b.store, b.choose, name, b.labelled(t, name, rotation.LabelPrevious))
}

func (b *bench) current(t *testing.T, name string) rotation.Value {
	t.Helper()
	v, err := b.store.Get(t.Context(), name, "", rotation.LabelCurrent)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func (b *bench) keys(t *testing.T) *keyset.Set {
	t.Helper()
	s, err := keyset.Parse(b.current(t, jwtSecret))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// token is what a login answers with.
func (b *bench) token(t *testing.T) string {
	t.Helper()
	keys := b.keys(t)
	token, err := keys.Sign(jwt.MapClaims{"iss": keys.Issuer, "sub": "7", "email": "ana@example.com", "exp": time.Now().Add(time.Hour).Unix()})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// A client calls an environment of a function behind the HTTP API.
type client struct{ handler lambda.Handler }

func (b *bench) app(t *testing.T) client {
	t.Helper()
	h, err := login.New(b.Config, b.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	return client{h}
}

// get returns status and body of an answer.
func (c client) get(t *testing.T, path, token string) (status int, body string) {
	t.Helper()
	req := lambdaevents.APIGatewayV2HTTPRequest{Version: "2.0", RawPath: path}
	req.RequestContext.HTTP.Method, req.RequestContext.HTTP.Path = http.MethodGet, path
	if token != "" {
		req.Headers = map[string]string{"authorization": "Bearer " + token}
	}
	payload, err := json.Marshal(req)
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.handler.Invoke(t.Context(), payload)
	if err != nil {
		t.Fatal(err)
	}
	var res lambdaevents.APIGatewayV2HTTPResponse
	if err := json.Unmarshal(out, &res); err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Body
}

const first = `{"signing_key":"new-256-bit-secret-key","issuer":"myapp.com"}`

func TestOldTokensAreAcceptedUntilTheirKeyIsRetired(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.Create(t, jwtSecret, first, nil)
	app := b.app(t)
	old := b.token(t)
	if status, body := app.get(t, "/auth/verify", old); status != http.StatusOK || body != `{"user":{"id":"7","email":"ana@example.com"}}`+"\n" {
		t.Fatalf("got %d %s", status, body)
	}
	// As PUT /admin/secrets/rotate does it with a newValue.
	_, err := b.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{
		SecretId: aws.String(jwtSecret), SecretString: aws.String(`{"signing_key":"another-256-bit-secret-key","issuer":"myapp.com"}`),
		VersionStages: []string{rotation.LabelSupplied},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Rotate(t, jwtSecret); err != nil {
		t.Fatal(err)
	}
	fresh := b.token(t)
	_, err = jwt.Parse(fresh, func(*jwt.Token) (any, error) { return []byte("another-256-bit-secret-key"), nil })
	if err != nil {
		t.Errorf("a new token is not signed with the supplied key: %v", err)
	}
	// The application holds the old version still, and has not heard of the new.
	for name, token := range map[string]string{"old": old, "new": fresh} {
		if status, body := app.get(t, "/auth/verify", token); status != http.StatusOK {
			t.Errorf("the %s token: %d %s", name, status, body)
		}
	}
	if err := b.retire(t, jwtSecret); err != nil {
		t.Fatal(err)
	}
	app = b.app(t)
	for token, want := range map[string]int{old: http.StatusUnauthorized, fresh: http.StatusOK, "": http.StatusUnauthorized, "a.b.c": http.StatusUnauthorized} {
		if status, body := app.get(t, "/auth/verify", token); status != want {
			t.Errorf("after the retirement: got %d %s, want %d", status, body, want)
		}
	}
	if err := b.retire(t, jwtSecret); err != nil && !errors.Is(err, rotation.ErrReplaced) {
		t.Errorf("retired again: %v", err)
	}
	if err := b.rotateLater(t); err != nil {
		t.Errorf("the rotation after a retirement: %v", err)
	}
}

// rotateLater rotates the signing keys when the next one may sign.
func (b *bench) rotateLater(t *testing.T) error {
	t.Helper()
	if err := b.Clock.Advance(t.Context(), 6*time.Minute); err != nil {
		t.Fatal(err)
	}
	return b.Rotate(t, jwtSecret)
}

func TestARotationThatComesTooEarlySucceedsLater(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.Create(t, jwtSecret, first, map[string]string{"rekey:alg": "ES256"})
	if err := b.Rotate(t, jwtSecret); err != nil {
		t.Fatal(err)
	}
	published := b.keys(t)
	if published.Next == nil || published.Next.Algorithm != keyset.ES256 {
		t.Fatalf("published %v", published)
	}
	err := b.Rotate(t, jwtSecret)
	if err == nil || !strings.Contains(err.Error(), "conflict.target") || !strings.Contains(err.Error(), "may sign from") {
		t.Fatalf("got %v", err)
	}
	if err := b.Clock.Advance(t.Context(), 6*time.Minute); err != nil { // by AWS's clock alone
		t.Fatal(err)
	}
	// It has given up repeating the rotation by now, and takes it up when asked.
	_, _ = b.RotateSecret(t.Context(), &secretsmanager.RotateSecretInput{SecretId: aws.String(jwtSecret)})
	for b.keys(t).Current.ID != published.Next.ID {
		_ = b.Step(t) // the one that finishes is among them
	}
	status, document := b.app(t).get(t, "/.well-known/jwks.json", "")
	if status != http.StatusOK || strings.Count(document, `"kid"`) != 2 || strings.Contains(document, `"d"`) {
		t.Errorf("the public keys: %d %s", status, document)
	}
}

func TestAnOpaqueValueEndsWhenItIsRetired(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	const name = "dev-webhook"
	b.Create(t, name, `{"secret":"the-first-one-of-all","url":"https://shop.example"}`,
		map[string]string{"rekey:strategy": "random", "rekey:field": "secret", "rekey:prefix": "whsec_", "rekey:length": "44"})
	if err := b.Rotate(t, name); err != nil {
		t.Fatal(err)
	}
	var held map[string]string
	if err := json.Unmarshal([]byte(b.current(t, name).Reveal()), &held); err != nil {
		t.Fatal(err)
	}
	if secret := held["secret"]; !strings.HasPrefix(secret, "whsec_") || len(secret) != len("whsec_")+44 || held["url"] != "https://shop.example" {
		t.Errorf("a value of %d characters, and the url %s", len(secret), held["url"])
	}
	if err := b.retire(t, name); err != nil {
		t.Fatal(err)
	}
	if version := b.labelled(t, name, rotation.LabelPrevious); version != "" {
		t.Errorf("AWSPREVIOUS is on %s", version)
	}
	if err := b.Rotate(t, name); err != nil {
		t.Errorf("the rotation after a retirement: %v", err)
	}
}

func TestTheAdminTokenIsReplaced(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	const name, firstToken = "dev-admin-token", "the-first-admin-token"
	hashes, err := json.Marshal(admin.Tokens{Tokens: []admin.Token{admin.NewToken("local-1", firstToken)}})
	if err != nil {
		t.Fatal(err)
	}
	b.Create(t, "dev-admin-tokens", string(hashes), nil)
	b.Create(t, name, firstToken, map[string]string{"rekey:strategy": "admin-token"})
	statuses := func() (old, fresh int) {
		h, err := admin.New(b.Config, b.Getenv) // an environment that has read nothing yet
		if err != nil {
			t.Fatal(err)
		}
		old, _ = client{h}.get(t, "/admin/secrets", firstToken)
		fresh, _ = client{h}.get(t, "/admin/secrets", b.current(t, name).Reveal())
		return old, fresh
	}
	if err := b.Rotate(t, name); err != nil {
		t.Fatal(err)
	}
	if b.current(t, name).Reveal() == firstToken {
		t.Fatal("the token is the old one")
	}
	if old, fresh := statuses(); old != http.StatusOK || fresh != http.StatusOK {
		t.Errorf("in the overlap the old token gets %d and the new one %d", old, fresh)
	}
	if err := b.retire(t, name); err != nil {
		t.Fatal(err)
	}
	if old, fresh := statuses(); old != http.StatusForbidden || fresh != http.StatusOK {
		t.Errorf("after it the old token gets %d and the new one %d", old, fresh)
	}
	if text := b.current(t, "dev-admin-tokens").Reveal(); bytes.Contains([]byte(text), []byte(b.current(t, name).Reveal())) {
		t.Error("the API's secret holds a token")
	}
}
