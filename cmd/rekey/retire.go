package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/rekey-go/rekey/functions/retire"
)

func (a *app) retireCommand() *cobra.Command {
	var order retire.Order
	cmd := &cobra.Command{
		Use:   "retire NAME",
		Short: "Revoke a superseded version now, unless a consumer holds it",
		Long: `Revoke a superseded version of a secret now, without the rest of its grace period.
It is refused while a consumer holds the version, and says which; with --force the
version is revoked all the same, and the command says whom that hurts. What is
current or pending is never revoked.`,
		Args: exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := a.config(cmd.Context())
			if err != nil {
				return err
			}
			order.SecretID = a.secretID(args[0])
			var out retire.Outcome
			if err := a.invoke(cmd.Context(), cfg, a.stage+"-retire", order, &out); err != nil {
				return err
			}
			out.Name = a.logical(out.Name)
			if err := a.data(out, func(w io.Writer) { printOutcome(w, out) }); err != nil || out.Retired {
				return err
			}
			hint := ""
			if len(out.Holders) > 0 {
				hint = "wait until they have taken the new version over, or hurt them with --force"
			}
			return withCode(exitRotation, fmt.Errorf("%s: not retired: %s", out.Name, oneLine(out.Reason)), hint)
		},
	}
	cmd.Flags().StringVar(&order.VersionID, "version", "", "the version to revoke (default the one with AWSPREVIOUS)")
	cmd.Flags().BoolVar(&order.Force, "force", false, "revoke it although consumers hold it")
	return cmd
}

func printOutcome(w io.Writer, out retire.Outcome) {
	if !out.Retired {
		return // the error says it
	}
	fmt.Fprintf(w, "%s: version %s is revoked: %s\n", out.Name, out.VersionID, oneLine(out.Reason))
}
