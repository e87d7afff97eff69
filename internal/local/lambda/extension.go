package lambda

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// An Extension is an external extension of a function, as a layer brings it:
// a program that lives beside the runtime in each environment, and hears of its
// life by the Extensions API.
type Extension struct {
	// Name is that of the program's file, by which it has to register.
	Name string
	// Command starts it: program and arguments.
	Command []string
}

// shutdownTime is how long extensions may take to end; AWS's own.
const shutdownTime = 2 * time.Second

// portVar tells AWS's own secrets extension, and programs that ask it, another
// port than 2773. On AWS each environment has a network of its own; here all
// share one, so that each gets a port of its own.
const portVar = "PARAMETERS_SECRETS_EXTENSION_HTTP_PORT"

// An extension is an Extension in an environment.
type extension struct {
	Extension

	process    *os.Process
	registered chan struct{}
	dead       chan struct{}
	asked      chan struct{} // has a token when it asked for an event since the last was taken
	events     chan []byte

	// Guarded by the environment's lock.
	id                string // what it got when it registered
	invokes, shutdown bool   // the events that it asked for
}

// startExtensions starts the extensions of an environment and waits until all
// have registered: the runtime starts afterwards.
func (s *Service) startExtensions(env *environment, vars []string, out *processOutput) error {
	vars = extensionVariables(vars)
	for _, def := range env.function.Extensions {
		x := &extension{
			Extension: def, registered: make(chan struct{}), dead: make(chan struct{}),
			asked: make(chan struct{}, 1), events: make(chan []byte, 2), // an invocation and the shutdown
		}
		cmd := exec.Command(def.Command[0], def.Command[1:]...) //nolint:gosec,noctx // the template's own extension; the service ends it.
		cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = vars, os.TempDir(), out, out, outputTime
		env.mu.Lock() // held until it has a process: it registers at once
		env.extensions = append(env.extensions, x)
		err := s.spawn(cmd)
		x.process = cmd.Process
		env.mu.Unlock()
		if err != nil {
			return fmt.Errorf("Extension.LaunchError: %s: %w", def.Name, err)
		}
		go func() {
			_ = cmd.Wait() // how it ended is in its log
			reapGroup(cmd.Process)
			close(x.dead)
			s.end(env) // an environment does not outlive one of its extensions
		}()
	}
	timer := time.NewTimer(initTimeout)
	defer timer.Stop()
	for _, x := range env.extensions {
		select {
		case <-x.registered:
		case <-x.dead:
			return fmt.Errorf("Extension.Crash: %s ended before it registered", x.Name)
		case <-timer.C:
			return fmt.Errorf("Extension.InitError: %s did not register within %v", x.Name, initTimeout)
		}
	}
	return nil
}

// extensionVariables are the variables that an extension gets to know: all but
// those of the runtime, and of the log.
func extensionVariables(vars []string) []string {
	return slices.DeleteFunc(slices.Clone(vars), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains([]string{
			"_HANDLER", "AWS_EXECUTION_ENV", "LAMBDA_TASK_ROOT", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME",
		}, name)
	})
}

// tell sends an event to the extensions that asked for such.
func (env *environment) tell(event []byte, wants func(*extension) bool) {
	env.mu.Lock()
	defer env.mu.Unlock()
	for _, x := range env.extensions {
		if !wants(x) {
			continue
		}
		select {
		case x.events <- event:
		default: // it is stuck, and will be killed
		}
	}
}

// settled waits until all extensions that were told of an invocation have asked
// for the next event: only then is it over. It reports false where that takes
// too long, or the environment ended.
func (env *environment) settled(limit time.Duration, told func(*extension) bool) bool {
	env.mu.Lock()
	all := slices.DeleteFunc(slices.Clone(env.extensions), func(x *extension) bool { return !told(x) })
	env.mu.Unlock()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for _, x := range all {
		select {
		case <-x.asked:
		case <-env.dead:
			return false
		case <-timer.C:
			return false
		}
	}
	return true
}

// settle makes an environment idle when its extensions are done too. The caller
// does not wait for that.
func (s *Service) settle(env *environment) {
	if len(env.function.Extensions) == 0 {
		s.release(env)
		return
	}
	s.work.Go(func() { // beside the invocation's own, so not from zero
		if env.settled(env.function.Timeout, func(x *extension) bool { return x.invokes }) {
			s.release(env)
			return
		}
		s.end(env)
	})
}

// endExtensions lets the extensions of an environment end, whose runtime has
// ended, and kills them if they do not.
func (s *Service) endExtensions(env *environment) {
	if len(env.function.Extensions) == 0 {
		return
	}
	env.tell(shutdownEvent(s.whyEnded(env), time.Now().Add(shutdownTime)), func(x *extension) bool { return x.shutdown })
	grace := time.NewTimer(shutdownTime)
	defer grace.Stop()
	for _, x := range env.running() {
		if !env.hearsOf(x) {
			kill(x.process)
		}
		select {
		case <-x.dead:
		case <-grace.C:
			grace.Reset(0) // it is over for the others too
			kill(x.process)
			<-x.dead
		}
	}
}

// running are the extensions that have a process.
func (env *environment) running() []*extension {
	env.mu.Lock()
	defer env.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(env.extensions), func(x *extension) bool { return x.process == nil })
}

// hearsOf reports whether an extension asked to hear of the end.
func (env *environment) hearsOf(x *extension) bool {
	env.mu.Lock()
	defer env.mu.Unlock()
	return x.shutdown
}

// whyEnded is the reason of a shutdown, in AWS's words.
func (s *Service) whyEnded(env *environment) string {
	s.mu.Lock()
	ending := env.ending
	s.mu.Unlock()
	env.mu.Lock()
	defer env.mu.Unlock()
	switch {
	case env.timedOut:
		return "timeout"
	case ending:
		return "spindown"
	default:
		return "failure"
	}
}
