package secrets

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/smithy-go"
)

// batchSize is how many secrets BatchGetSecretValue reads at most.
const batchSize = 20

// batcher is a Secrets Manager that reads several secrets in one call, as a
// *[secretsmanager.Client] does.
type batcher interface {
	BatchGetSecretValue(ctx context.Context, in *secretsmanager.BatchGetSecretValueInput, opts ...func(*secretsmanager.Options)) (*secretsmanager.BatchGetSecretValueOutput, error)
}

// A seat is a flight that waits for its place in a batch.
type seat struct {
	entry  *entry
	flight *flight
}

// Prefetch reads the current versions of secrets, so that later reads find
// them in memory, twenty with one call of BatchGetSecretValue. What is in
// memory and young enough is not read again, and who reads one of the secrets
// meanwhile waits for the same answer. A role that may not call
// BatchGetSecretValue has them read one by one, eight at once.
//
// Prefetch returns when all were read, or when ctx ends. The error joins those
// of the secrets that could not be read; the others are in memory all the same.
func (c *Client) Prefetch(ctx context.Context, names ...string) error {
	seats := make([]seat, len(names))
	var own []seat // to be read by this call
	for i, name := range names {
		e := c.table.get(entryID{id: c.physical(name)})
		f, mine := c.book(e)
		seats[i] = seat{e, f}
		if mine {
			own = append(own, seats[i])
		}
	}
	single := new(atomic.Bool) // batches were refused
	for batch := range slices.Chunk(own, batchSize) {
		go c.flyBatch(context.WithoutCancel(ctx), batch, single)
	}
	var errs []error
	for _, s := range seats {
		if s.flight == nil {
			continue
		}
		if _, err := c.answer(ctx, s.entry, s.flight); err != nil {
			errs = append(errs, err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(errs...)
}

// book returns the flight that brings the value of an entry, nil where it is
// there already, and whether the caller has to see to it that it flies.
func (c *Client) book(e *entry) (f *flight, mine bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.use()
	if e.flight != nil {
		return e.flight, false
	}
	if s := e.state.Load(); s != nil && s.secret != nil && c.now().before(s.refresh) {
		return nil, false
	}
	f = &flight{patient: true}
	c.take(e, f)
	return f, true
}

// flyBatch runs flights to their end together, and alone those that the batch
// leaves without an answer.
func (c *Client) flyBatch(ctx context.Context, batch []seat, single *atomic.Bool) {
	left := batch
	if api, ok := c.api.(batcher); ok && len(batch) > 1 {
		left = c.askBatch(ctx, api, batch, single)
	}
	for _, s := range left {
		go c.fly(ctx, s.entry, s.flight)
	}
}

// askBatch lands the flights to which one call brings an answer, and returns
// the others.
func (c *Client) askBatch(ctx context.Context, api batcher, batch []seat, single *atomic.Bool) (left []seat) {
	if c.turn(batch[0].entry.id) != nil {
		return batch
	}
	defer func() { <-c.refreshes }()
	if single.Load() {
		return batch
	}
	asking, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	in := new(secretsmanager.BatchGetSecretValueInput)
	for _, s := range batch {
		in.SecretIdList = append(in.SecretIdList, s.entry.id)
	}
	c.counts.fetched.Add(1)
	out, err := api.BatchGetSecretValue(asking, in)
	if err != nil {
		c.counts.failed.Add(1)
		if refusesBatches(err) {
			single.Store(true)
			return batch
		}
		out = new(secretsmanager.BatchGetSecretValueOutput) // asking for each now would make it worse
	}
	var landing sync.WaitGroup // each may write a lease
	defer landing.Wait()
	for _, s := range batch {
		f := s.flight
		if f.secret, f.err = answerIn(out, s.entry); f.secret == nil && f.err == nil {
			if err == nil {
				left = append(left, s)
				continue
			}
			f.err = answered("reading", s.entry.id, err)
		}
		landing.Go(func() { c.land(ctx, s.entry, f) })
	}
	return left
}

// refusesBatches reports whether an error is about the call rather than about
// the state of Secrets Manager.
func refusesBatches(err error) bool {
	api, ok := errors.AsType[smithy.APIError](err)
	return ok && api.ErrorFault() != smithy.FaultServer && !errors.Is(meaning(err), ErrThrottled)
}

// answerIn finds what a batch says about an entry: a secret, an error, or
// nothing. AWS gives no token for the rest of a list of names; what is missing
// has to be asked for again.
func answerIn(out *secretsmanager.BatchGetSecretValueOutput, e *entry) (*Secret, error) {
	for _, v := range out.SecretValues {
		arn := aws.ToString(v.ARN)
		if e.id != arn && e.id != aws.ToString(v.Name) && !named(e.id, arn) {
			continue
		}
		return newSecret(&secretsmanager.GetSecretValueOutput{
			ARN: v.ARN, Name: v.Name, VersionId: v.VersionId, CreatedDate: v.CreatedDate,
			SecretString: v.SecretString, SecretBinary: v.SecretBinary, VersionStages: v.VersionStages,
		}), nil
	}
	i := slices.IndexFunc(out.Errors, func(refused types.APIErrorType) bool { return aws.ToString(refused.SecretId) == e.id })
	if i < 0 {
		return nil, nil
	}
	refused := out.Errors[i]
	return nil, answered("reading", e.id, &smithy.GenericAPIError{
		Code: aws.ToString(refused.ErrorCode), Message: aws.ToString(refused.Message),
	})
}
