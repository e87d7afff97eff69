package agent_test

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rekey-go/rekey/internal/child"
	"github.com/rekey-go/rekey/runtime/agent"
	"github.com/rekey-go/rekey/runtime/bulletin"
	"github.com/rekey-go/rekey/runtime/secrets"
)

// board is a bulletin in memory.
type board struct {
	mu       sync.Mutex
	entries  map[string]bulletin.Entry
	reads    int
	released []string
}

func (b *board) Read(context.Context) (bulletin.Board, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reads++
	return bulletin.Board{Epoch: int64(len(b.entries)), Entries: maps.Clone(b.entries)}, nil
}

func (b *board) Renew(context.Context, ...bulletin.Lease) error { return nil }

func (b *board) Release(_ context.Context, arn, _ string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.released = append(b.released, arn)
	return nil
}

// lambda is the Extensions API, for one extension.
type lambda struct {
	*httptest.Server

	events chan string
	asked  chan string // a line for each request
}

func startLambda(t *testing.T) *lambda {
	t.Helper()
	l := &lambda{events: make(chan string), asked: make(chan string, 10)}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /2020-01-01/extension/register", func(w http.ResponseWriter, r *http.Request) {
		l.asked <- "register " + r.Header.Get("Lambda-Extension-Name")
		w.Header().Set("Lambda-Extension-Identifier", "id-1")
		fmt.Fprint(w, `{"functionName":"f","functionVersion":"$LATEST","handler":"h"}`)
	})
	mux.HandleFunc("GET /2020-01-01/extension/event/next", func(w http.ResponseWriter, r *http.Request) {
		l.asked <- "next " + r.Header.Get("Lambda-Extension-Identifier")
		select {
		case event := <-l.events:
			fmt.Fprintf(w, `{"eventType":%q,"deadlineMs":0}`, event)
		case <-r.Context().Done():
		}
	})
	l.Server = httptest.NewServer(mux)
	t.Cleanup(l.Close)
	return l
}

func (l *lambda) expect(t *testing.T, want string) {
	t.Helper()
	select {
	case got := <-l.asked:
		if got != want {
			t.Fatalf("the extension asked %q, want %q", got, want)
		}
	case <-time.After(time.Minute):
		t.Fatalf("the extension did not ask %q", want)
	}
}

// TestAnExtensionFollowsTheLifeOfItsEnvironment lets an environment begin, be
// invoked twice with a rotation in between, and end.
func TestAnExtensionFollowsTheLifeOfItsEnvironment(t *testing.T) {
	t.Parallel()
	f, b, l := start(t), &board{}, startLambda(t)
	free, err := child.FreePort(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	port := strconv.Itoa(free)
	client := secrets.New(f, func(o *secrets.Options) { o.Bulletin, o.CheckInterval, o.Lease = b, 1, time.Hour })
	env := map[string]string{
		"AWS_LAMBDA_RUNTIME_API": strings.TrimPrefix(l.URL, "http://"), "PARAMETERS_SECRETS_EXTENSION_HTTP_PORT": port, "AWS_SESSION_TOKEN": token,
	}
	ended := make(chan error, 1)
	go func() {
		ended <- agent.RunExtension(context.Background(), client, "rekey-agent", func(name string) string { return env[name] }, quiet)
	}()
	l.expect(t, "register rekey-agent")
	l.expect(t, "next id-1")

	// It serves before the first invocation.
	target := "http://localhost:" + port + "/secretsmanager/get?secretId=dev-keys"
	first := read(t, target)
	second := f.put(t, "sk_2")
	b.mu.Lock()
	b.entries = map[string]bulletin.Entry{first.ARN: {SecretARN: first.ARN, Name: "dev-keys", VersionID: second, PreviousVersionID: first.VersionId, At: time.Now()}}
	b.mu.Unlock()
	l.events <- "INVOKE"
	l.expect(t, "next id-1")
	fetched := client.Stats()
	if fetched.Fetches < 2 || fetched.Checks == 0 {
		t.Errorf("after the invocation: %+v, want a look at the bulletin and a read of the new version", fetched)
	}
	if got := read(t, target); got.VersionId != second {
		t.Errorf("got version %s, want %s", got.VersionId, second)
	}

	l.events <- "SHUTDOWN"
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if len(b.released) != 1 || b.released[0] != first.ARN {
		t.Errorf("released %v, want the lease on %s", b.released, first.ARN)
	}
	if _, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
		t.Error("the port is still open")
	}
}

// TestARequestAfterAThawWaitsForTheBulletin asks before the extension has
// looked by itself: the answer is the new version all the same.
func TestARequestAfterAThawWaitsForTheBulletin(t *testing.T) {
	t.Parallel()
	f, b := start(t), &board{}
	client := secrets.New(f, func(o *secrets.Options) { o.Bulletin, o.CheckInterval, o.Lease = b, 1, time.Hour })
	base := serve(t, agent.New(client, token, quiet, func(o *agent.Options) { o.CheckFirst = time.Minute }))
	first := read(t, base+"/v1/dev-keys")
	second := f.put(t, "sk_2")
	b.mu.Lock()
	b.entries = map[string]bulletin.Entry{first.ARN: {SecretARN: first.ARN, VersionID: second, At: time.Now()}}
	b.mu.Unlock()
	if got := read(t, base+"/v1/dev-keys"); got.VersionId != second {
		t.Errorf("got version %s, want %s", got.VersionId, second)
	}
}

func TestAnExtensionSaysWhyItDoesNotStart(t *testing.T) {
	t.Parallel()
	refuses := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(refuses.Close)
	api := strings.TrimPrefix(refuses.URL, "http://")
	tests := map[string]struct {
		env  map[string]string
		want string
	}{
		"not in Lambda": {map[string]string{}, "AWS_LAMBDA_RUNTIME_API is not set"},
		"no token":      {map[string]string{"AWS_LAMBDA_RUNTIME_API": api}, "no token is set"},
		"no port":       {map[string]string{"AWS_LAMBDA_RUNTIME_API": api, "AWS_TOKEN": "t", "PARAMETERS_SECRETS_EXTENSION_HTTP_PORT": "x"}, "opening the extension's port"},
		"refused":       {map[string]string{"AWS_LAMBDA_RUNTIME_API": api, "AWS_TOKEN": "t", "PARAMETERS_SECRETS_EXTENSION_HTTP_PORT": "0"}, "answered 404"},
	}
	for name, tt := range tests {
		err := agent.RunExtension(t.Context(), secrets.New(start(t)), "rekey-agent", func(name string) string { return tt.env[name] }, quiet)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", name, err, tt.want)
		}
	}
}
