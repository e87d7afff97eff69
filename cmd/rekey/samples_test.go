package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/rekey-go/rekey"
	"github.com/rekey-go/rekey/internal/pgserver/pgtest"
	"github.com/rekey-go/rekey/internal/polltest"
	"github.com/rekey-go/rekey/internal/stack"
)

const (
	logIn   = `{"email":"test@example.com","password":"password123"}`
	anOrder = `{"amount":12.34,"token":"tok_visa","email":"ana@example.com"}`
	// noService is the answer of what cannot do without a secret.
	noService = `500 {"error":"Service temporarily unavailable"}`
)

// untilAnswer waits for an answer: consumers hear of what was stored a moment later.
func untilAnswer(t *testing.T, s *stack.Stack, method, path, body, want string) {
	t.Helper()
	last := ""
	polltest.Until(t, method+" "+path+" "+body+" answers "+want, func() bool {
		got := fetch(t, s, method, path, body)
		right := strings.HasPrefix(got, want)
		if !right && got != last {
			last = got
			t.Logf("%s answers %s for now", path, got)
		}
		return right
	})
}

// startSamples starts the system with consumers that look at the bulletin often.
func startSamples(t *testing.T) *stack.Stack {
	t.Helper()
	pgtest.Need(t)
	s, err := stack.Start(t.Context(), stack.Options{
		Template: rekey.Template, TemplateFile: "template.yaml", Logs: t.Output(), Command: commandFor,
		Parameters: map[string]string{"CheckInterval": "50ms", "Lease": "2s", "Grace": "1s"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

func stored(t *testing.T, s *stack.Stack, name, value string) {
	t.Helper()
	body := fmt.Sprintf(`{"secretName":%q,"secretValue":%s}`, name, value)
	if got := fetch(t, s, http.MethodPost, "/admin/secrets", body); !strings.HasPrefix(got, "200 ") {
		t.Fatalf("storing %s: %s", name, got)
	}
}

// TestTheSamplesAnswerAsDocumented goes through what can be wrong with the
// secrets and the requests of the sample applications, over HTTP.
func TestTheSamplesAnswerAsDocumented(t *testing.T) {
	t.Parallel()
	s := startSamples(t)
	const protected, login, pay = "/protected", "/auth/login", "/payments/charge"
	database := func(password string) string {
		return fmt.Sprintf(`{"host":"localhost","username":"test","password":%q}`, password)
	}
	for _, step := range []struct {
		name               string
		secret, value      string // stored before; nothing if empty
		method, path, body string
		want               string
	}{
		{"no API keys yet", "", "", "GET", protected, "", `503 {"error":"Secret not configured"}`},
		{"no API keys to charge with", "", "", "POST", pay, anOrder, noService},
		{"no database login yet", "", "", "POST", login, logIn, `500 {"error":"Database configuration not available"}`},
		{"a login without a password", "", "", "POST", login, `{"email":"a@b.c"}`, `400 {"error":"email and password are required"}`},
		{"a database login of the wrong shape", "database-credentials", `"text"`, "POST", login, logIn, `500 {"error":"Authentication failed"}`},
		{"a database login that is refused", "database-credentials", database("wrong"), "POST", login, logIn, `500 {"error":"Authentication failed"}`},
		{"a database login that works", "database-credentials", database("test123"), "POST", login, logIn, `200 {"token":"`},
		{"an unknown user", "", "", "POST", login, `{"email":"x@example.com","password":"password123"}`, `401 {"error":"Invalid credentials"}`},
		{"a wrong password", "", "", "POST", login, `{"email":"test@example.com","password":"x"}`, `401 {"error":"Invalid credentials"}`},
		{"API keys of the wrong shape", "external-api-keys", `"text"`, "POST", pay, anOrder, noService},
		{"API keys that are refused", "external-api-keys", `{"stripe":"sk_test_0","sendgrid":"SG.0.x"}`, "POST", pay, anOrder, noService},
		{
			"API keys that work", "external-api-keys", `{"stripe":"sk_test_1","sendgrid":"SG.1.sample"}`, "POST", pay, anOrder,
			`200 {"id":"ch_1","status":"succeeded","amount":12.34,"currency":"usd","receipt":true}`,
		},
		{"the protected route with a secret", "", "", "GET", protected, "", `200 {"message":"Access granted","stale":false,"versionId":"`},
		{"an amount with three decimals", "", "", "POST", pay, `{"amount":1.005,"token":"t"}`, `400 {"error":"amount must be`},
		{"an amount that floats get wrong", "", "", "POST", pay, `{"amount":1.15,"token":"t"}`, `200 {"id":"ch_2","status":"succeeded","amount":1.15,`},
		{"no token", "", "", "POST", pay, `{"amount":1}`, `400 {"error":"amount and token are required"}`},
	} {
		if step.secret != "" {
			stored(t, s, step.secret, step.value)
		}
		untilAnswer(t, s, step.method, step.path, step.body, step.want)
		t.Log("as documented: " + step.name)
	}
	isToken(t, s, strings.TrimPrefix(fetch(t, s, http.MethodPost, login, logIn), "200 "))
	isBooked(t, s)
	if err := s.Database.Close(); err != nil {
		t.Fatal(err)
	}
	untilAnswer(t, s, http.MethodPost, login, logIn, `500 {"error":"Authentication failed"}`)
}

// isToken checks the answer to a login, and the signature of its token.
func isToken(t *testing.T, s *stack.Stack, answer string) {
	t.Helper()
	var in struct {
		Token string
		User  struct{ ID, Email string }
	}
	if err := json.Unmarshal([]byte(answer), &in); err != nil || in.User.ID != "1" || in.User.Email != "test@example.com" {
		t.Errorf("the answer to a login is %s (%v)", answer, err)
	}
	claims := jwt.MapClaims{}
	if _, _, err := jwt.NewParser().ParseUnverified(in.Token, claims); err != nil || claims["email"] != "test@example.com" {
		t.Errorf("the token is of %v (%v)", claims, err)
	}
	as := &stack.Stack{Engine: s.Engine, AdminToken: in.Token}
	if got := fetch(t, as, http.MethodGet, "/auth/verify", ""); got != `200 {"user":{"id":"1","email":"test@example.com"}}` {
		t.Errorf("the token is not taken: %s", got)
	}
}

// book is what the stand-ins tell.
type book struct {
	Charges []struct {
		Amount                  int64
		Currency, Source, KeyID string
	}
	Mails []json.RawMessage
}

func readBook(t *testing.T, s *stack.Stack) (b book) {
	t.Helper()
	res, err := http.Get(s.Providers.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err == nil {
		err = json.Unmarshal(text, &b)
	}
	if err != nil || len(b.Charges) == 0 || len(b.Mails) == 0 {
		t.Fatalf("the stand-ins tell %s (%v)", text, err)
	}
	return b
}

func isBooked(t *testing.T, s *stack.Stack) {
	t.Helper()
	b := readBook(t, s)
	if c := b.Charges[0]; c.Amount != 1234 || c.Currency != "usd" || c.Source != "tok_visa" || b.Charges[1].Amount != 115 {
		t.Errorf("charges: %+v", b.Charges)
	}
	for _, want := range []string{
		`"email":"ana@example.com"`, `"email":"noreply@myapp.com"`, `"subject":"Payment Confirmation"`, `"value":"Payment of $12.34 processed successfully."`,
	} {
		if !strings.Contains(string(b.Mails[0]), want) {
			t.Errorf("the mail has no %s: %s", want, b.Mails[0])
		}
	}
}

// TestNoChargeFailsWhileTheKeysRotate charges all the time, while SendGrid's key
// is made anew, Stripe's is handed over, and the old one of SendGrid is revoked.
func TestNoChargeFailsWhileTheKeysRotate(t *testing.T) {
	t.Parallel()
	s := startSamples(t)
	stored(t, s, "external-api-keys", `{"stripe":"sk_test_1","sendgrid":"SG.1.sample"}`)
	untilAnswer(t, s, http.MethodPost, "/payments/charge", anOrder, "200 ")
	ctx, stop := context.WithCancel(t.Context())
	var made atomic.Int64
	var load sync.WaitGroup
	for range 4 {
		load.Go(func() {
			for ctx.Err() == nil {
				if got := fetch(t, s, http.MethodPost, "/payments/charge", anOrder); !strings.HasPrefix(got, "200 ") || !strings.Contains(got, `"receipt":true`) {
					t.Errorf("a charge failed: %s", got)
					return
				}
				made.Add(1)
			}
		})
	}
	for _, body := range []string{
		`{"secretName":"external-api-keys"}`,
		`{"secretName":"external-api-keys","newValue":{"stripe":"sk_test_2"}}`,
		`{"secretName":"external-api-keys"}`,
	} {
		rotateAndWait(t, s, body)
	}
	polltest.Until(t, "a charge is made with the new key of Stripe", func() bool {
		b := readBook(t, s)
		return b.Charges[len(b.Charges)-1].KeyID != b.Charges[0].KeyID
	})
	polltest.Until(t, "the first key of SendGrid is revoked", func() bool {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.Providers.URL+"/v3/scopes", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+stack.SampleSendGridKey)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res.StatusCode == http.StatusUnauthorized
	})
	stop()
	load.Wait()
	t.Logf("%d charges, 3 rotations", made.Load())
}
