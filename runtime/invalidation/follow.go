package invalidation

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	"github.com/rekey-go/rekey/runtime/secrets"
)

// atOnce bounds how many changes a client is told of at the same time, so that
// one secret that cannot be read does not hold the others up, and a flood of
// news does not become one of goroutines.
const atOnce = 8

// invalidate tells a client of the changes in messages, and returns an error for
// each message, nil where all is well.
func invalidate(ctx context.Context, client *secrets.Client, messages [][]Rotated) []error {
	errs := make([]error, len(messages))
	var g errgroup.Group
	g.SetLimit(atOnce)
	for i, changes := range messages {
		if len(changes) == 0 {
			continue
		}
		g.Go(func() error {
			for _, change := range changes {
				errs[i] = errors.Join(errs[i], client.Invalidate(ctx, change))
			}
			return nil
		})
	}
	_ = g.Wait() // the errors are beside their messages
	return errs
}
