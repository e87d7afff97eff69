// Package audit tells from CloudTrail who used which secret: who read it and
// when, which version they got, who was refused, how its rotations went, and
// who still holds an old version.
//
// [Summarize] reads records from a [Source] and returns a [Report]. The
// sources are in the package source, what turns a report into text, JSON or a
// page is in the package render.
//
// # Which version was read
//
// A record of GetSecretValue does not say which version was returned, unless
// the caller asked for one by its id. The record of the KMS decrypt that
// Secrets Manager did for the same caller does. Summarize joins the two by
// principal, secret and time. A trail that leaves KMS events out loses the
// versions, not the counts.
//
// # What is counted
//
// Each event counts once, however often it was delivered: records with the
// same id, or the same shared id in two accounts, are one, and a record that
// corrects an earlier one takes its place. BatchGetSecretValue is a call;
// the reads are the GetSecretValue records that CloudTrail writes for each
// secret of the batch. Records may come in any order.
//
// A report says what it did not see: see [Coverage].
//
// # What the records do not hold
//
// Three more inputs are optional. [Options.Inventory] is what Secrets Manager
// itself says of the secrets: schedules, labels, tags, and those that nobody
// used. [Options.Leases] is who holds which version. [Options.Baseline] is what
// was seen before, so that what is new stands out; [Report.Baseline] is to be
// kept for the next time.
package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"time"
)

// A Source yields CloudTrail records, each a whole JSON object. A record is
// valid until the next one is asked for. Records that have nothing to do with
// Secrets Manager may be left out. An error ends the summary, unless it is a
// *[SkippedError].
type Source interface {
	Records(ctx context.Context) iter.Seq2[json.RawMessage, error]
}

// A SkippedError is what a source yields for something that it could not read
// and went on without, such as a damaged file. It becomes a note in the
// report's coverage.
type SkippedError struct {
	// What names the thing: a file's path.
	What string
	Err  error
}

// Error names what was skipped, and why.
func (e *SkippedError) Error() string { return e.What + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *SkippedError) Unwrap() error { return e.Err }

// Options configure [Summarize].
type Options struct {
	// From and To bound the events by their time. If zero, they do not.
	From, To time.Time
	// Secrets are the names or ARNs of the secrets to report on. If empty, it
	// is all.
	Secrets []string
	// Principal is whom to report on, named as for [Follow]. If empty, it is
	// everybody. The report then has the secrets that this one called for, and
	// counts what it did alone. What is so of a secret whoever did it, as its
	// rotations, stays whole.
	Principal string
	// Now is when the report is made. If zero, it is the present.
	Now time.Time
	// CurrentVersions tells the version that carries AWSCURRENT by a secret's
	// ARN, where the caller knows it. Without it, the report takes what the
	// inventory says, or the version that the records show to have become
	// current last.
	CurrentVersions map[string]string
	// Inventory is what Secrets Manager itself says of the secrets. Without it,
	// the report knows no secret that nobody used, no schedule and no tag, and
	// has no verdicts of Security Hub's controls.
	Inventory []State
	// Leases are who holds which version. Without them, only who read an old
	// version, or nothing since, is a laggard.
	Leases []Lease
	// Integrity is what the digests of the trail say of the log files, for the
	// report to pass on.
	Integrity *Integrity
	// Baseline is the last report's. Without it, nothing is first seen.
	Baseline *Baseline
	// BulkSecrets is how many different secrets a principal must read within
	// five minutes to be reported. If zero, it is 20; if negative, nobody is.
	BulkSecrets int
	// Decoys are the names or ARNs of secrets that nobody has a reason to touch.
	// With an inventory, those that have the tag DecoyTag are as well. If that
	// is empty, it is "rekey:decoy".
	Decoys   []string
	DecoyTag string
	// UnusedAfter is how long a secret goes unused before it is reported, and
	// RotatedWithin how old its last rotation may be: Security Hub's parameters
	// unusedForDays and maxDaysSinceRotation. If zero, they are 90 days.
	UnusedAfter, RotatedWithin time.Duration
	// MaxInterval is the longest interval that SecretsManager.1 lets pass. If
	// zero, any does.
	MaxInterval time.Duration
	// RequiredTags are the tag keys that SecretsManager.5 asks for. If empty,
	// one tag of any key is enough.
	RequiredTags []string
}

func (o *Options) bulkSecrets() int {
	if o.BulkSecrets == 0 {
		return 20
	}
	return o.BulkSecrets
}

// Summarize reads all records of a source and reports on them. Until the report
// is made it keeps some 90 bytes of each event where the same callers do the same
// again and again, up to 400 where most events are the only ones of their
// principal, and nothing of other records. It lets the events of a secret go when
// that secret's part is made. It goes through the events once, and sorts them: a
// record costs the same however many there are.
func Summarize(ctx context.Context, src Source, opts Options) (*Report, error) {
	if opts.Now.IsZero() {
		opts.Now = time.Now()
	}
	c := newCollector(opts)
	for raw, err := range src.Records(ctx) {
		if err := c.take(raw, err); err != nil {
			return nil, fmt.Errorf("reading the trail: %w", err)
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("reading the trail: %w", err)
	}
	return c.report(), nil
}

// Records is a source of records that are in memory.
type Records []json.RawMessage

// Records yields them.
func (r Records) Records(context.Context) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		for raw := range slices.Values(r) {
			if !yield(raw, nil) {
				return
			}
		}
	}
}
