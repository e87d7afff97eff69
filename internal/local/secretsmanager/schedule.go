package secretsmanager

import (
	"errors"
	"time"

	"github.com/rekey-go/rekey/internal/local/wire"
)

// arm starts the timers of a secret's deletion and of its next window, in
// place of those that run.
func (s *Service) arm(e *entry) {
	st := e.state.Load()
	e.timers.Lock()
	defer e.timers.Unlock()
	e.purge.stop()
	e.due.stop()
	if st.deleted() {
		e.purge = s.at(st.Deletion, func() { s.purgeDue(e) })
		return
	}
	if opens := st.Rotation.Opens; !opens.IsZero() {
		e.due = s.at(opens, func() { s.windowOpens(e, opens) })
	}
}

// retryIn starts the timer for the next attempt at the rotation in progress.
// The attempt is made within the timer's call, so that a clock that is
// advanced waits for it.
func (s *Service) retryIn(e *entry, pause time.Duration, r *run) {
	e.timers.Lock()
	defer e.timers.Unlock()
	e.retry.stop()
	e.retry = s.at(s.now().Add(pause), func() { s.attempt(e, r) })
}

// resume goes on with the rotation that was in progress when the process
// ended, after the first pause: its function may not be there yet.
func (s *Service) resume(e *entry) {
	if e.state.Load().Run == nil {
		return
	}
	e.timers.Lock()
	defer e.timers.Unlock()
	e.retry = s.at(s.now().Add(s.patience()), func() {
		st := e.state.Load()
		switch {
		case st.Run == nil:
		case s.mayInvoke(st.Rotation.LambdaARN, st.ARN):
			s.attempt(e, st.Run)
		default:
			s.resume(e)
		}
	})
}

// patience is how long the service waits for a function that is not there.
func (s *Service) patience() time.Duration {
	if len(s.opts.RetryBackoff) == 0 {
		return defaultBackoff[0]
	}
	return s.opts.RetryBackoff[0]
}

// windowOpens rotates a secret by its schedule, and plans the window after.
// A window that was missed, because the engine was not running, opens late.
func (s *Service) windowOpens(e *entry, opens time.Time) {
	st := e.state.Load()
	if !st.Rotation.Opens.Equal(opens) || st.deleted() {
		return // the schedule was changed while the timer fired
	}
	if !s.mayInvoke(st.Rotation.LambdaARN, st.ARN) {
		e.timers.Lock()
		defer e.timers.Unlock()
		e.due = s.at(s.now().Add(s.patience()), func() { s.windowOpens(e, opens) })
		return
	}
	started := false
	_, err := s.change(e, func(next *secret) error {
		if !next.Rotation.Opens.Equal(opens) {
			return errUnchanged
		}
		next.Rotation.plan(s.now())
		if next.Run == nil {
			started = s.startScheduled(next)
		}
		return nil
	})
	if err != nil {
		s.opts.Logger.ErrorContext(s.ctx, "rotating by schedule", "secret", e.name, "error", err)
		return
	}
	if started {
		s.attempt(e, s.announceStart(e))
	}
}

// startScheduled begins a rotation, or takes up the one that was left.
func (s *Service) startScheduled(next *secret) bool {
	err := s.startRun(next, wire.NewID(), false)
	if errors.Is(err, errPending) {
		s.takeUp(next)
		return true
	}
	if err != nil {
		s.opts.Logger.ErrorContext(s.ctx, "rotating by schedule", "secret", next.Name, "error", err)
	}
	return err == nil
}

// A timer is a function that waits for its time on the clock. The nil timer
// is one that does not wait.
type timer struct{ stopFunc func() bool }

func (t *timer) stop() {
	if t != nil {
		t.stopFunc()
	}
}

// at calls f at a time on the clock, unless the service is closed by then.
func (s *Service) at(when time.Time, f func()) *timer {
	t := s.opts.Clock.At(when, func() {
		if s.enter() {
			defer s.work.Done()
			f()
		}
	})
	return &timer{t.Stop}
}

func (e *entry) stopTimers() {
	e.timers.Lock()
	defer e.timers.Unlock()
	e.purge.stop()
	e.due.stop()
	e.retry.stop()
}
