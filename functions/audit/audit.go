// Package audit is the function that reports once a day who read which version
// of which secret, and is left running.
//
// It reads the account's event history, the consumers' leases and what Secrets
// Manager says of the secrets; it leaves a line in its log with the numbers and
// lines that CloudWatch makes metrics of; it publishes an event for each grave
// finding; and it answers with the whole report as JSON.
//
// # The bucket
//
// With a bucket, REKEY_AUDIT_BUCKET, each report is kept in it, and so is what
// the next one needs to know: see [New]. A report is then of the last
// REKEY_AUDIT_DAYS days, or of the time since the last one if that is longer,
// and each run looks up only what came since the run before: nothing is left
// out when a run is missed, when events come late, or when a run is killed at
// any of its calls. Each finding is published once. Two runs at the same time
// do not lose what the other one wrote: the state is written only in place of
// the one that was read, and whoever was overtaken begins again.
//
// Without a bucket a report is of the last 24 hours, and all its grave findings
// are published.
//
// # The payload
//
// The invocation's payload may bound the time: {"from":"2026-11-23T00:00:00Z",
// "to":"2026-11-24T00:00:00Z"}. The answer is then a report of that time, which
// a bucket neither gets nor changes: nothing is kept, and nothing published.
package audit

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/rekey-go/rekey/audit"
	"github.com/rekey-go/rekey/audit/source"
	"github.com/rekey-go/rekey/internal/stage"
	"github.com/rekey-go/rekey/runtime/bulletin"
	"github.com/rekey-go/rekey/runtime/invalidation"
)

const (
	day = 24 * time.Hour
	// defaultDays is how many days a report in the bucket looks back.
	defaultDays = 7
	// slice is how much time is looked up between two writings of the state: as
	// much as a run that is killed has to look up again.
	slice = 6 * time.Hour
	// spare is how much of an invocation's time is left for the report when the
	// reading of events has to stop.
	spare = 2 * time.Minute
)

// A function is the function with what it works on.
type function struct {
	trail     cloudtrail.LookupEventsAPIClient
	account   Account
	bus       invalidation.EventBridge
	busName   string
	store     *store // nil without a bucket
	span      time.Duration
	slice     time.Duration
	spare     time.Duration
	perSecond float64
	stage     string
	log       *slog.Logger
	metrics   io.Writer
}

// New returns the function. It reads REKEY_BUS, the name of the bus that gets
// the events, REKEY_STAGE (dev), REKEY_BULLETIN, the table with the leases, and the
// following two.
//
// REKEY_AUDIT_BUCKET is the bucket with the reports, if there is one. In it,
// reports/2026/11/26/2026-11-26T063000Z.json is a report by the time of its run,
// beside it are its page, .html, and its findings, .csv, and reports/latest.json,
// .html and .csv are the last one's. state/audit.json is what was read, seen and
// published, and state/records has the records of CloudTrail that were read.
//
// REKEY_AUDIT_DAYS is how many days a report looks back at least: 7 if it is
// empty, 90 at most.
func New(cfg aws.Config, getenv func(string) string) (lambda.Handler, error) {
	f, err := newFunction(cfg, getenv)
	if err != nil {
		return nil, err
	}
	return lambda.NewHandler(f.handle), nil
}

func newFunction(cfg aws.Config, getenv func(string) string) (*function, error) {
	held := secretsmanager.NewFromConfig(cfg)
	board := table{scan: dynamodb.NewFromConfig(cfg).Scan}
	f := &function{
		trail:   lookupEvents(cloudtrail.NewFromConfig(cfg).LookupEvents),
		account: Account{Board: bulletin.New(board, getenv("REKEY_BULLETIN")), Secrets: secrets{held.ListSecrets, held.DescribeSecret}},
		bus:     putEvents(eventbridge.NewFromConfig(cfg).PutEvents),
		busName: getenv("REKEY_BUS"),
		span:    day, slice: slice, spare: spare,
		stage:   cmp.Or(getenv("REKEY_STAGE"), stage.Default),
		log:     slog.New(slog.NewJSONHandler(os.Stdout, nil)),
		metrics: os.Stdout,
	}
	if f.busName == "" {
		return nil, errors.New("REKEY_BUS is empty: want the name of the event bus")
	}
	if cfg.BaseEndpoint != nil {
		f.perSecond, f.account.PerSecond = -1, -1 // the limits are those of AWS's own endpoints
	}
	bucket := getenv("REKEY_AUDIT_BUCKET")
	if bucket == "" {
		return f, nil
	}
	f.store = &store{client: s3.NewFromConfig(cfg), bucket: bucket}
	f.span = defaultDays * day
	if text := getenv("REKEY_AUDIT_DAYS"); text != "" {
		days, err := strconv.Atoi(text)
		if err != nil || days < 1 || days > int(source.History/day) {
			return nil, fmt.Errorf("REKEY_AUDIT_DAYS is %q: want a number of days from 1 to %d", text, source.History/day)
		}
		f.span = time.Duration(days) * day
	}
	return f, nil
}

// request is the payload.
type request struct {
	// From and To bound the time, if they are there.
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	// Time is when a scheduled event was due.
	Time time.Time `json:"time"`
}

// now is the present. Where the schedule's clock is ahead of this machine's, it
// is the schedule's: the events come from there too.
func (r request) now() time.Time {
	if now := time.Now(); !r.Time.After(now) {
		return now
	}
	return r.Time
}

// handle makes one report.
func (f *function) handle(ctx context.Context, req request) (json.RawMessage, error) {
	bounded := !req.From.IsZero() || !req.To.IsZero()
	if f.store != nil && !bounded {
		return f.goOn(ctx, req)
	}
	report, err := f.once(ctx, req)
	if err != nil {
		return nil, err
	}
	if f.store == nil {
		figures, all := figuresOf(report, f.stage), grave(report)
		figures.news(all)
		sent, err := f.publish(ctx, report, all)
		f.tell(ctx, report, figures, len(sent))
		if err != nil {
			return nil, err
		}
	}
	return answer(report)
}

// once reports on the time that was asked for, or the last day, from the event
// history alone.
func (f *function) once(ctx context.Context, req request) (*audit.Report, error) {
	opts := audit.Options{From: req.From, To: req.To, Now: req.now()}
	if opts.To.IsZero() {
		opts.To = opts.Now
	}
	if opts.From.IsZero() {
		opts.From = opts.To.Add(-day)
	}
	if opts.To.Before(opts.From) {
		return nil, fmt.Errorf("the payload's to, %s, is before its from", opts.To.Format(time.RFC3339))
	}
	missing := f.account.Join(ctx, &opts)
	return audit.Summarize(ctx, source.Join(f.lookup(opts.From, opts.To), without(missing)), opts)
}

// lookup is the event history of some time.
func (f *function) lookup(from, to time.Time) audit.Source {
	return source.Lookup(f.trail, func(o *source.LookupOptions) { o.From, o.To, o.PerSecond = from, to, f.perSecond })
}
