package secretsmanager

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/rekey-go/rekey/internal/local/wire"
)

// A run is a rotation in progress. It is kept until the rotation has
// succeeded, has failed for good, or was ended by a caller.
type run struct {
	Token         string
	RotationToken string
	// Test is a test of the configuration: testSecret alone.
	Test bool `json:",omitempty"`
	// Failed is how many attempts have failed.
	Failed  int `json:",omitempty"`
	Started time.Time
}

var (
	// errRepeated means that a rotation was asked for with a token that it
	// runs under already, or that it completed under.
	errRepeated = errors.New("the rotation was started before")
	// errEnded means that a rotation was ended while a step ran.
	errEnded = errors.New("the rotation was ended")
)

// startRun begins a rotation in the next state of a secret.
func (s *Service) startRun(next *secret, token string, test bool) error {
	if next.Run != nil && next.Run.Token == token || next.versions.labels[labelCurrent] == token {
		return errRepeated
	}
	if next.Run == nil && next.versions.labels[labelPending] == token {
		s.takeUp(next)
		return nil
	}
	var val *value
	if current := next.versions.at(labelCurrent); test && current != nil {
		val = current.value // a test has nothing of its own to test with
	}
	after, err := next.versions.begin(s.now(), token, val, next.KMSKeyID)
	switch {
	case errors.Is(err, errVersionExists):
		return invalidRequest("A version with the ClientRequestToken %s already exists.", token)
	case errors.Is(err, errTooMany):
		return tooMany()
	case err != nil:
		return err
	}
	if old := next.Run; old != nil && next.versions.labels[labelCurrent] == old.Token {
		// Its function has promoted its version and not returned yet.
		next.Rotated, next.Rotation.From = s.now(), s.now()
		next.Rotation.plan(s.now())
	}
	next.versions = after
	next.Run = &run{Token: token, RotationToken: wire.NewID(), Test: test, Started: s.now()}
	return nil
}

// takeUp begins the rotation again whose version is AWSPENDING.
func (s *Service) takeUp(next *secret) {
	next.Run = &run{Token: next.versions.labels[labelPending], RotationToken: wire.NewID(), Started: s.now()}
}

// reattempt takes up the rotation that left AWSPENDING behind, unless it runs
// anyway.
func (s *Service) reattempt(e *entry) {
	_, err := s.change(e, func(next *secret) error {
		if next.Run != nil || !next.Rotation.Enabled || !s.mayInvoke(next.Rotation.LambdaARN, next.ARN) {
			return errRepeated
		}
		s.takeUp(next)
		return nil
	})
	switch {
	case err == nil:
		s.beginRun(e)
	case !errors.Is(err, errRepeated):
		s.opts.Logger.WarnContext(s.ctx, "taking a rotation up again", "secret", e.name, "error", err)
	}
}

// beginRun announces the rotation that was started and makes its first
// attempt beside the caller.
func (s *Service) beginRun(e *entry) {
	if r := s.announceStart(e); r != nil {
		s.background(func() { s.attempt(e, r) })
	}
}

func (s *Service) announceStart(e *entry) *run {
	st := e.state.Load()
	if st.Run != nil {
		s.announceRotation(st, st.Run.Token, st.Run.event(rotationStarted, testStarted), "")
	}
	return st.Run
}

// event is the name of a service event, for a rotation or for a test.
func (r *run) event(rotated, tested string) string {
	if r.Test {
		return tested
	}
	return rotated
}

// attempt goes through the steps of a rotation, and settles what came of it.
// It does nothing if the rotation is not in progress any more.
func (s *Service) attempt(e *entry, r *run) {
	e.attempting.Lock()
	defer e.attempting.Unlock()
	if !same(e.state.Load().Run, r) {
		return
	}
	steps := []string{"createSecret", "setSecret", "testSecret", "finishSecret"}
	if r.Test {
		steps = []string{"testSecret"}
	}
	for _, step := range steps {
		err := s.step(e, r, step)
		switch {
		case errors.Is(err, errEnded):
			return
		case err != nil:
			s.failed(e, r, err)
			return
		}
	}
	s.succeeded(e, r)
}

// stepEvent is what a rotation function gets.
type stepEvent struct {
	Step               string
	SecretID           string `json:"SecretId"`
	ClientRequestToken string
	RotationToken      string
}

// step invokes the rotation function for one step. Its error holds nothing of
// what the function answered, which could be a value.
func (s *Service) step(e *entry, r *run, step string) error {
	st := e.state.Load()
	payload, err := json.Marshal(stepEvent{Step: step, SecretID: e.arn, ClientRequestToken: r.Token, RotationToken: r.RotationToken})
	if err != nil {
		return err
	}
	lambdaARN := st.Rotation.LambdaARN
	_, functionError, err := s.opts.Invoker.Invoke(s.ctx, lambdaARN, payload)
	st = e.state.Load()
	switch {
	case s.ctx.Err() != nil || !same(st.Run, r):
		return errEnded
	case err != nil:
		s.opts.Logger.WarnContext(s.ctx, "invoking a rotation function", "secret", e.name, "step", step, "function", lambdaARN, "error", err)
	case functionError == "" && step == "finishSecret" && st.versions.labels[labelCurrent] != r.Token:
		// The function says that it is done, and consumers get the old value.
		functionError = "AWSCURRENT was not moved"
	}
	if err != nil || functionError != "" {
		return fmt.Errorf("Error when executing lambda %s during %s step", lambdaARN, step) //nolint:staticcheck // AWS's own words.
	}
	return nil
}

// same reports whether two states of a run are of the same rotation.
func same(a, b *run) bool { return a != nil && b != nil && a.RotationToken == b.RotationToken }

// succeeded ends the rotation. AWSPENDING stays on the version that is
// AWSCURRENT now, unless the function took it off: so AWS was recorded. It
// takes the label off some time later; here it stays until it moves.
func (s *Service) succeeded(e *entry, r *run) {
	st := s.settle(e, r, func(next *secret) {
		next.Run = nil
		if r.Test {
			next.versions = next.versions.discard(r.Token)
			return
		}
		next.Rotated, next.Rotation.From = s.now(), s.now()
		next.Rotation.plan(s.now())
	})
	if st != nil {
		s.announceRotation(st, r.Token, r.event(rotationSucceeded, testSucceeded), "")
	}
}

// failed counts a failed attempt, and starts the timer for the next. After
// the last the rotation ends with AWSPENDING where it is.
func (s *Service) failed(e *entry, r *run, cause error) {
	st := s.settle(e, r, func(next *secret) {
		retry := *next.Run
		retry.Failed++
		next.Run = nil
		switch {
		case r.Test:
			next.versions = next.versions.discard(r.Token)
		case retry.Failed <= len(s.opts.RetryBackoff):
			next.Run = &retry
		}
	})
	if st == nil {
		return
	}
	if st.Run != nil {
		s.retryIn(e, s.opts.RetryBackoff[st.Run.Failed-1], st.Run)
	}
	s.announceRotation(st, r.Token, r.event(rotationFailed, testFailed), cause.Error())
}

// settle stores what came of an attempt, and returns the state that follows.
// It is nil if the rotation is not in progress any more, or if it could not be
// stored: then the rotation goes on when the service is made anew.
func (s *Service) settle(e *entry, r *run, change func(next *secret)) *secret {
	st, err := s.update(e, func(next *secret) error {
		if !same(next.Run, r) {
			return errEnded
		}
		change(next)
		return nil
	})
	if err != nil && !errors.Is(err, errEnded) {
		s.opts.Logger.ErrorContext(s.ctx, "storing the outcome of a rotation", "secret", e.name, "error", err)
	}
	return st
}
