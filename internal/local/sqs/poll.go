package sqs

import (
	"context"
	"fmt"
	"time"

	"github.com/rekey-go/rekey/internal/local/wire"
)

// A Message is a message that was received.
type Message struct {
	ID string
	// ReceiptHandle is of this receive; it deletes or releases the message.
	ReceiptHandle string
	Body          string
	// Attributes are SQS's own, such as ApproximateReceiveCount.
	Attributes map[string]string
	// MessageAttributes are the sender's. They must not be changed.
	MessageAttributes map[string]MessageAttribute
}

// Deliver sends a message as another service of the engine. Its attributes are
// strings, of type String, and ints, of type Number; an empty string is left
// out. The error is a [*wire.Error] with the code QueueDoesNotExist if there is
// no such queue.
func (s *Service) Deliver(queueARN, body string, attributes map[string]any) error {
	e := sendEntry{MessageBody: body, MessageAttributes: make(map[string]MessageAttribute)}
	for name, v := range attributes {
		a := MessageAttribute{DataType: typeString, StringValue: fmt.Sprint(v)}
		if _, ok := v.(int); ok {
			a.DataType = typeNumber
		}
		if a.StringValue != "" {
			e.MessageAttributes[name] = a
		}
	}
	// The sender is the service's own, which AWS gives an account id.
	c := &wire.Call{Caller: wire.Principal{Type: "AWSService", PrincipalID: s.opts.Account}}
	_, wait, err := s.send(c, queueARN, e)
	if err != nil {
		return err
	}
	return wait()
}

// Receive takes up to maxMessages from a queue, and waits for the first if
// there is none. It returns no messages when the wait is over, and the
// context's error when that ends it.
func (s *Service) Receive(ctx context.Context, queueARN string, maxMessages int, wait time.Duration) ([]Message, error) {
	s.mu.Lock()
	q, err := s.queueLocked(queueARN)
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	messages, err := s.receive(ctx, q, receiving{limit: maxMessages, wait: new(int(wait.Seconds()))})
	if err == nil && len(messages) == 0 {
		err = ctx.Err()
	}
	return messages, err
}

// Delete deletes a message that was received. It is no error if the handle is
// stale.
func (s *Service) Delete(queueARN, receiptHandle string) error {
	wait, err := s.remove(new(wire.Call), queueARN, deleteEntry{ReceiptHandle: receiptHandle})
	if err != nil {
		return err
	}
	return wait()
}

// Release makes a message that was received visible again at once.
func (s *Service) Release(queueARN, receiptHandle string) error {
	return s.change(new(wire.Call), queueARN, visibilityEntry{ReceiptHandle: receiptHandle, VisibilityTimeout: new(int)})
}
