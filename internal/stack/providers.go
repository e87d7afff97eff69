package stack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/rekey-go/rekey/internal/providers"
)

// The API keys that the stand-ins for Stripe and SendGrid take from the start, as
// if they had been made in the dashboards. They open nothing else.
const (
	// SampleStripeKey is the first key of Stripe, and SampleNextStripeKey the one
	// to rotate to: Stripe's keys are handed over.
	SampleStripeKey     = "sk_test_1"
	SampleNextStripeKey = "sk_test_2"
	// SampleSendGridKey is the first key of SendGrid, which makes others.
	SampleSendGridKey = "SG.1.sample"
	// The keys of the example in docs/api.md.
	exampleStripeKey   = "sk_live_actual_stripe_key"
	exampleSendGridKey = "SG.actual_sendgrid_key"
)

// Providers stand in for Stripe and SendGrid, for the sample shop and the
// rotation of its keys.
type Providers struct {
	// URL is where both are. GET / tells as JSON what was charged and mailed.
	URL string

	stripe   *providers.Stripe
	sendgrid *providers.SendGrid
	admin    string // the key of SendGrid that makes keys
	server   *http.Server
}

// startProviders starts the stand-ins and points the template's functions at
// them, where the operator has not pointed them elsewhere.
func (s *Stack) startProviders(ctx context.Context, opts *Options) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("starting the stand-ins for Stripe and SendGrid: %w", err)
	}
	p := &Providers{URL: "http://" + listener.Addr().String(), stripe: providers.NewStripe(), sendgrid: providers.NewSendGrid()}
	_, p.admin = p.sendgrid.Add("admin", "mail.send", "api_keys.create", "api_keys.read", "api_keys.delete")
	p.accept(SampleStripeKey, SampleSendGridKey)
	p.accept(SampleNextStripeKey, "")
	p.accept(exampleStripeKey, exampleSendGridKey)
	mux := http.NewServeMux()
	mux.Handle("/v1/", p.stripe)
	mux.Handle("/v3/", p.sendgrid)
	mux.HandleFunc("GET /{$}", p.tell)
	p.server = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = p.server.Serve(listener) }() // until it is closed
	s.Providers = p
	defaults := map[string]string{"StripeUrl": p.URL, "SendGridUrl": p.URL}
	maps.Copy(defaults, opts.Defaults)
	opts.Defaults = defaults
	return nil
}

// accept takes keys; an empty one is none.
func (p *Providers) accept(stripe, sendgrid string) {
	if stripe != "" {
		p.stripe.Accept(stripe)
	}
	if sendgrid != "" {
		p.sendgrid.Accept(sendgrid, "mail.send")
	}
}

// tell answers with the last charges and mails.
func (p *Providers) tell(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{ // a client that went away cannot be told
		"charges": append([]providers.Charge{}, p.stripe.LastCharges()...),
		"mails":   append([]json.RawMessage{}, p.sendgrid.Mails()...),
	})
}

// storeProviderKeys stores the key that makes keys, and has the stand-ins know
// again what a kept secret holds: they keep nothing over a restart.
func (s *Stack) storeProviderKeys(ctx context.Context, opts *Options) error {
	if s.Engine.Parameter("SendGridUrl") != s.Providers.URL {
		return nil
	}
	if err := s.put(ctx, "provider-admin", map[string]string{"sendgrid": s.Providers.admin}); err != nil {
		if isAbsent(err) {
			return nil
		}
		return err
	}
	if opts.StateDir == "" {
		return nil
	}
	out, err := secretsmanager.NewFromConfig(s.Config()).GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: new(s.Stage + "-external-api-keys")})
	if isAbsent(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the API keys that are kept: %w", err)
	}
	var kept struct{ Stripe, SendGrid string }
	if out.SecretString != nil && json.Unmarshal([]byte(*out.SecretString), &kept) == nil { // another form is none of the shop's
		s.Providers.accept(kept.Stripe, kept.SendGrid)
	}
	return nil
}

func (p *Providers) close() error {
	if err := p.server.Close(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
