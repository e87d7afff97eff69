package apikey

import (
	"context"
	"net/http"
	"strings"
)

// Stripe tries keys out. Stripe's API for making and revoking keys is open to
// chosen platforms only (a private preview), so an operator makes the new key in
// the dashboard, hands it over as the new value of a rotation, and revokes the
// old one there when retire says that nobody holds it.
type Stripe struct {
	client *http.Client
	base   string
}

var _ Verifier = (*Stripe)(nil)

// NewStripe returns the provider at an address; if that is empty, at
// https://api.stripe.com.
func NewStripe(client *http.Client, base string) (*Stripe, error) {
	if base == "" {
		base = "https://api.stripe.com"
	}
	u, err := checkURL(base)
	if err != nil {
		return nil, err
	}
	return &Stripe{client, strings.TrimSuffix(u.String(), "/")}, nil
}

// Verify reads the account's balance. A restricted key that may not do so is
// known to Stripe all the same, which answers 403 and not 401.
func (s *Stripe) Verify(ctx context.Context, k Key) error {
	err := do(ctx, s.client, call{
		method: http.MethodGet, url: s.base + "/v1/balance",
		header: http.Header{"Authorization": {"Bearer " + k.Secret.Reveal()}},
	}, nil)
	if status(err) == http.StatusForbidden {
		return nil
	}
	return err
}
