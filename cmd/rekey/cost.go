package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/spf13/cobra"

	"github.com/rekey-go/rekey/audit"
	"github.com/rekey-go/rekey/internal/cost"
	"github.com/rekey-go/rekey/internal/stage"
)

type costFlags struct {
	usage cost.Usage
	since string
}

func (a *app) costCommand() *cobra.Command {
	f := costFlags{usage: cost.Usage{Interval: 10 * time.Second, TTL: 5 * time.Minute}}
	cmd := &cobra.Command{
		Use:   "cost [PATH...]",
		Short: "Estimate what the secrets cost in a month, and push beside polling",
		Long: `Estimate what the secrets of the stage cost in a month: the secrets and their
replicas, the calls of Secrets Manager as the trail counted them, and, for
--environments consumers, what it costs to hear of rotations by push and by
polling. With --secrets and --calls nothing is asked of AWS. Calls are counted in
the event history, or in the files of a trail in each PATH, as rekey audit reads
them.`,
		Example: `  rekey cost --secrets 3 --calls 0
  rekey cost --secrets 3 --calls 10000 --environments 30 --secrets-each 2`,
		RunE: func(cmd *cobra.Command, args []string) error { return a.cost(cmd, f, args) },
	}
	cmd.Flags().IntVar(&f.usage.Secrets, "secrets", 0, "number of secrets (default those of the stage)")
	cmd.Flags().IntVar(&f.usage.Replicas, "replicas", 0, "number of their replicas in other Regions (default those of the stage)")
	cmd.Flags().Float64Var(&f.usage.Calls, "calls", 0, "calls of Secrets Manager in a month (default counted in the trail)")
	cmd.Flags().Float64Var(&f.usage.Rotations, "rotations", 0, "rotations in a month (default one of each secret that rotates)")
	cmd.Flags().IntVar(&f.usage.Environments, "environments", 0, "consumers: processes, and warm environments of functions")
	cmd.Flags().IntVar(&f.usage.Processes, "processes", 0, "those of the consumers that listen to a queue")
	cmd.Flags().IntVar(&f.usage.Each, "secrets-each", 1, "how many secrets a consumer reads")
	cmd.Flags().DurationVar(&f.usage.Interval, "interval", f.usage.Interval, "how long an old version may be used after a rotation")
	cmd.Flags().DurationVar(&f.usage.TTL, "ttl", f.usage.TTL, "how often the client reads a secret of which it hears nothing")
	cmd.Flags().StringVar(&f.since, "since", "24h", "count the calls so far back, or from this time on: 24h, 30d, 2026-01-31, or RFC 3339")
	nowNamed(cmd, map[string]string{"logs": pathsHint})
	return cmd
}

func (a *app) cost(cmd *cobra.Command, f costFlags, paths []string) error {
	now := time.Now()
	from, err := timeOf("--since", f.since, now)
	if err != nil {
		return err
	}
	span := now.Sub(from).Round(time.Second)
	if from.IsZero() || span <= 0 {
		return withHint(fmt.Errorf("--since %s counts nothing", f.since), "write --since 24h")
	}
	if err := a.countSecrets(cmd, &f.usage); err != nil {
		return err
	}
	if !cmd.Flags().Changed("calls") {
		records, err := a.read(cmd, paths, reading{from: from, to: now})
		if err != nil {
			return err
		}
		counted, err := countCalls(cmd.Context(), records.source, from)
		if err != nil {
			return err
		}
		const month = 30 * 24 * time.Hour
		f.usage.Calls = float64(counted) * float64(month) / float64(span)
		a.note("%d calls in %s of the trail", counted, span)
	}
	bill, err := cost.Estimate(f.usage, cost.Prices())
	if err != nil {
		return withHint(err, "rekey cost --help tells what is counted")
	}
	about := struct {
		cost.Usage
		cost.Bill
		Prices cost.PriceList `json:"prices"`
	}{f.usage, bill, cost.Prices()}
	return a.data(about, func(w io.Writer) { printBill(w, bill, f.usage) })
}

// countSecrets asks for what no flag says.
func (a *app) countSecrets(cmd *cobra.Command, u *cost.Usage) error {
	if cmd.Flags().Changed("secrets") {
		return nil
	}
	client, err := a.secretsManager(cmd.Context())
	if err != nil {
		return err
	}
	secrets, err := stage.List(cmd.Context(), client, a.stage, false)
	if err != nil {
		return err
	}
	u.Secrets = len(secrets)
	rotating, replicas := 0, 0
	for _, s := range secrets {
		if aws.ToBool(s.RotationEnabled) {
			rotating++
		}
		if cmd.Flags().Changed("replicas") {
			continue
		}
		out, err := client.DescribeSecret(cmd.Context(), &secretsmanager.DescribeSecretInput{SecretId: s.ARN})
		if err != nil {
			return err
		}
		replicas += len(out.ReplicationStatus)
	}
	if !cmd.Flags().Changed("replicas") {
		u.Replicas = replicas
	}
	if !cmd.Flags().Changed("rotations") {
		u.Rotations = float64(rotating)
	}
	return nil
}

// countCalls counts the calls of Secrets Manager from a time on, refused ones too, which are
// billed alike, each once however often it was delivered. What the service did by
// itself is no call.
func countCalls(ctx context.Context, records audit.Source, from time.Time) (int, error) {
	calls := make(map[string]bool) // :: event id
	for raw, err := range records.Records(ctx) {
		if _, skipped := errors.AsType[*audit.SkippedError](err); skipped {
			continue
		}
		if err != nil {
			return 0, err
		}
		var r struct {
			EventID, EventSource, EventType string
			EventTime                       time.Time
		}
		if json.Unmarshal(raw, &r) == nil && r.EventSource == "secretsmanager.amazonaws.com" && r.EventType == "AwsApiCall" && !r.EventTime.Before(from) {
			calls[r.EventID] = true
		}
	}
	return len(calls), nil
}

func printBill(w io.Writer, b cost.Bill, u cost.Usage) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	print := func(lines []cost.Line, what string, usd float64) {
		for _, l := range lines {
			fmt.Fprintf(t, "%s\t%s\t%.2f\t\n", l.What, count(l.Count), l.USD)
		}
		fmt.Fprintf(t, "%s\t\t%.2f\t\n", what, usd)
	}
	fmt.Fprintln(t, "A MONTH\tCOUNT\tUSD\t")
	print(b.Base, "total", b.BaseUSD)
	if u.Environments > 0 {
		fmt.Fprintf(t, "\t\t\t\n%d CONSUMERS, EACH WITH %d SECRETS\tCOUNT\tUSD\t\n", u.Environments, u.Each)
		print(b.Polling, "by polling", b.PollingUSD)
		fmt.Fprint(t, "\t\t\t\n")
		print(b.Push, "by push", b.PushUSD)
	}
	_ = t.Flush() // as in printSecrets
	prices := cost.Prices()
	fmt.Fprintf(w, "\nprices of us-east-1, %s: %.2f for a secret, %.2f for 10,000 calls; --json has all, with their sources\n",
		prices.Secret.AsOf, prices.Secret.USD, prices.Call.USD)
}

// count writes a number with commas.
func count(n float64) string {
	text := strconv.FormatInt(int64(math.Round(n)), 10)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
