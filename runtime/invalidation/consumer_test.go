package invalidation_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	ebtypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/rekey-go/rekey/runtime/bulletin"
	"github.com/rekey-go/rekey/runtime/invalidation"
	"github.com/rekey-go/rekey/runtime/secrets"
)

func replace(text, from, to string) string { return strings.Replace(text, from, to, 1) }

// store is a Secrets Manager with the secret dev-db, whose value is the id of
// its version.
type store struct {
	mu      sync.Mutex
	current string
	err     error
}

func (s *store) set(version string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current, s.err = version, err
}

func (s *store) GetSecretValue(context.Context, *secretsmanager.GetSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &secretsmanager.GetSecretValueOutput{
		ARN: new(arn), Name: new("dev-db"), VersionId: new(s.current), SecretString: new(s.current), CreatedDate: new(time.Now()),
	}, s.err
}

func (s *store) PutSecretValue(context.Context, *secretsmanager.PutSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.PutSecretValueOutput, error) {
	return nil, errors.ErrUnsupported
}

// hanging is a store that may stop to answer.
type hanging struct {
	store
	hangs atomic.Bool
}

func (h *hanging) GetSecretValue(ctx context.Context, in *secretsmanager.GetSecretValueInput, opts ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error) {
	if h.hangs.Load() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return h.store.GetSecretValue(ctx, in, opts...)
}

// board is a bulletin that says what the store says.
type board struct{ *store }

func (b board) Read(context.Context) (bulletin.Board, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := bulletin.Entry{SecretARN: arn, Name: "dev-db", VersionID: b.current, At: time.Now()}
	return bulletin.Board{Epoch: 1, Entries: map[string]bulletin.Entry{arn: e}}, nil
}
func (board) Renew(context.Context, ...bulletin.Lease) error { return nil }
func (board) Release(context.Context, string, string) error  { return nil }
func newClient(s *store, opts ...func(*secrets.Options)) *secrets.Client {
	return secrets.New(s, append(opts, func(o *secrets.Options) { o.Stage = "dev" })...)
}

func read(t *testing.T, c *secrets.Client) string {
	t.Helper()
	got, err := c.String(t.Context(), "db")
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// echo answers with its payload.
type echo struct{ got []string }

func (e *echo) Invoke(_ context.Context, payload []byte) ([]byte, error) {
	e.got = append(e.got, string(payload))
	return payload, nil
}

var _ lambda.Handler = (*echo)(nil)

func TestHandler(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		payload string
		broken  error
		want    string // value read afterwards
		passed  bool
		fails   bool
	}{
		"news is consumed":              {payload: ours, want: "v2"},
		"news in a batch is":            {payload: sqs(native), want: "v2"},
		"news of nothing is":            {payload: replace(native, "AWSCURRENT", "OTHER"), want: "v1"},
		"a request passes":              {payload: `{"routeKey":"GET /"}`, want: "v1", passed: true},
		"news that cannot be followed":  {payload: ours, broken: errors.New("no route"), want: "v1", fails: true},
		"a request passes all the same": {payload: `{}`, broken: errors.New("no route"), want: "v1", passed: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &store{current: "v1"}
			c := newClient(s)
			read(t, c)
			s.set("v2", tt.broken)
			next := new(echo)
			answer, err := invalidation.Handler(c, next).Invoke(t.Context(), []byte(tt.payload))
			if (err != nil) != tt.fails || (len(next.got) > 0) != tt.passed {
				t.Errorf("answer %s, error %v, passed %q", answer, err, next.got)
			}
			if got := read(t, c); got != tt.want {
				t.Errorf("reads give %s, want %s", got, tt.want)
			}
		})
	}
}

func TestHandlerLooksAtTheBulletin(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &store{current: "v1"}
		c := newClient(s, func(o *secrets.Options) { o.Bulletin = board{s} })
		h := invalidation.Handler(c, new(echo))
		invoke := func() {
			t.Helper()
			if answer, err := h.Invoke(t.Context(), []byte(`{}`)); err != nil || string(answer) != `{}` {
				t.Errorf("answer %s, error %v", answer, err)
			}
		}
		invoke()
		if got := c.Stats().Checks; got != 0 {
			t.Errorf("with nothing in memory the board was read %d times", got)
		}
		read(t, c)
		s.set("v2", nil)
		time.Sleep(10 * time.Second) // the first look is due sooner, by chance
		invoke()
		if got := read(t, c); got != "v2" {
			t.Errorf("after an invocation that was due: %s, want v2", got)
		}
		s.set("v3", nil)
		time.Sleep(9 * time.Second)
		invoke()
		if got := read(t, c); got != "v2" || c.Stats().Checks != 1 {
			t.Errorf("before the interval: %s, the board was read %d times", got, c.Stats().Checks)
		}
		time.Sleep(time.Second)
		invoke()
		invoke()
		if got := read(t, c); got != "v3" || c.Stats().Checks != 2 {
			t.Errorf("after the interval: %s, want v3; the board was read %d times, want twice", got, c.Stats().Checks)
		}
	})
}

// queue is an SQS queue that gives each message until it is deleted.
type queue struct {
	mu       sync.Mutex
	messages map[string]string
	errs     int // so many receptions fail
	received map[string]int
}

func (q *queue) ReceiveMessage(ctx context.Context, _ *awssqs.ReceiveMessageInput, _ ...func(*awssqs.Options)) (*awssqs.ReceiveMessageOutput, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.errs > 0 {
		q.errs--
		return nil, errors.New("no route")
	}
	out := new(awssqs.ReceiveMessageOutput)
	if q.received == nil {
		q.received = make(map[string]int)
	}
	for id, body := range q.messages {
		q.received[id]++
		out.Messages = append(out.Messages, sqstypes.Message{
			MessageId: &id, ReceiptHandle: &id, Body: &body,
			Attributes: map[string]string{"ApproximateReceiveCount": strconv.Itoa(q.received[id])},
		})
	}
	if len(out.Messages) > 0 {
		return out, nil
	}
	q.mu.Unlock()
	defer q.mu.Lock()
	select {
	case <-time.After(20 * time.Second):
		return out, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (q *queue) DeleteMessageBatch(_ context.Context, in *awssqs.DeleteMessageBatchInput, _ ...func(*awssqs.Options)) (*awssqs.DeleteMessageBatchOutput, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, e := range in.Entries {
		delete(q.messages, aws.ToString(e.ReceiptHandle))
	}
	return new(awssqs.DeleteMessageBatchOutput), nil
}

func (q *queue) left() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.messages)
}

func TestListen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &store{current: "v1"}
		c := newClient(s)
		read(t, c)
		s.set("v2", nil)
		q := &queue{messages: map[string]string{"a": ours, "b": "other"}, errs: 2}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- invalidation.Listen(ctx, q, "https://sqs/q", c) }()
		time.Sleep(10 * time.Second)
		if got := read(t, c); got != "v2" || q.left() != 0 {
			t.Errorf("reads give %s, %d messages are left", got, q.left())
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Listen: %v", err)
		}
	})
}

func TestListenGivesUpOnNewsThatCannotBeFollowed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &store{current: "v1"}
		c := newClient(s)
		read(t, c)
		s.set("v2", errors.New("no route"))
		q := &queue{messages: map[string]string{"a": ours}}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- invalidation.Listen(ctx, q, "https://sqs/q", c) }()
		time.Sleep(10 * time.Minute)
		if q.left() != 0 || q.received["a"] != 5 {
			t.Errorf("%d messages are left after %d receptions, want none after 5", q.left(), q.received["a"])
		}
		cancel()
		<-done
	})
}

// TestListenLeavesInTheQueueWhatItsEndInterrupts ends it while the secret is read,
// the last time that the queue delivers the message.
func TestListenLeavesInTheQueueWhatItsEndInterrupts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &hanging{store: store{current: "v1"}}
		c := secrets.New(s, func(o *secrets.Options) { o.Stage = "dev" })
		read(t, c)
		s.hangs.Store(true)
		q := &queue{messages: map[string]string{"a": ours}, received: map[string]int{"a": 4}}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- invalidation.Listen(ctx, q, "https://sqs/q", c) }()
		synctest.Wait()
		cancel()
		if err := <-done; err != nil || q.left() != 1 {
			t.Errorf("%d messages are left, want the one (%v)", q.left(), err)
		}
		time.Sleep(time.Minute) // the read goes on until its own time is over
	})
}

// bus takes events, or refuses them as EventBridge does, with status 200.
type bus struct {
	got    []ebtypes.PutEventsRequestEntry
	refuse bool
}

func (b *bus) PutEvents(_ context.Context, in *eventbridge.PutEventsInput, _ ...func(*eventbridge.Options)) (*eventbridge.PutEventsOutput, error) {
	if b.refuse {
		return &eventbridge.PutEventsOutput{FailedEntryCount: 1, Entries: []ebtypes.PutEventsResultEntry{{ErrorCode: new("ThrottlingException")}}}, nil
	}
	b.got = append(b.got, in.Entries...)
	return new(eventbridge.PutEventsOutput), nil
}

func TestWhatIsPublishedIsUnderstood(t *testing.T) {
	t.Parallel()
	b := new(bus)
	p := invalidation.NewPublisher(b, "dev-rekey")
	want := invalidation.Rotated{SecretARN: arn, Name: "dev-db", VersionID: "v2", PreviousVersionID: "v1", Reason: "rotated", At: time.Now().UTC()}
	if err := p.Publish(t.Context(), invalidation.DetailTypeRotated, want); err != nil {
		t.Fatal(err)
	}
	e := b.got[0]
	payload := `{"source":"` + *e.Source + `","detail-type":"` + *e.DetailType + `","detail":` + *e.Detail + `}`
	got, only := invalidation.Parse([]byte(payload))
	if len(got) != 1 || got[0] != want || !only || *e.EventBusName != "dev-rekey" {
		t.Errorf("published %s, understood %+v", payload, got)
	}
	b.refuse = true
	if err := p.Publish(t.Context(), invalidation.DetailTypeRotated, want); err == nil || !strings.Contains(err.Error(), "ThrottlingException") {
		t.Errorf("a refused event: %v", err)
	}
}
