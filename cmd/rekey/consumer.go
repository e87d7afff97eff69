package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/spf13/cobra"

	"github.com/rekey-go/rekey/internal/demo"
	"github.com/rekey-go/rekey/runtime/invalidation"
	"github.com/rekey-go/rekey/runtime/secrets"
	"github.com/rekey-go/rekey/runtime/secretspgx"
)

// queryEvery is how often the consumer queries the database.
const queryEvery = 20 * time.Millisecond

// consumerCommand is the demonstration's long-running process: it queries the
// database all the time, and hears of rotations through its own queue. When it
// is stopped it prints how many queries succeeded and how many failed.
func consumerCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "consumer",
		Short:  "Run as a long-running consumer (the demonstration's own use)",
		Hidden: true,
		Args:   exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			cfg, err := config.LoadDefaultConfig(ctx)
			if err != nil {
				return err
			}
			client, err := secrets.FromEnv(cfg, os.Getenv)
			if err != nil {
				return err
			}
			pool, err := secretspgx.NewPool(client, "database-credentials", secretspgx.FromEnv(os.Getenv))
			if err != nil {
				return err
			}
			listening := make(chan error, 1)
			go func() {
				listening <- invalidation.Subscribe(ctx, cfg, os.Getenv("REKEY_BUS"), client)
			}()
			counted := query(ctx, pool)
			pool.Close()
			if err := <-listening; err != nil && !errors.Is(err, context.Canceled) {
				return err
			}
			if err := client.Close(context.WithoutCancel(ctx)); err != nil {
				return err
			}
			return json.NewEncoder(cmd.OutOrStdout()).Encode(counted)
		},
	}
}

// query queries until the context ends.
func query(ctx context.Context, pool *secretspgx.Pool) demo.Tally {
	var counted demo.Tally
	tick := time.NewTicker(queryEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return counted
		case <-tick.C:
		}
		var n int
		err := pool.QueryRow(context.WithoutCancel(ctx), "SELECT count(*) FROM users").Scan(&n)
		failure := ""
		if err != nil {
			failure = "consumer process: " + err.Error()
		}
		counted.Count(failure)
	}
}
