package secretstest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/rekey-go/rekey/runtime/secrets"
)

// errCut is what a call ends with while AWS is out of reach.
var errCut = errors.New("secretstest: AWS is out of reach")

// A wire is between the clients under test and the engine, and can be made to
// fail.
type wire struct {
	http.Client
	failure atomic.Pointer[error]
}

func newWire() *wire {
	return &wire{Client: http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
}

func (w *wire) fail(err error) {
	if err == nil {
		w.failure.Store(nil)
		return
	}
	w.failure.Store(&err)
}

func (w *wire) failing() bool { return w.failure.Load() != nil }

// Do passes a call on, or fails as [AWS.Fail] was told.
func (w *wire) Do(req *http.Request) (*http.Response, error) {
	if failure := w.failure.Load(); failure != nil {
		switch {
		case errors.Is(*failure, secrets.ErrUnavailable):
			return nil, errCut
		case !strings.HasPrefix(req.Header.Get("X-Amz-Target"), "secretsmanager."):
		case errors.Is(*failure, secrets.ErrThrottled):
			return refusal(req, "ThrottlingException", "Rate exceeded"), nil
		default:
			return refusal(req, "AccessDeniedException", "not authorized to perform this operation"), nil
		}
	}
	return w.Client.Do(req) //nolint:gosec // a client of the test's sends it to the engine
}

// refusal is an answer of AWS's JSON protocol.
func refusal(req *http.Request, code, message string) *http.Response {
	body := fmt.Sprintf(`{"__type":%q,"message":%q}`, code, message)
	return &http.Response{
		Status: "400 Bad Request", StatusCode: http.StatusBadRequest, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:        http.Header{"Content-Type": {"application/x-amz-json-1.1"}, "X-Amzn-Errortype": {code}},
		Body:          io.NopCloser(bytes.NewReader([]byte(body))),
		ContentLength: int64(len(body)), Request: req,
	}
}

// Fail has AWS fail for the clients of [AWS.Client] and [AWS.Config], until
// the returned function is called. With [secrets.ErrUnavailable] nothing can
// be reached, with [secrets.ErrThrottled] or [secrets.ErrDenied] Secrets
// Manager answers so. The test's own calls, such as Rotate, go on. Programs
// that were started with [AWS.Env] notice nothing.
func (a *AWS) Fail(how error) (mend func()) {
	a.tb.Helper()
	switch {
	case errors.Is(how, secrets.ErrUnavailable), errors.Is(how, secrets.ErrThrottled), errors.Is(how, secrets.ErrDenied):
	default:
		a.tb.Fatalf("AWS cannot be made to fail with %v: want ErrUnavailable, ErrThrottled or ErrDenied of package secrets", how)
	}
	a.wire.fail(how)
	return func() { a.wire.fail(nil) }
}
