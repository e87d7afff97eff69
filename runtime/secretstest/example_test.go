package secretstest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
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
// no request may fail however often the key rotates. A key is taken away when
// the requests that began with it have ended, which is what a grace period is
// for.
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
	order := secretstest.Requests(orders, http.MethodPost, "/orders")
	var underway sync.RWMutex

	requests := secretstest.Load(t, func(ctx context.Context) error {
		underway.RLock()
		defer underway.RUnlock()
		return order(ctx)
	}, func() {
		for i := range 20 {
			underway.Lock() // those that began before the last rotation have ended
			latest.Store(int64(i + 1))
			underway.Unlock()
			aws.Rotate("payment-key", fmt.Sprint("key-", i+1))
		}
	})
	t.Logf("%d requests, 20 rotations", requests)
}
