package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/spf13/cobra"

	"github.com/rekey-go/rekey/internal/question"
	"github.com/rekey-go/rekey/rotation"
)

// planned is what plan tells of a rotation that is not made.
type planned struct {
	rotation.Preview
	Consumers []consumerStatus `json:"consumers"`
	// Stale is how long the consumer that is slowest may hold the old version,
	// in seconds: until its lease runs out.
	Stale float64 `json:"staleSeconds"`
}

func (a *app) planCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "plan NAME",
		Short: "Check what a rotation needs, without making it",
		Long: `Check what a rotation of a secret needs, without making it: that its database or
service is reached over TLS that is verified, that logins and rights are there,
that the value has the right form, that there is room for a version. The secret's
rotation function does the checking. Who holds the secret, and how long they may
use the old version, is told too.`,
		Args: exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := a.plan(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if err := a.data(p, func(w io.Writer) { p.print(w) }); err != nil || p.OK {
				return err
			}
			if c := p.failing(); c != nil {
				return withCode(exitRotation, fmt.Errorf("%s: a rotation would fail: %s", p.Name, c.Why.Code), c.Name+": "+c.Why.Next)
			}
			return withCode(exitRotation, fmt.Errorf("%s: a rotation would fail", p.Name))
		},
	}
}

// plan asks the secret's rotation function.
func (a *app) plan(ctx context.Context, name string) (planned, error) {
	var p planned
	cfg, err := a.config(ctx)
	if err != nil {
		return p, err
	}
	if err := a.ask(ctx, cfg, question.Plan, name, &p.Preview); err != nil {
		return p, err
	}
	board := a.bulletin(cfg)
	s, err := a.status(ctx, secretsmanager.NewFromConfig(cfg), board, name)
	p.Name, p.Consumers = s.Name, s.Consumers
	for _, c := range s.Consumers {
		p.Stale = max(p.Stale, time.Until(c.Expires).Seconds())
	}
	return p, err
}

// failing is the first check that failed, or nil.
func (p planned) failing() *rotation.Check {
	for i, c := range p.Checks {
		if !c.OK && c.Why != nil {
			return &p.Checks[i]
		}
	}
	return nil
}

func (p planned) print(w io.Writer) {
	fmt.Fprintf(w, "%s\n\n", p.Name)
	t := tabwriter.NewWriter(w, 2, 0, 2, ' ', 0)
	for _, c := range p.Checks {
		mark := "ok"
		if !c.OK {
			mark = "FAILS"
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\n", mark, c.Name, oneLine(c.Detail))
	}
	_ = t.Flush() // as in printSecrets
	fmt.Fprintf(w, "\n  %d consumers hold the secret", len(p.Consumers))
	if p.Stale > 0 {
		fmt.Fprintf(w, "; each takes a new version over within %s, or asks first", time.Duration(p.Stale*float64(time.Second)).Round(time.Second))
	}
	fmt.Fprintln(w)
}
