package lambda_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rekey-go/rekey/internal/local/clock"
	"github.com/rekey-go/rekey/internal/local/lambda"
	"github.com/rekey-go/rekey/internal/local/sqs"
	"github.com/rekey-go/rekey/internal/local/wire"
)

// queues is SQS, on the clock of the bench, with a queue and its ARN.
func queues(t *testing.T, c *clock.Clock, spec sqs.Queue) (s *sqs.Service, arn string) {
	t.Helper()
	s, err := sqs.New(sqs.Options{Account: account, Region: region, Clock: c, Endpoint: "http://queues.test"})
	if err != nil {
		t.Fatal(err)
	}
	arn, _, err = s.Provision(spec)
	if err != nil {
		t.Fatal(err)
	}
	return s, arn
}

// receive takes a message of a queue. It waits for it.
func receive(t *testing.T, s *sqs.Service, arn string) sqs.Message {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		messages, err := s.Receive(ctx, arn, 1, 20*time.Second)
		if err != nil {
			t.Fatalf("receiving a message: %v", err)
		}
		if len(messages) > 0 {
			return messages[0]
		}
		if ctx.Err() != nil {
			t.Fatal("no message came")
		}
	}
}

func (b *bench) async(c command) {
	b.t.Helper()
	payload, err := json.Marshal(c)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := b.InvokeAsync(b.arn, payload); err != nil {
		b.t.Fatal(err)
	}
}

func TestAnEventIsTriedThreeTimesAndThenBuried(t *testing.T) {
	t.Parallel()
	c, g := clock.New(), newGate(t)
	q, dead := queues(t, c, sqs.Queue{Name: "dead"})
	f := child("function")
	f.DeadLetterARN = dead
	b := start(t, f, func(o *lambda.Options) {
		o.Clock, o.Queues = c, q
		o.AsyncRetry = []time.Duration{time.Millisecond, 2 * time.Millisecond}
	})
	event := command{Do: "hold", At: g.addr(), Text: "try"}
	b.async(event)
	for _, text := range []string{"first", "second", "third"} {
		g.arrival().fail(text)
	}
	got := receive(t, q, dead)
	body, err := json.Marshal(event)
	if err != nil {
		t.Fatal(err)
	}
	if got.Body != string(body) {
		t.Errorf("dead letter: %s, want %s", got.Body, body)
	}
	attributes := got.MessageAttributes
	if len(attributes["RequestID"].StringValue) != 36 {
		t.Errorf("request id %v", attributes["RequestID"])
	}
	delete(attributes, "RequestID")
	want := map[string]sqs.MessageAttribute{
		"ErrorCode":    {DataType: "Number", StringValue: "200"},
		"ErrorMessage": {DataType: "String", StringValue: "third"},
	}
	if diff := cmp.Diff(want, attributes); diff != "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}
}

func TestAnEventThatSucceedsIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	c, g := clock.New(), newGate(t)
	q, dead := queues(t, c, sqs.Queue{Name: "dead"})
	f := child("function")
	f.DeadLetterARN = dead
	b := start(t, f, func(o *lambda.Options) {
		o.Clock, o.Queues = c, q
		o.AsyncRetry = []time.Duration{0, 0}
	})
	b.async(command{Do: "hold", At: g.addr(), Text: "try"})
	g.arrival().fail("once")
	g.arrival().pass()
	// One that fails comes after it, so the other had its time.
	b.async(command{Do: "fail", Text: "it rains"})
	if got := receive(t, q, dead); !strings.Contains(got.Body, "it rains") {
		t.Errorf("dead letter: %s", got.Body)
	}
}

func TestThePausesFollowTheClock(t *testing.T) {
	t.Parallel()
	b, g := start(t, child("function")), newGate(t)
	b.clock.Freeze()
	b.async(command{Do: "hold", At: g.addr(), Text: "try"})
	g.arrival().fail("once")
	moved := make(chan error, 1)
	go func() { moved <- b.clock.Advance(t.Context(), time.Minute) }() // it waits for both tries
	g.arrival().pass()
	if err := <-moved; err != nil {
		t.Fatal(err)
	}
}

func TestEventsThatWaitEndWithTheService(t *testing.T) {
	t.Parallel()
	b, g := start(t, child("function")), newGate(t)
	b.async(command{Do: "hold", At: g.addr(), Text: "try"}) // waits a minute after it failed
	g.arrival().fail("once")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := b.Close(ctx); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func TestInvokeAsyncIsRefused(t *testing.T) {
	t.Parallel()
	b := start(t, child("function"))
	for name, tt := range map[string]struct {
		arn     string
		payload []byte
		code    string
	}{
		"for a function that does not exist": {b.arn + "x", []byte("{}"), "ResourceNotFoundException"},
		"for an event that is too large":     {b.arn, make([]byte, 1<<20+1), "RequestTooLargeException"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := b.InvokeAsync(tt.arn, tt.payload)
			if e, ok := errors.AsType[*wire.Error](err); !ok || e.Code != tt.code {
				t.Errorf("InvokeAsync: %v, want %s", err, tt.code)
			}
		})
	}
}
