package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/spf13/cobra"

	"github.com/rekey-go/rekey/internal/stage"
	"github.com/rekey-go/rekey/rotation"
	"github.com/rekey-go/rekey/runtime/bulletin"
)

// secretStatus is what status tells of a secret.
type secretStatus struct {
	Name           string              `json:"name"`
	ARN            string              `json:"arn"`
	CurrentVersion string              `json:"currentVersion,omitempty"`
	Versions       map[string][]string `json:"versions"`
	Rotates        bool                `json:"rotates"`
	LastRotated    *time.Time          `json:"lastRotated,omitempty"`
	NextRotation   *time.Time          `json:"nextRotation,omitempty"`
	Consumers      []consumerStatus    `json:"consumers"`
}

// consumerStatus is a consumer's environment with the version that it holds.
type consumerStatus struct {
	Consumer  string    `json:"consumer"`
	VersionID string    `json:"versionId"`
	Current   bool      `json:"current"`
	Since     time.Time `json:"since"`
	Expires   time.Time `json:"expires"`
}

func (a *app) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status [NAME]",
		Short: "Show the versions of a secret and which consumer holds which",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := a.config(cmd.Context())
			if err != nil {
				return err
			}
			client := secretsmanager.NewFromConfig(cfg)
			board := a.bulletin(cfg)
			names := args
			if len(names) == 0 {
				secrets, err := stage.List(cmd.Context(), client, a.stage, false)
				if err != nil {
					return err
				}
				for _, s := range secrets {
					names = append(names, aws.ToString(s.Name))
				}
			}
			all := make([]secretStatus, 0, len(names))
			for _, name := range names {
				s, err := a.status(cmd.Context(), client, board, name)
				if err != nil {
					return err
				}
				all = append(all, s)
			}
			if len(args) == 1 {
				return a.data(all[0], func(w io.Writer) { all[0].print(w) })
			}
			return a.data(map[string]any{"secrets": all}, func(w io.Writer) { printStatus(w, all) })
		},
	}
}

func (a *app) status(ctx context.Context, client *secretsmanager.Client, board *bulletin.Bulletin, name string) (secretStatus, error) {
	about, err := client.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: new(a.secretID(name))})
	if err != nil {
		return secretStatus{}, err
	}
	s := secretStatus{
		Name: a.logical(aws.ToString(about.Name)), ARN: aws.ToString(about.ARN), Versions: about.VersionIdsToStages,
		CurrentVersion: rotation.VersionWith(about.VersionIdsToStages, rotation.LabelCurrent), Rotates: aws.ToBool(about.RotationEnabled),
		LastRotated: about.LastRotatedDate, NextRotation: about.NextRotationDate, Consumers: []consumerStatus{},
	}
	leases, err := board.Leases(ctx, s.ARN)
	if err != nil {
		// A system without a bulletin has secrets all the same.
		a.note("rekey: warning: who holds which version is not known: %s", oneLine(err.Error()))
	}
	for _, l := range leases {
		if time.Now().After(l.Expires) {
			continue
		}
		s.Consumers = append(s.Consumers, consumerStatus{
			Consumer: l.Consumer, VersionID: l.VersionID, Current: l.VersionID == s.CurrentVersion, Since: l.Since, Expires: l.Expires,
		})
	}
	return s, nil
}

func (s secretStatus) print(w io.Writer) {
	fmt.Fprintf(w, "%s\n", s.Name)
	fmt.Fprintf(w, "  rotated %s, next %s\n\n", dash(day(s.LastRotated)), dash(day(s.NextRotation)))
	t := tabwriter.NewWriter(w, 2, 0, 2, ' ', 0)
	fmt.Fprintln(t, "  VERSION\tLABELS")
	for _, version := range slices.Sorted(maps.Keys(s.Versions)) {
		fmt.Fprintf(t, "  %s\t%s\n", version, strings.Join(slices.Sorted(slices.Values(s.Versions[version])), " "))
	}
	if len(s.Versions) == 0 {
		fmt.Fprintln(t, "  (no value)")
	}
	_ = t.Flush() // as in printSecrets
	fmt.Fprintln(w)
	fmt.Fprintln(t, "  CONSUMER\tHOLDS\tSINCE\tSTATE")
	for _, c := range s.Consumers {
		state := "current"
		if !c.Current {
			state = "OLD"
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\n", c.Consumer, short(c.VersionID), c.Since.UTC().Format("15:04:05.000"), state)
	}
	if len(s.Consumers) == 0 {
		fmt.Fprintln(t, "  (none)")
	}
	_ = t.Flush()
}

func printStatus(w io.Writer, all []secretStatus) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tVERSION\tPENDING\tROTATED\tNEXT\tCONSUMERS\tLAGGARDS")
	for _, s := range all {
		laggards := 0
		for _, c := range s.Consumers {
			if !c.Current {
				laggards++
			}
		}
		pending := rotation.VersionWith(s.Versions, rotation.LabelPending)
		if pending == s.CurrentVersion {
			pending = ""
		}
		version := short(s.CurrentVersion)
		if version == "" {
			version = "(no value)"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%d\t%d\n", s.Name, version, dash(short(pending)), dash(day(s.LastRotated)), dash(day(s.NextRotation)), len(s.Consumers), laggards)
	}
	_ = t.Flush() // as in printSecrets
}
