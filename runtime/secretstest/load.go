package secretstest

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
)

const (
	// callers is how many goroutines make calls at once.
	callers = 8
	// pace is the time from one call of a goroutine to its next, at least. A
	// load without any would take the processors from what it waits for.
	pace = time.Millisecond
	// shown is how many of the failures are told in full.
	shown = 5
)

// Load calls do from eight goroutines, each up to a thousand times a second,
// while during runs, and fails the test for each call that fails. During begins when every goroutine
// has made a call, and after its end each makes one more, so that the last
// thing that happened was met too. Load returns the number of calls.
//
// During runs on the test's goroutine and may end the test.
func Load(tb testing.TB, do func(ctx context.Context) error, during func()) (calls int) {
	tb.Helper()
	l := load{tb: tb, do: do}
	var warm, running sync.WaitGroup
	warm.Add(callers)
	for range callers {
		running.Go(func() { l.run(tb.Context(), warm.Done) })
	}
	func() {
		defer running.Wait()
		defer l.over.Store(true)
		warm.Wait()
		during()
	}()
	if failed := l.failed.Load(); failed > 0 {
		tb.Errorf("%d of %d calls failed", failed, l.calls.Load())
	}
	return int(l.calls.Load())
}

type load struct {
	tb            testing.TB
	do            func(ctx context.Context) error
	over          atomic.Bool
	calls, failed atomic.Int64
}

// run is one goroutine's calls.
func (l *load) run(ctx context.Context, warm func()) {
	l.call(ctx)
	warm()
	next := time.NewTicker(pace)
	defer next.Stop()
	for !l.over.Load() {
		<-next.C
		l.call(ctx)
	}
	l.call(ctx)
}

func (l *load) call(ctx context.Context) {
	l.calls.Add(1)
	if err := l.do(ctx); err != nil && l.failed.Add(1) <= shown {
		l.tb.Errorf("call %d failed: %v", l.calls.Load(), err)
	}
}

// Requests makes calls for [Load] of an HTTP handler: each is a request
// without a body. A status of 400 or more is a failure.
func Requests(handler http.Handler, method, path string) func(context.Context) error {
	return func(ctx context.Context) error {
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, httptest.NewRequestWithContext(ctx, method, path, http.NoBody))
		if answer.Code >= http.StatusBadRequest {
			return fmt.Errorf("%s %s: status %d", method, path, answer.Code)
		}
		return nil
	}
}

// Invocations makes calls for [Load] of a Lambda function, each with the same
// payload. The handler is anything that [lambda.NewHandler] takes, or a
// [lambda.Handler].
func Invocations(handler any, payload []byte) func(context.Context) error {
	h, ok := handler.(lambda.Handler)
	if !ok {
		h = lambda.NewHandler(handler)
	}
	return func(ctx context.Context) error {
		_, err := h.Invoke(ctx, payload)
		return err
	}
}
