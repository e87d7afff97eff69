package providers

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"
)

// Stripe is an account at Stripe. It has keys that were made in its dashboard.
type Stripe struct {
	ring
	http.Handler

	charges atomic.Int64
}

// NewStripe returns an account without keys.
func NewStripe() *Stripe {
	s := &Stripe{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/balance", s.with("balance", func(w http.ResponseWriter, _ *http.Request) {
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

// Revoke expires a key in the dashboard.
func (s *Stripe) Revoke(id string) { s.remove(id) }

// Charges is how many charges were made.
func (s *Stripe) Charges() int64 { return s.charges.Load() }

// with answers a call that is made with a key.
func (s *Stripe) with(scope string, then http.HandlerFunc) http.HandlerFunc {
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
			then(w, r)
		}
	}
}

func fail(w http.ResponseWriter, status int, message string) {
	answer(w, status, map[string]any{"error": map[string]any{"type": "invalid_request_error", "message": message}})
}

func (s *Stripe) charge(w http.ResponseWriter, r *http.Request) {
	amount, err := strconv.ParseInt(r.FormValue("amount"), 10, 64)
	if err != nil || amount <= 0 {
		fail(w, http.StatusBadRequest, "Invalid integer: amount")
		return
	}
	n := s.charges.Add(1)
	answer(w, http.StatusOK, map[string]any{
		"id": "ch_" + strconv.FormatInt(n, 10), "object": "charge", "status": "succeeded", "amount": amount, "currency": r.FormValue("currency"),
	})
}
