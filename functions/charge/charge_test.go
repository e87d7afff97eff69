package charge_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/google/go-cmp/cmp"

	"github.com/rekey-go/rekey/functions/charge"
	"github.com/rekey-go/rekey/internal/local/clock"
	store "github.com/rekey-go/rekey/internal/local/secretsmanager"
	"github.com/rekey-go/rekey/internal/local/wire"
)

// A provider is Stripe and SendGrid: it takes the keys that it knows, and
// remembers what it was asked.
type provider struct {
	mu      sync.Mutex
	keys    map[string]bool // :: key -> it is accepted
	decline bool
	charges []url.Values
	mails   []map[string]any
	refused int
}

func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("Content-Type", "application/json")
	key := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	switch {
	case !p.keys[key]:
		p.refused++
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprintf(w, `{"error":{"type":"invalid_request_error","message":"Invalid API Key provided: %s"}}`, key)
	case r.URL.Path == "/v1/charges" && p.decline:
		w.WriteHeader(http.StatusPaymentRequired)
		_, _ = io.WriteString(w, `{"error":{"type":"card_error","code":"card_declined","message":"Your card was declined."}}`)
	case r.URL.Path == "/v1/charges":
		form, _ := url.ParseQuery(string(body))
		p.charges = append(p.charges, form)
		fmt.Fprintf(w, `{"id":"ch_%d","object":"charge","status":"succeeded","amount":%s}`, len(p.charges), form.Get("amount"))
	case r.URL.Path == "/v3/mail/send":
		var mail map[string]any
		_ = json.Unmarshal(body, &mail)
		p.mails = append(p.mails, mail)
		w.WriteHeader(http.StatusAccepted)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func (p *provider) accept(keys ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys = make(map[string]bool)
	for _, key := range keys {
		p.keys[key] = true
	}
}

// A shop is the function with its providers and its secret.
type shop struct {
	*provider
	handler lambda.Handler
	sm      *secretsmanager.Client
}

func open(t *testing.T) *shop {
	t.Helper()
	values, err := store.New(store.Options{Account: "123456789012", Region: "us-east-1", Clock: clock.New()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(values.Close)
	if _, err := values.Provision(store.Definition{Name: "dev-external-api-keys"}); err != nil {
		t.Fatal(err)
	}
	engine := httptest.NewServer(wire.NewFront(wire.FrontOptions{Account: "123456789012", Region: "us-east-1", Now: clock.New().Now}, values.Wire()))
	t.Cleanup(engine.Close)
	s := &shop{provider: &provider{}}
	providers := httptest.NewServer(s.provider)
	t.Cleanup(providers.Close)
	cfg := aws.Config{
		Region: "us-east-1", BaseEndpoint: &engine.URL,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "charge", SecretAccessKey: "none"}, nil
		}),
	}
	s.sm = secretsmanager.NewFromConfig(cfg)
	env := map[string]string{"REKEY_STAGE": "dev", "REKEY_STRIPE_URL": providers.URL, "REKEY_SENDGRID_URL": providers.URL}
	if s.handler, err = charge.New(cfg, func(name string) string { return env[name] }); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *shop) setKeys(t *testing.T, stripe, sendgrid string) {
	t.Helper()
	value := fmt.Sprintf(`{"stripe":%q,"sendgrid":%q}`, stripe, sendgrid)
	_, err := s.sm.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: aws.String("dev-external-api-keys"), SecretString: &value})
	if err != nil {
		t.Fatal(err)
	}
}

// post calls the route as an HTTP API does.
func (s *shop) post(t *testing.T, body string) (status int, answer map[string]any) {
	t.Helper()
	req := events.APIGatewayV2HTTPRequest{
		Version: "2.0", RawPath: "/payments/charge", Body: body, Headers: map[string]string{"content-type": "application/json"},
	}
	req.RequestContext.HTTP.Method, req.RequestContext.HTTP.Path = http.MethodPost, req.RawPath
	payload, err := json.Marshal(req)
	if err != nil {
		t.Fatal(err)
	}
	out, err := s.handler.Invoke(t.Context(), payload)
	if err != nil {
		t.Fatalf("Invoke: %v", err)
	}
	var res events.APIGatewayV2HTTPResponse
	if err := json.Unmarshal(out, &res); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(res.Body), &answer); err != nil {
		t.Fatalf("answer %q: %v", res.Body, err)
	}
	return res.StatusCode, answer
}

const order = `{"amount":12.34,"token":"tok_visa","email":"ana@example.com"}`

func TestAChargeIsMadeAndAReceiptSent(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.accept("sk_1", "SG.1")
	s.setKeys(t, "sk_1", "SG.1")
	status, answer := s.post(t, order)
	want := map[string]any{"id": "ch_1", "status": "succeeded", "amount": 12.34, "currency": "usd", "receipt": true}
	if diff := cmp.Diff(want, answer); diff != "" || status != http.StatusOK {
		t.Errorf("status %d, answer (-want +got):\n%s", status, diff)
	}
	wantCharge := url.Values{"amount": {"1234"}, "currency": {"usd"}, "source": {"tok_visa"}}
	if diff := cmp.Diff([]url.Values{wantCharge}, s.charges); diff != "" {
		t.Errorf("charges (-want +got):\n%s", diff)
	}
	wantMail := map[string]any{
		"from":             map[string]any{"email": "noreply@myapp.com"},
		"subject":          "Payment Confirmation",
		"personalizations": []any{map[string]any{"to": []any{map[string]any{"email": "ana@example.com"}}}},
		"content":          []any{map[string]any{"type": "text/plain", "value": "Payment of $12.34 processed successfully."}},
	}
	if diff := cmp.Diff([]map[string]any{wantMail}, s.mails); diff != "" {
		t.Errorf("mails (-want +got):\n%s", diff)
	}
}

func TestAmounts(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.accept("sk_1", "SG.1")
	s.setKeys(t, "sk_1", "SG.1")
	for amount, cents := range map[string]string{
		"12.34": "1234", "12.3": "1230", "12": "1200", "0.01": "1", "1.15": "115", "90071992547409.93": "9007199254740993",
		"12.345": "", "12.340": "", "0": "", "0.00": "", "-1": "", "1e2": "", `"x"`: "", "null": "", "99999999999999999999": "",
	} {
		s.charges = nil
		status, _ := s.post(t, `{"amount":`+amount+`,"token":"tok_visa"}`)
		got := ""
		if len(s.charges) > 0 {
			got = s.charges[0].Get("amount")
		}
		wantStatus := http.StatusOK
		if cents == "" {
			wantStatus = http.StatusBadRequest
		}
		if got != cents || status != wantStatus {
			t.Errorf("amount %s: status %d, %q cents; want %d, %q", amount, status, got, wantStatus, cents)
		}
	}
}

func TestAReplacedKeyFailsNoCharge(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.accept("sk_1", "SG.1")
	s.setKeys(t, "sk_1", "SG.1")
	if status, answer := s.post(t, order); status != http.StatusOK {
		t.Fatalf("before: status %d, %v", status, answer)
	}
	s.setKeys(t, "sk_2", "SG.2")
	s.accept("sk_2", "SG.2") // the old ones are revoked, and the cache has them
	for range 3 {
		if status, answer := s.post(t, order); status != http.StatusOK || answer["receipt"] != true {
			t.Errorf("after: status %d, %v", status, answer)
		}
	}
	if s.refused != 1 {
		t.Errorf("the provider refused %d calls, want 1: the new keys are kept", s.refused)
	}
}

func TestAKeyThatIsRefusedIsNotTriedTwice(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.setKeys(t, "sk_1", "SG.1")
	status, answer := s.post(t, order)
	if diff := cmp.Diff(map[string]any{"error": "Service temporarily unavailable"}, answer); diff != "" || status != http.StatusInternalServerError {
		t.Errorf("status %d, answer (-want +got):\n%s", status, diff)
	}
	if s.refused != 1 {
		t.Errorf("the provider was asked %d times, want 1: there is no other key", s.refused)
	}
}

func TestWithoutKeys(t *testing.T) {
	t.Parallel()
	status, answer := open(t).post(t, order)
	if diff := cmp.Diff(map[string]any{"error": "Service temporarily unavailable"}, answer); diff != "" || status != http.StatusInternalServerError {
		t.Errorf("status %d, answer (-want +got):\n%s", status, diff)
	}
}

func TestADeclinedCardIsNotChargedAgain(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.accept("sk_1", "SG.1")
	s.decline = true
	s.setKeys(t, "sk_1", "SG.1")
	if status, answer := s.post(t, order); status != http.StatusPaymentRequired || len(s.mails) > 0 {
		t.Errorf("status %d, %v, %d mails; want %d and no mail", status, answer, len(s.mails), http.StatusPaymentRequired)
	}
}

func TestAReceiptThatCannotBeSentUndoesNoCharge(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.accept("sk_1") // not SG.1
	s.setKeys(t, "sk_1", "SG.1")
	status, answer := s.post(t, order)
	if status != http.StatusOK || answer["receipt"] != false || len(s.charges) != 1 {
		t.Errorf("status %d, %v, %d charges; want one charge and no receipt", status, answer, len(s.charges))
	}
}

// TestNoKeyIsLogged runs alone, because it looks at what the process writes.
func TestNoKeyIsLogged(t *testing.T) { //nolint:paralleltest // it replaces the standard output.
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, stderr := os.Stdout, os.Stderr
	os.Stdout, os.Stderr = write, write
	s := open(t)
	s.setKeys(t, "sk_canary", "SG.canary")
	s.post(t, order) // refused, and the provider's answer quotes the key
	os.Stdout, os.Stderr = stdout, stderr
	if err := write.Close(); err != nil {
		t.Fatal(err)
	}
	log, err := io.ReadAll(read)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(log), "charging") || strings.Contains(string(log), "canary") {
		t.Errorf("log: %s", log)
	}
}
