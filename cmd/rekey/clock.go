package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/rekey-go/rekey/internal/local"
)

func (a *app) clockCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "clock",
		Short: "Show the time of the local system, and move it",
		Long: `Show the time of the local system, and move it.

Schedules, rotation windows, recovery windows, delayed messages and the grace of
superseded versions follow this clock. What falls due on the way has happened, in the order of time, when
"clock advance" or "clock set" returns. Time only moves forward; with --state a
restart goes on from where it stands. Functions keep real time.`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.clock(cmd.Context(), nil) },
	}
	cmd.AddCommand(
		&cobra.Command{
			Use: "advance DURATION", Short: "Move the clock forward, by 36h, 90d or 1d12h", Args: exactly("DURATION"),
			RunE: func(cmd *cobra.Command, args []string) error {
				if _, err := local.ParseSpan(args[0]); err != nil {
					return withHint(err, "write rekey clock advance 90d")
				}
				return a.clock(cmd.Context(), &local.ClockMove{Advance: args[0]})
			},
		},
		&cobra.Command{
			Use: "set TIME", Short: "Move the clock forward to a time, such as 2027-03-01T09:00:00Z", Args: exactly("TIME"),
			RunE: func(cmd *cobra.Command, args []string) error {
				to, err := time.Parse(time.RFC3339, args[0])
				if err != nil {
					return withHint(fmt.Errorf("%q is no time such as 2027-03-01T09:00:00Z", args[0]), "write rekey clock set 2027-03-01T09:00:00Z")
				}
				return a.clock(cmd.Context(), &local.ClockMove{Set: to})
			},
		},
		&cobra.Command{
			Use: "freeze", Short: "Stop the clock", Args: exactly(),
			RunE: func(cmd *cobra.Command, _ []string) error {
				return a.clock(cmd.Context(), &local.ClockMove{Freeze: true})
			},
		},
		&cobra.Command{
			Use: "resume", Short: "Let the clock run on", Args: exactly(),
			RunE: func(cmd *cobra.Command, _ []string) error {
				return a.clock(cmd.Context(), &local.ClockMove{Resume: true})
			},
		},
	)
	return cmd
}

// clock moves the clock, if there is a move, and shows it.
func (a *app) clock(ctx context.Context, move *local.ClockMove) error {
	method, body := http.MethodGet, []byte(nil)
	if move != nil {
		method = http.MethodPost
		var err error
		if body, err = json.Marshal(move); err != nil {
			return err
		}
	}
	var state local.ClockState
	if err := askEngine(ctx, method, local.ClockPath, body, &state, "clock that moves"); err != nil {
		return err
	}
	return a.data(state, func(w io.Writer) {
		fmt.Fprint(w, state.Now.Format(time.RFC3339))
		if state.Frozen {
			fmt.Fprint(w, "  frozen")
		}
		fmt.Fprintln(w)
	})
}

// askEngine asks an endpoint of the engine's own, which AWS does not have.
// What names in an error what there is.
func askEngine(ctx context.Context, method, path string, body []byte, into any, what string) error {
	endpoint := os.Getenv("AWS_ENDPOINT_URL")
	if !onThisMachine(endpoint) {
		return withHint(errors.New("only a local system has a "+what), endpointHint)
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(endpoint, "/")+path, bytes.NewReader(body)) //nolint:gosec // the endpoint is on this machine.
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req) //nolint:gosec // as above.
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }() // it was read
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	var refused struct {
		Message string `json:"message"` // why the engine did not do it
	}
	if res.StatusCode == http.StatusBadRequest && json.Unmarshal(answer, &refused) == nil && refused.Message != "" {
		return errors.New(refused.Message)
	}
	if res.StatusCode != http.StatusOK || json.Unmarshal(answer, into) != nil {
		return withHint(fmt.Errorf("the system at %s has no %s", endpoint, what), `start it with "rekey up"`)
	}
	return nil
}
