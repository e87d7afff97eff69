package invalidation

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	smithytime "github.com/aws/smithy-go/time"

	"github.com/rekey-go/rekey/runtime/secrets"
)

// SQS is what [Listen] asks of Amazon SQS. A *[sqs.Client] is one.
type SQS interface {
	ReceiveMessage(ctx context.Context, in *sqs.ReceiveMessageInput, opts ...func(*sqs.Options)) (*sqs.ReceiveMessageOutput, error)
	DeleteMessageBatch(ctx context.Context, in *sqs.DeleteMessageBatchInput, opts ...func(*sqs.Options)) (*sqs.DeleteMessageBatchOutput, error)
}

const (
	longPoll   = 20 // seconds, the longest that SQS waits
	batch      = 10 // messages, the most that SQS gives
	minBackoff = time.Second
	maxBackoff = 30 * time.Second
	// maxReceives is how often a message is taken whose secret cannot be read.
	// By then the bulletin or the TTL has told the rest.
	maxReceives = 5
)

// Listen follows rotations in a process that runs for long: it takes the
// messages of a queue, has the client fetch what they tell of, and deletes
// them. It also looks at the bulletin, as [secrets.Client.Run] does. Messages
// that are no news are deleted too: the queue must be this process's own,
// because a message that one process has taken reaches no other. [Subscribe]
// makes such a queue.
//
// Listen returns when ctx ends, with nil. An error of SQS is logged and tried
// again; a message whose secret cannot be read is left to the queue, which
// delivers it again, five times at most.
func Listen(ctx context.Context, client SQS, queueURL string, consumer *secrets.Client) error {
	running := make(chan struct{})
	go func() {
		defer close(running)
		consumer.Run(ctx)
	}()
	defer func() { <-running }()
	var again backoff
	for ctx.Err() == nil {
		err := poll(ctx, client, queueURL, consumer)
		if err == nil {
			again = 0
			continue
		}
		if ctx.Err() != nil {
			break
		}
		slog.WarnContext(ctx, "news of rotations cannot be received", "queue", queueURL, "error", err)
		again.wait(ctx)
	}
	return nil
}

// A backoff is the last pause between tries.
type backoff time.Duration

// wait waits twice as long as the last time, or until ctx ends.
func (b *backoff) wait(ctx context.Context) {
	*b = min(max(2**b, backoff(minBackoff)), backoff(maxBackoff))
	_ = smithytime.SleepWithContext(ctx, time.Duration(*b)) // whoever asked looks at ctx
}

// poll takes one batch of messages.
func poll(ctx context.Context, client SQS, queueURL string, consumer *secrets.Client) error {
	out, err := client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
		QueueUrl: &queueURL, MaxNumberOfMessages: batch, WaitTimeSeconds: longPoll,
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameApproximateReceiveCount},
	})
	if err != nil {
		return fmt.Errorf("receiving messages: %w", err)
	}
	if len(out.Messages) == 0 {
		return nil
	}
	done := follow(ctx, out.Messages, consumer)
	if len(done) == 0 {
		return nil
	}
	deleted, err := client.DeleteMessageBatch(ctx, &sqs.DeleteMessageBatchInput{QueueUrl: &queueURL, Entries: done})
	if err != nil {
		return fmt.Errorf("deleting messages: %w", err)
	}
	if len(deleted.Failed) > 0 {
		return fmt.Errorf("deleting messages: SQS kept %d of %d", len(deleted.Failed), len(done))
	}
	return nil
}

// follow has the client take over what messages tell of, and returns those that
// are done with.
func follow(ctx context.Context, messages []types.Message, consumer *secrets.Client) []types.DeleteMessageBatchRequestEntry {
	news := make([][]Rotated, len(messages))
	for i, m := range messages {
		news[i], _ = parseOne([]byte(aws.ToString(m.Body)))
	}
	var done []types.DeleteMessageBatchRequestEntry
	for i, err := range invalidate(ctx, consumer, news) {
		m := messages[i]
		if err != nil && ctx.Err() != nil {
			continue // the program ends; the queue delivers it again
		}
		if err != nil {
			slog.WarnContext(ctx, "a changed secret cannot be read", "error", err)
			if received(m) < maxReceives {
				continue // the queue delivers it again
			}
		}
		done = append(done, types.DeleteMessageBatchRequestEntry{Id: m.MessageId, ReceiptHandle: m.ReceiptHandle})
	}
	return done
}

// received is how often a message was, this time included.
func received(m types.Message) int {
	n, err := strconv.Atoi(m.Attributes[string(types.MessageSystemAttributeNameApproximateReceiveCount)])
	if err != nil {
		return 1
	}
	return n
}
