package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/spf13/cobra"

	"github.com/rekey-go/rekey/audit"
)

// rotated is a rotation with the labels that its version has now.
type rotated struct {
	audit.Rotation
	Labels []string `json:"labels,omitempty"`
}

func (a *app) historyCommand() *cobra.Command {
	var since string
	cmd := &cobra.Command{
		Use:   "history NAME",
		Short: "Show the rotations of a secret, the latest last",
		Args:  exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			rows, err := a.history(cmd, args[0], since)
			if err != nil {
				return err
			}
			return a.data(map[string]any{"name": a.logical(args[0]), "rotations": rows}, func(w io.Writer) { printHistory(w, rows) })
		},
	}
	cmd.Flags().StringVar(&since, "since", "90d", "look back so far, or to this time: 24h, 2026-01-31, or RFC 3339; CloudTrail's event history has 90 days")
	return cmd
}

// history joins what the trail tells with the labels of the versions.
func (a *app) history(cmd *cobra.Command, name, since string) ([]rotated, error) {
	opts := audit.Options{Now: time.Now()}
	var err error
	if opts.From, err = timeOf("--since", since, opts.Now); err != nil {
		return nil, err
	}
	client, err := a.secretsManager(cmd.Context())
	if err != nil {
		return nil, err
	}
	about, err := client.DescribeSecret(cmd.Context(), &secretsmanager.DescribeSecretInput{SecretId: new(a.secretID(name))})
	if err != nil {
		return nil, err
	}
	opts.Secrets = []string{aws.ToString(about.Name)}
	records, err := a.read(cmd, nil, reading{from: opts.From})
	if err != nil {
		return nil, err
	}
	report, err := audit.Summarize(cmd.Context(), records.source, opts)
	if err != nil {
		return nil, err
	}
	rows := []rotated{}
	for _, s := range report.Secrets {
		for _, r := range s.Rotations {
			rows = append(rows, rotated{r, about.VersionIdsToStages[r.VersionID]})
		}
	}
	return rows, nil
}

func printHistory(w io.Writer, rows []rotated) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "STARTED\tTOOK\tSTATUS\tVERSION\tLABELS\tASKED FOR BY\tWHY")
	for _, r := range rows {
		by, took := r.RequestedBy, "-"
		if by == "" {
			by = "schedule"
		}
		switch d := r.Duration(); {
		case d > 0:
			took = d.String()
		case !r.Started.IsZero() && !r.Ended.IsZero():
			took = "<1s" // records have seconds
		}
		why := strings.TrimSpace(r.Step + " " + r.Message)
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", dash(day(&r.Started)), took, r.Status, short(r.VersionID), dash(strings.Join(r.Labels, " ")), by, oneLine(why))
	}
	_ = t.Flush() // as in printSecrets
}
