package sqs

import (
	"crypto/md5" //nolint:gosec // SQS's checksum.
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/rekey-go/rekey/internal/local/clock"
	"github.com/rekey-go/rekey/internal/local/store"
)

// A MessageAttribute is typed data beside a message's body.
type MessageAttribute struct {
	// DataType is String, Number or Binary, with a label after a dot if need
	// be.
	DataType    string
	StringValue string `json:",omitempty"`
	BinaryValue []byte `json:",omitempty"`
}

// messageRecord is what the store keeps of a message. It never changes.
type messageRecord struct {
	Queue      string
	ID         string
	Body       string
	Attributes map[string]MessageAttribute
	// System are the attributes that SQS gives to a message.
	System map[string]string
	Sent   time.Time
	// Due is when the message's delay ends.
	Due time.Time
}

// A message is a message in a queue.
type message struct {
	messageRecord
	state    state
	receipt  string // of the last receive
	received int
	first    time.Time    // when it was first received
	timer    *clock.Timer // ends its delay or its visibility timeout
}

// A state says who has a message.
type state int

const (
	delayed state = iota
	visible
	inFlight
	gone
)

func (m messageRecord) storeKey() string { return m.Queue + "\n" + m.ID }

func (m messageRecord) put(tx *store.Tx) error {
	return tx.Put(messageTable, m.storeKey(), m)
}

func (m messageRecord) delete(tx *store.Tx) error {
	return tx.Delete(messageTable, m.storeKey())
}

// addLocked puts a message into a queue. It waits for its delay at most, also
// where it comes from a store whose clock was ahead of this one.
func (s *Service) addLocked(q *queue, m *message) {
	q.messages[m.ID] = m
	if wait := min(m.Due.Sub(s.opts.Clock.Now()), m.Due.Sub(m.Sent)); wait > 0 {
		m.state = delayed
		s.hideLocked(q, m, wait)
		return
	}
	q.show(m)
}

// show makes a message visible and wakes who waits for one.
func (q *queue) show(m *message) {
	m.state = visible
	q.visible = append(q.visible, m)
	q.wake()
}

func (q *queue) wake() {
	close(q.arrived)
	q.arrived = make(chan struct{})
}

// hideLocked makes a message visible after a time.
func (s *Service) hideLocked(q *queue, m *message, wait time.Duration) {
	m.stop()
	var timer *clock.Timer
	timer = s.opts.Clock.AfterFunc(wait, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if m.timer == timer {
			m.timer = nil
			q.show(m)
		}
	})
	m.timer = timer
}

func (m *message) stop() {
	if m.timer != nil {
		m.timer.Stop()
		m.timer = nil
	}
}

// dropLocked takes a message out of its queue and out of the store.
func (s *Service) dropLocked(q *queue, m *message) (wait func() error) {
	q.remove(m)
	return s.opts.Store.Begin(m.delete)
}

// remove takes a message out of the queue, and leaves it in the store.
func (q *queue) remove(m *message) {
	m.stop()
	m.state = gone
	delete(q.messages, m.ID)
}

// newReceipt makes a receipt handle, which names the queue and the message.
func (m *message) newReceipt() string {
	return base64.StdEncoding.EncodeToString([]byte(m.Queue + "\n" + m.ID + "\n" + rand.Text()))
}

// receiptOf finds the message that a receipt handle names. It is nil if the
// message is gone or was received again since; an error means that the text
// is no receipt handle of the queue.
func (q *queue) receiptOf(handle string) (*message, error) {
	text, err := base64.StdEncoding.DecodeString(handle)
	parts := strings.Split(string(text), "\n")
	if err != nil || len(parts) != 3 || parts[0] != q.record.Name {
		return nil, refusal("ReceiptHandleIsInvalid", "ReceiptHandleIsInvalid", "The input receipt handle \"%s\" is not a valid receipt handle.", handle)
	}
	m, ok := q.messages[parts[1]]
	if !ok || m.receipt != handle {
		return nil, nil
	}
	return m, nil
}

func md5Hex(text string) string {
	sum := md5.Sum([]byte(text)) //nolint:gosec // SQS's checksum.
	return hex.EncodeToString(sum[:])
}

// md5OfAttributes is the checksum of message attributes, as the developer
// guide defines it. It is empty where there are none.
func md5OfAttributes(attributes map[string]MessageAttribute) string {
	if len(attributes) == 0 {
		return ""
	}
	var b []byte
	add := func(part string) {
		b = binary.BigEndian.AppendUint32(b, uint32(len(part))) //nolint:gosec // a message has at most a MiB.
		b = append(b, part...)
	}
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		a := attributes[name]
		add(name)
		add(a.DataType)
		if strings.HasPrefix(a.DataType, typeBinary) {
			b = append(b, 2)
			add(string(a.BinaryValue))
		} else {
			b = append(b, 1)
			add(a.StringValue)
		}
	}
	return md5Hex(string(b))
}
