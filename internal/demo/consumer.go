package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"syscall"

	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	smithytime "github.com/aws/smithy-go/time"

	"github.com/rekey-go/rekey/internal/local"
)

// A consumer is the long-running consumer process.
type consumer struct {
	cmd    *exec.Cmd
	output bytes.Buffer
}

// startConsumer starts the process, which makes itself a queue on the bus, as
// each long-running process does.
func (s *story) startConsumer(ctx context.Context) (*consumer, error) {
	engine := s.Stack.Engine
	c := &consumer{cmd: s.Consumer(context.WithoutCancel(ctx))}
	c.cmd.Env = append(c.cmd.Env,
		"AWS_ENDPOINT_URL="+engine.Endpoint(), "AWS_REGION="+local.Region,
		"AWS_ACCESS_KEY_ID=reporting-service", "AWS_SECRET_ACCESS_KEY=reporting-service",
		"REKEY_STAGE="+s.Stack.Stage, "REKEY_BUS="+s.Stack.Stage+"-rekey", "REKEY_BULLETIN="+s.Stack.Stage+"-rekey-bulletin",
		"REKEY_CHECK_INTERVAL="+engine.Parameter("CheckInterval"), "REKEY_LEASE="+engine.Parameter("Lease"),
		"REKEY_DATABASE_PORT="+strconv.Itoa(s.Stack.Database.Port), "REKEY_DATABASE_NAME=app",
		"REKEY_DATABASE_CA="+s.Stack.Database.CA,
	)
	c.cmd.Stdout = &c.output
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the consumer process: %w", err)
	}
	if err := s.awaitQueue(ctx); err != nil {
		_, stopErr := c.stop()
		return nil, errors.Join(err, stopErr)
	}
	s.say("consumer process started (pid %d), with a queue of its own", c.cmd.Process.Pid)
	return c, nil
}

// awaitQueue waits until the process has made its queue.
func (s *story) awaitQueue(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	prefix := s.Stack.Stage + "-rekey-process-"
	rules := eventbridge.NewFromConfig(s.Stack.Config())
	for {
		made, err := rules.ListRules(ctx, &eventbridge.ListRulesInput{EventBusName: new(s.Stack.Stage + "-rekey"), NamePrefix: &prefix})
		if err != nil {
			return err
		}
		if len(made.Rules) > 0 {
			return nil
		}
		if err := smithytime.SleepWithContext(ctx, freshPoll); err != nil {
			return fmt.Errorf("waiting for the queue of the consumer process: %w", err)
		}
	}
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
