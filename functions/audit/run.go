package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/rekey-go/rekey/audit"
	"github.com/rekey-go/rekey/audit/source"
)

const (
	// remembered is how long a published finding is known that no report has.
	remembered = 7 * day
	// attempts is how often a run begins again that is overtaken: each time,
	// another one came further.
	attempts = 50
)

// A run goes on where the last one ended. Its steps are in an order in which it
// may be killed after each: what was read is kept before the state says so, and
// the state says last of all what was reported and published.
type run struct {
	*function
	req   request
	now   time.Time // of this attempt
	name  time.Time // what its report is called by
	state *state
	sent  map[string]audit.Finding // :: key, those that this run published
	until time.Time                // when reading events has to stop; zero if it need not
	late  bool                     // whether it had to
}

// goOn makes the report that comes after the last one.
func (f *function) goOn(ctx context.Context, req request) (json.RawMessage, error) {
	r := &run{function: f, req: req, name: req.Time, sent: make(map[string]audit.Finding)}
	if r.name.IsZero() {
		r.name = req.now()
	}
	if deadline, ok := ctx.Deadline(); ok {
		r.until = deadline.Add(-f.spare)
	}
	report, err := r.attempt(ctx)
	for n := 1; n < attempts && errors.Is(err, errOvertaken); n++ {
		report, err = r.attempt(ctx)
	}
	if report != nil {
		figures := figuresOf(report, f.stage)
		figures.news(slices.Collect(maps.Values(r.sent)))
		f.tell(ctx, report, figures, len(r.sent))
	}
	switch {
	case err != nil:
		return nil, err
	case r.late: // Lambda invokes it again
		return nil, fmt.Errorf("the time was not enough for all events: they were read up to %s", report.Coverage.To.Format(time.RFC3339))
	}
	return answer(report)
}

// attempt does it, unless another run comes first.
func (r *run) attempt(ctx context.Context) (*audit.Report, error) {
	var err error
	if r.state, err = r.store.load(ctx); err != nil {
		return nil, err
	}
	r.now = r.req.now()
	if r.state.Reported.After(r.now) { // by the run that overtook this one
		r.now = r.state.Reported
	}
	if err := r.catchUp(ctx); err != nil {
		return nil, err
	}
	report, err := r.report(ctx)
	if err != nil {
		return nil, err
	}
	if err := r.store.keepReport(ctx, r.name, report); err != nil {
		return report, err
	}
	sent, err := r.publish(ctx, report, r.news(report))
	for _, f := range sent {
		r.sent[key(&f)] = f
	}
	r.finish(report)
	return report, errors.Join(err, r.store.save(ctx, r.state))
}

// reading is the context in which events are read: the rest of the time is for
// the report.
func (r *run) reading(ctx context.Context) (context.Context, context.CancelFunc) {
	if r.until.IsZero() {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, r.until)
}

// isOver reports whether an error of reading means that the time for it is over.
// The limit of calls says so ahead of time, as soon as the next one would be
// late.
func (r *run) isOver(ctx context.Context, err error) bool {
	return err != nil && ctx.Err() == nil && !r.until.IsZero() && time.Until(r.until) < time.Second
}

// catchUp keeps the events that are all there by now, slice by slice. What came
// in after them is for the report too, and is looked up again by the next run.
func (r *run) catchUp(ctx context.Context) error {
	reading, cancel := r.reading(ctx)
	defer cancel()
	st := r.state
	if st.Through.IsZero() {
		st.Through = r.now.Add(-r.span).UTC().Truncate(time.Second)
	}
	if first := r.now.Add(-source.History).UTC().Truncate(time.Second); st.Through.Before(first) {
		st.Through = first // the report finds that there is a gap
	}
	settled := r.now.Add(-source.Settled).UTC().Truncate(time.Second)
	for st.Through.Before(settled) {
		from, to := st.Through, st.Through.Add(r.slice)
		if to.After(settled) {
			to = settled
		}
		kept, err := r.store.keepRecords(reading, r.lookup(from, to), from, to)
		if r.late = r.isOver(ctx, err); r.late {
			return nil
		}
		if err != nil {
			return err
		}
		st.Segments, st.Through = append(st.Segments, kept), to
		if err := r.store.save(ctx, st); err != nil {
			return err
		}
	}
	return nil
}

// report is of the time since the last one, and of the span at least.
func (r *run) report(ctx context.Context) (*audit.Report, error) {
	opts := audit.Options{From: r.now.Add(-r.span), To: r.now, Now: r.now, Baseline: r.state.Baseline}
	if !r.state.Reported.IsZero() && r.state.Reported.Before(opts.From) {
		opts.From = r.state.Reported
	}
	missing := r.account.Join(ctx, &opts)
	kept := r.state.after(opts.From)
	missing = append(missing, gaps(kept, opts.From)...)
	sources := []audit.Source{r.store.records(kept)}
	if r.late {
		opts.To = r.state.Through
		missing = append(missing, &audit.SkippedError{What: "the events since " + opts.To.Format(time.RFC3339), Err: context.DeadlineExceeded})
	} else {
		sources = append(sources, inTime{r, r.lookup(r.state.Through, r.now)})
	}
	return audit.Summarize(ctx, source.Join(append(sources, without(missing))...), opts)
}

// after lists the segments that have events of a time or later.
func (st *state) after(from time.Time) (list []segment) {
	for _, s := range st.Segments {
		if !s.To.Before(from) {
			list = append(list, s)
		}
	}
	return list
}

// gaps are the times without events between segments: those that the event
// history had forgotten when it was asked.
func gaps(list []segment, from time.Time) (missing []*audit.SkippedError) {
	for _, s := range list {
		if s.From.After(from.Add(time.Second)) {
			missing = append(missing, &audit.SkippedError{
				What: "the events from " + from.UTC().Format(time.RFC3339) + " to " + s.From.Format(time.RFC3339),
				Err:  errors.New("they were not read while the event history had them"),
			})
		}
		from = s.To
	}
	return missing
}

// news lists the grave findings that no run has published.
func (r *run) news(report *audit.Report) []audit.Finding {
	return slices.DeleteFunc(grave(report), func(f audit.Finding) bool {
		return r.isPublished(key(&f))
	})
}

func (r *run) isPublished(key string) bool {
	_, now := r.sent[key]
	_, before := r.state.Published[key]
	return now || before
}

// finish notes what was reported.
func (r *run) finish(report *audit.Report) {
	st := r.state
	for _, f := range grave(report) {
		if k := key(&f); r.isPublished(k) {
			st.Published[k] = r.now.UTC()
		}
	}
	for k, last := range st.Published {
		if r.now.Sub(last) > remembered {
			delete(st.Published, k)
		}
	}
	st.Baseline, st.Reported = report.Baseline, report.Coverage.To
	st.Segments = st.after(r.now.Add(-r.span))
}

// without is a source without records, that says what else is missing.
type without []*audit.SkippedError

// Records yields an error for each.
func (w without) Records(context.Context) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		for _, missing := range w {
			if !yield(nil, missing) {
				return
			}
		}
	}
}

// inTime is a source that ends with the time for reading, and says so.
type inTime struct {
	run *run
	audit.Source
}

// Records yields those that can be had in time.
func (s inTime) Records(ctx context.Context) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		reading, cancel := s.run.reading(ctx)
		defer cancel()
		for raw, err := range s.Source.Records(reading) {
			if s.run.isOver(ctx, err) {
				s.run.late = true
				yield(nil, &audit.SkippedError{What: "some events since " + s.run.state.Through.Format(time.RFC3339), Err: context.DeadlineExceeded})
				return
			}
			if !yield(raw, err) {
				return
			}
		}
	}
}
