package lambda

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/rekey-go/rekey/internal/local/wire"
)

// unhandled is the function error of a function that failed. AWS has no other
// for the runtimes of today.
const unhandled = "Unhandled"

// errClosed means that the service takes no more work.
var errClosed = errors.New("lambda is shutting down")

// An invocation is one event on its way through an environment.
type invocation struct {
	id      string // the request id
	payload []byte
	done    chan outcome // buffered: an answer that comes too late is dropped
}

func newInvocation(id string, payload []byte) *invocation {
	return &invocation{id: id, payload: payload, done: make(chan outcome, 1)}
}

// An outcome is what a function answered.
type outcome struct {
	payload []byte
	// functionError is unhandled where the function failed.
	functionError string
}

// failure is the outcome of a function that gave no answer itself.
func failure(kind, format string, args ...any) outcome {
	body, _ := json.Marshal(map[string]string{"errorType": kind, "errorMessage": fmt.Sprintf(format, args...)}) // strings always encode
	return outcome{payload: body, functionError: unhandled}
}

func timedOut(inv *invocation, after time.Duration) outcome {
	return failure("Sandbox.Timedout", "RequestId: %s Error: Task timed out after %.2f seconds", inv.id, after.Seconds())
}

// died is the outcome where the environment's process has ended.
func died(inv *invocation, env *environment) outcome {
	return failure("Runtime.ExitError", "RequestId: %s Error: %s", inv.id, exitText(env.exit))
}

// Invoke has a function work on an event, a JSON text, and waits for its
// answer. A function that failed gives the function error "Unhandled" and the
// error as the result; err says that it could not be invoked, and is a
// [*wire.Error] where AWS would refuse. The invocation goes on when ctx ends.
func (s *Service) Invoke(ctx context.Context, functionARN string, payload []byte) (result []byte, functionError string, err error) {
	f, err := s.find(functionARN)
	if err != nil {
		return nil, "", err
	}
	out, err := s.invoke(ctx, f, newInvocation(wire.NewID(), payload))
	return out.payload, out.functionError, err
}

func (s *Service) invoke(ctx context.Context, f *function, inv *invocation) (outcome, error) {
	if len(inv.payload) > maxPayload {
		return outcome{}, tooLarge("RequestResponse", inv.payload, maxPayload)
	}
	if !s.begin() {
		return outcome{}, errClosed
	}
	type answer struct {
		out outcome
		err error
	}
	done := make(chan answer, 1)
	go func() {
		defer s.work.Done()
		out, err := s.execute(f, inv, false)
		done <- answer{out, err}
	}()
	select {
	case a := <-done:
		return a.out, a.err
	case <-ctx.Done():
		return outcome{}, ctx.Err()
	}
}

func tooLarge(kind string, payload []byte, limit int) *wire.Error {
	return refusal(http.StatusRequestEntityTooLarge, "RequestTooLargeException",
		"%d byte payload is too large for the %s invocation type (limit %d bytes)", len(payload), kind, limit)
}

// begin counts a piece of work. It reports false when the service is closed.
func (s *Service) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.work.Add(1)
	return true
}

// execute runs one invocation in an environment that is free, or a new one.
// With wait it waits for one where the function may have no more.
func (s *Service) execute(f *function, inv *invocation, wait bool) (outcome, error) {
	for {
		env, err := s.acquire(f, wait)
		if err != nil {
			return outcome{}, err
		}
		if err := env.awaitReady(s.ctx); err != nil {
			s.end(env)
			if s.ctx.Err() != nil {
				return outcome{}, errClosed
			}
			return env.initFailure(inv), nil
		}
		if out, ok := s.run(env, inv); ok {
			return out, nil
		}
		// The environment ended before it took the event.
	}
}

// run hands an invocation to an environment that is ready, and waits for its
// end. It reports false where the environment did not take it.
func (s *Service) run(env *environment, inv *invocation) (outcome, bool) {
	timeout := env.function.Timeout
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case env.work <- inv:
	case <-env.dead:
		return outcome{}, false
	case <-timer.C: // its runtime is stuck after its last answer
		s.end(env)
		return outcome{}, false
	}
	timer.Reset(timeout)
	select {
	case out := <-inv.done:
		s.settle(env)
		return out, true
	case <-timer.C:
		env.mu.Lock()
		env.timedOut = true
		env.mu.Unlock()
		s.end(env)
		return timedOut(inv, timeout), true
	case <-env.dead:
	}
	select {
	case out := <-inv.done: // it answered with its last breath
		return out, true
	default:
		return died(inv, env), true
	}
}
