package secretsmanager_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"

	"github.com/rekey-go/rekey/internal/local/clock"
	"github.com/rekey-go/rekey/internal/local/iam"
	"github.com/rekey-go/rekey/internal/local/secretsmanager"
	"github.com/rekey-go/rekey/internal/local/store"
	"github.com/rekey-go/rekey/internal/local/wire"
)

const (
	account = "123456789012"
	region  = "us-east-1"
	rotator = "arn:aws:lambda:us-east-1:123456789012:function:dev-dbrotator"
	service = "secretsmanager.amazonaws.com"
)

// begin is what the clocks of the tests show at first: a Tuesday.
func begin() time.Time { return time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC) }

// A bench is the service behind its front door, with everything around it.
type bench struct {
	*sdk.Client
	service *secretsmanager.Service
	clock   *clock.Clock
	url     string
	lambda  *lambda
	heard   *heard
	opts    secretsmanager.Options
}

// newBench starts the service on a clock that stands at begin.
func newBench(tb testing.TB, change ...func(*secretsmanager.Options)) *bench {
	tb.Helper()
	b := &bench{clock: clock.Restore(clock.State{Stands: begin()}), heard: newHeard()}
	b.lambda = &lambda{bench: b, allowed: true}
	b.opts = secretsmanager.Options{
		Account: account, Region: region, Clock: b.clock,
		Invoker: b.lambda, Publisher: b.heard, Trail: b.heard,
	}
	for _, fn := range change {
		fn(&b.opts)
	}
	b.start(tb)
	return b
}

// start makes the service, as a process does that has just begun.
func (b *bench) start(tb testing.TB) {
	tb.Helper()
	service, err := secretsmanager.New(b.opts)
	if err != nil {
		tb.Fatal(err)
	}
	b.service = service
	front := wire.NewFront(wire.FrontOptions{
		Region: region, Account: account, Now: b.clock.Now,
		Identify: iam.NewKeys(account).Lookup, Recorder: b.heard,
	}, service.Wire())
	server := httptest.NewServer(front)
	b.url = server.URL
	b.Client = sdk.New(sdk.Options{
		Region: region, BaseEndpoint: &server.URL,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "operator", SecretAccessKey: "none"}, nil
		}),
	})
	tb.Cleanup(func() { service.Close(); server.Close() })
}

// advance moves the clock forward.
func (b *bench) advance(tb testing.TB, d time.Duration) {
	tb.Helper()
	if err := b.clock.Advance(tb.Context(), d); err != nil {
		tb.Fatal(err)
	}
}

// create makes a secret with a value and returns its ARN.
func (b *bench) create(tb testing.TB, name, value string) string {
	tb.Helper()
	out, err := b.CreateSecret(tb.Context(), &sdk.CreateSecretInput{Name: &name, SecretString: &value})
	if err != nil {
		tb.Fatal(err)
	}
	return *out.ARN
}

// stages are the labels of the secret db by version.
func (b *bench) stages(tb testing.TB) map[string][]string {
	tb.Helper()
	out, err := b.DescribeSecret(tb.Context(), &sdk.DescribeSecretInput{SecretId: aws.String("db")})
	if err != nil {
		tb.Fatal(err)
	}
	return out.VersionIdsToStages
}

// read is the value of a version, or the error's name.
func (b *bench) read(tb testing.TB, id, version, stage string) string {
	tb.Helper()
	in := &sdk.GetSecretValueInput{SecretId: &id}
	if version != "" {
		in.VersionId = &version
	}
	if stage != "" {
		in.VersionStage = &stage
	}
	out, err := b.GetSecretValue(tb.Context(), in)
	if err != nil {
		return code(err)
	}
	return *out.SecretString
}

// code is the name of an AWS error.
func code(err error) string {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return api.ErrorCode()
	}
	return err.Error()
}

// refusal is name and message of an AWS error, or "" for none.
func refusal(err error) string {
	if err == nil {
		return ""
	}
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return api.ErrorCode() + ": " + api.ErrorMessage()
	}
	return err.Error()
}

// raw posts a request that no SDK would send.
func (b *bench) raw(tb testing.TB, operation, body string) (status int, answer string) {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), http.MethodPost, b.url, strings.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	req.Header.Set("X-Amz-Target", "secretsmanager."+operation)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return resp.StatusCode, string(data)
}

// heard collects what the service tells: events, service events and records.
type heard struct {
	mu       sync.Mutex
	labels   []string // label of Secret Label Updated
	events   []string // names of service events, with their message
	details  []json.RawMessage
	records  []wire.Call
	redacted map[string][]string
	changed  chan struct{} // closed at each addition
}

func newHeard() *heard {
	return &heard{changed: make(chan struct{}), redacted: make(map[string][]string)}
}

func (h *heard) add(fn func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	fn()
	close(h.changed)
	h.changed = make(chan struct{})
}

func (h *heard) Publish(_, detailType string, _ []string, detail any) {
	data, err := json.Marshal(detail)
	if err != nil {
		panic(err)
	}
	h.add(func() {
		h.details = append(h.details, data)
		if detailType == "Secret Label Updated" {
			var d struct{ LabelUpdated string }
			_ = json.Unmarshal(data, &d)
			h.labels = append(h.labels, d.LabelUpdated)
		}
	})
}

func (h *heard) ServiceEvent(e wire.ServiceEvent) {
	h.add(func() { h.events = append(h.events, strings.TrimSpace(e.EventName+" "+e.ErrorMessage)) })
}

func (h *heard) Record(c *wire.Call, op wire.Operation, _ any, _ error) {
	h.add(func() {
		h.records = append(h.records, *c)
		h.redacted[c.Operation] = op.Redact
	})
}

// last is the last recorded call of an operation.
func (h *heard) last(tb testing.TB, operation string) wire.Call {
	tb.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range slices.Backward(h.records) {
		if c.Operation == operation {
			return c
		}
	}
	tb.Fatalf("no %s was recorded", operation)
	return wire.Call{}
}

// await waits until a service event was heard as often as told.
func (h *heard) await(tb testing.TB, name string, times int) {
	tb.Helper()
	deadline := time.After(3 * time.Minute)
	for {
		h.mu.Lock()
		count, changed := 0, h.changed
		for _, e := range h.events {
			if e == name || strings.HasPrefix(e, name+" ") {
				count++
			}
		}
		all := strings.Join(h.events, "; ")
		h.mu.Unlock()
		if count >= times {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			tb.Fatalf("%s was heard %d times, want %d; heard: %s", name, count, times, all)
		}
	}
}

func (h *heard) said() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.events...)
}

func (h *heard) moved() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.labels...)
}

// withStore keeps the state in a folder of the test's.
func withStore(tb testing.TB) func(*secretsmanager.Options) {
	tb.Helper()
	s, err := store.Open(tb.TempDir())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = s.Close() })
	return func(o *secretsmanager.Options) { o.Store = s }
}

// named is code and message of a raw error answer.
func named(tb testing.TB, answer string) string {
	tb.Helper()
	var e struct {
		Type    string `json:"__type"`
		Message string
	}
	if err := json.Unmarshal([]byte(answer), &e); err != nil {
		tb.Fatalf("answer %s: %v", answer, err)
	}
	return e.Type + ": " + e.Message
}
