package wire

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// maxBody is the largest request body that the front door reads. It is above
// the largest that any of the services takes, so that each can refuse in its
// own words.
const maxBody = 70 << 20

// FrontOptions configure a [Front].
type FrontOptions struct {
	Region, Account string
	// Now is the engine's clock.
	Now func() time.Time
	// Identify names the principal that an access key belongs to.
	Identify func(accessKeyID string) Principal
	// Authorize refuses a call that its caller may not make. If nil,
	// everything is allowed.
	Authorize func(c *Call) error
	// Objects takes the requests to S3. If nil, they are answered with 501.
	Objects *ObjectStore
	// Recorder sees every management call. If nil, none is recorded.
	Recorder Recorder
	// Logger gets internal failures. If nil, they are not logged.
	Logger *slog.Logger
}

// A Front answers HTTP requests for a set of services. It is safe for
// concurrent use.
type Front struct {
	opts    FrontOptions
	targets map[string]*Service // by prefix of X-Amz-Target
	queries map[string]*Service // by operation
	rest    *http.ServeMux
}

// NewFront returns the front door of the given services.
func NewFront(opts FrontOptions, services ...Service) *Front {
	f := &Front{
		opts:    opts,
		targets: make(map[string]*Service),
		queries: make(map[string]*Service),
		rest:    http.NewServeMux(),
	}
	for _, s := range services {
		f.add(&s)
	}
	f.rest.HandleFunc("/", f.unknownPath)
	return f
}

func (f *Front) add(s *Service) {
	for _, target := range s.Targets {
		f.targets[target] = s
	}
	if s.Protocol == Query {
		for name := range s.Operations {
			f.queries[name] = s
		}
	}
	for _, route := range s.Routes {
		f.rest.HandleFunc(route.Pattern, func(w http.ResponseWriter, r *http.Request) {
			f.serveRoute(w, r, s, route)
		})
	}
}

// ServeHTTP answers one request.
func (f *Front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	// By it clients know the service's time, which is not theirs.
	w.Header().Set("Date", f.opts.Now().UTC().Format(http.TimeFormat))
	switch {
	case f.opts.Objects != nil && scopeOf(r).service == objects:
		f.serveObjects(w, r)
	case r.Header.Get("X-Amz-Target") != "":
		f.serveJSON(w, r)
	case r.Method == http.MethodPost && r.URL.Path == "/" && isForm(r):
		f.serveQuery(w, r)
	default:
		f.rest.ServeHTTP(w, r)
	}
}

// objects is S3's name in the credential scope.
const objects = "s3"

// serveObjects has S3 answer, which refuses in its own form.
func (f *Front) serveObjects(w http.ResponseWriter, r *http.Request) {
	c := f.newCall(r, &Service{Name: objects, EventSource: "s3.amazonaws.com"}, "")
	asked := f.opts.Objects.Identify(r)
	c.Operation, c.Needs = asked.Operation, asked.Needs
	op := Operation{Access: asked.Access, Handle: func(context.Context, *Call) (any, error) {
		f.opts.Objects.Handler.ServeHTTP(w, r)
		return nil, nil
	}}
	if _, err := f.do(r.Context(), c, op); err != nil {
		refusal := &Error{Code: "InternalError", Status: http.StatusInternalServerError}
		if e, ok := errors.AsType[*Error](err); ok {
			refusal = &Error{Code: "AccessDenied", Message: e.Message, Status: http.StatusForbidden}
		}
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(refusal.Status)
		_ = xml.NewEncoder(w).Encode(objectError{Code: refusal.Code, Message: refusal.Message, RequestID: c.RequestID}) // as in writeXML
	}
}

type objectError struct {
	XMLName   xml.Name `xml:"Error"`
	Code      string
	Message   string
	RequestID string `xml:"RequestId"`
}

func isForm(r *http.Request) bool {
	return strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded")
}

func (f *Front) serveJSON(w http.ResponseWriter, r *http.Request) {
	prefix, name := cutLast(r.Header.Get("X-Amz-Target"), '.')
	s, ok := f.targets[prefix]
	if !ok {
		s = &Service{Name: prefix, Protocol: JSON11}
	}
	c := f.newCall(r, s, name)
	op, ok := s.Operations[name]
	if !ok {
		writeError(w, s.Protocol, c, notImplemented(s.Name, name))
		return
	}
	body, err := readBody(r)
	if err != nil {
		writeError(w, s.Protocol, c, err)
		return
	}
	c.Input = body
	out, err := f.do(r.Context(), c, op)
	if err != nil {
		writeError(w, s.Protocol, c, err)
		return
	}
	writeJSON(w, s.Protocol, c, http.StatusOK, out)
}

// do authorizes, handles and records a call.
func (f *Front) do(ctx context.Context, c *Call, op Operation) (any, error) {
	out, err := f.handle(ctx, c, op)
	if f.opts.Recorder != nil && op.Access != Data {
		f.opts.Recorder.Record(c, op, out, err)
	}
	return out, err
}

func (f *Front) handle(ctx context.Context, c *Call, op Operation) (out any, err error) {
	if f.opts.Authorize != nil {
		if err := f.opts.Authorize(c); err != nil {
			c.Input = nil // the trail of a refused call has no parameters
			return nil, err
		}
	}
	out, err = op.Handle(ctx, c)
	if err == nil {
		return out, nil
	}
	if _, ok := errors.AsType[*Error](err); ok {
		return nil, err
	}
	if f.opts.Logger != nil {
		f.opts.Logger.ErrorContext(ctx, "engine failure", "service", c.Service, "operation", c.Operation, "error", err)
	}
	return nil, &Error{Code: "InternalServiceError", Message: "An error occurred on the server side.", Status: http.StatusInternalServerError, Modelled: true}
}

func (f *Front) serveQuery(w http.ResponseWriter, r *http.Request) {
	body, err := readBody(r)
	form, parseErr := url.ParseQuery(string(body))
	name := form.Get("Action")
	s, ok := f.queries[name]
	if !ok {
		s = &Service{Name: scopeOf(r).service, Protocol: Query}
	}
	c := f.newCall(r, s, name)
	switch {
	case err != nil:
		writeError(w, Query, c, err)
		return
	case parseErr != nil:
		writeError(w, Query, c, Unmodelled("MalformedQueryString", "The query string is malformed."))
		return
	case !ok:
		writeError(w, Query, c, notImplemented(s.Name, name))
		return
	}
	fields := make(map[string]string, len(form))
	for key := range form {
		fields[key] = form.Get(key)
	}
	if c.Input, err = json.Marshal(fields); err != nil {
		writeError(w, Query, c, err)
		return
	}
	out, err := f.do(r.Context(), c, s.Operations[name])
	if err != nil {
		writeError(w, Query, c, err)
		return
	}
	writeXML(w, c, http.StatusOK, out)
}

func (f *Front) serveRoute(w http.ResponseWriter, r *http.Request, s *Service, route Route) {
	c := f.newCall(r, s, route.Operation)
	c.Target = r.PathValue("name")
	w.Header().Set("X-Amzn-Requestid", c.RequestID)
	op := Operation{Access: route.Access, Handle: func(context.Context, *Call) (any, error) {
		return nil, route.Serve(w, r, c)
	}}
	if _, err := f.do(r.Context(), c, op); err != nil {
		writeError(w, REST, c, err)
	}
}

func (f *Front) unknownPath(w http.ResponseWriter, r *http.Request) {
	s := &Service{Name: scopeOf(r).service, Protocol: REST}
	c := f.newCall(r, s, r.Method+" "+r.URL.Path)
	writeError(w, REST, c, notImplemented(s.Name, c.Operation))
}

func notImplemented(service, operation string) *Error {
	if service == "" {
		service = "this service"
	}
	return &Error{
		Code:    "NotImplementedException",
		Message: fmt.Sprintf("the embedded engine does not have %s of %s; docs/engine.md lists what it has", operation, service),
		Status:  http.StatusNotImplemented,
	}
}

// newCall identifies the caller and gives the call its number.
func (f *Front) newCall(r *http.Request, s *Service, operation string) *Call {
	scope := scopeOf(r)
	c := &Call{
		Service:     s.Name,
		EventSource: s.EventSource,
		Operation:   operation,
		Region:      scope.region,
		Account:     f.opts.Account,
		RequestID:   NewID(),
		UserAgent:   r.UserAgent(),
		Time:        f.opts.Now(),
	}
	if s.Namespace != "" {
		c.namespace = s.Namespace + "#"
	}
	if c.Region == "" {
		c.Region = f.opts.Region
	}
	if f.opts.Identify != nil {
		c.Caller = f.opts.Identify(scope.accessKey)
	}
	c.SourceIP, _, _ = net.SplitHostPort(r.RemoteAddr)
	return c
}

func readBody(r *http.Request) (json.RawMessage, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, &Error{Code: "RequestEntityTooLargeException", Message: "The request body could not be read or is too large.", Status: http.StatusRequestEntityTooLarge}
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return json.RawMessage("{}"), nil
	}
	return body, nil
}

func writeJSON(w http.ResponseWriter, p Protocol, c *Call, status int, out any) {
	body, err := json.Marshal(out)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"__type":"InternalServiceError","Message":"the answer could not be encoded"}`)
	}
	w.Header().Set("Content-Type", p.contentType())
	w.Header().Set("X-Amzn-Requestid", c.RequestID)
	// DynamoDB sends the checksum of its answers, and its SDK takes an answer
	// without one for one with the checksum zero.
	w.Header().Set("X-Amz-Crc32", strconv.FormatUint(uint64(crc32.ChecksumIEEE(body)), 10))
	w.WriteHeader(status)
	_, _ = w.Write(body) // a caller that went away cannot be told
}

func writeXML(w http.ResponseWriter, c *Call, status int, out any) {
	w.Header().Set("Content-Type", Query.contentType())
	w.Header().Set("X-Amzn-Requestid", c.RequestID)
	w.WriteHeader(status)
	_ = xml.NewEncoder(w).Encode(out) // a caller that went away cannot be told
}

func writeError(w http.ResponseWriter, p Protocol, c *Call, err error) {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		e = &Error{Code: "InternalFailure", Message: "The request processing has failed.", Status: http.StatusInternalServerError}
	}
	status := e.Status
	if status == 0 {
		status = http.StatusBadRequest
	}
	if p == Query {
		writeXML(w, c, status, queryError{Type: "Sender", Code: e.Code, Message: e.Message, RequestID: c.RequestID})
		return
	}
	w.Header().Set("X-Amzn-Errortype", e.Code)
	if e.QueryCode != "" {
		w.Header().Set("X-Amzn-Query-Error", e.QueryCode+";Sender")
	}
	body := make(map[string]any)
	if p != REST { // whose errors have their name in the header alone
		body["__type"] = c.namespace + e.Code
	}
	if e.Modelled {
		body["Message"] = e.Message
	} else {
		body["message"] = e.Message
	}
	maps.Copy(body, e.Members)
	writeJSON(w, p, c, status, body)
}

type queryError struct {
	XMLName   xml.Name `xml:"ErrorResponse"`
	Type      string   `xml:"Error>Type"`
	Code      string   `xml:"Error>Code"`
	Message   string   `xml:"Error>Message"`
	RequestID string   `xml:"RequestId"`
}

// A scope is what the credential scope of a signature says.
type scope struct {
	accessKey, region, service string
}

// scopeOf reads the credential scope from the Authorization header of
// Signature Version 4, or from the query of a presigned request.
func scopeOf(r *http.Request) scope {
	credential := r.URL.Query().Get("X-Amz-Credential")
	if _, rest, ok := strings.Cut(r.Header.Get("Authorization"), "Credential="); ok {
		credential, _, _ = strings.Cut(rest, ",")
	}
	parts := strings.Split(credential, "/")
	if len(parts) < 5 {
		return scope{accessKey: parts[0]}
	}
	// An access key has no slash, so the scope is counted from its front.
	return scope{accessKey: parts[0], region: parts[2], service: parts[3]}
}

func cutLast(s string, sep byte) (before, after string) {
	i := strings.LastIndexByte(s, sep)
	if i < 0 {
		return "", s
	}
	return s[:i], s[i+1:]
}
