package secretsmanager

import (
	"context"
	"errors"
	"time"

	"github.com/rekey-go/rekey/internal/local/schedule"
	"github.com/rekey-go/rekey/internal/local/wire"
)

// rotation is how a secret is rotated. The zero value is a secret for which
// rotation was never configured.
type rotation struct {
	Enabled   bool
	LambdaARN string
	rules
	// From is what the windows of a rate are counted from: the last rotation,
	// the last value that was put by hand, or when rotation was configured.
	From time.Time `json:",omitzero"`
	// Opens and Closes are the next window; zero if there is none.
	Opens  time.Time `json:",omitzero"`
	Closes time.Time `json:",omitzero"`
}

// rules are RotationRules.
type rules struct {
	AutomaticallyAfterDays int    `json:",omitempty"`
	Duration               string `json:",omitempty"`
	ScheduleExpression     string `json:",omitempty"`
}

// schedule returns when the rules say that the secret is rotated, or nil if
// they do not.
func (r rules) schedule() (*schedule.Rotation, error) {
	switch {
	case r.AutomaticallyAfterDays != 0 && r.ScheduleExpression != "":
		return nil, invalidParameter("You cannot specify both rotation frequency and schedule expression together.")
	case r.ScheduleExpression != "":
		windows, err := schedule.ParseRotation(r.ScheduleExpression, r.Duration)
		if err != nil {
			return nil, invalidParameter("Invalid ScheduleExpression or Duration: %v.", err)
		}
		return windows, nil
	case r.AutomaticallyAfterDays != 0:
		windows, err := schedule.EveryDays(r.AutomaticallyAfterDays, r.Duration)
		if err != nil {
			return nil, invalidParameter("Invalid AutomaticallyAfterDays or Duration: %v.", err)
		}
		return windows, nil
	case r.Duration != "":
		return nil, invalidParameter("Duration needs a ScheduleExpression or AutomaticallyAfterDays.")
	}
	return nil, nil
}

// plan sets the next window after now, counted from From.
func (r *rotation) plan(now time.Time) {
	r.Opens, r.Closes = time.Time{}, time.Time{}
	if !r.Enabled {
		return
	}
	if windows, err := r.schedule(); err == nil && windows != nil {
		r.Opens, r.Closes = windows.Next(r.From, now)
	}
}

// A Rotation is what a template says of a secret's rotation.
type Rotation struct {
	LambdaARN string
	// AutomaticallyAfterDays or ScheduleExpression say when. If both are zero
	// the secret is rotated on demand only.
	AutomaticallyAfterDays int
	ScheduleExpression     string
	// Duration is the length of the window, as in "3h". If empty, it is an
	// hour for schedules in hours and the rest of the UTC day for those in
	// days.
	Duration string
}

// ConfigureRotation turns the rotation of a secret on, by its name or ARN. It
// does not rotate it. A schedule that is in force already goes on as it is.
// The error is a [*wire.Error] as of RotateSecret.
func (s *Service) ConfigureRotation(id string, r Rotation) error {
	e := s.find(id)
	if e == nil {
		return notFound()
	}
	want := rules{AutomaticallyAfterDays: r.AutomaticallyAfterDays, Duration: r.Duration, ScheduleExpression: r.ScheduleExpression}
	if _, err := want.schedule(); err != nil {
		return err
	}
	if !s.mayInvoke(r.LambdaARN, e.arn) {
		return cannotInvoke()
	}
	_, err := s.change(e, func(next *secret) error {
		old := next.Rotation
		if old.Enabled && old.LambdaARN == r.LambdaARN && old.rules == want {
			return errUnchanged
		}
		next.Rotation = rotation{Enabled: true, LambdaARN: r.LambdaARN, rules: want, From: s.now()}
		next.Rotation.plan(s.now())
		return nil
	})
	return err
}

// StopRotation turns the rotation of a secret off, by its name or ARN, as the
// removal of a template's schedule does. There need not be such a secret.
func (s *Service) StopRotation(id string) error {
	e := s.find(id)
	if e == nil || e.state.Load().deleted() {
		return nil
	}
	_, err := s.change(e, func(next *secret) error {
		if !next.Rotation.Enabled {
			return errUnchanged
		}
		next.Run = nil
		next.Rotation.Enabled = false
		next.Rotation.plan(s.now())
		return nil
	})
	return err
}

func (s *Service) mayInvoke(lambdaARN, secretARN string) bool {
	return s.opts.Invoker != nil && s.opts.Invoker.Allows(lambdaARN, eventSource, secretARN)
}

type rotateInput struct {
	SecretID           string `json:"SecretId"`
	ClientRequestToken string
	RotationLambdaARN  string
	RotationRules      *rulesInput
	RotateImmediately  *bool
	// ExternalSecretRotationRoleARN is for a secret that a partner of AWS keeps.
	ExternalSecretRotationRoleARN string `json:"ExternalSecretRotationRoleArn"`
}

// rulesInput are rules as they are given.
type rulesInput struct {
	AutomaticallyAfterDays *int
	Duration               string
	ScheduleExpression     string
}

func (in rulesInput) rules() rules {
	r := rules{Duration: in.Duration, ScheduleExpression: in.ScheduleExpression}
	if in.AutomaticallyAfterDays != nil {
		r.AutomaticallyAfterDays = *in.AutomaticallyAfterDays
	}
	return r
}

func (in *rotateInput) check(c *constraints) {
	c.secretID(in.SecretID)
	c.token(in.ClientRequestToken)
	c.text("rotationLambdaARN", in.RotationLambdaARN, 0, maxLambdaARN)
	if r := in.RotationRules; r != nil {
		c.number("rotationRules.automaticallyAfterDays", r.AutomaticallyAfterDays, maxDays)
		c.text("rotationRules.duration", r.Duration, 2, 3)
		c.pattern("rotationRules.duration", r.Duration, `[0-9]+h`)
		c.text("rotationRules.scheduleExpression", r.ScheduleExpression, 1, 256)
		c.pattern("rotationRules.scheduleExpression", r.ScheduleExpression, `[0-9A-Za-z\(\)#\?\*\-\/, ]+`)
	}
}

func (s *Service) rotateSecret(_ context.Context, c *wire.Call, in *rotateInput) (*versionName, error) {
	if err := checkToken(in.ClientRequestToken, invalidParameter); err != nil {
		return nil, err
	}
	if in.ExternalSecretRotationRoleARN != "" {
		return nil, noPartners()
	}
	e, _, err := s.live(c, in.SecretID)
	if err != nil {
		return nil, err
	}
	test := in.RotateImmediately != nil && !*in.RotateImmediately
	var displaced *run
	st, err := s.change(e, func(next *secret) error {
		want, err := s.wanted(next, in)
		if err != nil {
			return err
		}
		next.Rotation = want
		displaced = next.Run
		return s.startRun(next, in.ClientRequestToken, test)
	})
	switch {
	case errors.Is(err, errRepeated):
	case errors.Is(err, errPending):
		s.reattempt(e)
		return nil, invalidRequest("A previous rotation isn't complete. That rotation will be reattempted.")
	case err != nil:
		return nil, err
	default:
		s.announceDisplaced(st, displaced)
		s.beginRun(e)
	}
	return &versionName{ARN: e.arn, Name: e.name, VersionID: in.ClientRequestToken}, nil
}

// announceDisplaced tells of the rotation in whose place another began: its
// function has promoted its version and not returned yet, or has given it up.
func (s *Service) announceDisplaced(st *secret, old *run) {
	switch {
	case old == nil:
	case st.versions.labels[labelCurrent] == old.Token:
		s.announceRotation(st, old.Token, rotationSucceeded, "")
	default:
		s.announceRotation(st, old.Token, rotationAbandoned, "")
	}
}

// wanted is the rotation that a call of RotateSecret asks for.
func (s *Service) wanted(st *secret, in *rotateInput) (rotation, error) {
	want := st.Rotation
	if in.RotationLambdaARN != "" {
		want.LambdaARN = in.RotationLambdaARN
	}
	if want.LambdaARN == "" {
		return want, invalidRequest("No Lambda rotation function ARN is associated with this secret.")
	}
	if in.RotationRules != nil {
		want.rules = in.RotationRules.rules()
	}
	if _, err := want.schedule(); err != nil {
		return want, err
	}
	if !s.mayInvoke(want.LambdaARN, st.ARN) {
		return want, cannotInvoke()
	}
	if !want.Enabled || want.rules != st.Rotation.rules {
		want.From = s.now()
	}
	want.Enabled = true
	want.plan(s.now())
	return want, nil
}

func cannotInvoke() *wire.Error {
	return wire.Unmodelled("AccessDeniedException", "Secrets Manager cannot invoke the specified Lambda function. Ensure that the function policy grants access to the principal secretsmanager.amazonaws.com.")
}

type secretID struct {
	SecretID string `json:"SecretId"`
}

func (in *secretID) check(c *constraints) { c.secretID(in.SecretID) }

// cancelRotateSecret turns the schedule off and ends a rotation in progress.
// It leaves AWSPENDING where it is, as AWS does.
func (s *Service) cancelRotateSecret(_ context.Context, c *wire.Call, in *secretID) (*versionName, error) {
	e, _, err := s.live(c, in.SecretID)
	if err != nil {
		return nil, err
	}
	out := &versionName{ARN: e.arn, Name: e.name}
	_, err = s.change(e, func(next *secret) error {
		if !next.Rotation.Enabled {
			return invalidRequest("You can't cancel the rotation of this secret because rotation is not enabled.")
		}
		if next.Run != nil {
			out.VersionID = next.Run.Token
			if next.Run.Test {
				next.versions = next.versions.discard(next.Run.Token)
			}
		}
		next.Run = nil
		next.Rotation.Enabled = false
		next.Rotation.plan(s.now())
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// putByHand settles what it means for rotation that a version became current.
// Outside the rotation's own version it takes the rotation's place: the
// schedule counts from it, and a rotation that is not complete is abandoned.
// It returns that rotation's token.
func (s *Service) putByHand(next *secret, id string) (abandoned string) {
	if next.Run != nil && next.Run.Token == id {
		return ""
	}
	if next.Rotation.Enabled {
		next.Rotation.From = s.now()
		next.Rotation.plan(s.now())
	}
	pending := next.versions.labels[labelPending]
	if pending == "" || pending == id {
		return ""
	}
	next.Run = nil
	next.versions = next.versions.endPending(pending)
	return pending
}
