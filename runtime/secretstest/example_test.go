package secretstest_test

import (
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/rekey-go/rekey/runtime/secrets"
	"github.com/rekey-go/rekey/runtime/secretstest"
)

// errKey is what the payment provider of the example answers to a key that it
// does not know.
var errKey = errors.New("401 invalid API key")

// A shop is the code under test: it pays with a key that is a secret.
type shop struct {
	secrets *secrets.Client
	pay     func(key string) error
}

func (s *shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	key, err := s.secrets.String(r.Context(), "payment-key")
	if err == nil {
		err = s.pay(key)
	}
	if err != nil {
		http.Error(w, "payment failed", http.StatusBadGateway)
	}
}

// A user's test: the provider takes the two latest keys, as providers do, and
// no request may fail however often the key rotates.
func TestNoPaymentFailsThroughRotations(t *testing.T) {
	t.Parallel()
	aws := secretstest.Start(t, secretstest.Secrets{"payment-key": "key-0"})
	var latest atomic.Int64
	orders := &shop{secrets: aws.Client(), pay: func(key string) error {
		if n := latest.Load(); key != fmt.Sprint("key-", n) && key != fmt.Sprint("key-", n-1) {
			return errKey
		}
		return nil
	}}

	requests := secretstest.Load(t, secretstest.Requests(orders, http.MethodPost, "/orders"), func() {
		for i := range 20 {
			latest.Store(int64(i + 1))
			aws.Rotate("payment-key", fmt.Sprint("key-", i+1))
		}
	})
	t.Logf("%d requests, 20 rotations", requests)
}
