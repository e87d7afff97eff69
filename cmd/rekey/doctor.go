package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/spf13/cobra"

	"github.com/rekey-go/rekey/internal/question"
	"github.com/rekey-go/rekey/rotation"
)

// diagnosed is what doctor tells of a secret.
type diagnosed struct {
	rotation.Diagnosis
	Consumers []consumerStatus `json:"consumers"`
	// Fixed says that --fix made the move, and that nothing is wrong any more.
	Fixed bool `json:"fixed,omitempty"`
}

func (a *app) doctorCommand() *cobra.Command {
	var fix bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "doctor NAME",
		Short: "Show which version the target accepts, name the fault, and with --fix set it right",
		Long: `Show which versions of a secret its database or service accepts, which labels
they carry and which consumers hold them. Name the fault and the one safe move;
with --fix make it. The secret's rotation function does the asking, so that the
target is reached from where it is reached in a rotation.`,
		Args: exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := a.config(cmd.Context())
			if err != nil {
				return err
			}
			d, err := a.diagnose(cmd.Context(), cfg, args[0])
			if err != nil {
				return err
			}
			if fix && d.Move != rotation.MoveNone && d.Move != rotation.MoveHuman {
				if err := a.fix(cmd.Context(), cfg, d, timeout); err != nil {
					return err
				}
				if d, err = a.diagnose(cmd.Context(), cfg, args[0]); err != nil {
					return err
				}
				d.Fixed = d.Move == rotation.MoveNone
			}
			if err := a.data(d, func(w io.Writer) { d.print(w) }); err != nil {
				return err
			}
			return d.verdict()
		},
	}
	cmd.Flags().BoolVar(&fix, "fix", false, "make the move")
	cmd.Flags().DurationVar(&timeout, "timeout", 5*time.Minute, "how long --fix waits for a rotation")
	return cmd
}

// diagnose asks the function, and the bulletin who holds what.
func (a *app) diagnose(ctx context.Context, cfg aws.Config, name string) (diagnosed, error) {
	var d diagnosed
	if err := a.ask(ctx, cfg, question.Examine, name, &d.Diagnosis); err != nil {
		return d, err
	}
	board := a.bulletin(cfg)
	s, err := a.status(ctx, secretsmanager.NewFromConfig(cfg), board, name)
	d.Next = strings.ReplaceAll(d.Next, d.Name, s.Name) // commands take the logical name
	d.Name, d.Consumers = s.Name, s.Consumers
	return d, err
}

// fix makes the one safe move.
func (a *app) fix(ctx context.Context, cfg aws.Config, d diagnosed, timeout time.Duration) error {
	client := secretsmanager.NewFromConfig(cfg)
	if d.Move == rotation.MoveClear {
		a.note("rekey: taking AWSPENDING off version %s", d.VersionID)
		_, err := client.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{
			SecretId: &d.ARN, VersionStage: new(rotation.LabelPending), RemoveFromVersionId: &d.VersionID,
		})
		return err
	}
	began := time.Now()
	version := d.VersionID
	out, err := client.RotateSecret(ctx, &secretsmanager.RotateSecretInput{SecretId: &d.ARN})
	if _, reattempted := errors.AsType[*types.InvalidRequestException](err); reattempted && version != "" {
		err = nil // "That rotation will be reattempted."
	} else if err == nil {
		version = aws.ToString(out.VersionId)
	}
	if err != nil {
		return err
	}
	return a.follow(ctx, client, cloudtrail.NewFromConfig(cfg), rotateResult{Name: d.Name, ARN: d.ARN, VersionID: version}, began, timeout)
}

// verdict is an error unless nothing is wrong.
func (d diagnosed) verdict() error {
	switch d.Move {
	case rotation.MoveNone:
		return nil
	case rotation.MoveHuman:
		return withCode(exitRotation, fmt.Errorf("%s: %s", d.Name, d.Fault), d.Next)
	default:
		return withCode(exitRotation, fmt.Errorf("%s: %s", d.Name, d.Fault), fmt.Sprintf(`rekey doctor %s --fix will %s`, d.Name, d.Next))
	}
}

func (d diagnosed) print(w io.Writer) {
	fmt.Fprintf(w, "%s\n\n", d.Name)
	t := tabwriter.NewWriter(w, 2, 0, 2, ' ', 0)
	fmt.Fprintln(t, "  VERSION\tLABELS\tTHE TARGET\tHELD BY\t")
	for _, f := range d.Versions {
		holders := 0
		for _, c := range d.Consumers {
			if c.VersionID == f.VersionID {
				holders++
			}
		}
		detail := ""
		if f.State == rotation.StateUnknown { // the others say all in a word
			detail = oneLine(f.Detail)
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\t%d\t%s\n", f.VersionID, dash(strings.Join(f.Labels, " ")), f.State, holders, detail)
	}
	_ = t.Flush() // as in printSecrets
	fmt.Fprintf(w, "\n  fault  %s\n  next   %s\n", d.Fault, d.Next)
}
