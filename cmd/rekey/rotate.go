package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/spf13/cobra"

	"github.com/rekey-go/rekey/internal/follow"
	"github.com/rekey-go/rekey/rotation"
)

// rotateResult is what rotate tells of a rotation.
type rotateResult struct {
	Name      string  `json:"name"`
	ARN       string  `json:"arn"`
	VersionID string  `json:"versionId"`
	Status    string  `json:"status"` // started or finished
	Seconds   float64 `json:"seconds,omitempty"`
}

func (a *app) rotateCommand() *cobra.Command {
	var wait bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "rotate NAME",
		Short: "Rotate a secret now; --wait follows it to its end",
		Args:  exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := a.config(cmd.Context())
			if err != nil {
				return err
			}
			client := secretsmanager.NewFromConfig(cfg)
			began := time.Now()
			out, err := client.RotateSecret(cmd.Context(), &secretsmanager.RotateSecretInput{SecretId: new(a.secretID(args[0]))})
			if refused, ok := errors.AsType[*types.InvalidRequestException](err); ok && strings.Contains(refused.ErrorMessage(), "previous rotation") {
				return withHint(refused, doctorHint(args[0]))
			}
			if err != nil {
				return err
			}
			result := rotateResult{
				Name: a.logical(aws.ToString(out.Name)), ARN: aws.ToString(out.ARN), VersionID: aws.ToString(out.VersionId), Status: "started",
			}
			if wait {
				if err := a.follow(cmd.Context(), client, cloudtrail.NewFromConfig(cfg), result, began, timeout); err != nil {
					return err
				}
				result.Status, result.Seconds = "finished", time.Since(began).Seconds()
			}
			return a.data(result, func(w io.Writer) { result.print(w) })
		},
	}
	cmd.Flags().BoolVar(&wait, "wait", false, "show the steps, and end when the new version is current")
	cmd.Flags().DurationVar(&timeout, "timeout", 5*time.Minute, "how long --wait waits")
	return cmd
}

func (r rotateResult) print(w io.Writer) {
	if r.Status == "started" {
		fmt.Fprintf(w, "%s: rotation to version %s started\n", r.Name, r.VersionID)
		return
	}
	fmt.Fprintf(w, "%s rotated in %.2f s, version %s is current\n", r.Name, r.Seconds, r.VersionID)
}

// doctorHint says what helps where a rotation stands in the way of others.
func doctorHint(name string) string {
	return fmt.Sprintf("\"rekey doctor %s\" shows what the rotation left, and with --fix sets it right", name)
}

// follow shows the steps of a rotation until it ends.
func (a *app) follow(ctx context.Context, client *secretsmanager.Client, trail *cloudtrail.Client, r rotateResult, began time.Time, timeout time.Duration) error {
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := follow.Rotation{
		Secrets: client, Trail: trail, ARN: r.ARN, VersionID: r.VersionID, Started: began,
		Progress: func(m follow.Milestone) {
			a.note("%s %-8s %s", a.paint(grey, fmt.Sprintf("%6.2fs", m.After.Seconds())), m.What, oneLine(m.Detail))
		},
	}.Wait(limited)
	switch {
	case errors.Is(err, follow.ErrFailed):
		hints := []string{"the value that was current still is; the log of the rotation function says more", doctorHint(r.Name)}
		if c := a.lacking(ctx, r.Name); c != nil {
			return withCode(exitRotation, fmt.Errorf("%s: %w: %s: %s", r.Name, err, c.Why.Code, c.Detail), append(hints, c.Why.Next)...)
		}
		return withCode(exitRotation, fmt.Errorf("%s: %w", r.Name, err), hints...)
	case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
		return withCode(exitRotation, fmt.Errorf("%s: the rotation is not finished after %v", r.Name, timeout),
			fmt.Sprintf("Secrets Manager goes on trying; look again with \"rekey status %s\"", r.Name))
	default:
		return err
	}
}

// lacking asks the function what a rotation that failed lacks, which no record
// tells: the check that fails, or nil.
func (a *app) lacking(ctx context.Context, name string) *rotation.Check {
	p, err := a.plan(ctx, name)
	if err != nil {
		return nil
	}
	under := rotation.Explain(rotation.ErrInUse).Code // the rotation that failed, which is tried again
	p.Checks = slices.DeleteFunc(p.Checks, func(c rotation.Check) bool { return c.Why != nil && c.Why.Code == under })
	return p.failing()
}
