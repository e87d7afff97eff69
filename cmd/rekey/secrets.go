package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/rekey-go/rekey/internal/stage"
	"github.com/rekey-go/rekey/rotation"
)

// secretRow is what list tells of a secret.
type secretRow struct {
	Name           string     `json:"name"`
	ARN            string     `json:"arn"`
	Description    string     `json:"description,omitempty"`
	CurrentVersion string     `json:"currentVersion,omitempty"`
	Rotates        bool       `json:"rotates"`
	LastRotated    *time.Time `json:"lastRotated,omitempty"`
	NextRotation   *time.Time `json:"nextRotation,omitempty"`
}

func (a *app) listCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the secrets of the stage",
		Args:  exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := a.secretsManager(cmd.Context())
			if err != nil {
				return err
			}
			secrets, err := stage.List(cmd.Context(), client, a.stage, false)
			if err != nil {
				return err
			}
			rows := make([]secretRow, 0, len(secrets))
			for _, s := range secrets {
				rows = append(rows, secretRow{
					Name: a.logical(aws.ToString(s.Name)), ARN: aws.ToString(s.ARN), Description: aws.ToString(s.Description),
					CurrentVersion: rotation.VersionWith(s.SecretVersionsToStages, rotation.LabelCurrent), Rotates: aws.ToBool(s.RotationEnabled),
					LastRotated: s.LastRotatedDate, NextRotation: s.NextRotationDate,
				})
			}
			return a.data(map[string]any{"secrets": rows}, func(w io.Writer) { printSecrets(w, rows) })
		},
	}
}

func printSecrets(w io.Writer, rows []secretRow) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tVERSION\tROTATED\tNEXT\tDESCRIPTION")
	for _, r := range rows {
		version := short(r.CurrentVersion)
		if version == "" {
			version = "(no value)"
		}
		next := dash(day(r.NextRotation))
		if !r.Rotates {
			next = "-"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", r.Name, version, dash(day(r.LastRotated)), next, r.Description)
	}
	_ = t.Flush() // standard output that is gone ends the command by itself
}

func day(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04")
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func (a *app) getCommand() *cobra.Command {
	var reveal bool
	var version string
	cmd := &cobra.Command{
		Use:   "get NAME",
		Short: "Show which version is current; its value only with --reveal",
		Args:  exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := a.secretsManager(cmd.Context())
			if err != nil {
				return err
			}
			in := &secretsmanager.GetSecretValueInput{SecretId: new(a.secretID(args[0]))}
			if version != "" {
				in.VersionId = &version
			}
			out, err := client.GetSecretValue(cmd.Context(), in)
			if err != nil {
				return err
			}
			return a.printValue(out, reveal)
		},
	}
	cmd.Flags().BoolVar(&reveal, "reveal", false, "print the value")
	cmd.Flags().StringVar(&version, "version", "", "the version's id (default the one with AWSCURRENT)")
	return cmd
}

func (a *app) printValue(out *secretsmanager.GetSecretValueOutput, reveal bool) error {
	value := aws.ToString(out.SecretString)
	if out.SecretBinary != nil {
		value = string(out.SecretBinary)
	}
	about := map[string]any{
		"name": a.logical(aws.ToString(out.Name)), "arn": aws.ToString(out.ARN), "versionId": aws.ToString(out.VersionId),
		"labels": out.VersionStages, "created": out.CreatedDate, "bytes": len(value),
	}
	if reveal {
		about["value"] = value
	}
	return a.data(about, func(w io.Writer) {
		if reveal {
			fmt.Fprintln(w, value)
			return
		}
		fmt.Fprintf(w, "%s  version %s  %s  %d bytes\n", about["name"], aws.ToString(out.VersionId), strings.Join(out.VersionStages, " "), len(value))
		a.note("rekey: hint: --reveal prints the value")
	})
}

func (a *app) putCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "put NAME",
		Short: "Store a value, read from standard input or asked for",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return withHint(errors.New("a value is not taken from the arguments, where process lists and shell histories show it"),
					"pipe it: rekey put NAME < value.json")
			}
			return exactly("NAME")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			value, err := a.readValue(args[0])
			if err != nil {
				return err
			}
			client, err := a.secretsManager(cmd.Context())
			if err != nil {
				return err
			}
			out, err := client.PutSecretValue(cmd.Context(), &secretsmanager.PutSecretValueInput{
				SecretId: new(a.secretID(args[0])), SecretString: &value,
			})
			if err != nil {
				return err
			}
			name, version := a.logical(aws.ToString(out.Name)), aws.ToString(out.VersionId)
			return a.data(map[string]any{"name": name, "arn": aws.ToString(out.ARN), "versionId": version}, func(w io.Writer) {
				fmt.Fprintf(w, "%s stored as version %s\n", name, version)
			})
		},
	}
}

// maxValue is the largest value that Secrets Manager takes, in bytes.
const maxValue = 65536

// readValue reads a value from the pipe, or asks for it without echo. One line
// break at the end, as echo and editors leave it, is not part of the value.
func (a *app) readValue(name string) (string, error) {
	var data []byte
	var err error
	if f, ok := a.stdin.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		fmt.Fprintf(a.stderr, "value of %s: ", name)
		data, err = term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(a.stderr)
	} else {
		data, err = io.ReadAll(io.LimitReader(a.stdin, maxValue+2))
	}
	if err != nil {
		return "", fmt.Errorf("reading the value: %w", err)
	}
	value := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	switch {
	case value == "":
		return "", withHint(errors.New("the value is empty"), "pipe it: rekey put NAME < value.json")
	case len(value) > maxValue:
		return "", withHint(fmt.Errorf("the value is larger than %d bytes", maxValue), "Secrets Manager takes no larger ones; store the key of an encrypted file instead")
	}
	return value, nil
}
