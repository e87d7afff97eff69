package main

import (
	"cmp"
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
	"github.com/spf13/cobra"

	"github.com/rekey-go/rekey/audit"
	"github.com/rekey-go/rekey/audit/render"
	"github.com/rekey-go/rekey/audit/source"
	"github.com/rekey-go/rekey/audit/source/athena"
)

type auditFlags struct {
	since, until string
	secrets      []string
	principal    string
	html         string
	format       string
	of           string
	output       string
	failOn       string
	state        string
	baseline     string
	decoys       []string
	verify       bool
	keys         string
	progress     bool
	ddl, sql     bool
	table        athena.Table
}

func (a *app) auditCommand() *cobra.Command {
	var f auditFlags
	cmd := &cobra.Command{
		Use:   "audit [PATH...]",
		Short: "Report who read which version of what, and who still uses an old one",
		Long: `Report who read which version of what, and who still uses an old one.

The records come from CloudTrail's event history (the last 24 hours unless --since
says otherwise, 90 days at most, two pages a second on AWS), or from the files that
trails delivered: each PATH is a folder, a file, s3://BUCKET/PREFIX, or - for
standard input. Several are read together, of whatever accounts and Regions, and
an event that is in more than one counts once. With --checkpoint nothing is read
twice. To an event history it adds what Secrets Manager says of the secrets, and
the consumers' leases. With --baseline it tells who and what used a secret for the
first time.

Where something could not be read, the report is of the rest, says so, and the
exit code is 2. With --verify it is 2 as well where a log file was altered or
taken away since CloudTrail delivered it. With --fail-on it is 5 where the report
is whole and has a finding of that severity or a graver one.`,
		Example: `  rekey audit
  rekey audit s3://BUCKET/AWSLogs --since 90d --verify
  rekey audit exported.json.gz other-account/ --principal arn:aws:iam::111122223333:role/build
  rekey audit --secret database-credentials --format html -o report.html`,
		RunE: func(cmd *cobra.Command, args []string) error { return a.audit(cmd, f, args) },
	}
	cmd.Flags().StringVar(&f.since, "since", "", "look back so far, or to this time: 24h, 90d, 2026-01-31, or RFC 3339 (default 24h of the event history, all of PATHs)")
	cmd.Flags().StringVar(&f.until, "until", "", "look up to this time, in the same forms")
	cmd.Flags().StringArrayVar(&f.secrets, "secret", nil, "report on this secret alone: its name or ARN; may be repeated")
	cmd.Flags().StringVar(&f.principal, "principal", "", "report on this principal alone: the ARN of a role, user or session, an access key id, a session's name")
	cmd.Flags().StringVar(&f.state, "checkpoint", "", "file that keeps what was read, for the next report")
	cmd.Flags().StringVar(&f.baseline, "baseline", "", "file that keeps who used which secret, so that the next report tells what is new")
	cmd.Flags().StringSliceVar(&f.decoys, "decoy", nil, "secrets that nobody has a reason to touch, with commas")
	cmd.Flags().BoolVar(&f.verify, "verify", false, "hold the log files to the trail's signed digests")
	cmd.Flags().StringVar(&f.keys, "keys", "", "file with the public keys for --verify, as aws cloudtrail list-public-keys prints them (default: asks CloudTrail in each Region of the digests)")
	cmd.Flags().BoolVar(&f.progress, "progress", false, "tell how far it is and what is left, also where standard error is no terminal")
	cmd.Flags().BoolVar(&f.ddl, "athena-ddl", false, "print the statement that makes Athena's table of PATH, s3://BUCKET/.../AWSLogs")
	cmd.Flags().StringSliceVar(&f.table.Accounts, "accounts", nil, "accounts of the table, with commas")
	cmd.Flags().StringSliceVar(&f.table.Regions, "regions", nil, "Regions of the table, with commas")
	cmd.Flags().BoolVar(&f.sql, "athena-sql", false, "print the query for Athena, between --since and --until")
	cmd.Flags().StringVar(&f.format, "format", "table", "form of the report: table, json, csv, md or html")
	cmd.Flags().StringVar(&f.of, "table", "findings", "what --format csv writes: "+strings.Join(render.Tables(), ", "))
	cmd.Flags().StringVarP(&f.output, "output", "o", "", "write the report to this file in place of standard output")
	cmd.Flags().StringVar(&f.failOn, "fail-on", "", "end with exit code 5 if there is a finding as grave: high, medium or low")
	cmd.Flags().StringVar(&f.html, "html", "", "also write the report as a page to this file")
	nowNamed(cmd, map[string]string{"logs": pathsHint, "from": "--since takes a time as well", "to": "the flag is --until"})
	return cmd
}

// audit makes the report and hands it over. What is wrong with the flags is said
// before anything is read.
func (a *app) audit(cmd *cobra.Command, f auditFlags, paths []string) error {
	opts := audit.Options{Now: time.Now(), Principal: f.principal, Secrets: a.named(f.secrets), Decoys: a.named(f.decoys)}
	var err error
	if opts.From, opts.To, err = f.bounds(opts.Now, len(paths) > 0); err != nil {
		return err
	}
	if f.ddl || f.sql {
		return a.athena(f, opts, paths)
	}
	write, err := a.writer(f)
	if err != nil {
		return err
	}
	report, err := a.summarize(cmd, f, opts, paths)
	if err != nil {
		return err
	}
	if err := a.handOver(f, report, write); err != nil {
		return err
	}
	return verdict(f, report)
}

// summarize reads the records, with what else tells of them: the baseline, the
// digests, the state of the secrets.
func (a *app) summarize(cmd *cobra.Command, f auditFlags, opts audit.Options, paths []string) (*audit.Report, error) {
	var err error
	if f.baseline != "" {
		if opts.Baseline, err = readBaseline(f.baseline); err != nil {
			return nil, err
		}
	}
	var kept *source.Checkpoint
	if f.state != "" {
		if kept, err = source.OpenCheckpoint(f.state); err != nil {
			return nil, err
		}
	}
	records, err := a.read(cmd, paths, reading{from: opts.From, to: opts.To, kept: kept, progress: f.progress})
	if err != nil {
		return nil, err
	}
	if f.verify {
		if opts.Integrity, err = a.integrity(cmd.Context(), f, records, paths); err != nil {
			return nil, err
		}
	}
	if len(paths) == 0 {
		if err := a.join(cmd.Context(), &opts); err != nil {
			return nil, err
		}
	}
	report, err := audit.Summarize(cmd.Context(), source.Sparingly(records.source), opts)
	if kept != nil {
		err = errors.Join(err, kept.Close())
	}
	return report, err
}

// handOver writes the report where it was asked for, and the baseline for the
// next one.
func (a *app) handOver(f auditFlags, report *audit.Report, write form) error {
	files := []struct {
		path  string
		write form
		told  bool
	}{{f.baseline, baseline, false}, {f.html, render.HTML, true}, {f.output, write, true}}
	for _, file := range files {
		if file.path == "" {
			continue
		}
		if err := writeFile(file.path, report, file.write); err != nil {
			return err
		}
		if file.told {
			a.note("report written to %s", file.path)
		}
	}
	if f.output != "" {
		return nil
	}
	return write(a.stdout, report)
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

// named are secrets as they were named, and as they are called in the stage: a
// trail may be of secrets without one.
func (a *app) named(secrets []string) []string {
	var out []string
	for _, name := range secrets {
		out = append(out, name, a.secretID(name))
	}
	return out
}

// integrity holds the log files to their digests.
func (a *app) integrity(ctx context.Context, f auditFlags, records *trail, paths []string) (*audit.Integrity, error) {
	if !slices.ContainsFunc(paths, func(path string) bool { return path != "-" }) {
		return nil, withHint(errors.New("--verify wants a PATH: a folder or a bucket"), "an event history has no digests: its events come from CloudTrail itself")
	}
	keys, err := a.digestKeys(ctx, f.keys)
	if err != nil {
		return nil, err
	}
	var all source.Verification
	for _, logs := range records.logs {
		one, err := logs.Verify(ctx, keys)
		if err != nil {
			return nil, fmt.Errorf("verifying the log files: %w", err)
		}
		all.Files = append(all.Files, one.Files...)
		all.Chains = append(all.Chains, one.Chains...)
	}
	return all.Integrity(), nil
}

// digestKeys are the public keys of digests, from a file or from CloudTrail in
// each Region: all since there are trails, as a folder may hold digests of any
// time.
func (a *app) digestKeys(ctx context.Context, path string) (source.KeySource, error) {
	if path != "" {
		text, err := os.ReadFile(path) //nolint:gosec // the path is the operator's choice.
		if err != nil {
			return nil, fmt.Errorf("reading the public keys: %w", err)
		}
		keys, err := source.ParseKeys(text)
		return keys.Everywhere, err
	}
	cfg, err := a.config(ctx)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, region string) (source.Keys, error) {
		client := cloudtrail.NewFromConfig(cfg, func(o *cloudtrail.Options) { o.Region = cmp.Or(region, o.Region) })
		return source.FetchKeys(ctx, client, time.Date(2013, time.November, 1, 0, 0, 0, 0, time.UTC), time.Time{})
	}, nil
}

// athena prints what Athena is to run.
func (a *app) athena(f auditFlags, opts audit.Options, paths []string) error {
	text := f.table.Query(opts.From, opts.To)
	if f.ddl {
		if len(paths) != 1 || !isBucket(paths[0]) || len(f.table.Accounts) == 0 || len(f.table.Regions) == 0 {
			return withHint(errors.New("--athena-ddl wants a bucket, --accounts and --regions"), "rekey audit s3://BUCKET/AWSLogs --athena-ddl --accounts 111122223333 --regions eu-west-1")
		}
		f.table.Location = paths[0]
		text = f.table.DDL()
	}
	_, err := fmt.Fprintln(a.stdout, text)
	return err
}

// bounds are the times to look at.
func (f auditFlags) bounds(now time.Time, files bool) (from, to time.Time, err error) {
	if f.since == "" && !files {
		f.since = "24h"
	}
	if from, err = timeOf("--since", f.since, now); err != nil {
		return from, to, err
	}
	if to, err = timeOf("--until", f.until, now); err != nil {
		return from, to, err
	}
	if !to.IsZero() && !to.After(from) {
		return from, to, withHint(errors.New("--until is not after --since"), "choose an earlier --since: it is 24h ago where none is given")
	}
	return from, to, nil
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
