// Package follow watches a rotation from outside, with nothing but the calls
// that an operator may make: DescribeSecret says when the new version is
// current, and the trail says when a step failed.
package follow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// ErrFailed means that Secrets Manager gave the rotation up.
var ErrFailed = errors.New("the rotation failed")

// SecretsManager is what following asks of Secrets Manager.
type SecretsManager interface {
	DescribeSecret(ctx context.Context, in *secretsmanager.DescribeSecretInput, opts ...func(*secretsmanager.Options)) (*secretsmanager.DescribeSecretOutput, error)
}

// CloudTrail is what following asks of CloudTrail.
type CloudTrail interface {
	LookupEvents(ctx context.Context, in *cloudtrail.LookupEventsInput, opts ...func(*cloudtrail.Options)) (*cloudtrail.LookupEventsOutput, error)
}

// A Rotation is a rotation to follow.
type Rotation struct {
	Secrets SecretsManager
	// Trail may be nil; a failure is then seen only by its labels.
	Trail CloudTrail
	// ARN and VersionID are what RotateSecret answered.
	ARN, VersionID string
	// Started is when RotateSecret was called.
	Started time.Time
	// Progress is called once with each thing that is seen. If nil, nobody is
	// told.
	Progress func(Milestone)
}

// A Milestone is something that is seen of a rotation.
type Milestone struct {
	// What is a word for it: started, created, failed, current.
	What string
	// Detail says more, in words. It never holds a value.
	Detail string
	// After is the time since the rotation started.
	After time.Duration
}

const (
	// pollFast is how often a rotation is looked at while it is young, and
	// pollSlow later on.
	pollFast = 20 * time.Millisecond
	pollSlow = time.Second
	// young is how long a local rotation takes at most.
	young = 10 * time.Second
	// trailEvery keeps three lookups inside CloudTrail's two calls per second.
	trailEvery = 2 * time.Second
	// maxTries is how often Secrets Manager has failed when it is not worth
	// waiting for another try.
	maxTries = 5
)

// Wait returns when the new version is current. The error wraps [ErrFailed]
// when the rotation was given up, and is the context's when that ends first.
func (r Rotation) Wait(ctx context.Context) error {
	w := &watch{Rotation: r}
	poll := time.NewTimer(0)
	defer poll.Stop()
	var lookedAt time.Time
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-poll.C:
		}
		current, err := w.labels(ctx)
		if err != nil || current {
			return err
		}
		if r.Trail != nil && time.Since(lookedAt) >= trailEvery {
			lookedAt = time.Now()
			if err := w.trail(ctx); err != nil {
				return err
			}
		}
		poll.Reset(w.pause())
	}
}

type watch struct {
	Rotation
	seen   map[string]bool
	staged bool            // the version was there
	failed map[string]bool // :: event id of a failed try
}

func (w *watch) pause() time.Duration {
	if time.Since(w.Started) < young {
		return pollFast
	}
	return pollSlow
}

func (w *watch) tell(what, detail string) {
	if w.seen[what+detail] {
		return
	}
	if w.seen == nil {
		w.seen = make(map[string]bool)
	}
	w.seen[what+detail] = true
	if w.Progress != nil {
		w.Progress(Milestone{What: what, Detail: detail, After: time.Since(w.Started)})
	}
}

// labels looks at the staging labels of the new version.
func (w *watch) labels(ctx context.Context) (current bool, err error) {
	about, err := w.Secrets.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &w.ARN})
	if err != nil {
		return false, err
	}
	labels, there := about.VersionIdsToStages[w.VersionID]
	switch {
	case slices.Contains(labels, "AWSCURRENT"):
		w.tell("current", "the new version is AWSCURRENT")
		return true, nil
	case slices.Contains(labels, "AWSPENDING"):
		w.staged = true
		w.tell("started", "the new version is AWSPENDING")
	case w.staged && !there:
		return false, fmt.Errorf("%w: the new version was taken away; the rotation was cancelled or undone", ErrFailed)
	}
	return false, nil
}

// trail looks for what the services recorded of the rotation.
func (w *watch) trail(ctx context.Context) error {
	for _, name := range []string{"PutSecretValue", "RotationFailed", "RotationAbandoned"} {
		out, err := w.Trail.LookupEvents(ctx, &cloudtrail.LookupEventsInput{
			StartTime:        aws.Time(w.Started.Truncate(time.Second)),
			LookupAttributes: []types.LookupAttribute{{AttributeKey: types.LookupAttributeKeyEventName, AttributeValue: aws.String(name)}},
		})
		if err != nil {
			return nil // without the trail the labels still tell the end
		}
		for _, event := range slices.Backward(out.Events) {
			if err := w.event(name, aws.ToString(event.EventId), aws.ToString(event.CloudTrailEvent)); err != nil {
				return err
			}
		}
	}
	return nil
}

// record is what is read of a record of the trail.
type record struct {
	ErrorCode           string    `json:"errorCode"`
	ErrorMessage        string    `json:"errorMessage"`
	RequestID           string    `json:"requestID"`
	EventTime           time.Time `json:"eventTime"`
	AdditionalEventData struct {
		SecretID string `json:"SecretId"`
	} `json:"additionalEventData"`
	RequestParameters struct {
		Token string `json:"clientRequestToken"`
	} `json:"requestParameters"`
}

func (w *watch) event(name, id, text string) error {
	var r record
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return nil //nolint:nilerr // a record of another shape is another's.
	}
	if name == "PutSecretValue" {
		if r.RequestParameters.Token == w.VersionID && r.ErrorCode == "" {
			w.tell("created", "createSecret stored the pending value")
		}
		return nil
	}
	// A request id ends with the version. The second in which this rotation
	// began may have the end of another, or of a test.
	if r.AdditionalEventData.SecretID != w.ARN || r.EventTime.Before(w.Started.Truncate(time.Second)) || !strings.HasSuffix(r.RequestID, w.VersionID) {
		return nil
	}
	if name == "RotationAbandoned" {
		return because(ErrFailed, r.ErrorMessage)
	}
	if w.failed == nil {
		w.failed = make(map[string]bool)
	}
	if w.failed[id] {
		return nil
	}
	w.failed[id] = true
	w.tell("failed", fmt.Sprintf("try %d: %s", len(w.failed), r.ErrorMessage))
	if len(w.failed) >= maxTries {
		return because(fmt.Errorf("%w %d times", ErrFailed, len(w.failed)), r.ErrorMessage)
	}
	return nil
}

// because adds what a record says of a failure, which may be nothing.
func because(err error, message string) error {
	if message == "" {
		return err
	}
	return fmt.Errorf("%w: %s", err, message)
}
