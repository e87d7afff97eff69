package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	"golang.org/x/time/rate"

	"github.com/rekey-go/rekey/audit"
)

// A LookupOptions configures [Lookup].
type LookupOptions struct {
	// From and To bound the time of the events. If zero, they do not: the
	// event history goes back 90 days.
	From, To time.Time
	// PerSecond is how many calls are made in a second. If zero, it is two,
	// which is what AWS allows an account in a Region; if negative, calls are
	// not paced.
	PerSecond float64
	// WithoutKMS leaves the records of KMS out. They tell which version a plain
	// read got, and which keys were disabled or are to be deleted. LookupEvents
	// cannot find those of Secrets Manager alone: in an account that uses KMS a
	// lot they are many.
	WithoutKMS bool
	// Name is what the account and Region are called. With a name, an error
	// leaves out the rest of them, with an [audit.SkippedError], in place of
	// ending the report; and it keeps their slices of a checkpoint apart.
	Name string
	// Checkpoint keeps what was looked up, by the day, so that a run that ends
	// early goes on where it was, and the next one looks up what is new. If
	// nil, all is looked up.
	Checkpoint *Checkpoint
	// Progress is called after each page, if it is not nil.
	Progress func(LookupProgress)
}

// A LookupProgress is how far a lookup is.
type LookupProgress struct {
	// Events is how many there were, and At the time of the latest one: within
	// a day, they come newest first.
	Events int
	At     time.Time
	// Pages is how many answers they came in.
	Pages int
	// Left is how long the rest takes if it has as many events for its time as
	// what was looked up; zero while that is not known.
	Left time.Duration
}

func (o LookupOptions) limiter() *rate.Limiter {
	perSecond := rate.Limit(o.PerSecond)
	switch {
	case o.PerSecond == 0:
		perSecond = 2
	case o.PerSecond < 0:
		perSecond = rate.Inf
	}
	return rate.NewLimiter(perSecond, 1)
}

// Events is a source of records from an account's event history.
type Events struct {
	client cloudtrail.LookupEventsAPIClient
	opts   LookupOptions
}

// Lookup returns the records of Secrets Manager, those of KMS on its behalf, and
// the changes of KMS keys from the event history of the client's account and
// Region.
func Lookup(client cloudtrail.LookupEventsAPIClient, optFns ...func(*LookupOptions)) *Events {
	e := &Events{client: client}
	for _, fn := range optFns {
		fn(&e.opts)
	}
	return e
}

// A slice is one attribute's events of some time: a lookup has one attribute
// only.
type slice struct {
	want     types.LookupAttribute
	from, to time.Time
	rare     bool // a page or two, however long the time is
}

// name is what a checkpoint calls a slice.
func (s slice) name(of string) string {
	return "lookup:" + of + ":" + *s.want.AttributeValue + ":" + s.from.UTC().Format(time.RFC3339) + "/" + s.to.UTC().Format(time.RFC3339)
}

const (
	// History is how far the event history goes back.
	History = 90 * 24 * time.Hour
	// Settled is how old a time must be for its events to be all there: AWS
	// promises them within a quarter of an hour, and this leaves room.
	Settled = time.Hour
)

// slices lists what to look up. Changes of keys are so rare that a call for each
// is enough. The rest is with a checkpoint looked up day by day, so that it can
// note each, the latest first; else the whole time at once.
func (e *Events) slices(now time.Time) (list []slice) {
	from, to := e.opts.From, e.opts.To
	if !e.opts.WithoutKMS {
		for _, c := range keyChanges() {
			list = append(list, slice{attribute(types.LookupAttributeKeyEventName, c.verb+c.rest), from, to, true})
		}
	}
	if e.opts.Checkpoint == nil {
		return append(list, e.slice(from, to)...)
	}
	const day = 24 * time.Hour
	if earliest := now.Add(-History); from.Before(earliest) {
		from = earliest
	}
	if to.IsZero() || to.After(now) {
		to = now
	}
	for begin := to.UTC().Truncate(day); begin.Add(day).After(from); begin = begin.Add(-day) {
		list = append(list, e.slice(begin, begin.Add(day))...)
	}
	return list
}

// slice is one slice for each attribute.
func (e *Events) slice(from, to time.Time) (list []slice) {
	for _, want := range e.lookups() {
		list = append(list, slice{want: want, from: from, to: to})
	}
	return list
}

// bounds are the times of a slice, given the present.
func (s slice) bounds(now time.Time) (from, to time.Time) {
	if from, to = s.from, s.to; from.IsZero() {
		from = now.Add(-History)
	}
	if to.IsZero() || to.After(now) {
		to = now
	}
	return from, to
}

// span is how much time a slice has that takes long to look up.
func (s slice) span(now time.Time) time.Duration {
	if s.rare {
		return 0
	}
	from, to := s.bounds(now)
	return to.Sub(from)
}

// Records looks the events up, day by day and page by page.
func (e *Events) Records(ctx context.Context) iter.Seq2[json.RawMessage, error] {
	return e.opts.Checkpoint.around(ctx, func(yield func(json.RawMessage, error) bool) {
		now := time.Now()
		r := &lookupRun{Events: e, limiter: e.opts.limiter(), begun: now}
		for _, s := range e.slices(now) {
			if !e.opts.Checkpoint.has(s.name(e.opts.Name)) {
				r.todo = append(r.todo, s)
				r.span += s.span(now)
			}
		}
		for _, s := range r.todo {
			err := r.lookUp(ctx, s, yield)
			if err == nil && !s.to.IsZero() && s.to.Before(now.Add(-Settled)) {
				err = e.opts.Checkpoint.finish(s.name(e.opts.Name))
			}
			switch {
			case errors.Is(err, errEnough):
				return
			case err != nil && e.opts.Name != "" && ctx.Err() == nil:
				yield(nil, &audit.SkippedError{What: e.opts.Name, Err: err})
				return
			case err != nil:
				yield(nil, err)
				return
			}
			r.done += s.span(now)
		}
	})
}

// A lookupRun is one going through the event history.
type lookupRun struct {
	*Events
	limiter    *rate.Limiter
	begun      time.Time
	todo       []slice
	span, done time.Duration // of the slices, and of those that are done
	count      int
	pages      int
}

// errEnough means that nobody wants more records.
var errEnough = errors.New("enough")

// lookUp yields the events of a slice.
func (r *lookupRun) lookUp(ctx context.Context, s slice, yield func(json.RawMessage, error) bool) error {
	in := &cloudtrail.LookupEventsInput{LookupAttributes: []types.LookupAttribute{s.want}}
	if !s.from.IsZero() {
		in.StartTime = &s.from
	}
	if !s.to.IsZero() { // it is inclusive: an event at the border of two days comes twice
		in.EndTime = &s.to
	}
	for pages := cloudtrail.NewLookupEventsPaginator(r.client, in); pages.HasMorePages(); {
		if err := r.limiter.Wait(ctx); err != nil {
			return fmt.Errorf("looking up events: %w", err)
		}
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("looking up events: %w", err)
		}
		for _, event := range page.Events {
			r.count++
			if event.CloudTrailEvent == nil {
				continue
			}
			raw := json.RawMessage(*event.CloudTrailEvent)
			if err := r.opts.Checkpoint.keep(raw); err != nil {
				return err
			}
			if !yield(raw, nil) {
				return errEnough
			}
		}
		r.pages++
		r.progress(s, page.Events)
	}
	return nil
}

// progress tells how far the run is.
func (r *lookupRun) progress(s slice, events []types.Event) {
	if r.opts.Progress == nil || len(events) == 0 || events[len(events)-1].EventTime == nil {
		return
	}
	p := LookupProgress{Events: r.count, Pages: r.pages, At: *events[len(events)-1].EventTime}
	_, to := s.bounds(r.begun)
	if done := r.done + min(to.Sub(p.At), s.span(r.begun)); done > 0 && done < r.span {
		p.Left = time.Duration(float64(time.Since(r.begun)) * float64(r.span-done) / float64(done))
	}
	r.opts.Progress(p)
}

// lookups lists what to look for, but for the changes of keys.
func (e *Events) lookups() []types.LookupAttribute {
	list := []types.LookupAttribute{attribute(types.LookupAttributeKeyEventSource, "secretsmanager.amazonaws.com")}
	if !e.opts.WithoutKMS {
		list = append(list,
			attribute(types.LookupAttributeKeyEventName, "Decrypt"),
			attribute(types.LookupAttributeKeyEventName, "GenerateDataKey"))
	}
	return list
}

func attribute(key types.LookupAttributeKey, value string) types.LookupAttribute {
	return types.LookupAttribute{AttributeKey: key, AttributeValue: &value}
}
