package invalidation

import (
	"context"
	"errors"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/rekey-go/rekey/runtime/secrets"
)

// Handler makes a consumer function follow rotations. An invocation whose
// payload is news of a changed secret (see [Parse]) is consumed: the client
// fetches the new version, and next does not see it. All other invocations go
// to next.
//
// News reaches only one of a function's execution environments. So, where the
// last look at the bulletin is older than CheckInterval, each invocation looks
// again. That goes on beside next, and the answer waits for its end, because
// the environment may be frozen as soon as it has answered; it is bounded by
// CheckTimeout, and by the time of one read of Secrets Manager.
func Handler(client *secrets.Client, next lambda.Handler) lambda.Handler {
	return &handler{client: client, next: next}
}

type handler struct {
	client *secrets.Client
	next   lambda.Handler
}

// Invoke implements [lambda.Handler].
func (h *handler) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	h.client.Wake() // before anything reads a secret
	changes, only := Parse(payload)
	if len(changes) > 0 || only {
		err := invalidate(ctx, h.client, changes)
		if only {
			return []byte("null"), err // an error makes Lambda, or the queue, deliver it again
		}
	}
	if !h.client.Due() {
		return h.next.Invoke(ctx, payload)
	}
	checked := make(chan struct{})
	go func() {
		defer close(checked)
		h.client.Check(ctx)
	}()
	answer, err := h.next.Invoke(ctx, payload)
	<-checked
	return answer, err
}

func invalidate(ctx context.Context, client *secrets.Client, changes []Rotated) error {
	var errs []error
	for _, change := range changes {
		errs = append(errs, client.Invalidate(ctx, change))
	}
	return errors.Join(errs...)
}
