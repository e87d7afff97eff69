package admin

import (
	"bytes"
	"encoding/json"
	"net/http"

	"github.com/rekey-go/rekey/internal/token"
)

// TokenRotation is tried out with the API that takes the tokens.
type TokenRotation = token.Rotation

// DecodeStore reads a body of POST /admin/secrets, and says what is wrong with it.
func DecodeStore(body []byte) (name string, value json.RawMessage, fault string) {
	r, err := http.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
	if err != nil {
		return "", nil, err.Error()
	}
	var create bool
	var token string
	if p := decode(r, members{"secretName": &name, "secretValue": &value, "create": &create, "clientRequestToken": &token}); p != nil {
		return "", nil, p.Detail
	}
	return name, value, ""
}

// Forget has the list of secrets read anew.
func (h *Handler) Forget() {
	h.inventory.mu.Lock()
	defer h.inventory.mu.Unlock()
	h.inventory.last = nil
}

// Wait has each call wait for the trail as long as it takes, so that an answer does
// not depend on how fast the machine is.
func (h *Handler) Wait() { h.history.patience = lookupTimeout }
