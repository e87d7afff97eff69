package admin

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/awslabs/aws-lambda-go-api-proxy/core"

	"github.com/rekey-go/rekey/functions/internal/reply"
)

// A call is a request with what is known of it.
type call struct {
	*http.Request
	header http.Header // of the answer

	id    string // of the request
	who   principal
	route *route
	// name is the logical name of the secret, and version the version that the
	// call made or asked for; they may be empty.
	name, version string
}

// serveTimeout is how long a call may take beside what it waits for: the HTTP
// API gives up after 30 seconds, and then nobody hears what became of it.
const serveTimeout = 28 * time.Second

// ServeHTTP finds out who calls, serves the route and leaves one audit line.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(r.Context(), serveTimeout)
	defer cancel()
	c := &call{Request: r.WithContext(ctx), header: w.Header(), id: requestID(r)}
	c.header.Set("Cache-Control", "no-store")
	c.header.Set("X-Content-Type-Options", "nosniff")
	c.header.Set("X-Request-Id", c.id)
	c.Body = http.MaxBytesReader(w, r.Body, maxBody)
	out, err := h.guarded(ctx, c)
	status := h.write(ctx, w, c, out, err)
	h.line(ctx, c, status, time.Since(began))
}

// guarded serves a call, and turns a panic into an error: the next call is
// another one.
func (h *Handler) guarded(ctx context.Context, c *call) (out *answer, err error) {
	defer func() {
		if v := recover(); v != nil {
			// What was panicked with may hold anything.
			h.log.ErrorContext(ctx, "admin call panicked", "requestId", c.id, "stack", string(debug.Stack()))
			out, err = nil, errors.New("panic")
		}
	}()
	return h.serve(ctx, c)
}

// serve checks who calls and what they may, and serves the route. Nobody learns
// which paths there are without a right to call.
func (h *Handler) serve(ctx context.Context, c *call) (*answer, error) {
	found, name, allowed := h.find(c.Request)
	c.route = found
	if found != nil && found.scope == "" {
		return found.serve(h, c)
	}
	var err error
	if c.who, err = h.authenticate(c.Request); err != nil {
		return nil, h.unauthenticated(ctx, c, err)
	}
	if wait, ok := h.callers.take(c.who.id); !ok {
		return nil, &problem{Status: http.StatusTooManyRequests, Detail: "too many calls", retry: wait}
	}
	switch {
	case !slices.ContainsFunc(Scopes(), func(s Scope) bool { return c.who.may(s, "") }):
		return nil, errForbidden
	case found == nil && len(allowed) > 0:
		c.header.Set("Allow", strings.Join(allowed, ", "))
		return nil, &problem{Status: http.StatusMethodNotAllowed, Detail: "the path has other methods: " + strings.Join(allowed, ", ")}
	case found == nil:
		return nil, &problem{Status: http.StatusNotFound, Detail: "there is no such path", Hint: "GET /admin/openapi.json describes what there is"}
	}
	if name == "" {
		if !c.who.may(found.scope, "") {
			return nil, errForbidden
		}
		return found.serve(h, c)
	}
	if _, err := h.named(c, "the name", name); err != nil {
		return nil, err
	}
	return found.serve(h, c)
}

// named notes the secret that a call is about, checks that the caller has a
// right to it, and returns its physical name.
func (h *Handler) named(c *call, member, name string) (string, error) {
	id, p := h.physicalName(member, name)
	if p != nil {
		if !c.who.may(c.route.scope, "") {
			return "", errForbidden
		}
		return "", p
	}
	c.name = name
	if !c.who.may(c.route.scope, name) {
		return "", errForbidden
	}
	return id, nil
}

// unauthenticated is the error for who could not be found out.
func (h *Handler) unauthenticated(ctx context.Context, c *call, err error) error {
	if errors.Is(err, errNotAdmin) {
		return errForbidden
	}
	h.log.ErrorContext(ctx, "who calls cannot be found out", "requestId", c.id, "error", clean(err.Error()))
	return &problem{
		Status: http.StatusServiceUnavailable, Failure: "Admin access cannot be checked",
		Detail: "the admin tokens, or the identity provider's keys, cannot be read", retry: time.Second,
	}
}

// write sends the answer.
func (h *Handler) write(ctx context.Context, w http.ResponseWriter, c *call, out *answer, err error) (status int) {
	if err == nil {
		if file, ok := out.body.(pageFile); ok {
			file.write(w)
			return out.status
		}
		reply.JSON(w, out.status, out.body)
		return out.status
	}
	if errors.Is(err, errForbidden) {
		reply.JSON(w, http.StatusForbidden, reply.Failure{Error: "Admin access required"})
		return http.StatusForbidden
	}
	p := problemOf(err)
	if p.Status >= http.StatusInternalServerError {
		h.log.ErrorContext(ctx, "admin call failed", "requestId", c.id, "error", clean(err.Error()))
	}
	full := *p
	full.Title, full.RequestID = http.StatusText(p.Status), c.id
	if full.Failure == "" && c.route != nil {
		full.Failure = c.route.failed
	}
	if full.Failure == "" {
		full.Failure = full.Title
	}
	if p.retry > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((p.retry+time.Second-1)/time.Second)))
	}
	if p.Status == http.StatusInternalServerError && full.Failure == storeFailed {
		reply.JSON(w, p.Status, reply.Failure{Error: storeFailed}) // what its first clients know
		return p.Status
	}
	reply.Problem(w, p.Status, full)
	return p.Status
}

// outcomes are words for statuses in the audit line.
func outcome(status int) string {
	switch {
	case status < http.StatusBadRequest:
		return "ok"
	case status == http.StatusForbidden:
		return "denied"
	case status == http.StatusTooManyRequests:
		return "limited"
	case status < http.StatusInternalServerError:
		return "refused"
	default:
		return "failed"
	}
}

// maxLogged bounds what a caller can have written into a line.
const maxLogged = 512

// line leaves the audit line of a call.
func (h *Handler) line(ctx context.Context, c *call, status int, took time.Duration) {
	action := "unknown"
	if c.route != nil {
		action = c.route.action
	}
	h.log.InfoContext(ctx, "admin call",
		"requestId", c.id, "principal", clean(c.who.id), "action", action,
		"secretName", clean(c.name), "versionId", clean(c.version),
		"outcome", outcome(status), "status", status, "ms", took.Milliseconds(),
		"sourceIp", clean(sourceIP(c.Request)), "userAgent", clean(c.UserAgent()))
}

// clean takes out of a text what a terminal or a log viewer could obey, and
// what is too much.
func clean(text string) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
	if len(text) > maxLogged {
		text = strings.ToValidUTF8(text[:maxLogged], "") + "..."
	}
	return text
}

// requestID is the id that the HTTP API gave the request, or a new one.
func requestID(r *http.Request) string {
	if rc, ok := core.GetAPIGatewayV2ContextFromContext(r.Context()); ok && rc.RequestID != "" {
		return rc.RequestID
	}
	return rand.Text()
}

// sourceIP is where a request came from: behind an HTTP API that is an address
// without a port.
func sourceIP(r *http.Request) string {
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		return host
	}
	return r.RemoteAddr
}
