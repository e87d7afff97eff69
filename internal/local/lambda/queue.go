package lambda

import (
	"crypto/md5" //nolint:gosec // the checksum that SQS defines, no protection.
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/rekey-go/rekey/internal/local/sqs"
	"github.com/rekey-go/rekey/internal/local/wire"
)

const (
	// pollers is how many batches of a queue are received and worked on at
	// once: as many as AWS starts with.
	pollers = 5
	// pollWait is the long poll of a receive.
	pollWait = 20 * time.Second
	// pollPause keeps a queue that cannot be read from taking a core.
	pollPause = time.Second
	// maxBatch is the largest batch that needs no batching window.
	maxBatch = 10
)

// poll receives batches until the mapping ends.
func (s *Service) poll(m mapping) {
	for m.ctx.Err() == nil {
		messages, err := s.opts.Queues.Receive(m.ctx, m.queueARN, m.batch, pollWait)
		if err != nil && m.ctx.Err() == nil {
			s.opts.Logger.Error("receiving for an event source mapping", "queue", m.queueARN, "error", err)
			s.pausePolling()
		}
		if len(messages) == 0 {
			continue
		}
		s.batch(m, messages)
	}
}

// batch works on messages, during which the clock does not go on: what the
// function puts back for later is counted from when it did.
func (s *Service) batch(m mapping, messages []sqs.Message) {
	defer s.opts.Clock.Busy()()
	done, err := s.process(m, messages)
	if err != nil && s.ctx.Err() == nil {
		s.opts.Logger.Error("working on a batch; its messages will come again", "queue", m.queueARN, "error", err)
	}
	s.delete(m, done)
}

// pausePolling waits in real time: the engine's clock may stand still.
func (s *Service) pausePolling() {
	timer := time.NewTimer(pollPause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.ctx.Done():
	}
}

// process has the function work on one batch, and returns the messages that it
// is done with.
func (s *Service) process(m mapping, messages []sqs.Message) (done []sqs.Message, err error) {
	f, err := s.find(m.functionARN)
	if err != nil {
		return nil, err
	}
	payload, err := json.Marshal(s.event(m, messages))
	if err != nil {
		return nil, fmt.Errorf("writing the SQS event: %w", err)
	}
	out, err := s.execute(f, newInvocation(wire.NewID(), payload), true)
	if err != nil || out.functionError != "" {
		return nil, err // a function's error is in its own log
	}
	if !m.partial {
		return messages, nil
	}
	failed, ok := failures(out.payload, messages)
	if !ok {
		return nil, errors.New("the function's batchItemFailures cannot be read")
	}
	return slices.DeleteFunc(messages, func(msg sqs.Message) bool { return failed[msg.ID] }), nil
}

func (s *Service) delete(m mapping, done []sqs.Message) {
	for _, msg := range done {
		if err := s.opts.Queues.Delete(m.queueARN, msg.ReceiptHandle); err != nil {
			s.opts.Logger.Error("deleting a message that was worked on", "queue", m.queueARN, "error", err)
		}
	}
}

// failures reads the message ids of an answer with batchItemFailures. An
// answer that AWS could not use fails the whole batch: ok is false.
func failures(answer []byte, messages []sqs.Message) (failed map[string]bool, ok bool) {
	if len(answer) == 0 {
		return nil, true
	}
	var said *struct {
		Failures []struct {
			ID *string `json:"itemIdentifier"`
		} `json:"batchItemFailures"`
	}
	if err := json.Unmarshal(answer, &said); err != nil {
		return nil, false
	}
	failed = make(map[string]bool)
	if said == nil { // null: nothing failed
		return failed, true
	}
	known := make(map[string]bool, len(messages))
	for _, msg := range messages {
		known[msg.ID] = true
	}
	for _, item := range said.Failures {
		if item.ID == nil || !known[*item.ID] {
			return nil, false
		}
		failed[*item.ID] = true
	}
	return failed, true
}

// sqsEvent is the event of a batch, as AWS writes it.
type sqsEvent struct {
	Records []sqsRecord `json:"Records"`
}

type sqsRecord struct {
	MessageID         string                  `json:"messageId"`
	ReceiptHandle     string                  `json:"receiptHandle"`
	Body              string                  `json:"body"`
	Attributes        map[string]string       `json:"attributes"`
	MessageAttributes map[string]sqsAttribute `json:"messageAttributes"`
	MD5OfBody         string                  `json:"md5OfBody"`
	EventSource       string                  `json:"eventSource"`
	EventSourceARN    string                  `json:"eventSourceARN"`
	AWSRegion         string                  `json:"awsRegion"`
}

type sqsAttribute struct {
	StringValue *string `json:"stringValue,omitempty"`
	BinaryValue []byte  `json:"binaryValue,omitempty"`
	// AWS has the lists in its form, and never anything in them.
	StringListValues []string `json:"stringListValues"`
	BinaryListValues [][]byte `json:"binaryListValues"`
	DataType         string   `json:"dataType"`
}

func (s *Service) event(m mapping, messages []sqs.Message) sqsEvent {
	e := sqsEvent{Records: make([]sqsRecord, 0, len(messages))}
	for _, msg := range messages {
		sum := md5.Sum([]byte(msg.Body)) //nolint:gosec // as above.
		e.Records = append(e.Records, sqsRecord{
			MessageID: msg.ID, ReceiptHandle: msg.ReceiptHandle, Body: msg.Body, Attributes: msg.Attributes,
			MessageAttributes: eventAttributes(msg.MessageAttributes), MD5OfBody: hex.EncodeToString(sum[:]),
			EventSource: "aws:sqs", EventSourceARN: m.queueARN, AWSRegion: s.opts.Region,
		})
	}
	return e
}

func eventAttributes(sent map[string]sqs.MessageAttribute) map[string]sqsAttribute {
	attributes := make(map[string]sqsAttribute, len(sent))
	for name, a := range sent {
		out := sqsAttribute{BinaryValue: a.BinaryValue, StringListValues: []string{}, BinaryListValues: [][]byte{}, DataType: a.DataType}
		if a.BinaryValue == nil {
			out.StringValue = &a.StringValue
		}
		attributes[name] = out
	}
	return attributes
}
