package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/spf13/cobra"

	"github.com/rekey-go/rekey/audit"
	"github.com/rekey-go/rekey/audit/render"
	"github.com/rekey-go/rekey/audit/source"
	"github.com/rekey-go/rekey/audit/source/athena"
)

type auditFlags struct {
	since    time.Duration
	from, to string
	logs     string
	html     string
	format   string
	of       string
	output   string
	failOn   string
	state    string
	baseline string
	decoys   []string
	verify   bool
	keys     string
	ddl, sql bool
	table    athena.Table
}

func (a *app) auditCommand() *cobra.Command {
	var f auditFlags
	cmd := &cobra.Command{
		Use:   "audit [NAME ...]",
		Short: "Report who read which version of what, and who still uses an old one",
		Long: `Report who read which version of what, and who still uses an old one.

The records come from CloudTrail's event history (90 days, two pages a second on
AWS), or with --logs from the files that a trail delivered: a folder, a file, a
bucket, or - for standard input. With --checkpoint nothing is read twice. To an
event history it adds what Secrets Manager says of the secrets, and the
consumers' leases. With --baseline it tells who and what used a secret for the
first time.

Where something could not be read, the report is of the rest, says so, and the
exit code is 2. With --verify it is 2 as well where a log file was altered or
taken away since CloudTrail delivered it. With --fail-on it is 5 where the report
is whole and has a finding of that severity or a graver one.`,
		RunE: func(cmd *cobra.Command, args []string) error { return a.audit(cmd, f, args) },
	}
	cmd.Flags().DurationVar(&f.since, "since", 24*time.Hour, "how far to look back")
	cmd.Flags().StringVar(&f.from, "from", "", "look from this time on, as 2026-01-31 or in RFC 3339 (in place of --since)")
	cmd.Flags().StringVar(&f.to, "to", "", "look up to this time")
	cmd.Flags().StringVar(&f.logs, "logs", "", "the log files of a trail: a folder, a file, s3://BUCKET/PREFIX, or -")
	cmd.Flags().StringVar(&f.state, "checkpoint", "", "file that keeps what was read, for the next report")
	cmd.Flags().StringVar(&f.baseline, "baseline", "", "file that keeps who used which secret, so that the next report tells what is new")
	cmd.Flags().StringSliceVar(&f.decoys, "decoy", nil, "secrets that nobody has a reason to touch, with commas")
	cmd.Flags().BoolVar(&f.verify, "verify", false, "hold the log files to the trail's signed digests")
	cmd.Flags().StringVar(&f.keys, "keys", "", "file with the public keys for --verify, as aws cloudtrail list-public-keys prints them (default: asks CloudTrail in this Region)")
	cmd.Flags().BoolVar(&f.ddl, "athena-ddl", false, "print the statement that makes Athena's table of --logs, s3://BUCKET/.../AWSLogs")
	cmd.Flags().StringSliceVar(&f.table.Accounts, "accounts", nil, "accounts of the table, with commas")
	cmd.Flags().StringSliceVar(&f.table.Regions, "regions", nil, "Regions of the table, with commas")
	cmd.Flags().BoolVar(&f.sql, "athena-sql", false, "print the query for Athena, between --from and --to")
	cmd.Flags().StringVar(&f.format, "format", "table", "form of the report: table, json, csv, md or html")
	cmd.Flags().StringVar(&f.of, "table", "findings", "what --format csv writes: "+strings.Join(render.Tables(), ", "))
	cmd.Flags().StringVarP(&f.output, "output", "o", "", "write the report to this file in place of standard output")
	cmd.Flags().StringVar(&f.failOn, "fail-on", "", "end with exit code 5 if there is a finding as grave: high, medium or low")
	cmd.Flags().StringVar(&f.html, "html", "", "also write the report as a page to this file")
	return cmd
}

func (a *app) audit(cmd *cobra.Command, f auditFlags, names []string) error {
	opts := audit.Options{Now: time.Now()}
	var err error
	if opts.From, opts.To, err = f.bounds(opts.Now); err != nil {
		return err
	}
	if f.ddl || f.sql {
		return a.athena(f, opts)
	}
	write, err := a.writer(f)
	if err != nil {
		return err
	}
	for _, name := range names {
		opts.Secrets = append(opts.Secrets, a.secretID(name))
	}
	for _, name := range f.decoys {
		opts.Decoys = append(opts.Decoys, name, a.secretID(name)) // the trail may be of secrets without a stage
	}
	if f.baseline != "" {
		if opts.Baseline, err = readBaseline(f.baseline); err != nil {
			return err
		}
	}
	var kept *source.Checkpoint
	if f.state != "" {
		if kept, err = source.OpenCheckpoint(f.state); err != nil {
			return err
		}
	}
	records, err := a.records(cmd, f, opts, kept)
	if err != nil {
		return err
	}
	if f.verify {
		if opts.Integrity, err = a.integrity(cmd.Context(), f, records); err != nil {
			return err
		}
	}
	if f.logs == "" {
		if err := a.join(cmd.Context(), &opts); err != nil {
			return err
		}
	}
	report, err := audit.Summarize(cmd.Context(), records, opts)
	if kept != nil {
		err = errors.Join(err, kept.Close())
	}
	if err != nil {
		return err
	}
	if f.baseline != "" {
		if err := writeFile(f.baseline, report, baseline); err != nil {
			return err
		}
	}
	if f.html != "" {
		if err := writeFile(f.html, report, render.HTML); err != nil {
			return err
		}
		a.note("report written to %s", f.html)
	}
	if f.output != "" {
		if err := writeFile(f.output, report, write); err != nil {
			return err
		}
		a.note("report written to %s", f.output)
	} else if err := write(a.stdout, report); err != nil {
		return err
	}
	return verdict(f, report)
}

// A form writes a report.
type form func(io.Writer, *audit.Report) error

// writer is the form that was asked for. It is looked for before anything is
// read, so that nobody waits for a report that cannot be written.
func (a *app) writer(f auditFlags) (form, error) {
	if _, ok := severities()[f.failOn]; !ok && f.failOn != "" {
		return nil, withHint(fmt.Errorf("--fail-on %q is no severity", f.failOn), "write high, medium or low")
	}
	if a.json {
		return render.JSON, nil
	}
	switch f.format {
	case "table":
		return render.Text, nil
	case "json":
		return render.JSON, nil
	case "md":
		return render.Markdown, nil
	case "html":
		return render.HTML, nil
	case "csv":
		if !slices.Contains(render.Tables(), f.of) {
			return nil, withHint(fmt.Errorf("--table %q is none of the report's", f.of), "write one of "+strings.Join(render.Tables(), ", "))
		}
		return func(w io.Writer, r *audit.Report) error { return render.CSV(w, r, f.of) }, nil
	}
	return nil, withHint(fmt.Errorf("--format %q is not known", f.format), "write table, json, csv, md or html")
}

// severities are those of findings by their gravity.
func severities() map[string]int {
	return map[string]int{audit.High: 3, audit.Medium: 2, audit.Low: 1}
}

// verdict is what the exit code says of a report. That it is not whole goes
// first: what was not read may hold a graver finding.
func verdict(f auditFlags, report *audit.Report) error {
	if !report.Coverage.Whole() {
		if report.Coverage.Integrity != nil && len(report.Coverage.Integrity.Problems) > 0 {
			return withCode(exitAWS, errors.New("the log files are not what CloudTrail delivered"), "its coverage says which were altered or taken away")
		}
		return withCode(exitAWS, errors.New("the report is not of all records"), "its coverage says what was left out, and why")
	}
	grave := 0
	for _, finding := range report.Findings {
		if f.failOn != "" && severities()[finding.Severity] >= severities()[f.failOn] {
			grave++
		}
	}
	if grave > 0 {
		return withCode(exitFindings, fmt.Errorf("findings of severity %s or graver: %d", f.failOn, grave), "the report tells the next command of each")
	}
	return nil
}

// integrity holds the log files to their digests.
func (a *app) integrity(ctx context.Context, f auditFlags, records audit.Source) (*audit.Integrity, error) {
	logs, ok := records.(*source.Logs)
	if !ok || f.logs == "-" {
		return nil, withHint(errors.New("--verify wants --logs, a folder or a bucket"), "an event history has no digests: its events come from CloudTrail itself")
	}
	keys, err := a.digestKeys(ctx, f.keys)
	if err != nil {
		return nil, err
	}
	verification, err := logs.Verify(ctx, keys)
	if err != nil {
		return nil, fmt.Errorf("verifying the log files: %w", err)
	}
	return verification.Integrity(), nil
}

// digestKeys are the public keys of digests, from a file or from CloudTrail: all
// since there are trails, as a folder may hold digests of any time.
func (a *app) digestKeys(ctx context.Context, path string) (source.Keys, error) {
	if path != "" {
		text, err := os.ReadFile(path) //nolint:gosec // the path is the operator's choice.
		if err != nil {
			return nil, fmt.Errorf("reading the public keys: %w", err)
		}
		return source.ParseKeys(text)
	}
	cfg, err := a.config(ctx)
	if err != nil {
		return nil, err
	}
	return source.FetchKeys(ctx, cloudtrail.NewFromConfig(cfg), time.Date(2013, time.November, 1, 0, 0, 0, 0, time.UTC), time.Time{})
}

// athena prints what Athena is to run.
func (a *app) athena(f auditFlags, opts audit.Options) error {
	f.table.Location = f.logs
	text := f.table.Query(opts.From, opts.To)
	if f.ddl {
		if f.logs == "" || len(f.table.Accounts) == 0 || len(f.table.Regions) == 0 {
			return withHint(errors.New("--athena-ddl wants --logs, --accounts and --regions"), "rekey audit --athena-ddl --logs s3://BUCKET/AWSLogs --accounts 111122223333 --regions eu-west-1")
		}
		text = f.table.DDL()
	}
	_, err := fmt.Fprintln(a.stdout, text)
	return err
}

// records are those of the log files, or of the event history.
func (a *app) records(cmd *cobra.Command, f auditFlags, opts audit.Options, kept *source.Checkpoint) (audit.Source, error) {
	logs := func(o *source.LogsOptions) {
		o.From, o.To, o.Checkpoint, o.Stdin = opts.From, opts.To, kept, cmd.InOrStdin()
	}
	switch {
	case strings.HasPrefix(f.logs, "s3://"):
		cfg, err := a.config(cmd.Context())
		if err != nil {
			return nil, err
		}
		return source.S3(s3.NewFromConfig(cfg), f.logs, logs)
	case f.logs == "-":
		return source.Files([]string{f.logs}, logs), nil
	case f.logs != "":
		if _, err := os.Stat(f.logs); err != nil {
			return nil, withHint(fmt.Errorf("reading the log files: %w", err), "name the folder above AWSLogs, or a file with records")
		}
		return source.Files([]string{f.logs}, logs), nil
	}
	cfg, err := a.config(cmd.Context())
	if err != nil {
		return nil, err
	}
	return source.Lookup(cloudtrail.NewFromConfig(cfg), func(o *source.LookupOptions) {
		o.From, o.To, o.Checkpoint = opts.From, opts.To, kept
		if onThisMachine(os.Getenv("AWS_ENDPOINT_URL")) {
			o.PerSecond = -1 // the engine has no limit to keep to
			return
		}
		o.Progress = func(p source.LookupProgress) {
			a.note("%d events, back to %s, %s left", p.Events, p.At.UTC().Format(time.RFC3339), p.Left.Round(time.Second))
		}
	}), nil
}

// bounds are the times to look at.
func (f auditFlags) bounds(now time.Time) (from, to time.Time, err error) {
	from = now.Add(-f.since)
	if f.from != "" {
		if from, err = parseTime("--from", f.from); err != nil {
			return from, to, err
		}
	}
	if f.to != "" {
		if to, err = parseTime("--to", f.to); err != nil {
			return from, to, err
		}
		if !to.After(from) {
			return from, to, withHint(errors.New("--to is not after the beginning"), "choose an earlier --from or a longer --since")
		}
	}
	return from, to, nil
}

func parseTime(flag, text string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, withHint(fmt.Errorf("%s %q is not a time", flag, text), "write 2026-01-31, or 2026-01-31T12:00:00Z")
}

// writeFile writes the report to a file that is whole or not there.
func writeFile(path string, report *audit.Report, write form) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".rekey-report-*")
	if err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }() // after the rename there is nothing to remove
	if err := errors.Join(write(f, report), f.Close()); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}
