package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/rekey-go/rekey/internal/stage"
	"github.com/rekey-go/rekey/internal/supply"
	"github.com/rekey-go/rekey/rotation"
)

const rotateFailed = "Failed to rotate secret"

// rotateRequest is the body of PUT /admin/secrets/rotate.
type rotateRequest struct {
	SecretName string
	// NewValue is the value to rotate to. Without it the secret's rotation
	// function makes one.
	NewValue json.RawMessage
	// Token is the body's form of the Idempotency-Key.
	Token string
}

func (h *Handler) rotateSecret(c *call) (*answer, error) {
	var req rotateRequest
	wait, p := waitFor(c.Request)
	if p == nil {
		p = decode(c.Request, members{"secretName": &req.SecretName, "newValue": &req.NewValue, "clientRequestToken": &req.Token})
	}
	if p != nil {
		return nil, p
	}
	id, err := h.named(c, "secretName", req.SecretName)
	if err != nil {
		return nil, err
	}
	var value string
	if len(req.NewValue) > 0 {
		if guards(req.SecretName) && !c.who.all() {
			return nil, errForbidden
		}
		if value, p = secretText("newValue", req.NewValue); p != nil {
			return nil, p
		}
	}
	token, p := versionToken(c, req.Token, id)
	if p != nil {
		return nil, p
	}
	return h.begun(c, id, wait, func(ctx context.Context, about *secretsmanager.DescribeSecretOutput) (string, bool, error) {
		return h.rotate(ctx, about, value, token)
	})
}

// rotate starts a rotation, and returns the version to rotate to and whether it
// is current already. A secret without a rotation function, or without any value
// yet, takes a value at once; for all others it goes through the steps like one
// that the function makes.
func (h *Handler) rotate(ctx context.Context, about *secretsmanager.DescribeSecretOutput, value string, token *string) (version string, done bool, err error) {
	switch {
	case value == "":
		out, err := h.store.RotateSecret(ctx, &secretsmanager.RotateSecretInput{SecretId: about.ARN, ClientRequestToken: token})
		if err != nil {
			return "", false, err
		}
		return aws.ToString(out.VersionId), false, nil
	case aws.ToString(about.RotationLambdaARN) == "" || rotation.VersionWith(about.VersionIdsToStages, labelCurrent) == "":
		version, err = h.put(ctx, aws.ToString(about.ARN), value, token, false)
		return version, true, err
	default:
		version, err = supply.Value(ctx, h.store, about, value, aws.ToString(token))
		return version, false, err
	}
}

func (h *Handler) rollback(c *call) (*answer, error) {
	wait, p := waitFor(c.Request)
	if p == nil {
		p = decode(c.Request, nil)
	}
	if p != nil {
		return nil, p
	}
	if guards(c.name) && !c.who.all() {
		return nil, errForbidden
	}
	id := stage.Physical(h.stage, c.name)
	token, p := versionToken(c, "", id)
	if p != nil {
		return nil, p
	}
	return h.begun(c, id, wait, func(ctx context.Context, about *secretsmanager.DescribeSecretOutput) (string, bool, error) {
		version, err := supply.Previous(ctx, h.store, about, aws.ToString(token))
		switch {
		case errors.Is(err, supply.ErrNoPrevious):
			err = &problem{Status: http.StatusConflict, Detail: "there is no previous value to go back to"}
		case errors.Is(err, supply.ErrNoRotation):
			err = &problem{
				Status: http.StatusConflict, Detail: "the secret has no rotation function that could set and test the previous value",
				Hint: "store the value again: POST /admin/secrets",
			}
		}
		return version, false, err
	})
}

// begun begins a rotation and answers with how it goes, after the wait.
func (h *Handler) begun(c *call, id string, wait time.Duration, begin func(context.Context, *secretsmanager.DescribeSecretOutput) (version string, done bool, err error)) (*answer, error) {
	ctx := c.Context()
	about, err := h.store.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &id})
	if err != nil {
		return nil, unknownSecret(err)
	}
	if every, ok := h.rotations.take(id); !ok {
		return nil, &problem{
			Status: http.StatusTooManyRequests, Detail: "the secret was rotated several times a moment ago", retry: every,
		}
	}
	var done bool
	if c.version, done, err = begin(ctx, about); err != nil {
		return nil, err
	}
	h.changed(id)
	state := rotationState{SecretName: c.name, VersionID: c.version, Status: statusStarted}
	switch {
	case done:
		state.Status = statusFinished
	case wait > 0:
		state, err = h.await(ctx, c.name, id, c.version, wait)
		h.changed(id)
	}
	if err != nil {
		return nil, err
	}
	return state.answer()
}

// unknownSecret says of a secret that there is not how one comes about.
func unknownSecret(err error) error {
	p := problemOf(err)
	if p.Status != http.StatusNotFound {
		return err
	}
	p.Hint = "POST /admin/secrets stores the first value of a secret; secrets are defined in template.yaml"
	return p
}

// maxWait keeps a waiting call inside the time that an HTTP API gives it.
const maxWait = 25 * time.Second

// waitFor reads ?wait=25s.
func waitFor(r *http.Request) (time.Duration, *problem) {
	text := r.URL.Query().Get("wait")
	if text == "" {
		return 0, nil
	}
	wait, err := time.ParseDuration(text)
	if err != nil || wait < 0 {
		return 0, badRequest("wait is not a duration such as 25s")
	}
	return min(wait, maxWait), nil
}

// statusURL is where to watch a rotation.
func statusURL(name, version string) string {
	path := (&url.URL{Path: "/admin/secrets/" + name + "/rotation"}).EscapedPath()
	if version == "" {
		return path
	}
	return path + "?versionId=" + url.QueryEscape(version)
}

// cancelled is the answer to a rotation that was cancelled.
type cancelled struct {
	message
	SecretName string `json:"secretName"`
	// PendingVersionID is the version that still carries AWSPENDING. The target
	// may know its value already.
	PendingVersionID string `json:"pendingVersionId,omitempty"`
	Next             string `json:"next"`
}

func (h *Handler) cancelRotation(c *call) (*answer, error) {
	if p := decode(c.Request, nil); p != nil {
		return nil, p
	}
	id := stage.Physical(h.stage, c.name)
	if _, err := h.store.CancelRotateSecret(c.Context(), &secretsmanager.CancelRotateSecretInput{SecretId: &id}); err != nil {
		return nil, err
	}
	h.changed(id)
	out := cancelled{
		message: message{fmt.Sprintf("Rotation of secret '%s' cancelled, and its schedule turned off", c.name)}, SecretName: c.name,
		Next: "PUT /admin/secrets/rotate rotates it again and turns the schedule on",
	}
	about, err := h.store.DescribeSecret(c.Context(), &secretsmanager.DescribeSecretInput{SecretId: &id})
	if err != nil {
		return &answer{http.StatusOK, out}, nil //nolint:nilerr // it is cancelled all the same.
	}
	pending := rotation.VersionWith(about.VersionIdsToStages, labelPending)
	if pending != rotation.VersionWith(about.VersionIdsToStages, labelCurrent) {
		c.version, out.PendingVersionID = pending, pending
		out.Next = fmt.Sprintf("rekey doctor %s shows which value the target accepts; %s", c.name, out.Next)
	}
	return &answer{http.StatusOK, out}, nil
}
