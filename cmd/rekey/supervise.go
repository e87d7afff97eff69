package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/rekey-go/rekey/runtime/secrets"
)

// exec runs the command to its end, which is this command's.
func (a *app) exec(ctx context.Context, f execFlags, command []string) error {
	bindings, err := f.bindings()
	if err != nil {
		return err
	}
	s := &supervisor{app: a, bindings: bindings, command: command, grace: f.grace, watch: f.watch || f.signal != "", changes: make(chan change), over: make(chan struct{})}
	if s.signal, err = signalNamed(f.signal); err != nil {
		return err
	}
	cfg, err := a.config(ctx)
	if err != nil {
		return err
	}
	s.client, err = secrets.FromEnv(cfg, os.Getenv, func(o *secrets.Options) { o.Stage = a.stage })
	if err != nil {
		return err
	}
	return s.supervise(ctx, cfg, f.news)
}

// A supervisor runs a command, and runs it again when a secret rotates.
type supervisor struct {
	*app

	client   *secrets.Client
	bindings []binding
	command  []string
	grace    time.Duration
	signal   os.Signal // nil to restart
	watch    bool

	changes chan change
	over    chan struct{} // closed when the command has ended for good
	dir     string        // of the files; empty without

	// Of the loop alone:
	child   *exec.Cmd
	ended   chan error // of the child
	worn    dressing   // what it was started with
	waiting []change   // who waits for it to be started anew
	started time.Time
	pause   time.Duration // before it may be started anew
}

// A change is a secret that rotated. Until done is closed its lease stays on
// the version before.
type change struct{ done chan struct{} }

// supervise reads the secrets, follows them, and runs the command.
func (s *supervisor) supervise(ctx context.Context, cfg aws.Config, news newsFlags) (err error) {
	for _, b := range s.bindings { // before the first read, so that no rotation comes in between
		s.client.OnChange(b.secret, func(_, _ *secrets.Secret) { s.changed() })
	}
	if s.worn, err = dress(ctx, s.client, s.bindings); err != nil {
		return err
	}
	if err := s.makeFiles(); err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx) // the interrupt is the command's to heed
	hearing, stop := context.WithCancel(ctx)
	var background sync.WaitGroup
	if !s.watch {
		news = newsFlags{} // of no use; but the leases are renewed
	}
	background.Go(func() { s.hear(hearing, cfg, news, s.client) })
	err = s.loop(ctx)
	close(s.over)
	stop()
	background.Wait()
	if s.dir != "" {
		err = errors.Join(err, os.RemoveAll(s.dir))
	}
	if released := s.client.Close(ctx); released != nil {
		s.note("rekey: warning: %v", released)
	}
	return err
}

// changed waits until the command has the new values. Without --watch that is
// when it ends: the lease says truly what it holds.
func (s *supervisor) changed() {
	if !s.watch {
		<-s.over
		return
	}
	c := change{done: make(chan struct{})}
	select {
	case s.changes <- c:
	case <-s.over:
		return
	}
	select {
	case <-c.done:
	case <-s.over:
	}
}

// loop runs the command until it ends by itself, or by a signal that was
// passed on. The kernel ties the command to the thread that started it, so
// that it ends with this process: the loop keeps that thread.
func (s *supervisor) loop(ctx context.Context) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, passedOn()...)
	defer signal.Stop(signals)
	if err := s.start(); err != nil {
		return err
	}
	var stopping, ending bool
	var kill, again <-chan time.Time
	for {
		select {
		case sig := <-signals:
			// A command may live through an interrupt, as a shell does.
			ending = ending || sig == syscall.SIGTERM || sig == os.Interrupt && stopping
			if !s.sharesTerminal(sig) {
				s.send(sig)
			}
		case c := <-s.changes:
			s.waiting = append(s.waiting, c)
			if !stopping && again == nil && s.isNews(ctx) {
				again = time.After(max(time.Until(s.started.Add(s.pause)), 0))
			}
		case <-again:
			again = nil
			if stopping = s.renew(ctx); stopping {
				kill = time.After(s.grace)
			}
		case <-kill:
			s.note("rekey: warning: %s did not end within %s and is killed", s.command[0], s.grace)
			killGroup(s.child.Process)
		case err := <-s.ended:
			if !stopping || ending {
				return s.exitOf(err)
			}
			stopping, kill = false, nil
			killGroup(s.child.Process) // what it left would go on with the old values
			if err := s.restart(ctx); err != nil {
				return err
			}
		}
	}
}

// isNews reads what the command would be started with now, and reports whether
// that differs from what it has. If it cannot be read, the command is kept.
func (s *supervisor) isNews(ctx context.Context) bool {
	next, err := dress(ctx, s.client, s.bindings)
	if err != nil {
		s.keep(err)
		return false
	}
	if maps.Equal(next.versions, s.worn.versions) {
		s.settle()
		return false
	}
	return true
}

// keep leaves the command as it is, with the values that it has.
func (s *supervisor) keep(err error) {
	s.note("rekey: warning: %s goes on with the values that it has: %v", s.command[0], err)
	s.settle()
}

// renew has the command take over the new values: by its signal, or by its
// end, which is then awaited.
func (s *supervisor) renew(ctx context.Context) (stopping bool) {
	if s.signal == nil {
		s.note("a secret rotated: restarting %s", s.command[0])
		s.send(syscall.SIGTERM)
		return true
	}
	next, err := dress(ctx, s.client, s.bindings)
	if err != nil { // a signal would have it read what it has
		s.keep(err)
		return false
	}
	s.wear(next)
	s.note("a secret rotated: sending %s to %s", s.signal, s.command[0])
	s.send(s.signal)
	s.pauseMore()
	s.settle()
	return false
}

// restart starts the command with the values as they are now.
func (s *supervisor) restart(ctx context.Context) error {
	next, err := dress(ctx, s.client, s.bindings)
	if err != nil {
		s.note("rekey: warning: %s goes on with the values that it had: %v", s.command[0], err)
		next = s.worn
	}
	s.wear(next)
	s.pauseMore()
	if err := s.start(); err != nil {
		return err
	}
	s.settle()
	return nil
}

// wear makes values those of the command.
func (s *supervisor) wear(next dressing) {
	s.worn = next
	if err := s.writeFiles(); err != nil {
		s.note("rekey: warning: a file keeps the value that it has: %v", err)
	}
}

// Secrets that rotate again and again must not keep the command from working:
// each restart that follows another closely waits twice as long as that.
const (
	minPause = time.Second
	maxPause = time.Minute
)

func (s *supervisor) pauseMore() {
	if time.Since(s.started) > maxPause+s.pause {
		s.pause = 0
	} else {
		s.pause = min(max(2*s.pause, minPause), maxPause)
	}
	s.started = time.Now()
}

// settle tells those who wait that the command has the values.
func (s *supervisor) settle() {
	for _, c := range s.waiting {
		close(c.done)
	}
	s.waiting = nil
}

// start starts the command.
func (s *supervisor) start() error {
	paths := map[string]string{}
	for name := range s.worn.files {
		paths[name] = s.path(name)
	}
	cmd := exec.Command(s.command[0], s.command[1:]...) //nolint:gosec,noctx // the user's own command, which ends by signals.
	cmd.Env = s.worn.environment(paths)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = s.stdin, s.stdout, s.stderr
	tieToParent(cmd, !s.onTerminal())
	if err := cmd.Start(); err != nil {
		code := exitCannotRun
		if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
			code = exitNoCommand
		}
		return withCode(code, fmt.Errorf("running %s: %w", s.command[0], err), "write the command as in a shell, after --")
	}
	s.child, s.ended = cmd, make(chan error, 1)
	if s.started.IsZero() {
		s.started = time.Now()
	}
	go func(ended chan<- error) { ended <- cmd.Wait() }(s.ended)
	return nil
}

// send passes a signal on. The command may have ended.
func (s *supervisor) send(sig os.Signal) { _ = s.child.Process.Signal(sig) }

// Exit codes of shells, where a command cannot be run.
const (
	exitCannotRun = 126
	exitNoCommand = 127
	exitSignal    = 128 // and the signal's number
)

// exitOf makes the command's exit code this one's.
func (s *supervisor) exitOf(err error) error {
	state := s.child.ProcessState
	if state == nil {
		return fmt.Errorf("waiting for %s: %w", s.command[0], err)
	}
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return saidError(exitSignal + int(status.Signal()))
	}
	if code := state.ExitCode(); code != exitDone {
		return saidError(code)
	}
	return nil
}

// makeFiles makes the folder of the files, and the files.
func (s *supervisor) makeFiles() error {
	if len(s.worn.files) == 0 {
		return nil
	}
	root, err := folderInMemory()
	if err != nil {
		return err
	}
	if s.dir, err = os.MkdirTemp(root, "rekey-exec-"); err != nil {
		return fmt.Errorf("making the folder of the files: %w", err)
	}
	if err := s.writeFiles(); err != nil {
		return errors.Join(err, os.RemoveAll(s.dir))
	}
	return nil
}

// writeFiles replaces the files, each in one step.
func (s *supervisor) writeFiles() error {
	var errs []error
	for name, value := range s.worn.files {
		errs = append(errs, writeWhole(s.path(name), []byte(value)))
	}
	return errors.Join(errs...)
}

func (s *supervisor) path(name string) string { return filepath.Join(s.dir, name) }
