package admin

import (
	"cmp"
	"context"
	"encoding/json"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	"golang.org/x/sync/singleflight"
	"golang.org/x/time/rate"

	"github.com/rekey-go/rekey/audit"
)

// A history is how the last rotations of all secrets went, as the trail tells
// it. It costs four lookups whatever the number of secrets, so it is read for
// all of them at once, kept for a while, and never waited for long.
type history struct {
	trail    cloudtrail.LookupEventsAPIClient // nil where there is none
	limiter  *rate.Limiter
	keep     time.Duration
	patience time.Duration // how long a call waits for the trail to be read
	flight   singleflight.Group

	mu   sync.Mutex
	last past
}

const (
	// lookupTimeout is how long reading the trail may take.
	lookupTimeout = 10 * time.Second
	// patience is how long a call waits for it before it answers with what it has.
	patience = 200 * time.Millisecond
	// keepPast is how long the past is kept: the trail is minutes late on AWS,
	// and takes two calls in a second of a whole account.
	keepPast = 30 * time.Second
	// keepPastLocal is the same where there is no such limit.
	keepPastLocal = time.Second
)

func newHistory(trail cloudtrail.LookupEventsAPIClient, perSecond float64) *history {
	h := &history{trail: trail, keep: keepPast, patience: patience, limiter: rate.NewLimiter(rate.Limit(cmp.Or(perSecond, 2)), 2)}
	if perSecond < 0 {
		h.limiter, h.keep = rate.NewLimiter(rate.Inf, 1), keepPastLocal
	}
	return h
}

// A past is a history at one time.
type past struct {
	at    time.Time
	byARN map[string]tries
	// note says what is not known, if anything.
	note string
}

// A try is a rotation with the number of times that it failed.
type try struct {
	audit.Rotation
	tries int
}

// tries are the rotations of one secret, in the order of time.
type tries []try

// version returns the rotation to a version, or a zero one.
func (t tries) version(id string) try {
	for _, r := range t {
		if id != "" && r.VersionID == id {
			return r
		}
	}
	return try{}
}

// failed returns the last rotation if it failed, and nothing came after it.
func (t tries) failed(rotated *time.Time) (try, bool) {
	if len(t) == 0 {
		return try{}, false
	}
	last := t[len(t)-1]
	bad := last.Status == audit.Failed || last.Status == audit.Abandoned
	return last, bad && (rotated == nil || rotated.Before(last.Ended))
}

// read returns what is known by now, and has it read again where it is old.
func (h *history) read(ctx context.Context) past {
	h.mu.Lock()
	last := h.last
	h.mu.Unlock()
	if h.trail == nil {
		return past{note: "there is no trail that tells how rotations went"}
	}
	if time.Since(last.at) < h.keep {
		return last
	}
	done := h.flight.DoChan("", func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookupTimeout)
		defer cancel()
		next := h.lookUp(ctx)
		h.mu.Lock()
		defer h.mu.Unlock()
		if next.byARN == nil { // what was known before is better than nothing
			next.byARN = h.last.byARN
		}
		h.last = next
		return next, nil
	})
	wait := time.NewTimer(h.patience)
	defer wait.Stop()
	select {
	case r := <-done:
		return r.Val.(past) //nolint:errcheck,forcetypeassert // it is what the function above returns.
	case <-wait.C:
	case <-ctx.Done():
	}
	if last.at.IsZero() {
		last.note = "how rotations went is still being read"
	}
	return last
}

// of returns the rotations of a secret.
func (h *history) of(ctx context.Context, arn string) tries { return h.read(ctx).byARN[arn] }

// lookUp reads the latest events of each kind.
func (h *history) lookUp(ctx context.Context) past {
	var all audit.Records
	more := false
	for _, name := range []string{"RotationFailed", "RotationAbandoned", "RotationSucceeded", "RotationStarted"} {
		if err := h.limiter.Wait(ctx); err != nil {
			return past{at: time.Now(), note: "the trail took too long"}
		}
		out, err := h.trail.LookupEvents(ctx, &cloudtrail.LookupEventsInput{
			LookupAttributes: []types.LookupAttribute{{AttributeKey: types.LookupAttributeKeyEventName, AttributeValue: &name}},
		})
		if err != nil {
			return past{at: time.Now(), note: "the trail, which tells how rotations went, cannot be read"}
		}
		more = more || out.NextToken != nil
		for _, e := range out.Events {
			all = append(all, json.RawMessage(aws.ToString(e.CloudTrailEvent)))
		}
	}
	p := pastOf(ctx, all)
	if more {
		p.note = "of all rotations the latest are shown"
	}
	return p
}

func pastOf(ctx context.Context, records audit.Records) past {
	p := past{at: time.Now(), byARN: make(map[string]tries)}
	report, err := audit.Summarize(ctx, records, audit.Options{})
	if err != nil {
		return past{at: p.at, note: "the trail, which tells how rotations went, cannot be read"}
	}
	failed := failures(records)
	for _, s := range report.Secrets {
		for _, r := range s.Rotations {
			p.byARN[s.ARN] = append(p.byARN[s.ARN], try{r, failed["Rotation-"+s.ARN+"-"+r.VersionID]})
		}
	}
	return p
}

// failures counts the failed tries by what names a rotation: "Rotation-", the
// ARN and the version.
func failures(records audit.Records) map[string]int {
	count := make(map[string]int)
	for _, raw := range records {
		var r struct {
			EventName string `json:"eventName"`
			RequestID string `json:"requestID"`
		}
		if json.Unmarshal(raw, &r) == nil && r.EventName == "RotationFailed" {
			count[r.RequestID]++
		}
	}
	return count
}

// A failure is why a rotation failed, and what to do.
type failure struct {
	At        time.Time `json:"at,omitzero"`
	VersionID string    `json:"versionId,omitempty"`
	// Step is where it failed; empty for a rotation that was given up.
	Step    string `json:"step,omitempty"`
	Message string `json:"message"`
	// Tries is how often it failed.
	Tries int    `json:"tries,omitempty"`
	Next  string `json:"next"`
}

func failureOf(name string, t try) *failure {
	f := &failure{At: t.Ended, VersionID: t.VersionID, Step: t.Step, Message: clean(t.Message), Tries: t.tries}
	if f.Message == "" {
		f.Message = "the rotation was " + cmp.Or(t.Status, audit.Failed)
	}
	switch f.Step {
	case "createSecret":
		f.Next = "rekey plan " + name + " shows what the rotation lacks; the log of its function says why it failed"
	case "setSecret", "testSecret":
		f.Next = "rekey doctor " + name + " shows which value the target accepts; the log of the rotation's function says why it failed"
	case "finishSecret":
		f.Next = "rekey doctor " + name + " --fix completes it"
	default:
		f.Next = "rekey doctor " + name + " shows which value the target accepts; PUT /admin/secrets/rotate rotates again"
	}
	return f
}

// text is the failure in one line.
func (f *failure) text() string { return strings.TrimSpace(f.Step + " " + f.Message) }
