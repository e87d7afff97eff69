package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/rekey-go/rekey/internal/demo"
	"github.com/rekey-go/rekey/internal/stack"
)

func (a *app) demoCommand() *cobra.Command {
	var reportPath, templateFile string
	var verbose bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run the whole story once: rotate a real PostgreSQL login under load, and prove it",
		Args:  exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.demo(cmd.Context(), templateFile, reportPath, verbose)
		},
	}
	cmd.Flags().StringVar(&templateFile, "template", "", "template to run in place of the built-in template.yaml, such as one with a permission less")
	cmd.Flags().StringVar(&reportPath, "report", "", "path of the HTML report (default in a new temporary folder)")
	cmd.Flags().BoolVar(&verbose, "verbose", false, "show what the functions print")
	return cmd
}

func (a *app) demo(ctx context.Context, templateFile, reportPath string, verbose bool) error {
	if reportPath == "" {
		dir, err := os.MkdirTemp("", "rekey-demo-")
		if err != nil {
			return fmt.Errorf("making a folder for the report: %w", err)
		}
		reportPath = filepath.Join(dir, "report.html")
	}
	opts := stack.Options{Parameters: demo.Parameters(), Command: commandFor, Progress: a.stderr}
	if err := readTemplate(&opts, templateFile); err != nil {
		return err
	}
	opts.Parameters["Stage"] = a.stage
	if verbose {
		opts.Logs = a.stderr
	}
	a.note("        starting the engine from %s, and PostgreSQL with TLS and scram-sha-256", opts.TemplateFile)
	s, err := stack.Start(ctx, opts)
	if err != nil {
		return explainStart(err, upFlags{stack: opts})
	}
	result, err := demo.Run(ctx, demo.Options{
		Stack: s, Report: reportPath, Say: a.note,
		Consumer: a.consumerProcess,
	})
	refused := demo.Refusals(s)
	if err = errors.Join(err, s.Close(context.WithoutCancel(ctx))); err != nil {
		return withHint(err, refused...)
	}
	if err := a.data(result, func(w io.Writer) { a.summary(w, result) }); err != nil {
		return err
	}
	if !result.OK() {
		return saidError(exitLocal)
	}
	return nil
}

// consumerProcess is this binary as the long-running consumer.
func (a *app) consumerProcess(ctx context.Context) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		self = os.Args[0]
	}
	cmd := exec.CommandContext(ctx, self, "consumer") //nolint:gosec // this very binary.
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.TempDir()}
	cmd.Stderr = a.stderr
	dieWithParent(cmd)
	return cmd
}

func (a *app) summary(w io.Writer, r *demo.Result) {
	mark := func(ok bool) string {
		if ok {
			return a.paint(green, "ok")
		}
		return a.paint(red, "FAILED")
	}
	row := func(ok bool, name, format string, args ...any) {
		fmt.Fprintf(w, "%-11s %-44s %s\n", name, fmt.Sprintf(format, args...), mark(ok))
	}
	fmt.Fprintln(w)
	row(r.Failed == 0, "requests", "%d sent, %d failed", r.Requests, r.Failed)
	row(r.Rotations == 4, "rotations", "%d of 4, one with its function killed", r.Rotations)
	row(true, "freshness", "p50 %.0f ms, max %.0f ms, %d environments", r.Fresh.P50, r.Fresh.Max, r.Environments)
	row(true, "", "the long-running process: p50 %.0f ms, max %.0f ms", r.Pushed.P50, r.Pushed.Max)
	row(r.Revoked, "revoked", "the server refuses the superseded logins")
	row(r.Laggards == 0, "laggards", "%d", r.Laggards)
	row(len(r.Refused) == 0, "policies", "%d kinds of calls refused", len(r.Refused))
	for _, refused := range r.Refused {
		fmt.Fprintf(w, "  %s\n", refused)
	}
	if r.FirstFailure != "" {
		fmt.Fprintf(w, "first failure: %s\n", r.FirstFailure)
	}
	fmt.Fprintf(w, "report      %s\n", r.Report)
}
