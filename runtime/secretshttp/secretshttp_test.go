package secretshttp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rekey-go/rekey/runtime/internal/stagetest"
	"github.com/rekey-go/rekey/runtime/secrets"
	"github.com/rekey-go/rekey/runtime/secretshttp"
)

// A provider is an API that accepts some keys.
type provider struct {
	*httptest.Server
	host string

	mu      sync.Mutex
	accepts map[string]bool
	seen    []string // key and body of each request
	conns   map[string]bool
}

func newProvider(t *testing.T, keys ...string) *provider {
	t.Helper()
	p := &provider{accepts: map[string]bool{}, conns: map[string]bool{}}
	p.set(keys...)
	p.Server = httptest.NewTLSServer(p)
	t.Cleanup(p.Close)
	p.host = strings.TrimPrefix(p.URL, "https://")
	return p
}

func (p *provider) set(keys ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.accepts)
	for _, key := range keys {
		p.accepts[key] = true
	}
}

func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	key := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	p.mu.Lock()
	p.seen = append(p.seen, strings.TrimSpace(key+" "+string(body)))
	p.conns[r.RemoteAddr] = true
	ok := p.accepts[key]
	p.mu.Unlock()
	if to := r.URL.Query().Get("to"); to != "" {
		http.Redirect(w, r, to, http.StatusTemporaryRedirect)
		return
	}
	if !ok {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, strings.Repeat("refused ", 1000))
		return
	}
	_, _ = io.WriteString(w, "done "+string(body))
}

func (p *provider) client(store *stagetest.Store, optFns ...func(*secretshttp.Options)) *http.Client {
	trust := func(o *secretshttp.Options) { o.Base = p.Client().Transport }
	optFns = append([]func(*secretshttp.Options){trust}, optFns...)
	return &http.Client{Transport: secretshttp.NewTransport(store.Client(), "key", []string{p.host}, optFns...)}
}

// do sends a request and returns the answer's status and text.
func do(t *testing.T, c *http.Client, req *http.Request) string {
	t.Helper()
	res, err := c.Do(req)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Error(err)
	}
	if got := res.Request.Header.Get("Authorization"); got != "" {
		t.Errorf("the response's request has the key")
	}
	return fmt.Sprint(res.StatusCode, " ", strings.TrimSpace(strings.Split(string(body), "\n")[0]))
}

func request(t *testing.T, method, url string, body io.Reader) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

func TestAKeyThatWasReplaced(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		stage   [2]string // label and value of v2
		accepts string
		body    io.Reader
		want    string
		seen    []string
	}{
		"is the one at hand": {accepts: "key-1", want: "200 done", seen: []string{"key-1"}},
		"is current by now":  {stage: [2]string{"AWSCURRENT", "key-2"}, accepts: "key-2", want: "200 done", seen: []string{"key-1", "key-2"}},
		"is still pending":   {stage: [2]string{"AWSPENDING", "key-2"}, accepts: "key-2", want: "200 done", seen: []string{"key-1", "key-2"}},
		"with a body that can be sent again": {
			stage: [2]string{"AWSCURRENT", "key-2"}, accepts: "key-2", body: strings.NewReader("charge"),
			want: "200 done charge", seen: []string{"key-1 charge", "key-2 charge"},
		},
		"with a body that cannot": {
			stage: [2]string{"AWSCURRENT", "key-2"}, accepts: "key-2", body: io.MultiReader(strings.NewReader("charge")),
			want: "401 " + strings.TrimSpace(strings.Repeat("refused ", 1000)), seen: []string{"key-1 charge"},
		},
		"by none that is accepted": {
			stage: [2]string{"AWSCURRENT", "key-2"}, accepts: "key-3",
			want: "401 " + strings.TrimSpace(strings.Repeat("refused ", 1000)), seen: []string{"key-1", "key-2"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProvider(t, "key-1")
			store := stagetest.New("key-1")
			c := p.client(store)
			if got := do(t, c, request(t, "GET", p.URL, nil)); got != "200 done" {
				t.Fatal(got)
			}
			p.seen = nil
			p.set(tt.accepts)
			if tt.stage[0] != "" {
				store.Stage(tt.stage[0], "v2", tt.stage[1])
			}
			req := request(t, "POST", p.URL, tt.body)
			header := req.Header.Clone()
			if got := do(t, c, req); got != tt.want {
				t.Errorf("got %.60s, want %.60s", got, tt.want)
			}
			if diff := cmp.Diff(tt.seen, p.seen); diff != "" {
				t.Errorf("the provider saw (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(header, req.Header); diff != "" {
				t.Errorf("the request was changed:\n%s", diff)
			}
			if len(p.conns) != 1 {
				t.Errorf("%d connections: a refusal's body was not read to its end", len(p.conns))
			}
		})
	}
}

func TestTheKeyGoesNowhereElse(t *testing.T) {
	t.Parallel()
	p, other := newProvider(t, "key-1"), newProvider(t, "")
	plain := httptest.NewServer(p)
	t.Cleanup(plain.Close)
	trusting := &http.Transport{TLSClientConfig: p.Client().Transport.(*http.Transport).TLSClientConfig} // both providers
	tests := map[string]struct {
		url, host string
		want      string
		seen      []string // by the other one
	}{
		"a redirect to another host":    {url: p.URL + "?to=" + url.QueryEscape(other.URL), host: p.host, want: "200 done", seen: []string{""}},
		"a request to another host":     {url: other.URL, host: p.host, want: "200 done", seen: []string{""}},
		"the same host at another port": {url: other.URL, host: "127.0.0.1", want: "200 done", seen: []string{""}},
		"plain HTTP":                    {url: plain.URL, host: strings.TrimPrefix(plain.URL, "http://"), want: "unencrypted"},
	}
	for name, tt := range tests { //nolint:paralleltest // they share what was seen.
		t.Run(name, func(t *testing.T) {
			other.seen = nil
			transport := secretshttp.NewTransport(stagetest.New("key-1").Client(), "key", []string{tt.host}, func(o *secretshttp.Options) { o.Base = trusting })
			if got := do(t, &http.Client{Transport: transport}, request(t, "GET", tt.url, nil)); !strings.Contains(got, tt.want) {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			if diff := cmp.Diff(tt.seen, other.seen); diff != "" {
				t.Errorf("the other host saw (-want +got):\n%s", diff)
			}
		})
	}
}

// A body tells whether it was closed.
type body struct {
	io.Reader
	closed bool
}

func (b *body) Close() error { b.closed = true; return nil }

func TestABodyIsAlwaysClosed(t *testing.T) {
	t.Parallel()
	p := newProvider(t, "key-1")
	tests := map[string]struct {
		store *stagetest.Store
		want  error
	}{
		"a secret without a value":   {store: new(stagetest.Store), want: secrets.ErrNoValue},
		"a key with a line break":    {store: stagetest.New("hunter2\n"), want: secrets.ErrDecode},
		"a member that is not there": {store: stagetest.New(`{"other":"hunter2"}`), want: secrets.ErrDecode},
		"a value that is no object":  {store: stagetest.New(`hunter2`), want: secrets.ErrDecode},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := p.client(tt.store, func(o *secretshttp.Options) {
				if strings.Contains(name, "member") || strings.Contains(name, "object") {
					o.Set = secretshttp.Header("X-Api-Key", "", "stripe")
				}
			})
			b := &body{Reader: strings.NewReader("x")}
			_, err := c.Do(request(t, "POST", p.URL, b))
			if !errors.Is(err, tt.want) || strings.Contains(err.Error(), "hunter2") || !b.closed {
				t.Errorf("got %v, body closed %v; want %v", err, b.closed, tt.want)
			}
		})
	}
}

func TestAnotherHeaderAndAnotherRefusal(t *testing.T) {
	t.Parallel()
	var got []string
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.Header.Get("X-Api-Key"))
		if r.Header.Get("X-Api-Key") != "token new" {
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	defer api.Close()
	store := stagetest.New(`{"stripe":"old"}`)
	store.Stage("AWSPENDING", "v2", `{"stripe":"new"}`)
	c := &http.Client{Transport: secretshttp.NewTransport(store.Client(), "key", []string{strings.TrimPrefix(api.URL, "http://")}, func(o *secretshttp.Options) {
		o.AllowPlaintext = true
		o.Set = secretshttp.Header("X-Api-Key", "token ", "stripe")
		o.Refused = func(res *http.Response) bool { return res.StatusCode == http.StatusForbidden }
	})}
	if answer := do(t, c, request(t, "GET", api.URL, nil)); answer != "200 " {
		t.Errorf("got %s", answer)
	}
	if diff := cmp.Diff([]string{"token old", "token new"}, got); diff != "" {
		t.Errorf("the provider saw (-want +got):\n%s", diff)
	}
	c.CloseIdleConnections()
}

func TestNoRequestFailsWhileKeysRotate(t *testing.T) {
	t.Parallel()
	const clients, turns = 6, 50
	p := newProvider(t, "key-1")
	store := stagetest.New("key-1")
	c := p.client(store)
	p.Client().Transport.(*http.Transport).MaxIdleConnsPerHost = clients
	l := stagetest.NewLoad(t, clients, func() error {
		if got := do(t, c, request(t, "POST", p.URL, strings.NewReader("x"))); got != "200 done x" {
			return errors.New(got[:min(len(got), 100)])
		}
		return nil
	})
	for n := 2; n < 2+turns && !t.Failed(); n++ {
		version, key := fmt.Sprint("v", n), fmt.Sprint("key-", n)
		store.Stage("AWSPENDING", version, key)
		p.set(key) // at once: the worst that a provider can do
		l.During()
		store.Stage("AWSCURRENT", version, "")
		l.During()
	}
	requests, failed := l.Stop()
	t.Logf("%d rotations: %d requests, %d failed", turns, requests, failed)
}

func TestACallersOwnTimeBoundsIt(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	c := p.client(stagetest.New("key-1"))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	<-ctx.Done()
	_, err := c.Do(request(t, "GET", p.URL, nil).WithContext(ctx))
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func ExampleNewTransport() {
	api := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Header.Get("Authorization"))
	}))
	defer api.Close()
	client := stagetest.New("sk_test").Client() // secrets.FromEnv(cfg, os.Getenv)

	host := strings.TrimPrefix(api.URL, "https://")
	transport := secretshttp.NewTransport(client, "stripe-api-key", []string{host}, func(o *secretshttp.Options) {
		o.Base = api.Client().Transport
	})
	res, err := (&http.Client{Transport: transport}).Get(api.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	fmt.Println(string(text), err)
	// Output: Bearer sk_test <nil>
}
