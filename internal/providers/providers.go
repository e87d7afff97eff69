// Package providers stands in for the providers of API keys: SendGrid, Stripe,
// Twilio, and AWS IAM with STS. Each keeps the keys that it handed out, shows a
// new one once, and refuses a revoked one, over the paths and with the answers of
// the real one as far as a rotation and its consumers use them.
//
// They stand for the providers in tests and on a laptop; none is the real one.
package providers

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// A record is one key.
type record struct {
	id, name, secret string
	scopes           []string
	disabled, used   bool
	// unknownFor is how many calls with the key are still refused, as where a
	// new key takes a while to be known.
	unknownFor int
}

// A ring is the keys of one provider. It is safe for concurrent use.
type ring struct {
	mu      sync.Mutex
	records []*record // :: mu; oldest first
	refused int       // :: mu; calls with a key that is not accepted
	// lag is for how many calls a new key is not known yet.
	lag int
}

// add keeps a key.
func (r *ring) add(k *record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	k.unknownFor = r.lag
	r.records = append(r.records, k)
}

// use finds the key that a call was made with, where match says so.
func (r *ring) use(match func(*record) bool) (record, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := slices.IndexFunc(r.records, match)
	if at < 0 || r.records[at].disabled || r.records[at].unknownFor > 0 {
		if at >= 0 && r.records[at].unknownFor > 0 {
			r.records[at].unknownFor--
		}
		r.refused++
		return record{}, false
	}
	r.records[at].used = true
	return *r.records[at], true
}

// remove deletes a key, and reports whether it was there.
func (r *ring) remove(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := len(r.records)
	r.records = slices.DeleteFunc(r.records, func(k *record) bool { return k.id == id })
	return len(r.records) < before
}

// all are copies of the keys.
func (r *ring) all() []record {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []record
	for _, k := range r.records {
		out = append(out, *k)
	}
	return out
}

// Live returns the ids of the keys that are accepted, oldest first.
func (r *ring) Live() []string {
	var ids []string
	for _, k := range r.all() {
		if !k.disabled {
			ids = append(ids, k.id)
		}
	}
	return ids
}

// Refused is how many calls came with a key that is not accepted.
func (r *ring) Refused() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.refused
}

// Lag has each new key refused for a number of calls.
func (r *ring) Lag(calls int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lag = calls
}

func bearer(r *http.Request) string {
	secret, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return secret
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if body != nil {
		_ = json.NewEncoder(w).Encode(body) // a client that went away cannot be told
	}
}

// random is a text of n letters and digits.
func random(n int) string {
	text := ""
	for len(text) < n {
		text += rand.Text()
	}
	return text[:n]
}
