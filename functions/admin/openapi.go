package admin

import (
	_ "embed" // for the document
	"encoding/json"
	"net/http"
)

// openAPI is the contract of the API, as OpenAPI 3.1 has it.
//
//go:embed openapi.json
var openAPI []byte

func (h *Handler) describeAPI(*call) (*answer, error) {
	return &answer{http.StatusOK, json.RawMessage(openAPI)}, nil
}
