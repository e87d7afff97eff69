package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/smithy-go/logging"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/rekey-go/rekey/internal/deploy"
	"github.com/rekey-go/rekey/internal/stack"
)

// stackFlags are those of everything that is about a stack.
type stackFlags struct {
	name, region, profile, role string
	yes                         bool
}

func (f *stackFlags) register(cmd *cobra.Command, what string) {
	cmd.Flags().StringVar(&f.name, "stack", "", "name of the stack (default rekey-STAGE)")
	cmd.Flags().StringVar(&f.region, "region", "", "AWS Region (default as the aws CLI has it)")
	cmd.Flags().StringVar(&f.profile, "profile", "", "profile of the AWS configuration")
	cmd.Flags().StringVar(&f.role, "role-arn", "", "role with whose rights CloudFormation works, from now on (default the one that the stack has, or your own rights)")
	cmd.Flags().BoolVarP(&f.yes, "yes", "y", false, what)
}

// target loads the configuration and names the stack.
func (a *app) target(ctx context.Context, f stackFlags) (aws.Config, *deploy.Stack, error) {
	opts := []func(*config.LoadOptions) error{config.WithLogger(logging.Nop{})} // what fails is told by the commands
	if f.region != "" {
		opts = append(opts, config.WithRegion(f.region))
	}
	if f.profile != "" {
		opts = append(opts, config.WithSharedConfigProfile(f.profile))
	}
	cfg, err := a.config(ctx, opts...)
	if err != nil {
		return cfg, nil, err
	}
	s := deploy.NewStack(cfg, cmp.Or(f.name, stack.Name(a.stage)))
	s.RoleARN = f.role
	var began time.Time
	s.Follow = func(e deploy.Event) {
		if began.IsZero() {
			began = time.Now()
		}
		a.event(e, time.Since(began))
	}
	if endpoint := os.Getenv("AWS_ENDPOINT_URL"); onThisMachine(endpoint) {
		cfg.BaseEndpoint = &endpoint
		s.Pace = 50 * time.Millisecond
	}
	return cfg, s, nil
}

// event prints what became of a resource.
func (a *app) event(e deploy.Event, after time.Duration) {
	if strings.HasSuffix(e.Status, "_IN_PROGRESS") && e.Type != "AWS::CloudFormation::Stack" {
		return // its end follows
	}
	colour := grey
	switch {
	case e.Failed():
		colour = red
	case strings.HasSuffix(e.Status, "_COMPLETE"):
		colour = green
	}
	a.note("%7.1fs  %s  %s  %s", after.Seconds(), a.paint(colour, fmt.Sprintf("%-27s", e.Status)), e.LogicalID, a.paint(grey, e.Type))
	if e.Failed() || e.Reason != "" && strings.HasSuffix(e.Status, "ROLLBACK_IN_PROGRESS") {
		a.note("          %s", oneLine(e.Reason))
	}
}

// errDeclined ends a command that was not agreed to.
var errDeclined = errors.New("nothing was done")

// agree asks whether to do something, unless --yes has answered.
func (a *app) agree(yes bool, what string) error {
	if yes {
		return nil
	}
	if f, ok := a.stdin.(*os.File); !ok || !term.IsTerminal(int(f.Fd())) {
		return withHint(fmt.Errorf("%w: there is nobody to ask", errDeclined), "say --yes to "+what)
	}
	fmt.Fprintf(a.stderr, "%s? [y/N] ", what)
	line, err := bufio.NewReader(a.stdin).ReadString('\n')
	if answer := strings.ToLower(strings.TrimSpace(line)); err != nil || answer != "y" && answer != "yes" {
		return errDeclined
	}
	return nil
}
