// Package retire is the function that revokes a superseded login, once no
// consumer holds it any more.
//
// Every rotation puts its event on the function's queue. The function leaves
// it there, by sending it again with a delay, until the grace period is over
// and every consumer's lease is on the new version or has run out. Then it
// revokes, and says "Secret Retired" on the bus. If a consumer still holds the
// old version when the deadline comes, it gives up and says "Retirement
// Abandoned", and who it waited for: a human decides.
//
// An operator may order it to revoke a version at once (rekey retire): then it
// does so unless a consumer holds the version, or in spite of that if told to.
//
// A login that was superseded in place has lost its password already. A
// version that is current or pending again, as after a rollback, is left
// alone.
package retire

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/rekey-go/rekey/functions/internal/strategy"
	"github.com/rekey-go/rekey/rotation"
	"github.com/rekey-go/rekey/runtime/bulletin"
	"github.com/rekey-go/rekey/runtime/invalidation"
)

// function is one execution environment. What it does to the outside are
// functions, which the tests replace.
type function struct {
	describe func(ctx context.Context, secretID string) (rotation.Secret, error)
	// leases is nil where there is no bulletin; the grace period is all then.
	leases  func(ctx context.Context, secretARN string) ([]bulletin.Lease, error)
	revoke  func(ctx context.Context, secretARN, versionID string) error
	publish func(ctx context.Context, detailType string, r invalidation.Rotated) error
	send    func(ctx context.Context, body string, delay time.Duration) error

	grace, deadline, poll time.Duration
	log                   *slog.Logger
}

const (
	// maxDelay is the longest delay that SQS has.
	maxDelay = 15 * time.Minute
	// minPoll and maxPoll bound how often waiting for leases looks at them.
	minPoll, maxPoll = time.Second, 30 * time.Second
)

// New returns the function. It reads REKEY_GRACE (1h), REKEY_RETIRE_DEADLINE
// (24h), REKEY_CHECK_INTERVAL (10s), REKEY_RETIRE_QUEUE, REKEY_BULLETIN,
// REKEY_BUS and the variables of [strategy.Store], [strategy.Databases],
// [strategy.APIKeys] and [strategy.Keys].
func New(cfg aws.Config, getenv func(string) string) (lambda.Handler, error) {
	store := strategy.Store(cfg, getenv)
	choose, err := strategy.All(cfg)(store, getenv)
	if err != nil {
		return nil, err
	}
	f := &function{
		describe: store.Describe,
		revoke: func(ctx context.Context, secretARN, versionID string) error {
			return rotation.Retire(ctx, store, choose, secretARN, versionID)
		},
		publish: invalidation.NewPublisher(eventbridge.NewFromConfig(cfg), getenv("REKEY_BUS")).Publish,
		send:    sender(sqs.NewFromConfig(cfg), getenv("REKEY_RETIRE_QUEUE")),
		log:     slog.New(slog.NewJSONHandler(os.Stdout, nil)),
	}
	if table := getenv("REKEY_BULLETIN"); table != "" {
		f.leases = bulletin.New(dynamodb.NewFromConfig(cfg), table).Leases
	}
	if err := f.configure(getenv); err != nil {
		return nil, err
	}
	return lambda.NewHandler(f.serve), nil
}

// configure reads the durations.
func (f *function) configure(getenv func(string) string) (err error) {
	for _, setting := range []struct {
		name     string
		into     *time.Duration
		fallback time.Duration
	}{
		{"REKEY_GRACE", &f.grace, time.Hour},
		{"REKEY_RETIRE_DEADLINE", &f.deadline, 24 * time.Hour},
		{"REKEY_CHECK_INTERVAL", &f.poll, 10 * time.Second},
	} {
		*setting.into = setting.fallback
		if text := getenv(setting.name); text != "" {
			if *setting.into, err = time.ParseDuration(text); err != nil {
				return fmt.Errorf("%s is not a duration such as 90s: %q", setting.name, text)
			}
		}
	}
	f.poll = min(max(f.poll, minPoll), maxPoll)
	return nil
}

// sender returns what puts a message on a queue for later.
func sender(client *sqs.Client, queueURL string) func(context.Context, string, time.Duration) error {
	return func(ctx context.Context, body string, delay time.Duration) error {
		seconds := (min(delay, maxDelay) + time.Second - 1) / time.Second
		_, err := client.SendMessage(ctx, &sqs.SendMessageInput{
			QueueUrl: &queueURL, MessageBody: &body, DelaySeconds: int32(seconds), //nolint:gosec // at most 900.
		})
		if err != nil {
			return fmt.Errorf("sending the message for later: %w", err)
		}
		return nil
	}
}

// handle works on a batch. A message whose work failed comes again, and goes
// to the dead letter queue in the end.
func (f *function) handle(ctx context.Context, batch events.SQSEvent) events.SQSEventResponse {
	var out events.SQSEventResponse
	for _, m := range batch.Records {
		if err := f.message(ctx, m); err != nil {
			f.log.ErrorContext(ctx, "retiring failed", "message", m.MessageId, "error", err)
			out.BatchItemFailures = append(out.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: m.MessageId})
		}
	}
	return out
}

// message works on one event "Secret Rotated". Where it has to wait it sends
// the message again and is done with this one. If that message then comes
// again all the same, there are two of it, which does no harm.
func (f *function) message(ctx context.Context, m events.SQSMessage) error {
	var envelope struct {
		Time   time.Time            `json:"time"`
		Detail invalidation.Rotated `json:"detail"`
	}
	if err := json.Unmarshal([]byte(m.Body), &envelope); err != nil {
		return fmt.Errorf("reading the event: %w", err) // an event holds no value
	}
	r := envelope.Detail
	switch {
	case r.SecretARN == "" || r.VersionID == "":
		return errors.New("the event names no secret and version")
	case r.PreviousVersionID == "" || r.PreviousVersionID == r.VersionID:
		return nil // the first version supersedes none
	}
	now := time.Now()
	if received, ok := receivedAt(m); ok && !envelope.Time.IsZero() {
		r.At, now = envelope.Time.Add(eventTick), received
	}
	d, err := f.settle(ctx, r, now)
	if err != nil {
		return err
	}
	log := f.log.With("secret", r.Name, "version", r.PreviousVersionID, "reason", d.reason)
	switch d.verdict {
	case wait:
		log.InfoContext(ctx, "not retired yet", "delay", d.delay.String())
		return f.send(ctx, m.Body, d.delay)
	case forget:
		log.InfoContext(ctx, "not retired")
		return nil
	case abandon:
		log.WarnContext(ctx, "retirement abandoned")
		return f.tell(ctx, invalidation.DetailTypeAbandoned, r, d.reason)
	default:
		log.InfoContext(ctx, "retired")
		return f.tell(ctx, invalidation.DetailTypeRetired, r, d.reason)
	}
}

// eventTick is how exact the time of an event is: it is cut to the second.
const eventTick = time.Second

// receivedAt is when the queue first handed a message out. The grace period and
// the deadline are counted by the clock of the service, from the event to this:
// a function whose own clock is off revokes nothing early, and where that clock
// is moved, as the engine's can be, they pass as quickly.
func receivedAt(m events.SQSMessage) (at time.Time, ok bool) {
	ms, err := strconv.ParseInt(m.Attributes["ApproximateFirstReceiveTimestamp"], 10, 64)
	return time.UnixMilli(ms), err == nil
}

func (f *function) tell(ctx context.Context, detailType string, r invalidation.Rotated, reason string) error {
	r.Reason, r.At = reason, time.Now().UTC()
	return f.publish(ctx, detailType, r)
}
