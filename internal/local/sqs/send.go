package sqs

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/rekey-go/rekey/internal/local/wire"
)

// The types of message attributes, each of which may have a label after a dot.
const (
	typeString = "String"
	typeNumber = "Number"
	typeBinary = "Binary"
)

// The system attributes of messages.
const (
	senderID         = "SenderId"
	sentTimestamp    = "SentTimestamp"
	receiveCount     = "ApproximateReceiveCount"
	firstReceive     = "ApproximateFirstReceiveTimestamp"
	traceHeader      = "AWSTraceHeader"
	deadLetterSource = "DeadLetterQueueSourceArn"
)

const maxAttributes = 10 // of a message

type sendInput struct {
	QueueURL string `json:"QueueUrl"`
	sendEntry
}

// A sendEntry is what a message is made of, alone or in a batch.
type sendEntry struct {
	ID                      string `json:"Id"` // in a batch
	MessageBody             string
	DelaySeconds            *int
	MessageAttributes       map[string]MessageAttribute
	MessageSystemAttributes map[string]MessageAttribute
	// These are of FIFO queues.
	MessageGroupID         string `json:"MessageGroupId"`
	MessageDeduplicationID string `json:"MessageDeduplicationId"`
}

type sendOutput struct {
	ID                           string `json:"Id,omitempty"` // in a batch
	MessageID                    string `json:"MessageId"`
	MD5OfMessageBody             string
	MD5OfMessageAttributes       string `json:",omitempty"`
	MD5OfMessageSystemAttributes string `json:",omitempty"`
}

func (s *Service) sendMessage(_ context.Context, c *wire.Call, in *sendInput) (*sendOutput, error) {
	out, wait, err := s.send(c, in.QueueURL, in.sendEntry)
	if err != nil {
		return nil, err
	}
	return out, wait()
}

// send puts a message into a queue, where receivers see it at once. It is on
// disk when wait returns.
func (s *Service) send(c *wire.Call, url string, e sendEntry) (out *sendOutput, wait func() error, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.calledLocked(c, url)
	if err != nil {
		return nil, nil, err
	}
	if err := e.check(q.record.number(maximumSize)); err != nil {
		return nil, nil, err
	}
	now := s.opts.Clock.Now()
	delay := q.record.number(delaySeconds)
	if e.DelaySeconds != nil {
		delay = *e.DelaySeconds
	}
	m := &message{messageRecord: messageRecord{
		Queue: q.record.Name, ID: wire.NewID(), Body: e.MessageBody, Attributes: e.MessageAttributes,
		System: map[string]string{senderID: c.Caller.PrincipalID, sentTimestamp: strconv.FormatInt(now.UnixMilli(), 10)},
		Sent:   now, Due: now.Add(time.Duration(delay) * time.Second),
	}}
	if header, ok := e.MessageSystemAttributes[traceHeader]; ok {
		m.System[traceHeader] = header.StringValue
	}
	stored := s.opts.Store.Begin(m.put)
	s.addLocked(q, m)
	wait = func() error {
		err := stored()
		if err != nil {
			s.withdraw(q, m)
		}
		return err
	}
	return &sendOutput{
		ID: e.ID, MessageID: m.ID, MD5OfMessageBody: md5Hex(m.Body),
		MD5OfMessageAttributes:       md5OfAttributes(e.MessageAttributes),
		MD5OfMessageSystemAttributes: md5OfAttributes(e.MessageSystemAttributes),
	}, wait, nil
}

// withdraw takes a message back that could not be stored, unless a receiver
// has deleted it already.
func (s *Service) withdraw(q *queue, m *message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.state != gone {
		q.remove(m)
	}
}

func (e sendEntry) check(limit int) error {
	switch {
	case e.MessageBody == "":
		return missingParameter("MessageBody")
	case e.size() > limit:
		return invalidParameter("One or more parameters are invalid. Reason: Message must be shorter than %d bytes.", limit)
	case !validBody(e.MessageBody):
		return refusal("InvalidMessageContents", "InvalidMessageContents", "Invalid binary character was found in the message body, the set of allowed characters is #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF")
	case e.DelaySeconds != nil && (*e.DelaySeconds < 0 || *e.DelaySeconds > maxDelay):
		return invalidParameter("Value %d for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= %d.", *e.DelaySeconds, maxDelay)
	case e.MessageDeduplicationID != "":
		return invalidParameter("The request includes a parameter that is not valid for this queue type")
	case len(e.MessageAttributes) > maxAttributes:
		return invalidParameter("Number of message attributes [%d] exceeds the allowed maximum [%d].", len(e.MessageAttributes), maxAttributes)
	}
	for name, a := range e.MessageAttributes {
		if err := a.check(name); err != nil {
			return err
		}
	}
	return nil
}

// size is what counts against the limit of a message.
func (e sendEntry) size() int {
	n := len(e.MessageBody)
	for name, a := range e.MessageAttributes {
		n += len(name) + len(a.DataType) + len(a.StringValue) + len(a.BinaryValue)
	}
	return n
}

// validBody reports whether a text has only characters that XML has.
func validBody(body string) bool {
	return utf8.ValidString(body) && !strings.ContainsFunc(body, func(r rune) bool {
		return r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == '\ufffe' || r == '\uffff'
	})
}

func (a MessageAttribute) check(name string) error {
	kind, _, _ := strings.Cut(a.DataType, ".")
	switch {
	case name == "" || len(name) > 256 || strings.HasPrefix(strings.ToUpper(name), "AWS.") || strings.HasPrefix(strings.ToUpper(name), "AMAZON."):
		return invalidParameter("The message attribute name '%s' is invalid. Attribute name can not be empty, have more than 256 characters, or begin with AWS. or AMAZON.", name)
	case !slices.Contains([]string{typeString, typeNumber, typeBinary}, kind):
		return invalidParameter("The type of message attribute '%s' is invalid. You must use only the following supported type prefixes: Binary, Number, String.", name)
	case kind == typeBinary && len(a.BinaryValue) == 0, kind != typeBinary && a.StringValue == "":
		return invalidParameter("Message (user) attribute '%s' must contain a non-empty value of type '%s'.", name, a.DataType)
	case kind == typeNumber && !isNumber(a.StringValue):
		return invalidParameter("Can't cast the value of message attribute '%s' to a number.", name)
	default:
		return nil
	}
}

func isNumber(text string) bool {
	_, err := strconv.ParseFloat(text, 64)
	return err == nil
}
