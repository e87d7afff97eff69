package sqs

import (
	"context"
	"time"

	"github.com/rekey-go/rekey/internal/local/wire"
)

type deleteInput struct {
	QueueURL string `json:"QueueUrl"`
	deleteEntry
}

type deleteEntry struct {
	ID            string `json:"Id"` // in a batch
	ReceiptHandle string
}

func (s *Service) deleteMessage(_ context.Context, c *wire.Call, in *deleteInput) (*struct{}, error) {
	wait, err := s.remove(c, in.QueueURL, in.deleteEntry)
	if err != nil {
		return nil, err
	}
	return nil, wait()
}

// remove deletes the message of a receipt handle, if the handle is the last
// one that it was given.
func (s *Service) remove(c *wire.Call, url string, e deleteEntry) (wait func() error, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.calledLocked(c, url)
	if err != nil {
		return nil, err
	}
	m, err := q.receiptOf(e.ReceiptHandle)
	if err != nil {
		return nil, err
	}
	if m == nil {
		return func() error { return nil }, nil
	}
	return s.dropLocked(q, m), nil
}

type visibilityInput struct {
	QueueURL string `json:"QueueUrl"`
	visibilityEntry
}

type visibilityEntry struct {
	ID                string `json:"Id"` // in a batch
	ReceiptHandle     string
	VisibilityTimeout *int
}

func (s *Service) changeVisibility(_ context.Context, c *wire.Call, in *visibilityInput) (*struct{}, error) {
	return nil, s.change(c, in.QueueURL, in.visibilityEntry)
}

// change makes a message in flight visible after another time, counted from
// now.
func (s *Service) change(c *wire.Call, url string, e visibilityEntry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.calledLocked(c, url)
	switch {
	case err != nil:
		return err
	case e.VisibilityTimeout == nil:
		return missingParameter("VisibilityTimeout")
	case *e.VisibilityTimeout < 0 || *e.VisibilityTimeout > maxVisibility:
		return invalidParameter("Value %d for parameter VisibilityTimeout is invalid. Reason: VisibilityTimeout must be an integer between 0 and %d.", *e.VisibilityTimeout, maxVisibility)
	}
	m, err := q.receiptOf(e.ReceiptHandle)
	switch {
	case err != nil:
		return err
	case m == nil:
		return invalidParameter("Value %s for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not available for visibility timeout change.", e.ReceiptHandle)
	}
	s.reshowLocked(q, m, time.Duration(*e.VisibilityTimeout)*time.Second)
	return nil
}

// reshowLocked makes a message in flight visible after a time, which may be
// none.
func (s *Service) reshowLocked(q *queue, m *message, after time.Duration) {
	if after > 0 {
		m.state = inFlight
		s.hideLocked(q, m, after)
		return
	}
	m.stop()
	q.show(m)
}
