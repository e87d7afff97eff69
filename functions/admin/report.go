package admin

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"golang.org/x/sync/singleflight"

	"github.com/rekey-go/rekey/audit"
	"github.com/rekey-go/rekey/audit/source"
	"github.com/rekey-go/rekey/internal/stage"
)

const (
	// span is how far an audit looks back that no time was asked for, and
	// maxSpan is as far as the event history goes.
	span    = 24 * time.Hour
	maxSpan = 90 * 24 * time.Hour
	// auditTime is how long reading the trail may take. What is not read by
	// then, which is the oldest, is left out, and the report says so.
	auditTime = 20 * time.Second
	// keepReport is how long a report is kept.
	keepReport = time.Minute
	maxReports = 16
)

// reports makes reports, and keeps them for a while.
type reports struct {
	trail     cloudtrail.LookupEventsAPIClient
	perSecond float64
	flight    singleflight.Group

	mu sync.Mutex
	by map[time.Duration]*audit.Report // :: span -> the last report
}

func newReports(trail cloudtrail.LookupEventsAPIClient, perSecond float64) *reports {
	return &reports{trail: trail, perSecond: perSecond, by: make(map[time.Duration]*audit.Report)}
}

// read returns a report on the time up to now.
func (r *reports) read(ctx context.Context, back time.Duration) (*audit.Report, error) {
	r.mu.Lock()
	known := r.by[back]
	r.mu.Unlock()
	if known != nil && time.Since(known.Generated) < keepReport {
		return known, nil
	}
	done := r.flight.DoChan(back.String(), func() (any, error) {
		next, err := r.make(context.WithoutCancel(ctx), back)
		if err != nil {
			return nil, err
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if len(r.by) >= maxReports {
			clear(r.by)
		}
		r.by[back] = next
		return next, nil
	})
	select {
	case got := <-done:
		next, _ := got.Val.(*audit.Report)
		return next, got.Err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (r *reports) make(ctx context.Context, back time.Duration) (*audit.Report, error) {
	now := time.Now().UTC()
	events := source.Lookup(r.trail, func(o *source.LookupOptions) {
		o.From, o.To, o.PerSecond = now.Add(-back), now, r.perSecond
	})
	return audit.Summarize(ctx, inTime{events, now.Add(auditTime)}, audit.Options{From: now.Add(-back), To: now, Now: now})
}

// inTime is a source that ends when its time is over, and says so.
type inTime struct {
	audit.Source
	until time.Time
}

// Records yields those that can be had in time.
func (s inTime) Records(ctx context.Context) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		limited, cancel := context.WithDeadline(ctx, s.until)
		defer cancel()
		for raw, err := range s.Source.Records(limited) {
			if err != nil && ctx.Err() == nil && (limited.Err() != nil || strings.Contains(err.Error(), "would exceed context deadline")) {
				yield(nil, &audit.SkippedError{What: "the older events", Err: context.DeadlineExceeded})
				return
			}
			if !yield(raw, err) {
				return
			}
		}
	}
}

// A digest is a report in short.
type digest struct {
	Coverage audit.Coverage  `json:"coverage"`
	Secrets  []audited       `json:"secrets"`
	Denied   []audit.Denied  `json:"denied"`
	Findings []audit.Finding `json:"findings"`
}

// audited is one secret's part.
type audited struct {
	Name     string          `json:"name"`
	Current  string          `json:"currentVersionId,omitempty"`
	Reads    int             `json:"reads"`
	Writes   int             `json:"writes"`
	Denied   int             `json:"denied"`
	Readers  int             `json:"readers"`
	LastRead *time.Time      `json:"lastRead,omitempty"`
	Rotated  int             `json:"rotations"`
	Failed   int             `json:"failedRotations"`
	Laggards []audit.Laggard `json:"laggards"`
}

func (h *Handler) summarize(c *call) (*answer, error) {
	back := span
	if text := c.URL.Query().Get("since"); text != "" {
		var err error
		if back, err = time.ParseDuration(text); err != nil || back <= 0 || back > maxSpan {
			return nil, badRequest("since is not a duration such as 24h, of at most %v", maxSpan)
		}
	}
	if h.reports.trail == nil {
		return nil, &problem{Status: http.StatusNotFound, Detail: "there is no trail to read"}
	}
	report, err := h.reports.read(c.Context(), back)
	if err != nil {
		return nil, err
	}
	return &answer{http.StatusOK, h.digestFor(c.who, report)}, nil
}

// digestFor is what a caller may see of a report: their secrets.
func (h *Handler) digestFor(who principal, r *audit.Report) digest {
	d := digest{Coverage: r.Coverage, Secrets: []audited{}, Denied: []audit.Denied{}, Findings: []audit.Finding{}}
	may := func(physical string) bool {
		ours := stage.Has(h.stage, physical)
		return ours && who.may(ScopeAudit, stage.Logical(h.stage, physical)) || who.mayAll(ScopeAudit)
	}
	for _, s := range r.Secrets {
		if may(s.Name) {
			d.Secrets = append(d.Secrets, auditedOf(stage.Logical(h.stage, s.Name), s))
		}
	}
	for _, x := range r.Denied {
		if may(x.Secret) {
			d.Denied = append(d.Denied, x)
		}
	}
	for _, f := range r.Findings {
		if may(f.Secret) {
			d.Findings = append(d.Findings, f)
		}
	}
	return d
}

func auditedOf(name string, s audit.Secret) audited {
	a := audited{
		Name: name, Current: s.Current, Reads: s.Reads, Writes: s.Writes, Denied: s.Denied, Rotated: len(s.Rotations),
		Laggards: slices.Clip(append([]audit.Laggard{}, s.Laggards...)),
	}
	if !s.LastRead.IsZero() {
		a.LastRead = utc(&s.LastRead)
	}
	for _, x := range s.Accesses {
		if x.Reads > 0 {
			a.Readers++
		}
	}
	for _, r := range s.Rotations {
		if r.Status == audit.Failed || r.Status == audit.Abandoned {
			a.Failed++
		}
	}
	return a
}
