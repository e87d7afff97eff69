package invalidation_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	lambdaevents "github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/google/go-cmp/cmp"

	"github.com/rekey-go/rekey/runtime/bulletin"
	"github.com/rekey-go/rekey/runtime/invalidation"
	"github.com/rekey-go/rekey/runtime/secrets"
)

// slow is a board that takes its time.
type slow struct {
	board
	takes time.Duration
}

func (s slow) Read(ctx context.Context) (bulletin.Board, error) {
	select {
	case <-time.After(s.takes):
		return s.board.Read(ctx)
	case <-ctx.Done():
		return bulletin.Board{}, ctx.Err()
	}
}

// stale returns a client that holds v1 and is due for a look, where v2 is
// current. The board takes its time.
func stale(t *testing.T, takes time.Duration) *secrets.Client {
	t.Helper()
	s := &store{current: "v1"}
	c := newClient(s, func(o *secrets.Options) { o.Bulletin = slow{board{s}, takes} })
	read(t, c)
	s.set("v2", nil)
	time.Sleep(10 * time.Second)
	return c
}

func strict(o *invalidation.HandlerOptions) { o.Strict = true }

func TestWhatAnInvocationSeesAndWaitsFor(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		strict     bool
		board      time.Duration // takes so long
		serves     time.Duration // next takes so long
		left       time.Duration // until the deadline; zero for none
		sees       string
		took       time.Duration
		overran    bool
		afterwards string // what the next invocation sees
	}{
		"overlapped, next is quicker":          {board: 20 * time.Millisecond, sees: "v1", took: 20 * time.Millisecond, afterwards: "v2"},
		"overlapped, next is slower":           {board: 20 * time.Millisecond, serves: time.Second, sees: "v1", took: time.Second, afterwards: "v2"},
		"overlapped, the board is too slow":    {board: 200 * time.Millisecond, sees: "v1", took: 50 * time.Millisecond, overran: true, afterwards: "v1"},
		"overlapped, the deadline is near":     {board: 20 * time.Millisecond, left: 10 * time.Millisecond, sees: "v1", took: 5 * time.Millisecond, overran: true, afterwards: "v1"},
		"strict":                               {strict: true, board: 20 * time.Millisecond, sees: "v2", took: 20 * time.Millisecond, afterwards: "v2"},
		"strict, the board is too slow":        {strict: true, board: 200 * time.Millisecond, sees: "v1", took: 50 * time.Millisecond, overran: true, afterwards: "v1"},
		"strict, the budget is not spent anew": {strict: true, board: 200 * time.Millisecond, serves: 100 * time.Millisecond, sees: "v1", took: 150 * time.Millisecond, overran: true, afterwards: "v1"},
		"strict, the deadline is near":         {strict: true, board: 20 * time.Millisecond, left: 10 * time.Millisecond, sees: "v1", took: 5 * time.Millisecond, overran: true, afterwards: "v1"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := stale(t, tt.board)
				var overran atomic.Int64
				var sees string
				h := invalidation.Handler(c, func(ctx context.Context) error {
					sees = read(t, c)
					time.Sleep(tt.serves)
					return ctx.Err()
				}, func(o *invalidation.HandlerOptions) {
					o.Strict, o.Overrun = tt.strict, func(context.Context) { overran.Add(1) }
				})
				ctx := t.Context()
				if tt.left > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tt.left)
					defer cancel()
				}
				began := time.Now()
				if _, err := h.Invoke(ctx, []byte(`{}`)); err != nil {
					t.Error(err)
				}
				if took := time.Since(began); sees != tt.sees || took != tt.took || (overran.Load() == 1) != tt.overran {
					t.Errorf("saw %s after %v, %d overran; want %s after %v, %v", sees, took, overran.Load(), tt.sees, tt.took, tt.overran)
				}
				if got := read(t, c); got != tt.afterwards {
					t.Errorf("afterwards reads give %s, want %s", got, tt.afterwards)
				}
				time.Sleep(time.Second) // what was begun goes on
				if got := read(t, c); got != "v2" {
					t.Errorf("at last reads give %s, want v2", got)
				}
			})
		})
	}
}

func TestConcurrentInvocationsShareOneLook(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := stale(t, 20*time.Millisecond)
		h := invalidation.Handler(c, func() (string, error) { return read(t, c), nil }, strict)
		var all sync.WaitGroup
		for range 32 {
			all.Go(func() {
				if answer, err := h.Invoke(t.Context(), []byte(`{}`)); err != nil || string(answer) != `"v2"` {
					t.Errorf("answer %s, error %v", answer, err)
				}
			})
		}
		all.Wait()
		if got := c.Stats().Checks; got != 1 {
			t.Errorf("the board was read %d times, want once", got)
		}
	})
}

type order struct{ N int }

func TestEveryKindOfHandler(t *testing.T) {
	t.Parallel()
	type ctx = context.Context
	tests := map[string]struct {
		next any
		want string
		err  string
	}{
		"a lambda.Handler":       {next: new(echo), want: `{"N":7}`},
		"one with options":       {next: lambda.NewHandlerWithOptions(func(o order) (order, error) { return o, nil }, lambda.WithSetIndent("", " ")), want: "{\n \"N\": 7\n}\n"},
		"nothing":                {next: func() {}, want: "null"},
		"an error":               {next: func() error { return errors.New("no stock") }, err: "no stock"},
		"a context":              {next: func(c ctx) error { return c.Err() }, want: "null"},
		"an event":               {next: func(o order) error { return nil }, want: "null"},
		"an event and an answer": {next: func(_ ctx, o order) (int, error) { return o.N, nil }, want: "7"},
		"raw JSON":               {next: func(_ ctx, raw json.RawMessage) (json.RawMessage, error) { return raw, nil }, want: `{"N":7}`},
		"a reader":               {next: func(_ ctx, o order) (io.Reader, error) { return strings.NewReader(strings.Repeat("x", o.N)), nil }, want: "xxxxxxx"},
		"a reader and no event":  {next: func(ctx) (io.Reader, error) { return strings.NewReader("x"), nil }, want: "x"},
		"a reader with an error": {next: func() (io.Reader, error) { return nil, errors.New("no stock") }, err: "no stock"},
		"a reader of another":    {next: func(_ ctx, n int) (io.Reader, error) { return nil, nil }, err: "json: cannot unmarshal"},
		"what is no handler":     {next: 7, err: "handler kind int"},
		"nil":                    {next: nil, err: "handler is nil"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := invalidation.Handler(newClient(&store{}), tt.next)
			got, err := h.Invoke(t.Context(), []byte(`{"N":7}`))
			if string(got) != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("answer %q, error %v", got, err)
			}
		})
	}
}

// page is an answer that is streamed, and says of what type it is.
type page struct{ text io.Reader }

func (p page) Read(b []byte) (int, error) { return p.text.Read(b) }
func (page) ContentType() string          { return "text/html" }
func (page) Close() error                 { return nil }

func TestAStreamedAnswerReachesTheRuntimeAsItIs(t *testing.T) {
	t.Parallel()
	s := &store{current: "v1"}
	c := newClient(s)
	read(t, c)
	s.set("v2", nil)
	served := 0
	h := invalidation.Handler(c, func(context.Context, order) (*page, error) {
		served++
		return &page{strings.NewReader("hello")}, nil
	})
	// The runtime knows the type that NewHandler returns, and keeps the reader.
	if again := lambda.NewHandler(h); again != h {
		t.Errorf("lambda.Start would buffer a %T", h)
	}
	if got, err := h.Invoke(t.Context(), []byte(`{"N":1}`)); err != nil || string(got) != "hello" {
		t.Errorf("answer %q, error %v", got, err)
	}
	if got, err := h.Invoke(t.Context(), []byte(ours)); err != nil || string(got) != "null" || served != 1 {
		t.Errorf("news: answer %q, error %v, served %d", got, err, served)
	}
	if got := read(t, c); got != "v2" {
		t.Errorf("reads give %s, want v2", got)
	}
}

func TestAPanicPasses(t *testing.T) {
	t.Parallel()
	defer func() {
		if got := recover(); got != "boom" {
			t.Errorf("recovered %v", got)
		}
	}()
	_, _ = invalidation.Handler(newClient(&store{}), func() { panic("boom") }).Invoke(t.Context(), []byte(`{}`))
}

func TestAPayloadThatIsNoNewsPassesByteForByte(t *testing.T) {
	t.Parallel()
	for _, payload := range []string{"", "\x00\xff", ` {"a": 1} ` + "\n", `{"detail-type":"x","detail":{}}`, `{"Records":[{"body":"detail-type"}]}`, `{"Records":"detail-type"}`} {
		next := new(echo)
		got, err := invalidation.Handler(newClient(&store{}), next).Invoke(t.Context(), []byte(payload))
		if err != nil || !bytes.Equal(got, []byte(payload)) || next.got[0] != payload {
			t.Errorf("%q: answer %q, error %v", payload, got, err)
		}
	}
}

// numbered is a batch of SQS whose messages have the ids m0, m1 and so on.
func numbered(bodies ...string) string {
	event := lambdaevents.SQSEvent{}
	for i, body := range bodies {
		event.Records = append(event.Records, lambdaevents.SQSMessage{MessageId: "m" + string(rune('0'+i)), EventSource: "aws:sqs", Body: body})
	}
	b, err := json.Marshal(event)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func TestABatchOfNewsAndOthers(t *testing.T) {
	t.Parallel()
	lost := errors.New("no route")
	partial := func(ids ...string) func(context.Context, lambdaevents.SQSEvent) (any, error) {
		return func(context.Context, lambdaevents.SQSEvent) (any, error) {
			var r lambdaevents.SQSEventResponse
			for _, id := range ids {
				r.BatchItemFailures = append(r.BatchItemFailures, lambdaevents.SQSBatchItemFailure{ItemIdentifier: id})
			}
			return r, nil
		}
	}
	answers := func(v any, err error) func(context.Context, lambdaevents.SQSEvent) (any, error) {
		return func(context.Context, lambdaevents.SQSEvent) (any, error) { return v, err }
	}
	tests := map[string]struct {
		bodies []string
		broken error
		next   func(context.Context, lambdaevents.SQSEvent) (any, error)
		sees   []string // ids of messages
		want   string   // answer
		fails  bool
	}{
		"all is well":                        {bodies: []string{"a", ours, "b"}, next: answers(nil, nil), sees: []string{"m0", "m2"}, want: `null`},
		"a message of the user's fails":      {bodies: []string{"a", ours}, next: partial("m0"), sees: []string{"m0"}, want: `{"batchItemFailures":[{"itemIdentifier":"m0"}]}`},
		"the news fails":                     {bodies: []string{"a", ours}, broken: lost, next: answers(nil, nil), sees: []string{"m0"}, want: `{"batchItemFailures":[{"itemIdentifier":"m1"}]}`},
		"both do":                            {bodies: []string{ours, "a"}, broken: lost, next: partial("m1"), sees: []string{"m1"}, want: `{"batchItemFailures":[{"itemIdentifier":"m1"},{"itemIdentifier":"m0"}]}`},
		"the news fails, the answer is kept": {bodies: []string{ours, "a"}, broken: lost, next: answers(map[string]int{"n": 1}, nil), sees: []string{"m1"}, want: `{"batchItemFailures":[{"itemIdentifier":"m0"}],"n":1}`},
		"an answer without a place for it":   {bodies: []string{ours, "a"}, broken: lost, next: answers("done", nil), sees: []string{"m1"}, want: `"done"`},
		"the handler fails":                  {bodies: []string{ours, "a"}, next: answers(nil, errors.New("no stock")), sees: []string{"m1"}, fails: true},
		"news alone":                         {bodies: []string{ours, native}, want: `null`},
		"news alone fails":                   {bodies: []string{ours, replace(native, "AWSCURRENT", "OTHER")}, broken: lost, want: `{"batchItemFailures":[{"itemIdentifier":"m0"}]}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &store{current: "v1"}
			c := newClient(s)
			read(t, c)
			s.set("v2", tt.broken)
			var sees []string
			h := invalidation.Handler(c, func(ctx context.Context, batch lambdaevents.SQSEvent) (any, error) {
				for _, m := range batch.Records {
					sees = append(sees, m.MessageId)
				}
				return tt.next(ctx, batch)
			}, strict, func(o *invalidation.HandlerOptions) { o.Budget = time.Minute })
			got, err := h.Invoke(t.Context(), []byte(numbered(tt.bodies...)))
			if (err != nil) != tt.fails || string(got) != tt.want {
				t.Errorf("answer %s, error %v; want %s", got, err, tt.want)
			}
			if diff := cmp.Diff(tt.sees, sees); diff != "" {
				t.Errorf("the handler sees (-want +got):\n%s", diff)
			}
			if want := map[bool]string{true: "v2", false: "v1"}[tt.broken == nil]; read(t, c) != want {
				t.Errorf("afterwards reads give %s, want %s", read(t, c), want)
			}
		})
	}
}

func TestNewsThatHangsDoesNotHoldTheMessagesUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &hanging{store: store{current: "v1"}}
		c := secrets.New(s, func(o *secrets.Options) { o.Stage = "dev" })
		read(t, c)
		s.hangs.Store(true)
		began := time.Now()
		answer, err := invalidation.Handler(c, new(echo)).Invoke(t.Context(), []byte(numbered("a", ours)))
		if took := time.Since(began); err != nil || took != 50*time.Millisecond || strings.Contains(string(answer), "detail-type") {
			t.Errorf("answer %s, error %v after %v", answer, err, took)
		}
		time.Sleep(time.Minute)
	})
}
