// Package secretshttp sends an API key with HTTP requests, and lives through
// the rotations of that key.
//
//	transport := secretshttp.NewTransport(client, "stripe-api-key", []string{"api.stripe.com"})
//	c := &http.Client{Transport: transport, Timeout: 10 * time.Second}
//
// Each request gets the key as it is at that moment. When the server answers
// 401, the transport climbs the [secrets.Ladder] of the secret and sends the
// request again with another version, as long as its body can be sent again:
// there is none, or the request has GetBody, as those that
// [net/http.NewRequest] makes of bytes and strings have. The answer to the
// last one is what the caller gets. A server that answers 401 has done nothing;
// where another answer means that, there is [Options.Refused].
//
// # Where the key goes
//
// The key is sent to the hosts that the transport is made for, and encrypted.
// A request to another host, mostly the end of a redirect, goes without it: a
// list is the only thing that an answer of a server cannot change, which a rule
// such as "the host of the first request" would leave to the next redirect. A
// request to one of the hosts over plain HTTP fails.
//
// The key is in the request that is sent and not in the one that was given,
// nor in that of the response. No error holds it.
package secretshttp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/rekey-go/rekey/runtime/secrets"
)

// Options configure a [Transport].
type Options struct {
	// Base sends the requests. If nil, it is [http.DefaultTransport].
	Base http.RoundTripper
	// Set puts a version of the secret into the header of a request. If nil,
	// it is Header("Authorization", "Bearer ", "").
	Set func(http.Header, *secrets.Secret) error
	// Refused reports whether a response means that the key was not accepted
	// and that nothing was done. It must not read the body. If nil, status 401
	// does.
	Refused func(*http.Response) bool
	// AllowPlaintext lets the key go over plain HTTP, as to a server on the
	// same machine.
	AllowPlaintext bool
}

// A Transport is a [http.RoundTripper] that sends a key. It is safe for
// concurrent use.
type Transport struct {
	name   string
	ladder *secrets.Ladder
	hosts  map[string]bool
	opts   Options
}

// NewTransport returns a transport that sends a secret to hosts, such as
// "api.stripe.com", or "10.0.0.7:8443" where the port is not that of the
// scheme. It makes no call.
func NewTransport(client *secrets.Client, name string, hosts []string, optFns ...func(*Options)) *Transport {
	var opts Options
	for _, fn := range optFns {
		fn(&opts)
	}
	if opts.Base == nil {
		opts.Base = http.DefaultTransport
	}
	if opts.Set == nil {
		opts.Set = Header("Authorization", "Bearer ", "")
	}
	if opts.Refused == nil {
		opts.Refused = func(res *http.Response) bool { return res.StatusCode == http.StatusUnauthorized }
	}
	t := &Transport{name: name, ladder: client.Ladder(name), hosts: make(map[string]bool), opts: opts}
	for _, host := range hosts {
		t.hosts[strings.ToLower(host)] = true
	}
	return t
}

// errRefused means that the server did not accept the key. The response is
// with the attempt.
var errRefused = errors.New("the key was refused")

func isRefused(err error) bool { return errors.Is(err, errRefused) }

// RoundTrip sends a request with the key. The error wraps one of package
// secrets where the secret could not be read.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if !t.trusts(req.URL) {
		return t.opts.Base.RoundTrip(req)
	}
	a := &attempts{Transport: t, req: req}
	if req.URL.Scheme != "https" && !t.opts.AllowPlaintext {
		return a.end(req.Context(), fmt.Errorf("%s is to be sent to %s unencrypted: use https", t.name, req.URL.Host))
	}
	refused := isRefused
	if !replayable(req) {
		refused = func(error) bool { return false }
	}
	return a.end(req.Context(), t.ladder.Do(req.Context(), refused, a.send))
}

// CloseIdleConnections closes those of the base.
func (t *Transport) CloseIdleConnections() {
	if c, ok := t.opts.Base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// trusts reports whether a request goes to one of the hosts.
func (t *Transport) trusts(u *url.URL) bool {
	host, port := strings.ToLower(u.Hostname()), u.Port()
	usual := port == "" || u.Scheme == "https" && port == "443" || u.Scheme == "http" && port == "80"
	return usual && t.hosts[host] || t.hosts[net.JoinHostPort(host, port)]
}

func replayable(req *http.Request) bool {
	return req.Body == nil || req.Body == http.NoBody || req.GetBody != nil
}

// attempts are what becomes of one request.
type attempts struct {
	*Transport
	req  *http.Request
	sent bool           // the request's own body was handed over
	res  *http.Response // to the last one; nil where there was an error
}

// send sends the request with a version of the secret.
func (a *attempts) send(ctx context.Context, s *secrets.Secret) error {
	a.discard()
	req := a.req.Clone(ctx)
	if err := a.opts.Set(req.Header, s); err != nil {
		return err
	}
	if a.sent && a.req.GetBody != nil {
		body, err := a.req.GetBody()
		if err != nil {
			return err
		}
		req.Body = body
	}
	a.sent = true
	res, err := a.opts.Base.RoundTrip(req) //nolint:bodyclose // discard does, or the caller.
	if err != nil {
		return err
	}
	res.Request = a.req // the other one has the key
	a.res = res
	if a.opts.Refused(res) {
		return errRefused
	}
	return nil
}

// maxDrain bounds what is read of a response so that its connection can be
// used again.
const maxDrain = 64 << 10

// discard ends the response to the last attempt.
func (a *attempts) discard() {
	if a.res != nil {
		_, _ = io.CopyN(io.Discard, a.res.Body, maxDrain)
		_ = a.res.Body.Close()
		a.res = nil
	}
}

// end gives the caller the last response, also one that is a refusal.
func (a *attempts) end(ctx context.Context, err error) (*http.Response, error) {
	if !a.sent && a.req.Body != nil {
		_ = a.req.Body.Close() // a RoundTripper closes it in any case
	}
	switch {
	case err == nil, isRefused(err) && ctx.Err() == nil:
		return a.res, nil
	case isRefused(err):
		err = context.Cause(ctx)
	}
	a.discard()
	return nil, err
}

// Header returns a function for [Options.Set]. It sets a header to a prefix
// and the value of the secret, or of one member of it, which is then a JSON
// object of strings. A value that is not fit for a header is
// [secrets.ErrDecode].
func Header(name, prefix, member string) func(http.Header, *secrets.Secret) error {
	return func(h http.Header, s *secrets.Secret) error {
		text, err := valueOf(s, member)
		if err != nil {
			return err
		}
		h.Set(name, prefix+text)
		return nil
	}
}

func valueOf(s *secrets.Secret, member string) (string, error) {
	text := s.Reveal()
	if member != "" {
		var object map[string]json.RawMessage
		// The decoder's own error quotes what it read.
		if json.Unmarshal([]byte(text), &object) != nil || json.Unmarshal(object[member], &text) != nil {
			return "", fmt.Errorf("reading %q of %v: %w", member, s, secrets.ErrDecode)
		}
	}
	if text == "" || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "", fmt.Errorf("%v is empty, or has a line break or another control character: %w", s, secrets.ErrDecode)
	}
	return text, nil
}
