package lambda_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/rekey-go/rekey/internal/local/clock"
	"github.com/rekey-go/rekey/internal/local/iam"
	"github.com/rekey-go/rekey/internal/local/lambda"
)

const (
	account = "123456789012"
	region  = "us-east-1"
)

// A bench is a service with one function.
type bench struct {
	*lambda.Service
	t     *testing.T
	clock *clock.Clock
	keys  *iam.Keys
	logs  *buffer
	arn   string
}

// buffer is a log that can be read while it is written.
type buffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// child is the configuration of a function that is the test binary.
func child(kind string) lambda.Function {
	return lambda.Function{
		Name: "dev-test", RoleARN: "arn:aws:iam::123456789012:role/dev-test", Timeout: time.Minute,
		Environment: map[string]string{childVar: kind}, Command: []string{os.Args[0]},
	}
}

func start(tb testing.TB, f lambda.Function, options ...func(*lambda.Options)) *bench {
	tb.Helper()
	b := &bench{clock: clock.New(), keys: iam.NewKeys(account), logs: new(buffer)}
	b.t, _ = tb.(*testing.T)
	opts := lambda.Options{Account: account, Region: region, Clock: b.clock, Keys: b.keys, Endpoint: "http://engine.test", Logs: b.logs}
	for _, option := range options {
		option(&opts)
	}
	b.Service = lambda.New(opts)
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := b.Close(ctx); err != nil {
			tb.Errorf("Close: %v", err)
		}
		if tb.Failed() {
			tb.Logf("the functions printed:\n%s", b.logs)
		}
	})
	var err error
	if b.arn, err = b.Define(f); err != nil {
		tb.Fatal(err)
	}
	return b
}

// An answer is what Invoke gave.
type answer struct {
	result, functionError string
	err                   error
}

// invoke invokes the function with a command.
func (b *bench) invoke(c command) answer {
	payload, err := json.Marshal(c)
	if err != nil {
		return answer{err: err}
	}
	result, functionError, err := b.Invoke(context.Background(), b.arn, payload)
	return answer{string(result), functionError, err}
}

// begin invokes the function and returns when it stands at the gate.
func (b *bench) begin(g *gate, name string) (v *visitor, done <-chan answer) {
	b.t.Helper()
	result := make(chan answer, 1)
	go func() { result <- b.invoke(command{Do: "hold", At: g.addr(), Text: name}) }()
	return g.arrival(), result
}

// await receives with patience.
func await[T any](t *testing.T, c <-chan T) (v T) {
	t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case v = <-c:
	case <-timer.C:
		t.Fatal("nothing came")
	}
	return v
}

// failure is the body of a function error.
type failure struct {
	Type    string `json:"errorType"`
	Message string `json:"errorMessage"`
}

func (a answer) failure(t *testing.T) failure {
	t.Helper()
	if a.err != nil || a.functionError != "Unhandled" {
		t.Fatalf("answer: %+v, want a function error", a)
	}
	var f failure
	if err := json.Unmarshal([]byte(a.result), &f); err != nil {
		t.Fatal(err)
	}
	return f
}

func (a answer) ok(t *testing.T) string {
	t.Helper()
	if a.err != nil || a.functionError != "" {
		t.Fatalf("answer: %+v, want a result", a)
	}
	return a.result
}
