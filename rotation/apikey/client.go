package apikey

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/rekey-go/rekey/rotation"
)

// NewClient returns a client for providers' APIs: over TLS that is verified, to
// hosts that are allowed, and never on to where an answer redirects to, since
// the request carries a key.
func NewClient(reach *rotation.Reach) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext:         reach.Dial,
			TLSClientConfig:     reach.TLS(rotation.Credential{}),
			TLSHandshakeTimeout: reach.Timeout(), ForceAttemptHTTP2: true,
			MaxIdleConnsPerHost: 2, IdleConnTimeout: time.Minute,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       callTimeout,
	}
}

const (
	// callTimeout bounds one call.
	callTimeout = 10 * time.Second
	// maxAnswer bounds an answer, in bytes.
	maxAnswer = 1 << 20
)

// checkURL takes an address of a provider: https, or http on this machine.
func checkURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" {
		return nil, configurationf("the address of the provider is not such as https://api.example.com")
	}
	ip := net.ParseIP(u.Hostname())
	local := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	if u.Scheme != "https" && (u.Scheme != "http" || !local) {
		return nil, configurationf("%s: keys are sent over https only", u.Host)
	}
	return u, nil
}

// checkID refuses an id that would be another address than that of a key.
func checkID(id string) error {
	if id == "" || id == "." || id == ".." || strings.ContainsAny(id, "/\\?#") {
		return configurationf("%q is not the id of a key", id)
	}
	return nil
}

// A call is one request to a provider.
type call struct {
	method, url string
	header      http.Header
	body        []byte
	kind        string // the body's media type
}

// A refusal is an answer that a provider gave instead of what it was asked for.
// Its text is not kept: it may quote the key.
type refusal struct {
	method, host string
	status       int
}

func (r *refusal) Error() string {
	return fmt.Sprintf("%s answered %s with %d %s", r.host, r.method, r.status, http.StatusText(r.status))
}

// Unwrap gives what the status means.
func (r *refusal) Unwrap() error {
	switch {
	case r.status == http.StatusUnauthorized:
		return rotation.ErrAuth
	case r.status == http.StatusForbidden:
		return rotation.ErrPermission
	case r.status == http.StatusTooManyRequests, r.status == http.StatusConflict:
		return rotation.ErrConflict
	case r.status >= http.StatusInternalServerError:
		return rotation.ErrNetwork
	}
	return rotation.ErrConfiguration
}

// status is the status of a refusal, and zero for every other error.
func status(err error) int {
	if r, ok := errors.AsType[*refusal](err); ok {
		return r.status
	}
	return 0
}

// do makes a call and reads the answer as JSON into out, which may be nil. No
// error quotes the request or the answer.
func do(ctx context.Context, client *http.Client, c call, out any) error {
	req, err := http.NewRequestWithContext(ctx, c.method, c.url, bytes.NewReader(c.body))
	if err != nil {
		return configurationf("the call cannot be made: the method or the address is wrong")
	}
	if c.header != nil {
		req.Header = c.header
	}
	req.Header.Set("User-Agent", "rekey")
	req.Header.Set("Accept", "application/json")
	if c.kind != "" {
		req.Header.Set("Content-Type", c.kind)
	}
	res, err := client.Do(req)
	if err != nil {
		return reaching(req, err)
	}
	defer func() { _ = res.Body.Close() }() // it was read
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	switch {
	case err != nil:
		return reaching(req, err)
	case res.StatusCode < 200 || res.StatusCode > 299:
		return &refusal{c.method, req.URL.Host, res.StatusCode}
	case len(answer) > maxAnswer:
		return configurationf("%s answered with more than %d bytes", req.URL.Host, maxAnswer)
	case out == nil:
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(answer))
	dec.UseNumber()
	if dec.Decode(out) != nil { // the cause could quote the key
		return configurationf("the answer of %s to %s is not the JSON that was expected", req.URL.Host, c.method)
	}
	return nil
}

// reaching says that a provider could not be reached. The address is left out,
// but for its host.
func reaching(req *http.Request, err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err
	}
	if errors.Is(err, rotation.ErrConfiguration) {
		return fmt.Errorf("reaching %s: %w", req.URL.Host, err)
	}
	meaning := rotation.ErrNetwork
	if strings.Contains(err.Error(), "tls: ") || strings.Contains(err.Error(), "x509: ") {
		meaning = rotation.ErrTLS
	}
	return fmt.Errorf("reaching %s: %w: %w", req.URL.Host, meaning, err)
}
