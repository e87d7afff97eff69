package sqs

import (
	"context"
	"errors"
	"strings"

	"github.com/rekey-go/rekey/internal/local/wire"
)

// maxBatchSize bounds the messages of one SendMessageBatch together.
const maxBatchSize = 1 << 20

// A batch is the input of the operations that do the same to several messages.
type batch[E batchEntry] struct {
	QueueURL string `json:"QueueUrl"`
	Entries  []E
}

type batchEntry interface{ id() string }

func (e sendEntry) id() string       { return e.ID }
func (e deleteEntry) id() string     { return e.ID }
func (e visibilityEntry) id() string { return e.ID }

type batchOutput struct {
	Successful []any
	Failed     []batchFailure
}

type batchFailure struct {
	ID          string `json:"Id"`
	Code        string
	Message     string
	SenderFault bool
}

type batchSuccess struct {
	ID string `json:"Id"`
}

// check refuses a batch as a whole.
func (in *batch[E]) check() error {
	if len(in.Entries) == 0 {
		return refusal("EmptyBatchRequest", queryPrefix+"EmptyBatchRequest", "There should be at least one entry in the request.")
	}
	if len(in.Entries) > maxMessages {
		return refusal("TooManyEntriesInBatchRequest", queryPrefix+"TooManyEntriesInBatchRequest", "Maximum number of entries per request are %d. You have sent %d.", maxMessages, len(in.Entries))
	}
	seen := make(map[string]bool)
	for _, e := range in.Entries {
		id := e.id()
		switch {
		case !validName(id):
			return refusal("InvalidBatchEntryId", queryPrefix+"InvalidBatchEntryId", "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long.")
		case seen[id]:
			return refusal("BatchEntryIdsNotDistinct", queryPrefix+"BatchEntryIdsNotDistinct", "Id %s repeated.", id)
		}
		seen[id] = true
	}
	return nil
}

// each does an entry after the other: one that is refused does not keep the
// rest from being done. What do returns to wait for is waited for at the end,
// so that the batch is one commit.
func each[E batchEntry](s *Service, in *batch[E], do func(e E) (done any, wait func() error, err error)) (*batchOutput, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	_, err := s.queueLocked(in.QueueURL)
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	out := &batchOutput{Successful: []any{}, Failed: []batchFailure{}}
	var waits []func() error
	for _, e := range in.Entries {
		done, wait, err := do(e)
		refused, ok := errors.AsType[*wire.Error](err)
		switch {
		case ok:
			out.Failed = append(out.Failed, batchFailure{e.id(), strings.TrimPrefix(refused.QueryCode, queryPrefix), refused.Message, true})
		case err != nil:
			return nil, err
		default:
			out.Successful = append(out.Successful, done)
			waits = append(waits, wait)
		}
	}
	for _, wait := range waits {
		if err := wait(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (s *Service) sendBatch(_ context.Context, c *wire.Call, in *batch[sendEntry]) (*batchOutput, error) {
	size := 0
	for _, e := range in.Entries {
		size += e.size()
	}
	if size > maxBatchSize {
		return nil, refusal("BatchRequestTooLong", queryPrefix+"BatchRequestTooLong", "Batch requests cannot be longer than %d bytes. You have sent %d bytes.", maxBatchSize, size)
	}
	return each(s, in, func(e sendEntry) (any, func() error, error) {
		return s.send(c, in.QueueURL, e)
	})
}

func (s *Service) deleteBatch(_ context.Context, c *wire.Call, in *batch[deleteEntry]) (*batchOutput, error) {
	return each(s, in, func(e deleteEntry) (any, func() error, error) {
		wait, err := s.remove(c, in.QueueURL, e)
		return batchSuccess{e.ID}, wait, err
	})
}

func (s *Service) changeBatch(_ context.Context, c *wire.Call, in *batch[visibilityEntry]) (*batchOutput, error) {
	return each(s, in, func(e visibilityEntry) (any, func() error, error) {
		return batchSuccess{e.ID}, func() error { return nil }, s.change(c, in.QueueURL, e)
	})
}
