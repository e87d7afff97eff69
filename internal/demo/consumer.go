package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strconv"
	"syscall"

	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/rekey-go/rekey/internal/local"
)

// A consumer is the long-running consumer process.
type consumer struct {
	cmd    *exec.Cmd
	output bytes.Buffer
}

// startConsumer gives the process a queue of its own on the bus, as each
// long-running process has one, and starts it.
func (s *story) startConsumer(ctx context.Context) (*consumer, error) {
	queue, err := s.subscribe(ctx)
	if err != nil {
		return nil, fmt.Errorf("making the consumer's queue: %w", err)
	}
	engine := s.Stack.Engine
	c := &consumer{cmd: s.Consumer(context.WithoutCancel(ctx))}
	c.cmd.Env = append(c.cmd.Env,
		"AWS_ENDPOINT_URL="+engine.Endpoint(), "AWS_REGION="+local.Region,
		"AWS_ACCESS_KEY_ID=reporting-service", "AWS_SECRET_ACCESS_KEY=reporting-service",
		"REKEY_STAGE="+s.Stack.Stage, "REKEY_QUEUE="+queue, "REKEY_BULLETIN="+s.Stack.Stage+"-rekey-bulletin",
		"REKEY_CHECK_INTERVAL="+engine.Parameter("CheckInterval"), "REKEY_LEASE="+engine.Parameter("Lease"),
		"REKEY_DATABASE_PORT="+strconv.Itoa(s.Stack.Database.Port), "REKEY_DATABASE_NAME=app",
		"REKEY_DATABASE_CA="+s.Stack.Database.CA,
	)
	c.cmd.Stdout = &c.output
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the consumer process: %w", err)
	}
	s.say("consumer process started (pid %d), with a queue of its own", c.cmd.Process.Pid)
	return c, nil
}

// subscribe makes a queue that gets every event of a rotation.
func (s *story) subscribe(ctx context.Context) (queueURL string, err error) {
	name, bus := s.Stack.Stage+"-rekey-reporting", s.Stack.Stage+"-rekey"
	rules := eventbridge.NewFromConfig(s.Stack.Config())
	rule, err := rules.PutRule(ctx, &eventbridge.PutRuleInput{
		Name: &name, EventBusName: &bus, EventPattern: new(`{"source":["rekey"],"detail-type":["Secret Rotated"]}`),
	})
	if err != nil {
		return "", err
	}
	arn := fmt.Sprintf("arn:aws:sqs:%s:%s:%s", local.Region, local.Account, name)
	policy := fmt.Sprintf(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"events.amazonaws.com"},"Action":"sqs:SendMessage","Resource":%q,"Condition":{"ArnEquals":{"aws:SourceArn":%q}}}}`, arn, *rule.RuleArn)
	queue, err := sqs.NewFromConfig(s.Stack.Config()).CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: &name, Attributes: map[string]string{"Policy": policy}})
	if err != nil {
		return "", err
	}
	_, err = rules.PutTargets(ctx, &eventbridge.PutTargetsInput{
		Rule: &name, EventBusName: &bus, Targets: []types.Target{{Id: new("queue"), Arn: &arn}},
	})
	return *queue.QueueUrl, err
}

// stop ends the process as an orchestrator does and reads its count.
func (c *consumer) stop() (Tally, error) {
	var t Tally
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return t, fmt.Errorf("stopping the consumer process: %w", err)
	}
	if err := c.cmd.Wait(); err != nil {
		return t, fmt.Errorf("the consumer process ended badly: %w", err)
	}
	if err := json.Unmarshal(c.output.Bytes(), &t); err != nil {
		return t, fmt.Errorf("reading what the consumer process counted: %w", err)
	}
	return t, nil
}
