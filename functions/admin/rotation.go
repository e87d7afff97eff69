package admin

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/rekey-go/rekey/audit"
	"github.com/rekey-go/rekey/internal/stage"
	"github.com/rekey-go/rekey/rotation"
)

const (
	labelCurrent  = rotation.LabelCurrent
	labelPending  = rotation.LabelPending
	labelPrevious = rotation.LabelPrevious
)

// The states of a rotation.
const (
	statusStarted    = "started"
	statusUnfinished = "unfinished" // it runs on after what was waited
	statusRunning    = "running"
	statusFinished   = "finished"
	statusFailed     = "failed"
	statusSuperseded = "superseded" // its version was current, and another took its place
	statusNone       = "none"       // the secret was never rotated, and is not now
)

// rotationState is how a rotation goes.
type rotationState struct {
	Message    string `json:"message"`
	SecretName string `json:"secretName"`
	// VersionID is the version to rotate to.
	VersionID string `json:"versionId,omitempty"`
	Status    string `json:"status"`
	// Failure is why its last try failed. Secrets Manager may try again.
	Failure *failure `json:"failure,omitempty"`
	// Consumers tell how many have changed over.
	Consumers *consumers `json:"consumers,omitempty"`
	// StatusURL is where to watch it.
	StatusURL string `json:"statusUrl"`
}

// answer makes an answer of the state. A rotation that was waited for and failed
// is a failure of the call.
func (s rotationState) answer() (*answer, error) {
	if s.Status == statusFailed {
		return nil, &problem{Status: http.StatusInternalServerError, Detail: s.Failure.text(), Hint: s.Failure.Next}
	}
	status := http.StatusOK
	if s.Status == statusStarted || s.Status == statusUnfinished {
		status = http.StatusAccepted
	}
	return &answer{status, s.worded()}, nil
}

// worded says the state in words.
func (s rotationState) worded() rotationState {
	words := map[string]string{
		statusStarted: "rotation started", statusFinished: "rotated successfully", statusUnfinished: "rotation is still running",
		statusRunning: "rotation is running", statusFailed: "rotation failed", statusSuperseded: "was rotated further", statusNone: "was not rotated yet",
	}
	s.Message = fmt.Sprintf("Secret '%s' %s", s.SecretName, words[s.Status])
	s.StatusURL = statusURL(s.SecretName, s.VersionID)
	return s
}

func (h *Handler) readRotation(c *call) (*answer, error) {
	wait, p := waitFor(c.Request)
	if p != nil {
		return nil, p
	}
	id := stage.Physical(h.stage, c.name)
	c.version = c.URL.Query().Get("versionId")
	state, err := h.await(c.Context(), c.name, id, c.version, wait)
	if err != nil {
		return nil, err
	}
	if state.Status == statusUnfinished {
		state.Status = statusRunning
	}
	return &answer{http.StatusOK, state.worded()}, nil
}

const (
	// pollFast is how soon a rotation is looked at again at first, and pollSlow
	// later on.
	pollFast = 40 * time.Millisecond
	pollSlow = time.Second
	// maxTries is how often a rotation has failed when it is not worth waiting
	// for another try.
	maxTries = 5
)

// await watches a rotation until it ends or the wait is over. Without a version
// it is the rotation that runs, or the last one.
func (h *Handler) await(ctx context.Context, name, id, version string, wait time.Duration) (rotationState, error) {
	over := time.NewTimer(wait)
	defer over.Stop()
	for pause := pollFast; ; pause = min(2*pause, pollSlow) {
		state, err := h.rotationOf(ctx, name, id, version)
		if err != nil || state.Status != statusRunning || wait <= 0 {
			return state, err
		}
		version = state.VersionID
		next := time.NewTimer(pause)
		select {
		case <-next.C:
		case <-over.C:
			next.Stop()
			state.Status = statusUnfinished
			return state, nil
		case <-ctx.Done():
			next.Stop()
			return state, ctx.Err()
		}
	}
}

// rotationOf tells how a rotation goes now.
func (h *Handler) rotationOf(ctx context.Context, name, id, version string) (rotationState, error) {
	about, err := h.store.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &id})
	if err != nil {
		return rotationState{}, err
	}
	labels := about.VersionIdsToStages
	current, pending := rotation.VersionWith(labels, labelCurrent), rotation.VersionWith(labels, labelPending)
	if version == "" {
		version = pending
	}
	if version == "" && about.LastRotatedDate != nil {
		version = current
	}
	state := rotationState{SecretName: name, VersionID: version}
	tried := h.history.of(ctx, aws.ToString(about.ARN)).version(version)
	switch {
	case version == "":
		state.Status = statusNone
	case version == current:
		state.Status = statusFinished
	case version == pending && !aws.ToBool(about.RotationEnabled):
		state.Status, tried.Status, tried.Message = statusFailed, audit.Abandoned, "the rotation was cancelled"
	case tried.Status == audit.Abandoned, version == pending && tried.tries >= maxTries:
		state.Status = statusFailed
	case version == pending:
		state.Status = statusRunning
	case tried.Status == audit.Succeeded, slices.Contains(labels[version], labelPrevious):
		state.Status = statusSuperseded
	default:
		return state, &problem{Status: http.StatusNotFound, Detail: "the secret has no rotation to this version"}
	}
	if state.Status == statusFailed || state.Status == statusRunning && tried.tries > 0 {
		state.Failure = failureOf(name, tried)
	}
	state.Consumers = h.holders(ctx, aws.ToString(about.ARN), current).counted()
	return state, nil
}
