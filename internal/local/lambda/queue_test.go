package lambda_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"

	"github.com/rekey-go/rekey/internal/local/clock"
	"github.com/rekey-go/rekey/internal/local/lambda"
	"github.com/rekey-go/rekey/internal/local/sqs"
)

// A mapping is a function that is mapped to a queue, whose clock stands still.
type mapping struct {
	*bench
	gate    *gate
	queues  *sqs.Service
	queue   string
	deleted chan string // receipt handles
}

// visibility is how long a message of the queue is hidden.
const visibility = 30 * time.Second

// A spy is SQS that tells what is deleted.
type spy struct {
	*sqs.Service
	deleted chan<- string
}

func (s spy) Delete(queueARN, receiptHandle string) error {
	err := s.Service.Delete(queueARN, receiptHandle)
	if err == nil {
		s.deleted <- receiptHandle
	}
	return err
}

// mapped sends messages to a queue and then maps a function to it.
func mapped(t *testing.T, batch int, partial bool, messages ...func(g *gate) command) mapping {
	t.Helper()
	c := clock.New()
	c.Freeze()
	m := mapping{gate: newGate(t), deleted: make(chan string, 100)}
	m.queues, m.queue = queues(t, c, sqs.Queue{Name: "jobs", VisibilityTimeout: new(int(visibility / time.Second))})
	for _, message := range messages {
		body, err := json.Marshal(message(m.gate))
		if err != nil {
			t.Fatal(err)
		}
		if err := m.queues.Deliver(m.queue, string(body), map[string]any{"reason": "test"}); err != nil {
			t.Fatal(err)
		}
	}
	m.bench = start(t, child("function"), func(o *lambda.Options) { o.Clock, o.Queues = c, spy{m.queues, m.deleted} })
	m.clock = c
	if _, err := m.MapQueue(m.arn, m.queue, batch, partial); err != nil {
		t.Fatal(err)
	}
	return m
}

// holding is a message that stops at the gate.
func holding(name string) func(g *gate) command {
	return func(g *gate) command { return command{Do: "hold", At: g.addr(), Text: name} }
}

// returning is a message that stops at the gate, and is then answered.
func returning(text string) func(g *gate) command {
	return func(g *gate) command { return command{Do: "return", At: g.addr(), Text: text} }
}

// later lets the visibility timeout pass.
func (m mapping) later() {
	m.t.Helper()
	if err := m.clock.Advance(m.t.Context(), visibility+time.Second); err != nil {
		m.t.Fatal(err)
	}
}

// empty checks that the queue has no message, hidden ones included.
func (m mapping) empty() {
	m.t.Helper()
	m.later()
	left, err := m.queues.Receive(m.t.Context(), m.queue, 10, 0)
	if err != nil {
		m.t.Fatal(err)
	}
	if len(left) > 0 {
		m.t.Errorf("in the queue are %+v, want nothing", left)
	}
}

func TestMessagesThatWereWorkedOnAreDeleted(t *testing.T) {
	t.Parallel()
	for _, partial := range []bool{false, true} {
		m := mapped(t, 2, partial, holding("a"), holding("b"), holding("c"))
		for range 3 {
			m.gate.arrival().pass()
		}
		for range 3 {
			await(t, m.deleted)
		}
		m.empty()
	}
}

func TestOnlyMessagesThatFailedComeAgain(t *testing.T) {
	t.Parallel()
	m := mapped(t, 10, true, holding("a"), holding("b"), holding("c"))
	for range 3 {
		v := m.gate.arrival()
		if v.name == "b" {
			v.fail("not today")
		} else {
			v.pass()
		}
	}
	await(t, m.deleted)
	await(t, m.deleted)
	m.later()
	again := m.gate.arrival()
	if again.name != "b" {
		t.Errorf("%s came again, want b", again.name)
	}
	again.pass()
	await(t, m.deleted)
	m.empty()
}

func TestABatchComesAgainWhole(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		partial bool
		result  string
	}{
		"when the function fails":                           {false, "no JSON"}, // which the function cannot return
		"when the function fails, and could name messages":  {true, "no JSON"},
		"when the answer has another form":                  {true, `{"batchItemFailures":"all"}`},
		"when the answer names a message that was not sent": {true, `{"batchItemFailures":[{"itemIdentifier":"x"}]}`},
		"when the answer names no message":                  {true, `{"batchItemFailures":[{"itemIdentifier":null}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := mapped(t, 10, tt.partial, returning(tt.result))
			for range 2 {
				m.gate.arrival().pass()
				m.later()
			}
			m.gate.arrival()
			select {
			case <-m.deleted:
				t.Error("the message was deleted")
			default:
			}
		})
	}
}

func TestAnAnswerThatFailsNothing(t *testing.T) {
	t.Parallel()
	for name, result := range map[string]string{
		"null":                   `null`,
		"an empty object":        `{}`,
		"an empty list":          `{"batchItemFailures":[]}`,
		"null for the list":      `{"batchItemFailures":null}`,
		"something else besides": `{"done":1}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := mapped(t, 10, true, returning(result))
			m.gate.arrival().pass()
			await(t, m.deleted)
			m.empty()
		})
	}
}

func TestBatchesAreWorkedOnAtOnce(t *testing.T) {
	t.Parallel()
	m := mapped(t, 1, false, holding("a"), holding("b"), holding("c"))
	visitors := make(map[int]*visitor)
	for range 3 {
		v := m.gate.arrival()
		visitors[v.pid] = v
	}
	if len(visitors) != 3 {
		t.Errorf("three batches were worked on by %d environments", len(visitors))
	}
	for _, v := range visitors {
		v.pass()
	}
}

func TestTheSQSEvent(t *testing.T) {
	t.Parallel()
	m := mapped(t, 10, false, func(g *gate) command { return command{Do: "tell", At: g.addr()} })
	v := m.gate.arrival()
	text, err := v.in.ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	v.pass()
	var got struct {
		Records []map[string]json.RawMessage
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	var event events.SQSEvent
	if err := json.Unmarshal(text, &event); err != nil {
		t.Fatal(err)
	}
	message := event.Records[0]
	want := map[string]string{
		"eventSource": `"aws:sqs"`, "eventSourceARN": `"arn:aws:sqs:us-east-1:123456789012:jobs"`, "awsRegion": `"us-east-1"`,
		"messageAttributes": `{"reason":{"stringValue":"test","stringListValues":[],"binaryListValues":[],"dataType":"String"}}`,
		"md5OfBody":         `"` + md5Hex(message.Body) + `"`,
	}
	for name, text := range want {
		if diff := cmp.Diff(text, string(got.Records[0][name])); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if message.MessageId == "" || message.ReceiptHandle == "" || message.Body != `{"do":"tell","at":"`+m.gate.addr()+`"}` {
		t.Errorf("message: %+v", message)
	}
	if message.Attributes["ApproximateReceiveCount"] != "1" || message.Attributes["SentTimestamp"] == "" {
		t.Errorf("attributes: %v", message.Attributes)
	}
}

func TestMapQueueIsRefused(t *testing.T) {
	t.Parallel()
	c := clock.New()
	q, arn := queues(t, c, sqs.Queue{Name: "jobs"})
	with := start(t, child("function"), func(o *lambda.Options) { o.Queues = q })
	without := start(t, child("function"))
	for name, tt := range map[string]struct {
		service  *lambda.Service
		function string
		batch    int
	}{
		"for a function that does not exist": {with.Service, with.arn + "x", 10},
		"with an empty batch":                {with.Service, with.arn, 0},
		"with a batch that is too large":     {with.Service, with.arn, 11},
		"without queues":                     {without.Service, without.arn, 10},
	} {
		if _, err := tt.service.MapQueue(tt.function, arn, tt.batch, false); err == nil {
			t.Errorf("MapQueue %s: no error", name)
		}
	}
}
