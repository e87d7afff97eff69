package admin

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/aws/smithy-go"
)

// A problem is an error answer: RFC 9457's members, and the member error that
// the API's first clients read. Its type is about:blank, which means that the
// status says what it is.
type problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	// Hint is what to do.
	Hint string `json:"hint,omitempty"`
	// RequestID finds the call in the log.
	RequestID string `json:"requestId"`
	// Failure is what failed, in the words of the route.
	Failure string `json:"error"`
	// retry is when to try again.
	retry time.Duration
}

// Error is the text of the problem.
func (p *problem) Error() string {
	return strings.Join([]string{http.StatusText(p.Status), p.Detail}, ": ")
}

// badRequest is a problem of what was sent.
func badRequest(format string, args ...any) *problem {
	return &problem{Status: http.StatusBadRequest, Detail: fmt.Sprintf(format, args...)}
}

// errForbidden is the one answer to who is nobody, and to who is somebody but
// has no right to the call: neither learns which of the two they are.
var errForbidden = errors.New("admin access required")

// problemOf translates an error of a route. The message of Secrets Manager is
// not passed on but for the refusals that an operator can act on.
func problemOf(err error) *problem {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	p := &problem{Status: http.StatusInternalServerError}
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		return p
	}
	p.Detail = "Secrets Manager answered " + api.ErrorCode()
	switch code := api.ErrorCode(); {
	case code == "ResourceNotFoundException":
		p.Status, p.Detail = http.StatusNotFound, "there is no such secret"
		p.Hint = `GET /admin/secrets lists the secrets; they are defined in template.yaml`
	case code == "ResourceExistsException":
		p.Status, p.Detail = http.StatusConflict, "the idempotency key was used before with another value"
		p.Hint = "send another Idempotency-Key"
	case code == "InvalidRequestException" && strings.Contains(api.ErrorMessage(), "deletion"):
		p.Status, p.Detail = http.StatusConflict, "the secret is scheduled for deletion"
		p.Hint = "POST /admin/secrets/{name}/restore takes it back"
	case code == "InvalidRequestException" && strings.Contains(api.ErrorMessage(), "isn't complete"):
		p.Status, p.Detail = http.StatusConflict, "another rotation is not complete"
		p.Hint = "GET /admin/secrets/{name}/rotation shows how it goes, POST /admin/secrets/{name}/cancel ends it"
	case code == "InvalidRequestException", code == "InvalidParameterException":
		p.Status, p.Detail = http.StatusConflict, api.ErrorMessage()
	case strings.Contains(code, "Throttl"), code == "LimitExceededException", code == "TooManyRequestsException":
		p.Status, p.retry = http.StatusTooManyRequests, time.Second
	}
	return p
}
