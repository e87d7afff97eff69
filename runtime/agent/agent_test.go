package agent_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/google/go-cmp/cmp"

	"github.com/rekey-go/rekey/internal/local/clock"
	engine "github.com/rekey-go/rekey/internal/local/secretsmanager"
	"github.com/rekey-go/rekey/internal/local/wire"
	"github.com/rekey-go/rekey/runtime/agent"
	"github.com/rekey-go/rekey/runtime/secrets"
)

const token = "a token that only this test has"

// A fakeAWS is Secrets Manager of the embedded engine, over the wire.
type fakeAWS struct {
	*secretsmanager.Client
	*engine.Service

	down  atomic.Bool // answers nobody
	reads atomic.Int64
}

// start returns one with the secret dev-keys.
func start(tb testing.TB) *fakeAWS {
	tb.Helper()
	c := clock.New()
	s, err := engine.New(engine.Options{Account: "123456789012", Region: "us-east-1", Clock: c})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Close)
	for _, name := range []string{"dev-keys", "dev-empty"} {
		if _, err := s.Provision(engine.Definition{Name: name}); err != nil {
			tb.Fatal(err)
		}
	}
	f := &fakeAWS{Service: s}
	front := wire.NewFront(wire.FrontOptions{Account: "123456789012", Region: "us-east-1", Now: c.Now}, s.Wire())
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.reads.Add(1)
		if f.down.Load() {
			panic(http.ErrAbortHandler)
		}
		front.ServeHTTP(w, r)
	}))
	tb.Cleanup(server.Close)
	f.Client = secretsmanager.New(secretsmanager.Options{
		BaseEndpoint: &server.URL, Region: "us-east-1", HTTPClient: server.Client(), RetryMaxAttempts: 1,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "agent", SecretAccessKey: "none"}, nil
		}),
	})
	f.put(tb, `{"stripe":"sk_1"}`)
	return f
}

func (f *fakeAWS) put(tb testing.TB, value string) (version string) {
	tb.Helper()
	out, err := f.PutSecretValue(tb.Context(), &secretsmanager.PutSecretValueInput{SecretId: aws.String("dev-keys"), SecretString: &value})
	if err != nil {
		tb.Fatal(err)
	}
	return aws.ToString(out.VersionId)
}

// serve starts an agent and returns its URL.
func serve(tb testing.TB, a *agent.Agent) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error)
	go func() { served <- a.Serve(ctx, l) }()
	tb.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			tb.Error(err)
		}
	})
	return "http://" + l.Addr().String()
}

// An answer is what a request got.
type answer struct {
	Status int
	Body   string
}

// get asks an agent, with its token unless change says otherwise.
func get(tb testing.TB, target string, change ...func(*http.Request)) (answer, http.Header) {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), http.MethodGet, target, http.NoBody)
	if err != nil {
		tb.Fatal(err)
	}
	req.Header.Set("X-Aws-Parameters-Secrets-Token", token)
	for _, fn := range change {
		fn(req)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return answer{res.StatusCode, string(body)}, res.Header
}

func quiet(o *agent.Options) { o.Logger = slog.New(slog.DiscardHandler) }

// value is the answer of GetSecretValue, as a program in another language
// reads it.
type value struct {
	ARN, Name, VersionId, SecretString, CreatedDate string
	SecretBinary                                    []byte
	VersionStages                                   []string
}

func read(tb testing.TB, target string) value {
	tb.Helper()
	got, _ := get(tb, target)
	var v value
	if err := json.Unmarshal([]byte(got.Body), &v); err != nil || got.Status != http.StatusOK {
		tb.Fatalf("%s: %d %s: %v", target, got.Status, got.Body, err)
	}
	return v
}

func TestASecretIsServedInEveryWayOfAsking(t *testing.T) {
	t.Parallel()
	f := start(t)
	about, err := f.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: aws.String("dev-keys")})
	if err != nil {
		t.Fatal(err)
	}
	var first string
	for first = range about.VersionIdsToStages {
	}
	second := f.put(t, "plain\u2028<text>")
	arn := aws.ToString(about.ARN)
	base := serve(t, agent.New(secrets.New(f), token, quiet))
	tests := map[string]struct{ path, version, secret, label string }{
		"by name":               {"/secretsmanager/get?secretId=dev-keys", second, "plain\u2028<text>", "AWSCURRENT"},
		"by ARN":                {"/secretsmanager/get?secretId=" + url.QueryEscape(arn), second, "plain\u2028<text>", "AWSCURRENT"},
		"by ARN, not escaped":   {"/secretsmanager/get?secretId=" + arn, second, "plain\u2028<text>", "AWSCURRENT"},
		"by path":               {"/v1/dev-keys", second, "plain\u2028<text>", "AWSCURRENT"},
		"by path with an ARN":   {"/v1/" + arn, second, "plain\u2028<text>", "AWSCURRENT"},
		"by label":              {"/secretsmanager/get?secretId=dev-keys&versionStage=AWSPREVIOUS", first, `{"stripe":"sk_1"}`, "AWSPREVIOUS"},
		"by version":            {"/v1/dev-keys?versionId=" + first, first, `{"stripe":"sk_1"}`, "AWSPREVIOUS"},
		"by version and label":  {"/v1/dev-keys?versionId=" + first + "&versionStage=AWSPREVIOUS", first, `{"stripe":"sk_1"}`, "AWSPREVIOUS"},
		"past the cache":        {"/v1/dev-keys?refreshNow=True", second, "plain\u2028<text>", "AWSCURRENT"},
		"not past the cache":    {"/v1/dev-keys?refreshNow=0", second, "plain\u2028<text>", "AWSCURRENT"},
		"the last of two names": {"/secretsmanager/get?secretId=nothing&secretId=dev-keys", second, "plain\u2028<text>", "AWSCURRENT"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := read(t, base+tt.path)
			want := value{ARN: arn, Name: "dev-keys", VersionId: tt.version, SecretString: tt.secret, VersionStages: []string{tt.label}, CreatedDate: got.CreatedDate}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("GET %s (-want +got):\n%s", tt.path, diff)
			}
			if !strings.HasPrefix(got.CreatedDate, "1") {
				t.Errorf("CreatedDate %q is no time", got.CreatedDate)
			}
		})
	}
}

func TestBinaryIsServedAsBytes(t *testing.T) {
	t.Parallel()
	f := start(t)
	if _, err := f.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: aws.String("dev-keys"), SecretBinary: []byte("\x00\xff")}); err != nil {
		t.Fatal(err)
	}
	base := serve(t, agent.New(secrets.New(f), token, quiet))
	if got := read(t, base+"/v1/dev-keys"); string(got.SecretBinary) != "\x00\xff" || got.SecretString != "" {
		t.Errorf("got %q and %q", got.SecretBinary, got.SecretString)
	}
}

func TestRequestsThatAreRefused(t *testing.T) {
	t.Parallel()
	f := start(t)
	base := serve(t, agent.New(secrets.New(f), token, quiet))
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	none := func(r *http.Request) { r.Header.Del("X-Aws-Parameters-Secrets-Token") }
	const keys = "/secretsmanager/get?secretId=dev-keys"
	tests := map[string]struct {
		path   string
		change func(*http.Request)
		want   answer
	}{
		"no token":            {keys, none, answer{403, "Bad Token"}},
		"another token":       {keys, header("X-Aws-Parameters-Secrets-Token", "guess"), answer{403, "Bad Token"}},
		"a longer token":      {keys, header("X-Aws-Parameters-Secrets-Token", token+"x"), answer{403, "Bad Token"}},
		"a forwarded request": {keys, header("X-Forwarded-For", "10.0.0.1"), answer{400, "Forwarded"}},
		"forwarded for none":  {keys, header("X-Forwarded-For", ""), answer{400, "Forwarded"}},
		"a name of the web":   {keys, func(r *http.Request) { r.Host = "evil.example:2773" }, answer{403, "Bad Host"}},
		"a ping of the web":   {"/ping", func(r *http.Request) { r.Host = "evil.example" }, answer{403, "Bad Host"}},
		"another verb":        {keys, func(r *http.Request) { r.Method = http.MethodPost }, answer{405, "Not allowed"}},
		"another path":        {"/secretsmanager", nil, answer{404, "Not found"}},
		"no id":               {"/secretsmanager/get", nil, answer{400, "missing parameter secretId"}},
		"an empty id":         {"/secretsmanager/get?secretId=", nil, answer{400, "missing parameter secretId"}},
		"no id in the path":   {"/v1/", nil, answer{400, "missing secret ID"}},
		"an unknown one":      {keys + "&abc=123", nil, answer{400, "unknown parameter: abc"}},
		"the id twice":        {"/v1/dev-keys?secretId=dev-keys", nil, answer{400, "unknown parameter: secretId"}},
		"no truth":            {keys + "&refreshNow=yes", nil, answer{400, "invalid refreshNow value"}},
		"no escape":           {keys + "&versionId=%zz", nil, answer{400, "parameter versionId is not well formed"}},
		"counts, no token":    {"/stats", none, answer{403, "Bad Token"}},
		"no such secret":      {"/v1/nothing", nil, answer{400, `{"__type":"ResourceNotFoundException","message":"Secrets Manager can't find the specified secret."}`}},
		"no value yet":        {"/v1/dev-empty", nil, answer{400, `{"__type":"ResourceNotFoundException","message":"Secrets Manager can't find the specified secret value for staging label: AWSCURRENT"}`}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			change := tt.change
			if change == nil {
				change = func(*http.Request) {}
			}
			if got, _ := get(t, base+tt.path, change); got != tt.want {
				t.Errorf("GET %s: got %v, want %v", tt.path, got, tt.want)
			}
		})
	}
}

func TestAPingNeedsNoToken(t *testing.T) {
	t.Parallel()
	base := serve(t, agent.New(secrets.New(start(t)), token, quiet))
	got, _ := get(t, base+"/ping", func(r *http.Request) { r.Header = http.Header{"X-Forwarded-For": {"10.0.0.1"}} })
	if want := (answer{200, "healthy"}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestTheVaultHeaderBearsTheTokenToo(t *testing.T) {
	t.Parallel()
	base := serve(t, agent.New(secrets.New(start(t)), token, quiet))
	got, _ := get(t, base+"/v1/dev-keys", func(r *http.Request) { r.Header = http.Header{"X-Vault-Token": {token}} })
	if got.Status != http.StatusOK {
		t.Errorf("got %v", got)
	}
}

func TestAnAgentWithoutATokenServesNobody(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, "http://localhost:2773/v1/dev-keys", nil)
	r.Header.Set("X-Aws-Parameters-Secrets-Token", "")
	a := agent.New(secrets.New(start(t)), "", quiet)
	a.ServeHTTP(w, r)
	if w.Code != http.StatusForbidden {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Serve(t.Context(), l); err == nil {
		t.Error("it was served")
	}
}

func TestOneVersionIsReadOnceAndTheNextWhenNewsComes(t *testing.T) {
	t.Parallel()
	f := start(t)
	client := secrets.New(f)
	base := serve(t, agent.New(client, token, quiet))
	first := read(t, base+"/v1/dev-keys")
	before := f.reads.Load()
	for range 10 {
		if got := read(t, base+"/v1/dev-keys"); got.VersionId != first.VersionId {
			t.Fatalf("got version %s", got.VersionId)
		}
	}
	if got := f.reads.Load(); got != before {
		t.Errorf("Secrets Manager was asked %d times more", got-before)
	}
	second := f.put(t, "sk_2")
	if err := client.Invalidate(t.Context(), secrets.Rotated{Name: "dev-keys", VersionID: second}); err != nil {
		t.Fatal(err)
	}
	if got := read(t, base+"/v1/dev-keys"); got.VersionId != second || got.SecretString != "sk_2" {
		t.Errorf("got version %s after the news of %s", got.VersionId, second)
	}
}

func TestAValueBeyondItsTimeIsServedAndSaysSo(t *testing.T) {
	t.Parallel()
	f := start(t)
	base := serve(t, agent.New(secrets.New(f, func(o *secrets.Options) { o.TTL = 1 }), token, quiet))
	if _, header := get(t, base+"/v1/dev-keys"); header.Get("X-Rekey-Stale") != "" {
		t.Error("a fresh value is called stale")
	}
	f.down.Store(true)
	got, header := get(t, base+"/v1/dev-keys")
	if got.Status != http.StatusOK || header.Get("X-Rekey-Stale") != "true" {
		t.Errorf("got %v, stale %q", got, header.Get("X-Rekey-Stale"))
	}
	got, _ = get(t, base+"/v1/dev-keys?refreshNow=true")
	if want := (answer{502, `{"__type":"ConnectionError","message":"Read Error"}`}); got != want {
		t.Errorf("refreshNow: got %v, want %v", got, want)
	}
}

func TestConnectionsAboveTheLimitAreAnswered429(t *testing.T) {
	t.Parallel()
	base := serve(t, agent.New(secrets.New(start(t)), token, quiet, func(o *agent.Options) { o.MaxConnections = 1 }))
	own := func() *http.Client { return &http.Client{Transport: &http.Transport{}} }
	ask := func(c *http.Client, path string) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Aws-Parameters-Secrets-Token", token)
		res, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if _, err := io.Copy(io.Discard, res.Body); err != nil {
			t.Fatal(err)
		}
		return res.StatusCode
	}
	one, two := own(), own()
	defer one.CloseIdleConnections()
	defer two.CloseIdleConnections()
	if got := ask(one, "/v1/dev-keys"); got != http.StatusOK {
		t.Errorf("the first connection: %d", got)
	}
	if got := ask(two, "/v1/dev-keys"); got != http.StatusTooManyRequests {
		t.Errorf("the second connection: %d", got)
	}
	if got := ask(two, "/ping"); got != http.StatusOK {
		t.Errorf("a ping on it: %d", got)
	}
}

// TestNoValueIsLogged has an agent log all that it can, and looks for values
// and query strings in it.
func TestNoValueIsLogged(t *testing.T) {
	t.Parallel()
	f := start(t)
	var log strings.Builder
	a := agent.New(secrets.New(f), token, func(o *agent.Options) {
		o.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	for _, target := range []string{"/v1/dev-keys", "/v1/nothing", "/v1/dev-keys?abc=canary-query", "/secretsmanager/get?secretId=dev-keys&canary-query", "/canary?canary-query"} {
		for _, bearer := range []string{token, "canary-token"} {
			r := httptest.NewRequest(http.MethodGet, "http://localhost:2773"+target, nil)
			r.Header.Set("X-Aws-Parameters-Secrets-Token", bearer)
			a.ServeHTTP(httptest.NewRecorder(), r)
		}
	}
	if !strings.Contains(log.String(), "nothing") {
		t.Errorf("the log does not name the secret that is not there:\n%s", log.String())
	}
	for _, hidden := range []string{"sk_1", "canary-query", "canary-token", token} {
		if strings.Contains(log.String(), hidden) {
			t.Errorf("the log has %q", hidden)
		}
	}
}

func TestTheCountsAreServed(t *testing.T) {
	t.Parallel()
	base := serve(t, agent.New(secrets.New(start(t)), token, quiet))
	read(t, base+"/v1/dev-keys")
	get(t, base+"/v1/dev-keys", func(r *http.Request) { r.Header.Set("X-Forwarded-For", "x") })
	got, _ := get(t, base+"/stats")
	var counts agent.Stats
	if err := json.Unmarshal([]byte(got.Body), &counts); err != nil {
		t.Fatal(err)
	}
	if counts.Requests != 3 || counts.Refused != 1 || counts.Secrets.Fetches != 1 {
		t.Errorf("got %s", got.Body)
	}
}

func TestTheTokenIsFoundAsByAWSsAgent(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "awssmatoken")
	empty := filepath.Join(t.TempDir(), "empty")
	for path, data := range map[string]string{file: "from a file\n", empty: "\n"} {
		if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tests := map[string]struct {
		env   map[string]string
		want  string
		fails bool
	}{
		"a variable":          {env: map[string]string{"AWS_SESSION_TOKEN": "s", "AWS_CONTAINER_AUTHORIZATION_TOKEN": "c"}, want: "s"},
		"its own first":       {env: map[string]string{"AWS_TOKEN": "t", "AWS_SESSION_TOKEN": "s"}, want: "t"},
		"of a container":      {env: map[string]string{"AWS_CONTAINER_AUTHORIZATION_TOKEN": "c"}, want: "c"},
		"a file":              {env: map[string]string{"AWS_TOKEN": "file://" + file}, want: "from a file"},
		"a file without one":  {env: map[string]string{"AWS_TOKEN": "file://" + empty}, fails: true},
		"a file that is gone": {env: map[string]string{"AWS_TOKEN": "file://" + file + "x"}, fails: true},
		"none":                {fails: true},
	}
	for name, tt := range tests {
		got, err := agent.Token(func(name string) string { return tt.env[name] })
		if got != tt.want || (err != nil) != tt.fails {
			t.Errorf("%s: got %q, %v; want %q", name, got, err, tt.want)
		}
	}
}
