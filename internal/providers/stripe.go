package providers

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
)

// Stripe is an account at Stripe. It has keys that were made in its dashboard.
type Stripe struct {
	ring
	http.Handler

	charging sync.Mutex
	count    int64    // :: charging
	last     []Charge // :: charging; the last of them
}

// A Charge is one that was made.
type Charge struct {
	ID       string `json:"id"`
	Amount   int64  `json:"amount"` // in cents
	Currency string `json:"currency"`
	Source   string `json:"source"`
	// KeyID is the key that it was made with, by its id.
	KeyID string `json:"keyId"`
}

// remembered is how many of the last charges and mails are kept.
const remembered = 1000

// NewStripe returns an account without keys.
func NewStripe() *Stripe {
	s := &Stripe{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/balance", s.with("balance", func(w http.ResponseWriter, _ *http.Request, _ record) {
		answer(w, http.StatusOK, map[string]any{"object": "balance", "livemode": false, "available": []any{}, "pending": []any{}})
	}))
	mux.HandleFunc("POST /v1/charges", s.with("charges", s.charge))
	s.Handler = mux
	return s
}

// Add makes a key in the dashboard: a restricted one, where scopes are given,
// such as "charges".
func (s *Stripe) Add(scopes ...string) (id, secret string) {
	prefix := "sk_test_"
	if len(scopes) > 0 {
		prefix = "rk_test_"
	}
	id, secret = "mk_"+random(10), prefix+random(90)
	s.add(&record{id: id, secret: secret, scopes: scopes})
	return id, secret
}

// Accept makes a key whose secret is given, and returns its id.
func (s *Stripe) Accept(secret string) (id string) {
	id = "mk_" + random(10)
	s.add(&record{id: id, secret: secret})
	return id
}

// Revoke expires a key in the dashboard.
func (s *Stripe) Revoke(id string) { s.remove(id) }

// Charges is how many charges were made.
func (s *Stripe) Charges() int64 {
	s.charging.Lock()
	defer s.charging.Unlock()
	return s.count
}

// LastCharges are the last that were made, the oldest first.
func (s *Stripe) LastCharges() []Charge {
	s.charging.Lock()
	defer s.charging.Unlock()
	return slices.Clone(s.last)
}

// with answers a call that is made with a key.
func (s *Stripe) with(scope string, then func(http.ResponseWriter, *http.Request, record)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		secret := bearer(r)
		if user, _, ok := r.BasicAuth(); ok {
			secret = user
		}
		k, ok := s.use(func(k *record) bool { return k.secret == secret })
		switch {
		case !ok: // the real one quotes the key's ends, too
			fail(w, http.StatusUnauthorized, fmt.Sprintf("Invalid API Key provided: %.8s***%s", secret, secret[max(0, len(secret)-4):]))
		case len(k.scopes) > 0 && !slices.Contains(k.scopes, scope):
			fail(w, http.StatusForbidden, "The provided key does not have the required permissions for this endpoint.")
		default:
			then(w, r, k)
		}
	}
}

func fail(w http.ResponseWriter, status int, message string) {
	answer(w, status, map[string]any{"error": map[string]any{"type": "invalid_request_error", "message": message}})
}

func (s *Stripe) charge(w http.ResponseWriter, r *http.Request, by record) {
	amount, err := strconv.ParseInt(r.FormValue("amount"), 10, 64)
	if err != nil || amount <= 0 {
		fail(w, http.StatusBadRequest, "Invalid integer: amount")
		return
	}
	c := s.book(Charge{Amount: amount, Currency: r.FormValue("currency"), Source: r.FormValue("source"), KeyID: by.id})
	answer(w, http.StatusOK, map[string]any{
		"id": c.ID, "object": "charge", "status": "succeeded", "amount": c.Amount, "currency": c.Currency,
	})
}

// book numbers a charge and keeps it.
func (s *Stripe) book(c Charge) Charge {
	s.charging.Lock()
	defer s.charging.Unlock()
	s.count++
	c.ID = "ch_" + strconv.FormatInt(s.count, 10)
	s.last = append(s.last[max(0, len(s.last)-remembered+1):], c)
	return c
}
