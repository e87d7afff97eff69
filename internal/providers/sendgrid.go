package providers

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// SendGrid is an account at SendGrid.
type SendGrid struct {
	ring
	http.Handler

	mailing sync.Mutex
	mails   []json.RawMessage // :: mailing
}

// maxSendGridKeys is how many keys an account has at most.
const maxSendGridKeys = 100

// NewSendGrid returns an account without keys.
func NewSendGrid() *SendGrid {
	s := &SendGrid{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v3/scopes", s.with("", func(w http.ResponseWriter, _ *http.Request, k record) {
		answer(w, http.StatusOK, map[string]any{"scopes": append([]string{"2fa_required", "sender_verification_eligible"}, k.scopes...)})
	}))
	mux.HandleFunc("GET /v3/api_keys", s.with("api_keys.read", s.list))
	mux.HandleFunc("POST /v3/api_keys", s.with("api_keys.create", s.create))
	mux.HandleFunc("DELETE /v3/api_keys/{id}", s.with("api_keys.delete", func(w http.ResponseWriter, r *http.Request, _ record) {
		if !s.remove(r.PathValue("id")) {
			complain(w, http.StatusNotFound, "unable to find API Key")
			return
		}
		answer(w, http.StatusNoContent, nil)
	}))
	mux.HandleFunc("POST /v3/mail/send", s.with("mail.send", s.send))
	s.Handler = mux
	return s
}

// Add makes a key with scopes, and returns it with its id.
func (s *SendGrid) Add(name string, scopes ...string) (id, secret string) {
	id = random(22)
	secret = "SG." + id + "." + random(43)
	s.add(&record{id: id, name: name, secret: secret, scopes: scopes})
	return id, secret
}

// Accept makes a key of a text like SG.id.secret, with scopes.
func (s *SendGrid) Accept(secret string, scopes ...string) {
	_, rest, _ := strings.Cut(secret, ".")
	id, _, _ := strings.Cut(rest, ".")
	s.add(&record{id: id, name: "handed in", secret: secret, scopes: scopes})
}

// Revoke deletes a key.
func (s *SendGrid) Revoke(id string) { s.remove(id) }

// Scopes are those of a key.
func (s *SendGrid) Scopes(id string) []string {
	for _, k := range s.all() {
		if k.id == id {
			return k.scopes
		}
	}
	return nil
}

// Mails are the last messages that were sent, the oldest first.
func (s *SendGrid) Mails() []json.RawMessage {
	s.mailing.Lock()
	defer s.mailing.Unlock()
	return slices.Clone(s.mails)
}

func complain(w http.ResponseWriter, status int, message string) {
	answer(w, status, map[string]any{"errors": []any{map[string]any{"field": nil, "message": message}}})
}

// with answers a call that is made with a key of a scope.
func (s *SendGrid) with(scope string, then func(http.ResponseWriter, *http.Request, record)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		secret := bearer(r)
		k, ok := s.use(func(k *record) bool { return k.secret == secret })
		switch {
		case !ok:
			complain(w, http.StatusUnauthorized, "The provided authorization grant is invalid, expired, or revoked")
		case scope != "" && !slices.Contains(k.scopes, scope):
			complain(w, http.StatusForbidden, "access forbidden")
		default:
			then(w, r, k)
		}
	}
}

func (s *SendGrid) list(w http.ResponseWriter, _ *http.Request, _ record) {
	result := []any{}
	for _, k := range s.all() {
		result = append(result, map[string]any{"name": k.name, "api_key_id": k.id})
	}
	answer(w, http.StatusOK, map[string]any{"result": result})
}

func (s *SendGrid) create(w http.ResponseWriter, r *http.Request, by record) {
	var in struct {
		Name   string   `json:"name"`
		Scopes []string `json:"scopes"`
	}
	switch err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&in); {
	case err != nil || in.Name == "":
		complain(w, http.StatusBadRequest, "missing required argument")
		return
	case len(s.all()) >= maxSendGridKeys:
		complain(w, http.StatusForbidden, "maximum number of keys reached")
		return
	}
	for _, scope := range in.Scopes {
		if !slices.Contains(by.scopes, scope) {
			complain(w, http.StatusBadRequest, "one or more of given scopes are invalid")
			return
		}
	}
	id, secret := s.Add(in.Name, in.Scopes...)
	answer(w, http.StatusCreated, map[string]any{"api_key": secret, "api_key_id": id, "name": in.Name, "scopes": in.Scopes})
}

func (s *SendGrid) send(w http.ResponseWriter, r *http.Request, _ record) {
	var mail json.RawMessage
	if json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&mail) != nil {
		complain(w, http.StatusBadRequest, "Bad Request")
		return
	}
	s.mailing.Lock()
	s.mails = append(s.mails[max(0, len(s.mails)-remembered+1):], mail)
	s.mailing.Unlock()
	w.WriteHeader(http.StatusAccepted)
}
