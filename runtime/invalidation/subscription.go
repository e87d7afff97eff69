package invalidation

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

// The tags of a queue. They say whose it is to who finds it, and the last one
// whether that process is alive.
const (
	tagOwner     = "rekey:owner"
	tagHost      = "rekey:host"
	tagPid       = "rekey:pid"
	tagCreated   = "rekey:created-at"
	tagHeartbeat = "rekey:heartbeat"
)

const (
	targetID = "queue"
	// retention is for how long a queue keeps what nobody takes, in seconds: who
	// was away for longer has looked at the bulletin, or reads again.
	retention = "300"
)

// newName names a subscription: its queue and its rule. The name says since
// when it is, so that nobody takes one that is being made for a dead one.
func (s *subscriber) newName() string {
	return s.opts.Prefix + strconv.FormatInt(s.opts.now().Unix(), 36) + "-" + strings.ToLower(rand.Text()[:10])
}

// bornOf is the time in a name of this prefix; zero where there is none.
func (s *subscriber) bornOf(name string) time.Time {
	text, _, _ := strings.Cut(strings.TrimPrefix(name, s.opts.Prefix), "-")
	seconds, err := strconv.ParseInt(text, 36, 64)
	if err != nil {
		return time.Time{}
	}
	return time.Unix(seconds, 0)
}

func stamp(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }

// open makes the rule, the queue that takes messages from that rule alone, and
// joins the two.
func (s *subscriber) open(ctx context.Context, name string) (queueURL string, err error) {
	rule, err := s.opts.Rules.PutRule(ctx, &eventbridge.PutRuleInput{
		Name: &name, EventBusName: &s.bus, EventPattern: &s.opts.Pattern,
		Description: aws.String("Fills the queue of one process, which removes it when it ends"),
	})
	if err != nil {
		return "", fmt.Errorf("making the rule %s: %w", name, err)
	}
	at, err := arn.Parse(aws.ToString(rule.RuleArn))
	if err != nil {
		return "", fmt.Errorf("reading the ARN of the rule %s: %w", name, err)
	}
	at.Service, at.Resource = "sqs", name
	queue, err := s.opts.Queues.CreateQueue(ctx, &sqs.CreateQueueInput{
		QueueName: &name, Tags: s.tags(),
		Attributes: map[string]string{
			"MessageRetentionPeriod": retention, "ReceiveMessageWaitTimeSeconds": strconv.Itoa(longPoll),
			"SqsManagedSseEnabled": "true", "Policy": queuePolicy(at.String(), aws.ToString(rule.RuleArn)),
		},
	})
	if err != nil {
		return "", fmt.Errorf("making the queue %s: %w", name, err)
	}
	out, err := s.opts.Rules.PutTargets(ctx, &eventbridge.PutTargetsInput{
		Rule: &name, EventBusName: &s.bus, Targets: []types.Target{{Id: aws.String(targetID), Arn: aws.String(at.String())}},
	})
	if err != nil {
		return "", fmt.Errorf("making the queue the target of the rule %s: %w", name, err)
	}
	if out.FailedEntryCount > 0 && len(out.FailedEntries) > 0 {
		return "", fmt.Errorf("making the queue the target of the rule %s: EventBridge answered %s: %s", name,
			aws.ToString(out.FailedEntries[0].ErrorCode), aws.ToString(out.FailedEntries[0].ErrorMessage))
	}
	return aws.ToString(queue.QueueUrl), nil
}

// queuePolicy lets one rule send to a queue.
func queuePolicy(queueARN, ruleARN string) string {
	policy, err := json.Marshal(map[string]any{
		"Version": "2012-10-17",
		"Statement": []any{map[string]any{
			"Effect": "Allow", "Principal": map[string]string{"Service": "events.amazonaws.com"},
			"Action": "sqs:SendMessage", "Resource": queueARN,
			"Condition": map[string]any{"ArnEquals": map[string]string{"aws:SourceArn": ruleARN}},
		}},
	})
	if err != nil {
		return "" // texts can be written
	}
	return string(policy)
}

func (s *subscriber) tags() map[string]string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	now := stamp(s.opts.now())
	return map[string]string{
		tagOwner: filepath.Base(os.Args[0]), tagHost: host, tagPid: strconv.Itoa(os.Getpid()),
		tagCreated: now, tagHeartbeat: now,
	}
}

// remove removes a subscription. The queue goes first: a process that is alive
// after all finds out by that, and subscribes again. What is gone already is no
// error, so several may do this at once.
func (s *subscriber) remove(ctx context.Context, name string) error {
	var errs []error
	url, err := s.queueURL(ctx, name)
	if err == nil {
		_, err = s.opts.Queues.DeleteQueue(ctx, &sqs.DeleteQueueInput{QueueUrl: &url})
	}
	if err != nil && !isGone(err) {
		errs = append(errs, fmt.Errorf("removing the queue %s: %w", name, err))
	}
	_, err = s.opts.Rules.RemoveTargets(ctx, &eventbridge.RemoveTargetsInput{Rule: &name, EventBusName: &s.bus, Ids: []string{targetID}})
	if err == nil {
		_, err = s.opts.Rules.DeleteRule(ctx, &eventbridge.DeleteRuleInput{Name: &name, EventBusName: &s.bus})
	}
	if _, gone := errors.AsType[*types.ResourceNotFoundException](err); err != nil && !gone {
		errs = append(errs, fmt.Errorf("removing the rule %s: %w", name, err))
	}
	return errors.Join(errs...)
}

// queueURL finds a queue by its name.
func (s *subscriber) queueURL(ctx context.Context, name string) (string, error) {
	out, err := s.opts.Queues.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: &name})
	if err != nil {
		return "", err
	}
	return aws.ToString(out.QueueUrl), nil
}
