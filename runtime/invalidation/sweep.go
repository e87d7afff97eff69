package invalidation

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

// maxSwept is how many subscriptions are looked at in one sweep. They are taken
// by chance, so that many processes together look at all, and none asks for more
// than its share of the few calls a second that SQS allows for tags.
const maxSwept = 25

// sweep removes what processes left behind that were killed. What it cannot do
// is left to the next sweep, of whichever process.
func (s *subscriber) sweep(ctx context.Context, own string) {
	names, err := s.siblings(ctx, own)
	if err != nil {
		s.complain(ctx, err)
		return
	}
	rand.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] }) //nolint:gosec // spreads load, guards nothing
	for _, name := range names[:min(len(names), maxSwept)] {
		dead, err := s.isDead(ctx, name)
		if err == nil && dead {
			err = s.remove(ctx, name)
		}
		if err != nil {
			s.complain(ctx, err)
		} else if dead {
			s.opts.Logger.InfoContext(ctx, "removed the queue of a process that was killed", "queue", name)
		}
	}
}

func (s *subscriber) complain(ctx context.Context, err error) {
	if ctx.Err() == nil {
		s.opts.Logger.WarnContext(ctx, "queues of processes that were killed cannot be removed", "error", err)
	}
}

// siblings are the names of the subscriptions that are old enough to be dead:
// those that have a queue, a rule, or both.
func (s *subscriber) siblings(ctx context.Context, own string) ([]string, error) {
	found := map[string]bool{}
	queues := sqs.NewListQueuesPaginator(s.opts.Queues, &sqs.ListQueuesInput{QueueNamePrefix: &s.opts.Prefix, MaxResults: aws.Int32(1000)})
	for queues.HasMorePages() {
		page, err := queues.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("listing queues: %w", err)
		}
		for _, url := range page.QueueUrls {
			found[url[strings.LastIndexByte(url, '/')+1:]] = true
		}
	}
	rules := &eventbridge.ListRulesInput{EventBusName: &s.bus, NamePrefix: &s.opts.Prefix}
	for {
		page, err := s.opts.Rules.ListRules(ctx, rules)
		if err != nil {
			return nil, fmt.Errorf("listing rules: %w", err)
		}
		for _, rule := range page.Rules {
			found[aws.ToString(rule.Name)] = true
		}
		if rules.NextToken = page.NextToken; rules.NextToken == nil {
			break
		}
	}
	delete(found, own)
	var names []string
	for name := range found {
		if born := s.bornOf(name); !born.IsZero() && s.expired(born) {
			names = append(names, name)
		}
	}
	return names, nil
}

// isDead reports whether nobody has marked a queue as in use for too long, or
// whether there is none.
func (s *subscriber) isDead(ctx context.Context, name string) (bool, error) {
	url, err := s.queueURL(ctx, name)
	if isGone(err) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("looking for the queue %s: %w", name, err)
	}
	out, err := s.opts.Queues.ListQueueTags(ctx, &sqs.ListQueueTagsInput{QueueUrl: &url})
	if isGone(err) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading the tags of the queue %s: %w", name, err)
	}
	seconds, err := strconv.ParseInt(out.Tags[tagHeartbeat], 10, 64)
	if err != nil {
		return false, nil //nolint:nilerr // not one of ours: nothing here removes it
	}
	return s.expired(time.Unix(seconds, 0)), nil
}

func (s *subscriber) expired(at time.Time) bool {
	return s.opts.now().Sub(at) > missed*s.opts.Heartbeat
}
