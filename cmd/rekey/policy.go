package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rekey-go/rekey/internal/local"
)

func (a *app) policyCommand() *cobra.Command {
	var failOn string
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "Show which permissions of the template nothing used, and which calls lacked one",
		Long: `Show which permissions of the template nothing used, and which calls lacked one.

It tells of the local system's run until now: each statement of the template
that has allowed nothing, each that has allowed a part of what it says, and
each call that was refused, with the statement that is missing. With
"rekey up --iam off" nothing is refused, and the list says what would be.`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.policy(cmd.Context(), failOn) },
	}
	cmd.Flags().StringVar(&failOn, "fail-on", "", "end with exit code 1 if there is any: refused, unused, or both with a comma")
	return cmd
}

func (a *app) policy(ctx context.Context, failOn string) error {
	fail := strings.FieldsFunc(failOn, func(r rune) bool { return r == ',' })
	for _, kind := range fail {
		if kind != "refused" && kind != "unused" {
			return withHint(fmt.Errorf("--fail-on %q is neither refused nor unused", kind), "write --fail-on refused,unused")
		}
	}
	var report local.PolicyReport
	if err := askEngine(ctx, http.MethodGet, local.PolicyPath, nil, &report, "report on its policies"); err != nil {
		return err
	}
	if err := a.data(report, func(w io.Writer) { printPolicy(w, &report) }); err != nil {
		return err
	}
	if slices.Contains(fail, "refused") && len(report.Refused) > 0 || slices.Contains(fail, "unused") && len(report.Unused()) > 0 {
		return saidError(exitLocal)
	}
	return nil
}

func printPolicy(w io.Writer, report *local.PolicyReport) {
	idle := report.Unused()
	fmt.Fprintf(w, "%d statements, %d used by nothing; %d kinds of calls %s\n", len(report.Statements), len(idle), len(report.Refused), refusedWord(report))
	section(w, "used by nothing", idle, func(s local.PolicyStatement) string { return strings.Join(s.Actions, ", ") })
	partly := slices.DeleteFunc(slices.Clone(report.Statements), func(s local.PolicyStatement) bool {
		return len(s.UnusedActions)+len(s.UnusedResources) == 0
	})
	section(w, "used in part; not used", partly, func(s local.PolicyStatement) string {
		return strings.Join(slices.Concat(s.UnusedActions, s.UnusedResources), ", ")
	})
	for _, r := range report.Refused {
		printRefusal(w, &r)
	}
}

func refusedWord(report *local.PolicyReport) string {
	if report.Enforced {
		return "refused"
	}
	return "that would be refused"
}

func section(w io.Writer, title string, statements []local.PolicyStatement, what func(local.PolicyStatement) string) {
	if len(statements) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s:\n", title)
	for _, s := range statements {
		fmt.Fprintf(w, "  %-20s %-16s %s\n", fmt.Sprintf("%s:%d", s.File, s.Line), s.Of, what(s))
	}
}

func printRefusal(w io.Writer, r *local.PolicyRefusal) {
	fmt.Fprintf(w, "\n%s may not %s, %d times\n  on %s\n  %s\n", r.Who, r.Action, r.Count, r.Resource, r.Reason)
	if r.Near != "" {
		fmt.Fprintf(w, "  %s\n", r.Near)
	}
	if r.Statement == "" {
		return
	}
	place := ""
	if r.Line > 0 {
		place = fmt.Sprintf(" at %s:%d", r.File, r.Line)
	}
	fmt.Fprintf(w, "  add to %s%s:\n\n    %s\n", r.Into, place, strings.ReplaceAll(strings.TrimSpace(r.Statement), "\n", "\n    "))
}
