package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rekey-go/rekey/audit"
	"github.com/rekey-go/rekey/audit/source"
)

// A reading says which records of a trail are wanted, and how.
type reading struct {
	from, to time.Time // zero: without a bound
	kept     *source.Checkpoint
	progress bool // tell how far it is, also where there is no terminal
}

// A trail is where records come from.
type trail struct {
	source audit.Source
	logs   []*source.Logs // those of the source that are log files
}

// read is the trail in some places, read together; without one, it is the event
// history of the account.
func (a *app) read(cmd *cobra.Command, paths []string, r reading) (*trail, error) {
	if len(paths) == 0 {
		return a.events(cmd.Context(), r)
	}
	meter := source.NewMeter()
	logs, err := a.logsAt(cmd.Context(), paths, func(o *source.LogsOptions) {
		o.From, o.To, o.Checkpoint, o.Stdin = r.from, r.to, r.kept, cmd.InOrStdin()
		if a.tells(r) {
			o.Meter = meter
		}
	})
	if err != nil {
		return nil, err
	}
	all := make([]audit.Source, len(logs))
	for i, one := range logs {
		all[i] = one
	}
	t := &trail{source: source.Join(all...), logs: logs}
	if a.tells(r) {
		t.source = a.metered(t, meter)
	}
	return t, nil
}

// logsAt are the log files in some places: each bucket's, and those of this
// machine together.
func (a *app) logsAt(ctx context.Context, paths []string, opts func(*source.LogsOptions)) ([]*source.Logs, error) {
	var all []*source.Logs
	var files []string
	for _, path := range slices.Compact(slices.Sorted(slices.Values(paths))) {
		if !isBucket(path) {
			if err := checkPath(path); err != nil {
				return nil, err
			}
			files = append(files, path)
			continue
		}
		cfg, err := a.config(ctx)
		if err != nil {
			return nil, err
		}
		logs, err := source.S3(s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = cfg.BaseEndpoint != nil }), path, opts)
		if err != nil {
			return nil, err
		}
		all = append(all, logs)
	}
	if len(files) > 0 {
		all = append(all, source.Files(files, opts))
	}
	return all, nil
}

// metered tells how much of a trail's log files is read, while they are listed
// beside the reading to know how much there is.
func (a *app) metered(t *trail, meter *source.Meter) watched {
	return watched{t.source, func(ctx context.Context) func(bool) {
		ctx, cancel := context.WithCancel(ctx)
		var survey sync.WaitGroup
		survey.Go(func() { _ = source.Survey(ctx, meter, t.logs...) }) // what cannot be listed the report tells
		stop := a.tell(func() string { return filesRead(meter.Progress()) })
		return func(all bool) {
			cancel()
			survey.Wait()
			if all {
				meter.Complete()
			}
			stop()
		}
	}}
}

// events are those of the event history of the account and Region.
func (a *app) events(ctx context.Context, r reading) (*trail, error) {
	cfg, err := a.config(ctx)
	if err != nil {
		return nil, err
	}
	var latest latest[source.LookupProgress]
	t := &trail{source: source.Lookup(cloudtrail.NewFromConfig(cfg), func(o *source.LookupOptions) {
		o.From, o.To, o.Checkpoint, o.Progress = r.from, r.to, r.kept, latest.set
		if onThisMachine(os.Getenv("AWS_ENDPOINT_URL")) {
			o.PerSecond = -1 // the engine has no limit to keep to
		}
	})}
	if a.tells(r) {
		t.source = watched{t.source, func(context.Context) func(bool) {
			stop := a.tell(func() string { return eventsLookedUp(latest.get()) })
			return func(bool) { stop() }
		}}
	}
	return t, nil
}

func isBucket(path string) bool { return strings.HasPrefix(path, "s3://") }

// secretName is what Secrets Manager allows as a secret's name, or its ARN.
var secretName = regexp.MustCompile(`^[A-Za-z0-9_+=@][A-Za-z0-9/_+=.@:-]*$`)

// checkPath checks that there is something at a path. Somebody may have meant a
// secret.
func checkPath(path string) error {
	if path == "-" {
		return nil
	}
	_, err := os.Stat(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return nil // what cannot be looked into, the reading tells
	}
	err = fmt.Errorf("there is no file or folder %q", path)
	if !secretName.MatchString(path) || strings.Contains(path, ".json") {
		return withHint(err, pathsHint)
	}
	return withHint(err, "a secret is chosen with --secret "+path, "a PATH is the folder above AWSLogs, a file with records, s3://BUCKET/PREFIX, or - for standard input")
}

// pathsHint says how log files are named.
const pathsHint = "name log files as arguments: the folder above AWSLogs, a file with records, s3://BUCKET/PREFIX, or - for standard input"

// nowNamed tells who uses a flag that a command once had what is in its place.
func nowNamed(cmd *cobra.Command, flags map[string]string) {
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok {
			if hint, ok := flags[unknown.GetSpecifiedName()]; ok {
				return withHint(err, hint)
			}
		}
		return cmd.Parent().FlagErrorFunc()(cmd, err)
	})
}

// timeOf reads a time, or a duration before now; nothing is the zero time.
func timeOf(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if d, err := time.ParseDuration(days + "h"); err == nil && d >= 0 {
			return now.Add(-24 * d), nil
		}
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, withHint(fmt.Errorf("%s %q is neither a duration nor a time", flag, text), "write 24h, 90d, 2026-01-31, or 2026-01-31T12:00:00Z")
}

// A watched source tells how far it is while it is read. End hears whether all was.
type watched struct {
	audit.Source
	begin func(context.Context) (end func(all bool))
}

// Records yields those of the source.
func (w watched) Records(ctx context.Context) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		all, end := false, w.begin(ctx)
		defer func() { end(all) }()
		for raw, err := range w.Source.Records(ctx) {
			if !yield(raw, err) {
				return
			}
		}
		all = ctx.Err() == nil
	}
}
