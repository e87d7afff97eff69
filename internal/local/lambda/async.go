package lambda

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/rekey-go/rekey/internal/local/wire"
)

// maxErrorMessage is the size at which AWS cuts a dead letter's ErrorMessage.
const maxErrorMessage = 1024

// InvokeAsync has a function work on an event, a JSON text, some time soon. It
// returns once the event is accepted; an error is a [*wire.Error] where AWS
// would refuse it.
func (s *Service) InvokeAsync(functionARN string, payload []byte) error {
	f, err := s.find(functionARN)
	if err != nil {
		return err
	}
	return s.accept(f, wire.NewID(), payload)
}

// accept starts the work on an event. All its tries have one request id.
func (s *Service) accept(f *function, id string, payload []byte) error {
	if len(payload) > maxAsyncPayload {
		return tooLarge("Event", payload, maxAsyncPayload)
	}
	if !s.begin() {
		return errClosed
	}
	done := s.opts.Clock.Busy()
	go func() {
		defer s.work.Done()
		s.deliver(f.arn, id, payload, done)
	}()
	return nil
}

// deliver tries an event until its function succeeds or the tries are used up,
// and tells what came of it. The clock waits for each try, until done is
// called.
func (s *Service) deliver(functionARN, id string, payload []byte, done func()) {
	defer func() { done() }()
	began := s.opts.Clock.Now()
	for try := 0; ; try++ {
		f, err := s.find(functionARN) // its configuration may have been replaced
		if err != nil {
			return
		}
		inv := newInvocation(id, payload)
		out, err := s.attempt(f, inv)
		if s.ctx.Err() != nil {
			return
		}
		r := result{condition: succeeded, tries: try + 1, out: out, err: err}
		if err == nil && out.functionError == "" {
			s.tell(f, inv, r)
			return
		}
		handling := s.handling(f)
		retries := handling.retries(s.opts.AsyncRetry)
		switch {
		case try >= len(retries):
			r.condition = retriesExhausted
		case handling.tooOld(s.opts.Clock.Now().Add(retries[try]).Sub(began)):
			r.condition = eventAgeExceeded
		case s.pause(retries[try], &done):
			continue
		default:
			return
		}
		s.tell(f, inv, r)
		s.bury(f, id, payload, out, err)
		return
	}
}

// attempt runs one try of an event, when it is its turn. That an environment
// is not free yet is no failure.
func (s *Service) attempt(f *function, inv *invocation) (outcome, error) {
	select {
	case f.async <- struct{}{}:
	case <-s.ctx.Done():
		return outcome{}, errClosed
	}
	defer func() { <-f.async }()
	return s.execute(f, inv, true)
}

// pause waits on the engine's clock, which does not wait for it meanwhile:
// done lets it go on, and is then that of the next try. It reports false when
// the service ends.
func (s *Service) pause(d time.Duration, done *func()) bool {
	over := make(chan func(), 1)
	timer := s.opts.Clock.AfterFunc(d, func() { over <- s.opts.Clock.Busy() })
	(*done)()
	*done = func() {}
	select {
	case *done = <-over:
		return true
	case <-s.ctx.Done():
		if !timer.Stop() {
			*done = <-over
		}
		return false
	}
}

// bury sends an event that could not be worked on to the dead letter queue.
func (s *Service) bury(f *function, id string, payload []byte, out outcome, err error) {
	attributes := map[string]any{"RequestID": id, "ErrorCode": http.StatusOK, "ErrorMessage": errorMessage(out)}
	if err != nil {
		attributes["ErrorCode"], attributes["ErrorMessage"] = http.StatusInternalServerError, err.Error()
	}
	log := s.opts.Logger.With("function", f.Name, "request", id, "code", attributes["ErrorCode"])
	if f.DeadLetterARN == "" || s.opts.Queues == nil {
		// The error is the function's own, and in its log.
		log.Error("event dropped: its function failed and has no dead letter queue")
		return
	}
	if err := s.opts.Queues.Deliver(f.DeadLetterARN, string(payload), attributes); err != nil {
		log.Error("event dropped: the dead letter queue refused it", "error", err)
	}
}

// errorMessage is what a failed function said, cut as AWS cuts it.
func errorMessage(out outcome) string {
	var said struct {
		Message string `json:"errorMessage"`
	}
	if json.Unmarshal(out.payload, &said) != nil {
		return ""
	}
	return strings.ToValidUTF8(said.Message[:min(len(said.Message), maxErrorMessage)], "")
}
