package lambda

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/rekey-go/rekey/internal/local/wire"
)

const (
	// idleTime is how long an environment lives without work.
	idleTime = 10 * time.Minute
	// terminationGrace is how long a process may take to end when it is asked
	// to.
	terminationGrace = time.Second
)

// An Environment tells of an execution environment.
type Environment struct {
	// ID is the last part of its log stream's name.
	ID string
	// PID is its process, zero while that is being started.
	PID int
	// Busy environments start, or have an invocation.
	Busy    bool
	Started time.Time
}

// Environments lists those of a function, the oldest first. A function that
// does not exist has none.
func (s *Service) Environments(functionARN string) []Environment {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, err := s.findLocked(functionARN)
	if err != nil {
		return nil
	}
	all := make([]Environment, 0, len(f.environments))
	for env := range f.environments {
		e := Environment{ID: env.id, Busy: env.busy, Started: env.started}
		if env.process != nil {
			e.PID = env.process.Pid
		}
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b Environment) int {
		return cmp.Or(a.Started.Compare(b.Started), cmp.Compare(a.ID, b.ID))
	})
	return all
}

// acquire takes an idle environment of a function, or starts one, which is
// not ready yet. Where the function may have no more of them it waits for one,
// or gives a TooManyRequestsException.
func (s *Service) acquire(f *function, wait bool) (*environment, error) {
	for {
		s.mu.Lock()
		latest, err := s.findLocked(f.arn)
		if err != nil { // it was deleted meanwhile
			s.mu.Unlock()
			return nil, err
		}
		f = latest // its configuration may have been replaced
		env := s.idleLocked(f)
		isNew := env == nil
		if isNew {
			env, err = s.reserveLocked(f)
		}
		freed := s.freed
		if err != nil && wait {
			s.waiters++
		}
		s.mu.Unlock()
		switch {
		case err == nil && isNew:
			return env, s.launch(env)
		case err == nil:
			return env, nil
		case !wait || s.ctx.Err() != nil:
			return nil, err
		}
		select {
		case <-freed:
		case <-s.ctx.Done():
			return nil, errClosed
		}
	}
}

// idleLocked takes the environment that was used last, or nil.
func (s *Service) idleLocked(f *function) *environment {
	n := len(f.idle)
	if n == 0 {
		return nil
	}
	env := f.idle[n-1]
	f.idle = f.idle[:n-1]
	env.busy = true
	env.reaper.Stop()
	return env
}

// reserveLocked makes an environment within the limits of concurrency. It is
// busy, and has no process yet.
func (s *Service) reserveLocked(f *function) (*environment, error) {
	if s.closed {
		return nil, errClosed
	}
	if f.ReservedConcurrency != 0 && len(f.environments) >= f.ReservedConcurrency {
		return nil, throttled("ReservedFunctionConcurrentInvocationLimitExceeded")
	}
	if len(s.environments) >= accountConcurrency {
		return nil, throttled("ConcurrentInvocationLimitExceeded")
	}
	env := newEnvironment(f)
	f.environments[env] = true
	s.environments[env] = true
	return env, nil
}

func throttled(reason string) *wire.Error {
	e := refusal(http.StatusTooManyRequests, "TooManyRequestsException", "Rate Exceeded.")
	e.Members["Reason"] = reason
	return e
}

// release makes an environment idle.
func (s *Service) release(env *environment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if env.ending {
		return
	}
	if s.functions[env.function.arn] != env.function {
		s.endLocked(env) // its configuration was replaced
		return
	}
	env.busy = false
	env.reaper = time.AfterFunc(idleTime, func() { s.reap(env) })
	env.function.idle = append(env.function.idle, env)
	s.wakeLocked()
}

// reap ends an environment that had no work for long.
func (s *Service) reap(env *environment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Contains(env.function.idle, env) {
		s.endLocked(env)
	}
}

// wakeLocked has those who wait for an environment look again.
func (s *Service) wakeLocked() {
	if s.waiters > 0 {
		s.waiters = 0
		close(s.freed)
		s.freed = make(chan struct{})
	}
}

// endLocked takes an environment out of service and kills its process.
func (s *Service) endLocked(env *environment) {
	s.retireLocked(env)
	if env.process != nil {
		kill(env.process)
	}
}

// retireLocked keeps an environment from getting work.
func (s *Service) retireLocked(env *environment) {
	env.ending = true
	if env.reaper != nil {
		env.reaper.Stop()
	}
	f := env.function
	if i := slices.Index(f.idle, env); i >= 0 {
		f.idle = slices.Delete(f.idle, i, i+1)
	}
}

// end takes an environment out of service and kills its process.
func (s *Service) end(env *environment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endLocked(env)
}

// forget drops an environment whose process has ended, or never was.
func (s *Service) forget(env *environment, exit error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.retireLocked(env)
	delete(env.function.environments, env)
	delete(s.environments, env)
	env.exit = exit
	close(env.dead)
	s.wakeLocked()
}

// Warm makes sure that a function has n environments, and waits until all that
// it has are ready for their first invocation.
func (s *Service) Warm(ctx context.Context, functionARN string, n int) error {
	f, err := s.find(functionARN)
	if err != nil {
		return err
	}
	s.mu.Lock()
	var started []*environment
	for len(f.environments) < n && err == nil {
		var env *environment
		if env, err = s.reserveLocked(f); err == nil {
			started = append(started, env)
		}
	}
	existing := make([]*environment, 0, len(f.environments))
	for env := range f.environments {
		if !slices.Contains(started, env) {
			existing = append(existing, env)
		}
	}
	s.mu.Unlock()
	for _, env := range started {
		if err == nil {
			err = s.launch(env)
		} else {
			s.forget(env, err)
		}
	}
	for _, env := range append(existing, started...) {
		if err == nil {
			err = env.awaitReady(ctx)
		}
	}
	for _, env := range started {
		if err == nil {
			s.release(env)
		} else {
			s.end(env)
		}
	}
	if err != nil {
		return fmt.Errorf("warming %s up: %w", f.Name, err)
	}
	return nil
}

// Kill ends the environment with a process id by SIGKILL, as a failing host
// would.
func (s *Service) Kill(pid int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for env := range s.environments {
		if env.process != nil && env.process.Pid == pid {
			s.endLocked(env)
			return nil
		}
	}
	return invalidParameter("no environment has the process id %d", pid)
}

// Close ends every environment and returns when all processes are gone and
// nothing is worked on. A process is asked to end first; after a second, or
// when ctx is done, it is killed. Events that wait to be tried again are
// dropped.
func (s *Service) Close(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	s.stop()
	ending := make([]*environment, 0, len(s.environments))
	for env := range s.environments {
		s.retireLocked(env)
		if env.process != nil {
			terminate(env.process)
		}
		ending = append(ending, env)
	}
	s.mu.Unlock()
	grace, cancel := context.WithTimeout(ctx, terminationGrace)
	defer cancel()
	// When the grace is over, all are killed at once.
	stop := context.AfterFunc(grace, func() {
		for _, env := range ending {
			s.end(env)
		}
	})
	defer stop()
	for _, env := range ending {
		<-env.dead // nothing outlives SIGKILL
	}
	if err := os.RemoveAll(s.code); err != nil { // nobody runs it, and no more comes
		return fmt.Errorf("removing the functions' code: %w", err)
	}
	done := make(chan struct{})
	go func() { s.work.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for invocations to end: %w", ctx.Err())
	}
}
