package sqs

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rekey-go/rekey/internal/local/store"
	"github.com/rekey-go/rekey/internal/local/wire"
)

const maxMessages = 10 // of one receive

type receiveInput struct {
	QueueURL                    string `json:"QueueUrl"`
	MaxNumberOfMessages         *int
	VisibilityTimeout           *int
	WaitTimeSeconds             *int
	AttributeNames              []string
	MessageSystemAttributeNames []string
	MessageAttributeNames       []string
}

func (in *receiveInput) check() error {
	for _, p := range []struct {
		name      string
		given     *int
		low, high int
		bounds    string // AWS's two ways to tell them
	}{
		{"MaxNumberOfMessages", in.MaxNumberOfMessages, 1, maxMessages, "between %d and %d"},
		{"VisibilityTimeout", in.VisibilityTimeout, 0, maxVisibility, ">= %d and <= %d"},
		{"WaitTimeSeconds", in.WaitTimeSeconds, 0, maxWait, ">= %d and <= %d"},
	} {
		if p.given != nil && (*p.given < p.low || *p.given > p.high) {
			bounds := fmt.Sprintf(p.bounds, p.low, p.high)
			return invalidParameter("Value %d for parameter %s is invalid. Reason: Must be %s, if provided.", *p.given, p.name, bounds)
		}
	}
	for _, name := range slices.Concat(in.AttributeNames, in.MessageSystemAttributeNames) {
		if !slices.Contains(systemAttributes(), name) {
			return errUnknownAttribute(name)
		}
	}
	return nil
}

// systemAttributes are the names that a receiver may ask for, among them those
// which only messages of FIFO queues have.
func systemAttributes() []string {
	return []string{
		"All", senderID, sentTimestamp, receiveCount, firstReceive, traceHeader, deadLetterSource,
		"SequenceNumber", "MessageDeduplicationId", "MessageGroupId",
	}
}

type receivedMessage struct {
	MessageID              string `json:"MessageId"`
	ReceiptHandle          string
	MD5OfBody              string
	Body                   string
	Attributes             map[string]string           `json:",omitempty"`
	MessageAttributes      map[string]MessageAttribute `json:",omitempty"`
	MD5OfMessageAttributes string                      `json:",omitempty"`
}

type receiveOutput struct {
	Messages []receivedMessage `json:",omitempty"`
}

func (s *Service) receiveMessage(ctx context.Context, c *wire.Call, in *receiveInput) (*receiveOutput, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	r := receiving{limit: 1, visibility: in.VisibilityTimeout, wait: in.WaitTimeSeconds}
	if in.MaxNumberOfMessages != nil {
		r.limit = *in.MaxNumberOfMessages
	}
	s.mu.Lock()
	q, err := s.calledLocked(c, in.QueueURL)
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	messages, err := s.receive(ctx, q, r)
	if err != nil {
		return nil, err
	}
	out := new(receiveOutput)
	for _, m := range messages {
		out.Messages = append(out.Messages, in.selected(m))
	}
	return out, nil
}

// selected is a message with the attributes that were asked for.
func (in *receiveInput) selected(m Message) receivedMessage {
	r := receivedMessage{
		MessageID: m.ID, ReceiptHandle: m.ReceiptHandle, MD5OfBody: md5Hex(m.Body), Body: m.Body,
		Attributes: m.Attributes, MessageAttributes: maps.Clone(m.MessageAttributes),
	}
	system := slices.Concat(in.AttributeNames, in.MessageSystemAttributeNames)
	if !slices.Contains(system, "All") {
		maps.DeleteFunc(r.Attributes, func(name, _ string) bool { return !slices.Contains(system, name) })
	}
	maps.DeleteFunc(r.MessageAttributes, func(name string, _ MessageAttribute) bool {
		return !slices.ContainsFunc(in.MessageAttributeNames, func(want string) bool { return wanted(want, name) })
	})
	r.MD5OfMessageAttributes = md5OfAttributes(r.MessageAttributes)
	return r
}

// wanted reports whether a name of MessageAttributeNames stands for an
// attribute: "All", ".*", "prefix.*" or the name itself.
func wanted(want, name string) bool {
	prefix, ok := strings.CutSuffix(want, ".*")
	return want == "All" || want == name || ok && strings.HasPrefix(name, prefix)
}

// A receiving is one receive. Where a member is nil, the queue's attribute
// holds.
type receiving struct {
	limit      int
	visibility *int // seconds
	wait       *int // seconds
}

// receive takes messages, and waits for the first if need be. It returns none
// when the wait is over or the context is done.
func (s *Service) receive(ctx context.Context, q *queue, r receiving) ([]Message, error) {
	timer := time.NewTimer(s.waitOf(q, r))
	defer timer.Stop()
	for {
		s.mu.Lock()
		if s.queues[q.record.Name] != q {
			s.mu.Unlock()
			return nil, errNoQueue()
		}
		messages, arrived := s.takeLocked(q, r), q.arrived
		s.mu.Unlock()
		if len(messages) > 0 {
			return messages, nil
		}
		select {
		case <-arrived:
		case <-timer.C:
			return nil, nil
		case <-ctx.Done():
			return nil, nil
		}
	}
}

func (s *Service) waitOf(q *queue, r receiving) time.Duration {
	if r.wait != nil {
		return time.Duration(*r.wait) * time.Second
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return q.record.seconds(waitTimeSeconds)
}

// takeLocked gives out the messages that are visible, up to the limit.
func (s *Service) takeLocked(q *queue, r receiving) []Message {
	hidden := q.record.seconds(visibilityTimeout)
	if r.visibility != nil {
		hidden = time.Duration(*r.visibility) * time.Second
	}
	now := s.opts.Clock.Now()
	var taken []*message
	for len(taken) < r.limit && len(q.visible) > 0 {
		m := q.visible[0]
		q.visible[0] = nil
		q.visible = q.visible[1:]
		switch {
		case m.state != visible: // it was deleted, or hidden again
		case q.expired(m, now):
			s.dropLocked(q, m)
		case s.deadLocked(q, m):
		default:
			taken = append(taken, m)
		}
	}
	var messages []Message
	for _, m := range taken {
		messages = append(messages, s.giveLocked(q, m, now, hidden))
	}
	return messages
}

// giveLocked puts a message into flight.
func (s *Service) giveLocked(q *queue, m *message, now time.Time, hidden time.Duration) Message {
	m.received++
	if m.received == 1 {
		m.first = now
	}
	m.receipt = m.newReceipt()
	m.state = inFlight
	if hidden > 0 {
		s.hideLocked(q, m, hidden)
	} else {
		q.show(m)
	}
	system := maps.Clone(m.System)
	system[receiveCount] = strconv.Itoa(m.received)
	system[firstReceive] = strconv.FormatInt(m.first.UnixMilli(), 10)
	return Message{ID: m.ID, ReceiptHandle: m.receipt, Body: m.Body, Attributes: system, MessageAttributes: m.Attributes}
}

// deadLocked moves a message that was received too often to the dead letter
// queue. It reports whether it did.
func (s *Service) deadLocked(q *queue, m *message) bool {
	arn, limit := q.record.redrive()
	if limit == 0 || m.received < limit {
		return false
	}
	to, err := s.queueLocked(arn)
	if err != nil {
		s.opts.Logger.Warn("message stays in its queue: its dead letter queue does not exist", "queue", q.record.Name, "dead_letter_queue", arn)
		return false
	}
	moved := m.messageRecord
	moved.Queue = to.record.Name
	moved.System = maps.Clone(m.System)
	moved.System[deadLetterSource] = s.arn(q.record.Name)
	q.remove(m)
	s.opts.Store.Begin(func(tx *store.Tx) error { // both or neither: a kill loses no message
		return errors.Join(m.delete(tx), moved.put(tx))
	})
	s.addLocked(to, &message{messageRecord: moved, received: m.received, first: m.first})
	return true
}
