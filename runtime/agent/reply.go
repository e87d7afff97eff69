package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net"
	"net/http"
	"strconv"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/rekey-go/rekey/runtime/secrets"
)

// A reply is an answer, ready to be written as often as it is asked for.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// The headers of every reply; nobody changes them.
const (
	typeText = "text/plain; charset=utf-8"
	typeJSON = "application/json"
)

func newReply(status int, contentType string, body []byte) *reply {
	return &reply{status: status, body: body, header: http.Header{
		"Content-Type":           {contentType},
		"Content-Length":         {strconv.Itoa(len(body))},
		"Cache-Control":          {"no-store"},
		"X-Content-Type-Options": {"nosniff"},
	}}
}

func text(status int, body string) *reply { return newReply(status, typeText, []byte(body)) }

// object is a reply of JSON.
func object(status int, v any) *reply {
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return text(http.StatusInternalServerError, internalFailure) // of no type that is passed here
	}
	return newReply(status, typeJSON, bytes.TrimSuffix(body.Bytes(), []byte("\n")))
}

func (r *reply) write(w http.ResponseWriter) {
	maps.Copy(w.Header(), r.header) // the values are shared: net/http only reads them
	w.WriteHeader(r.status)
	_, _ = w.Write(r.body) //nolint:gosec // no browser takes text and JSON for a page; who asked may be gone.
}

// The members of GetSecretValue's answer. CreatedDate is the text of a number,
// as AWS's agent writes it.
type secretValue struct {
	ARN           string
	Name          string
	VersionID     string   `json:"VersionId"`
	SecretString  *string  `json:",omitempty"`
	SecretBinary  []byte   `json:",omitempty"`
	VersionStages []string `json:",omitempty"`
	CreatedDate   string
}

// encode makes the reply with a secret.
func encode(s *secrets.Secret) *reply {
	v := secretValue{
		ARN: s.ARN(), Name: s.Name(), VersionID: s.VersionID(), VersionStages: s.Labels(),
		CreatedDate: strconv.FormatFloat(float64(s.Created().UnixMilli())/1000, 'f', -1, 64),
	}
	if s.Binary() {
		v.SecretBinary = []byte(s.Reveal())
	} else {
		v.SecretString = new(s.Reveal())
	}
	r := object(http.StatusOK, v)
	if s.Stale() {
		r.header["X-Rekey-Stale"] = []string{"true"}
	}
	return r
}

// internalFailure is AWS's answer to what has no other.
const internalFailure = `{"__type":"InternalFailure"}`

type failure struct {
	Type    string `json:"__type"`
	Message string `json:"message"`
}

// failed is the reply to a read that failed: what Secrets Manager answered,
// with its status; 504 where it did not in time, and 502 where it could not be
// reached.
func failed(err error) *reply {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		status := http.StatusBadRequest
		if answered, ok := errors.AsType[*awshttp.ResponseError](err); ok && answered.HTTPStatusCode() >= http.StatusBadRequest {
			status = answered.HTTPStatusCode()
		}
		return object(status, failure{Type: api.ErrorCode(), Message: api.ErrorMessage()})
	}
	late, isNet := errors.AsType[net.Error](err)
	_, unsent := errors.AsType[*smithyhttp.RequestSendError](err)
	switch {
	case errors.Is(err, context.DeadlineExceeded), isNet && late.Timeout():
		return object(http.StatusGatewayTimeout, failure{Type: "TimeoutError", Message: "Timeout"})
	case isNet, unsent:
		return object(http.StatusBadGateway, failure{Type: "ConnectionError", Message: "Read Error"})
	default:
		return newReply(http.StatusInternalServerError, typeJSON, []byte(internalFailure))
	}
}
