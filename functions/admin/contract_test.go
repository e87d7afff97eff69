package admin_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

// A contract holds every request and answer against openapi.json: what is
// answered 2xx was a request that the document allows, and every answer is one
// that the document has.
type contract struct {
	t   testing.TB
	doc *openapi3.T

	mu   sync.Mutex
	seen map[string]bool // :: "GET /path 200"
}

func newContract(t testing.TB) *contract {
	t.Helper()
	data, err := os.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(data)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(context.WithoutCancel(t.Context())); err != nil {
		t.Fatalf("openapi.json: %v", err)
	}
	return &contract{t: t, doc: doc, seen: make(map[string]bool)}
}

// operation finds the operation of a request. A name may have slashes, which the
// library's own routers do not let it.
func (c *contract) operation(method, path string) (*routers.Route, map[string]string) {
	paths := c.doc.Paths.InMatchingOrder()
	slices.SortStableFunc(paths, func(a, b string) int { return len(b) - len(a) })
	for _, template := range paths {
		before, after, named := strings.Cut(template, "{name}")
		rest, begins := strings.CutPrefix(path, before)
		name, ends := strings.CutSuffix(rest, after)
		if fits := template == path || named && begins && ends && name != ""; !fits {
			continue
		}
		item := c.doc.Paths.Value(template)
		operation := item.GetOperation(method)
		if operation == nil {
			return nil, nil
		}
		return &routers.Route{Spec: c.doc, Path: template, PathItem: item, Method: method, Operation: operation}, map[string]string{"name": name}
	}
	return nil, nil
}

// RoundTrip passes on, and holds both against the document.
func (c *contract) RoundTrip(r *http.Request) (*http.Response, error) {
	var sent []byte
	if r.Body != nil {
		var err error
		if sent, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		r.Body = io.NopCloser(bytes.NewReader(sent))
	}
	res, err := many.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err != nil {
		return nil, err
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	c.check(r, sent, res, body)
	return res, nil
}

func (c *contract) check(r *http.Request, sent []byte, res *http.Response, body []byte) {
	c.t.Helper()
	route, params := c.operation(r.Method, r.URL.Path)
	if route == nil {
		if res.StatusCode != http.StatusNotFound && res.StatusCode != http.StatusMethodNotAllowed && res.StatusCode != http.StatusForbidden {
			c.t.Errorf("%s %s, which the document does not have, was answered %d", r.Method, r.URL.Path, res.StatusCode)
		}
		return
	}
	again := r.Clone(context.Background())
	again.Body = io.NopCloser(bytes.NewReader(sent))
	again.Header.Set("Content-Type", "application/json")
	if len(sent) == 0 {
		again.Body, again.ContentLength = nil, 0
	}
	in := &openapi3filter.RequestValidationInput{
		Request: again, PathParams: params, Route: route, QueryParams: r.URL.Query(),
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true},
	}
	if err := openapi3filter.ValidateRequest(context.Background(), in); err != nil && res.StatusCode < http.StatusBadRequest {
		c.t.Errorf("%s %s was answered %d, but the document does not allow the request: %v", r.Method, r.URL.Path, res.StatusCode, err)
	}
	out := &openapi3filter.ResponseValidationInput{RequestValidationInput: in, Status: res.StatusCode, Header: res.Header, Options: in.Options}
	out.SetBodyBytes(body)
	if err := openapi3filter.ValidateResponse(context.Background(), out); err != nil {
		c.t.Errorf("%s %s: the answer %d %s is not the document's: %v", r.Method, r.URL.Path, res.StatusCode, body, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen[r.Method+" "+route.Path] = true
}

// TestTheDocumentAndTheTemplateHaveTheSameRoutes compares them by what they say.
func TestTheDocumentAndTheTemplateHaveTheSameRoutes(t *testing.T) {
	t.Parallel()
	c := newContract(t)
	template, err := os.ReadFile("../../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text := string(template)
	for path, item := range c.doc.Paths.Map() {
		for method := range item.Operations() {
			route := path
			if before, _, named := strings.Cut(path, "{name}"); named {
				route = `"` + before + `{name+}"`
			}
			if !strings.Contains(text, "Method: "+method+", Path: "+route+"}") {
				t.Errorf("template.yaml leads no %s %s to the function", method, path)
			}
		}
	}
}
