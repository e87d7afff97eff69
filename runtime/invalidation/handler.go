package invalidation

import (
	"context"
	"log/slog"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/rekey-go/rekey/runtime/secrets"
)

// HandlerOptions configure [Handler].
type HandlerOptions struct {
	// Strict looks at the bulletin before the invocation is served. If false,
	// the look goes on beside it.
	Strict bool
	// Budget is how long an invocation waits for the look, at most. It is never
	// more than half the time that is left until the invocation's deadline. If
	// zero, it is 50 ms.
	Budget time.Duration
	// Overrun is told of each invocation that went on without the end of its
	// look, for a metric. If nil, nobody is.
	Overrun func(ctx context.Context)
	// Logger is told of news that could not be followed beside an invocation.
	// If nil, it is [slog.Default].
	Logger *slog.Logger
}

// budget is the default of [HandlerOptions.Budget].
const budget = 50 * time.Millisecond

// Handler makes a consumer function follow rotations. Next is a
// [lambda.Handler], or a function with any of the signatures that
// [lambda.Start] takes; the result is for lambda.Start. Where next is a function
// that answers with an io.Reader, the answer is streamed. Where an environment
// serves several invocations at once, pass the function and not what
// lambda.NewHandler makes of it, whose answers share buffers.
//
// # News
//
// An invocation whose payload is news of a changed secret (see [Parse]) is
// consumed: the client fetches the new version, and next does not see it. In a
// batch of SQS the records with news are consumed, and next gets a batch of the
// others. What could not be followed is reported as batchItemFailures, so that a
// queue with ReportBatchItemFailures delivers that record again and no other.
// All other payloads go to next as they are.
//
// # The look at the bulletin
//
// News reaches only one of a function's execution environments. So, where the
// last look at the bulletin is older than CheckInterval, each invocation looks
// again; those that run at the same time share one look. By default it goes on
// beside next, and the answer waits for its end, because the environment may be
// frozen as soon as it has answered. With Strict, next waits for it. Either way
// the wait is bounded by Budget. Then the invocation goes on with the values in
// memory, while their lease runs; where it has run out, a read waits for the
// look by itself, in both modes.
func Handler(client *secrets.Client, next any, optFns ...func(*HandlerOptions)) lambda.Handler {
	m := &middleware{client: client, opts: HandlerOptions{Budget: budget}}
	for _, fn := range optFns {
		fn(&m.opts)
	}
	if m.opts.Budget == 0 {
		m.opts.Budget = budget
	}
	if m.opts.Logger == nil {
		m.opts.Logger = slog.Default()
	}
	if fn, ok := streaming(next); ok {
		return lambda.NewHandler(m.stream(fn))
	}
	h, ok := next.(lambda.Handler)
	if !ok {
		h = function{next}
	}
	return &handler{middleware: m, next: h}
}

// function is a function as a handler. The handler that lambda.NewHandler makes
// answers with bytes of a buffer that it has given back to a pool already, which
// another invocation at the same time may write to. So each has its own.
type function struct{ fn any }

func (f function) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	return lambda.NewHandler(f.fn).Invoke(ctx, payload)
}

// middleware is what surrounds every invocation.
type middleware struct {
	client *secrets.Client
	opts   HandlerOptions
}

type handler struct {
	*middleware
	next lambda.Handler
}

// Invoke implements [lambda.Handler].
func (h *handler) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	v := h.enter(ctx, payload)
	if v.consumed {
		return v.answer(ctx)
	}
	answer, err := h.next.Invoke(ctx, v.payload)
	v.leave(ctx)
	if err != nil {
		return answer, err
	}
	return v.report(ctx, answer), nil
}

// enter begins what is to be done beside an invocation, and with Strict waits
// for it.
func (m *middleware) enter(ctx context.Context, payload []byte) *visit {
	m.client.Wake() // before anything reads a secret
	v := &visit{middleware: m, payload: payload}
	news := v.sort()
	if len(news) == 0 && !m.client.Due() {
		return v
	}
	v.done = make(chan struct{})
	go func() {
		defer close(v.done)
		v.follow(ctx, news)
		if !v.consumed {
			m.client.Check(ctx)
		}
	}()
	if m.opts.Strict && !v.consumed {
		v.wait(ctx)
	}
	return v
}

// A visit is one invocation on its way through the middleware.
type visit struct {
	*middleware
	payload  []byte // what next is to see
	consumed bool   // it is nothing: all was news
	batch    bool   // the news came in a batch of SQS
	waited   bool   // the budget is spent

	done chan struct{} // closed when all is done beside it; nil where nothing is
	// Set when done is closed:
	failed []string // ids of the records whose news could not be followed
	err    error    // why
}

// follow has the client take the news over.
func (v *visit) follow(ctx context.Context, news []told) {
	errs := invalidate(ctx, v.client, changesOf(news))
	for i, err := range errs {
		if err == nil {
			continue
		}
		v.err = err
		if id := news[i].id; id != "" {
			v.failed = append(v.failed, id)
		}
	}
}

// wait waits until all is done, within the budget.
func (v *visit) wait(ctx context.Context) {
	v.waited = true
	left := v.opts.Budget
	if deadline, ok := ctx.Deadline(); ok {
		left = min(left, time.Until(deadline)/2)
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-v.done:
		return
	case <-ctx.Done():
	case <-timer.C:
	}
	if v.opts.Overrun != nil {
		v.opts.Overrun(ctx)
	}
}

// leave waits for what was begun beside an invocation that was served.
func (v *visit) leave(ctx context.Context) {
	if v.done != nil && !v.waited {
		v.wait(ctx)
	}
}
