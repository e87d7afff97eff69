package invalidation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/rekey-go/rekey/runtime/secrets"
)

// Queues is what [Subscribe] asks of Amazon SQS. A *[sqs.Client] is one.
type Queues interface {
	SQS
	CreateQueue(ctx context.Context, in *sqs.CreateQueueInput, opts ...func(*sqs.Options)) (*sqs.CreateQueueOutput, error)
	DeleteQueue(ctx context.Context, in *sqs.DeleteQueueInput, opts ...func(*sqs.Options)) (*sqs.DeleteQueueOutput, error)
	GetQueueUrl(ctx context.Context, in *sqs.GetQueueUrlInput, opts ...func(*sqs.Options)) (*sqs.GetQueueUrlOutput, error)
	ListQueues(ctx context.Context, in *sqs.ListQueuesInput, opts ...func(*sqs.Options)) (*sqs.ListQueuesOutput, error)
	ListQueueTags(ctx context.Context, in *sqs.ListQueueTagsInput, opts ...func(*sqs.Options)) (*sqs.ListQueueTagsOutput, error)
	TagQueue(ctx context.Context, in *sqs.TagQueueInput, opts ...func(*sqs.Options)) (*sqs.TagQueueOutput, error)
}

// Rules is what [Subscribe] asks of Amazon EventBridge. A *[eventbridge.Client]
// is one.
type Rules interface {
	PutRule(ctx context.Context, in *eventbridge.PutRuleInput, opts ...func(*eventbridge.Options)) (*eventbridge.PutRuleOutput, error)
	PutTargets(ctx context.Context, in *eventbridge.PutTargetsInput, opts ...func(*eventbridge.Options)) (*eventbridge.PutTargetsOutput, error)
	RemoveTargets(ctx context.Context, in *eventbridge.RemoveTargetsInput, opts ...func(*eventbridge.Options)) (*eventbridge.RemoveTargetsOutput, error)
	DeleteRule(ctx context.Context, in *eventbridge.DeleteRuleInput, opts ...func(*eventbridge.Options)) (*eventbridge.DeleteRuleOutput, error)
	ListRules(ctx context.Context, in *eventbridge.ListRulesInput, opts ...func(*eventbridge.Options)) (*eventbridge.ListRulesOutput, error)
}

// SubscribeOptions configure [Subscribe].
type SubscribeOptions struct {
	// Queues and Rules are the clients. If nil, they are made of the aws.Config.
	Queues Queues
	Rules  Rules
	// Prefix begins the names of queues and rules, and tells those of this
	// pipeline from all others in the account: what has it and is dead is
	// removed. At most 40 letters, digits, hyphens and underscores. If empty, it
	// is the bus's name with "-process-".
	Prefix string
	// Pattern selects the events. If empty, they are those of rotations and
	// revocations that the pipeline publishes.
	Pattern string
	// Heartbeat is how often the queue is marked as in use. A queue without a
	// mark for three times as long is taken for one of a process that was killed.
	// If zero, it is five minutes. All processes with a prefix must have the same.
	Heartbeat time.Duration
	// Subscribed is told of the queue each time that events begin to arrive. If
	// nil, nobody is.
	Subscribed func(queueURL string)
	// Logger is told what could not be done. If nil, it is [slog.Default].
	Logger *slog.Logger

	now func() time.Time
}

const (
	heartbeat = 5 * time.Minute
	// missed is how many heartbeats a process may miss.
	missed = 3
	// farewell bounds the removal of the subscription when a process ends.
	farewell  = 10 * time.Second
	maxPrefix = 40

	pipelinePattern = `{"source":["` + Source + `"],"detail-type":["` + DetailTypeRotated + `","` + DetailTypeRetired + `"]}`
)

// Subscribe follows rotations in a process that runs for long, by a queue of its
// own: it makes a queue and a rule on the bus that fills it, listens as [Listen]
// does, and removes both when ctx ends. The bus is given by its name.
//
// A process that is killed leaves its queue and its rule behind. The next one
// that subscribes with the same prefix, or the next heartbeat of one that runs,
// removes them. A process that was only stopped for that long, and finds its
// queue gone, subscribes again.
//
// Subscribe returns when ctx ends; the error says what could not be removed.
// Whatever fails before is logged and tried again. Meanwhile, and beside it, the
// client looks at the bulletin, as [secrets.Client.Run] does.
func Subscribe(ctx context.Context, cfg aws.Config, bus string, consumer *secrets.Client, optFns ...func(*SubscribeOptions)) error {
	s := &subscriber{bus: bus, consumer: consumer, opts: SubscribeOptions{
		Prefix: bus + "-process-", Pattern: pipelinePattern, Heartbeat: heartbeat, now: time.Now,
	}}
	for _, fn := range optFns {
		fn(&s.opts)
	}
	if s.opts.Queues == nil {
		s.opts.Queues = sqs.NewFromConfig(cfg)
	}
	if s.opts.Rules == nil {
		s.opts.Rules = eventbridge.NewFromConfig(cfg)
	}
	if s.opts.Logger == nil {
		s.opts.Logger = slog.Default()
	}
	if len(s.opts.Prefix) > maxPrefix {
		return fmt.Errorf("the prefix %q of queues and rules has more than %d characters; choose another with SubscribeOptions.Prefix", s.opts.Prefix, maxPrefix)
	}
	running := make(chan struct{})
	go func() {
		defer close(running)
		consumer.Run(ctx)
	}()
	defer func() { <-running }()
	return s.run(ctx)
}

// A subscriber is a process that follows a bus.
type subscriber struct {
	bus      string
	consumer *secrets.Client
	opts     SubscribeOptions
}

// run subscribes, again and again, until ctx ends.
func (s *subscriber) run(ctx context.Context) error {
	var again backoff
	for {
		name := s.newName()
		began := s.opts.now()
		err := s.live(ctx, name)
		leftover := s.forget(ctx, name)
		if ctx.Err() != nil {
			return leftover
		}
		s.opts.Logger.WarnContext(ctx, "the subscription to rotations ended; making another", "queue", name, "error", errors.Join(err, leftover))
		if s.opts.now().Sub(began) > maxBackoff {
			again = 0
		}
		again.wait(ctx)
	}
}

// live is the life of one subscription. It ends with an error, or with ctx.
func (s *subscriber) live(ctx context.Context, name string) error {
	url, err := s.open(ctx, name)
	if err != nil {
		s.sweep(ctx, name) // it may be that dead ones have used up the quota
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	beating := make(chan struct{})
	go func() {
		defer close(beating)
		s.beat(ctx, name, url)
	}()
	defer func() { cancel(); <-beating }()
	if s.opts.Subscribed != nil {
		s.opts.Subscribed(url)
	}
	return s.listen(ctx, url)
}

// listen takes messages until the queue is gone.
func (s *subscriber) listen(ctx context.Context, url string) error {
	var again backoff
	for {
		err := poll(ctx, s.opts.Queues, url, s.consumer)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // it ended in order
		}
		switch {
		case err == nil:
			again = 0
		case isGone(err):
			return err
		default:
			s.opts.Logger.WarnContext(ctx, "news of rotations cannot be received", "queue", url, "error", err)
			again.wait(ctx)
		}
	}
}

// beat marks the queue as in use, and removes those that nobody uses.
func (s *subscriber) beat(ctx context.Context, name, url string) {
	s.sweep(ctx, name)
	ticks := time.NewTicker(s.opts.Heartbeat)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		}
		_, err := s.opts.Queues.TagQueue(ctx, &sqs.TagQueueInput{QueueUrl: &url, Tags: map[string]string{tagHeartbeat: stamp(s.opts.now())}})
		if err != nil && ctx.Err() == nil && !isGone(err) { // whoever listens notices that
			s.opts.Logger.WarnContext(ctx, "the queue cannot be marked as in use", "queue", url, "error", err)
		}
		s.sweep(ctx, name)
	}
}

// forget removes what a subscription has made, though its context may have
// ended.
func (s *subscriber) forget(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	return s.remove(ctx, name)
}

// isGone reports whether the queue of a call does not exist any more.
func isGone(err error) bool {
	_, gone := errors.AsType[*types.QueueDoesNotExist](err)
	return gone
}
