package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rekey-go/rekey/internal/stage"
)

// An app is one run of the command.
type app struct {
	*printer
	stage string
}

// run runs the command with the given arguments and returns its exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{printer: newPrinter(stdin, stdout, stderr)}
	root := a.root() //nolint:contextcheck // the commands take theirs from ExecuteContext.
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if code, ok := errors.AsType[saidError](err); ok {
		return int(code)
	}
	if err != nil && ctx.Err() != nil {
		err = ctx.Err() // whatever failed, failed because of the interrupt
	}
	if err != nil {
		return report(stderr, a.explain(err))
	}
	return exitDone
}

// A saidError ends the command with its code after everything was said.
type saidError int

// Error is never printed.
func (e saidError) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "rekey",
		Short: "Rotate secrets on AWS under full load, tell every consumer, and prove when the old value was safe to revoke",
		Long: `Rekey rotates secrets on AWS under full load, tells every consumer within
seconds, and proves when the old value was safe to revoke.

Start with "rekey demo": the whole story on this machine, no account needed.
"rekey up" keeps the same system running; the other commands talk to it, or to
AWS, by the variables and profiles that the aws CLI reads.

Exit codes: 0 done, 1 usage or local, 2 AWS answered with an error,
3 the rotation failed, 4 not found, 5 the audit found what --fail-on names,
130 interrupted.`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
		PersistentPreRun:  func(*cobra.Command, []string) { a.stage = cmp.Or(a.stage, os.Getenv("REKEY_STAGE"), stage.Default) },
	}
	root.PersistentFlags().BoolVar(&a.json, "json", false, "print data as JSON")
	root.PersistentFlags().StringVar(&a.stage, "stage", "", "deployment stage, the prefix of every name (default REKEY_STAGE, or dev)")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return withHint(err, "rekey "+strings.TrimPrefix(cmd.CommandPath(), "rekey ")+" --help lists the flags")
	})
	root.AddCommand(
		a.demoCommand(), a.upCommand(),
		a.listCommand(), a.statusCommand(), a.getCommand(), a.putCommand(), a.rotateCommand(), a.rollbackCommand(), a.planCommand(), a.doctorCommand(), a.retireCommand(), a.auditCommand(), a.containCommand(), a.clockCommand(), a.policyCommand(), a.agentCommand(), a.execCommand(),
		a.deployCommand(), a.destroyCommand(), a.costCommand(), a.historyCommand(),
		a.versionCommand(), functionCommand(), extensionCommand(), consumerCommand(),
	)
	return root
}

// exactly wants n arguments and says which.
func exactly(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == len(names) {
			return nil
		}
		return withHint(fmt.Errorf("%s takes %s, got %d arguments", cmd.CommandPath(), countOf(names), len(args)), "usage: "+cmd.UseLine())
	}
}

func countOf(names []string) string {
	if len(names) == 0 {
		return "no argument"
	}
	return strings.Join(names, " and ")
}
