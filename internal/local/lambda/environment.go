package lambda

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rekey-go/rekey/internal/child"
	"github.com/rekey-go/rekey/internal/local/wire"
)

// initTimeout is how long an environment may take to ask for its first
// invocation, in addition to its function's timeout: AWS repeats a slow start
// on the time of the invocation.
const initTimeout = 10 * time.Second

// outputTime is how long it is waited for the rest of the output of a process that
// has ended. A child of it may hold that open; and on a machine under load what was
// printed last takes a moment to arrive.
const outputTime = 5 * time.Second

// An environment is an execution environment: a process and its Runtime API.
type environment struct {
	id       string
	started  time.Time
	function *function

	work   chan *invocation // from the invoker to the runtime's next
	ready  chan struct{}    // closed at the runtime's first next
	failed chan struct{}    // closed when the runtime reports that it cannot start
	dead   chan struct{}    // closed when the process has ended
	exit   error            // how it ended; to be read after dead

	mu         sync.Mutex
	isReady    bool
	current    *invocation
	initError  []byte       // what the runtime reported
	extensions []*extension // in the order in which they start
	timedOut   bool

	// Guarded by the service's lock.
	process *os.Process // nil until it is started
	busy    bool
	ending  bool // gets no more work
	reaper  *time.Timer
}

func newEnvironment(f *function) *environment {
	id := make([]byte, 16)
	_, _ = rand.Read(id) // it never fails
	return &environment{
		id: hex.EncodeToString(id), started: time.Now(), function: f, busy: true,
		work: make(chan *invocation), ready: make(chan struct{}), failed: make(chan struct{}), dead: make(chan struct{}),
	}
}

// launch starts the process of an environment. It is not ready then.
func (s *Service) launch(env *environment) error {
	f := env.function
	listener, err := (&net.ListenConfig{}).Listen(s.ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		err = fmt.Errorf("opening the Runtime API of %s: %w", f.Name, err)
		s.forget(env, err)
		return err
	}
	out := s.output.prefixed(f.Name + " " + env.id[:8] + " ")
	api := &http.Server{Handler: env.runtimeAPI(), ReadHeaderTimeout: initTimeout}
	go func() { _ = api.Serve(listener) }() // it ends when the process does
	vars, err := s.variables(env, listener.Addr().String())
	if err == nil {
		err = s.startExtensions(env, vars, out)
	}
	if err != nil {
		s.abandon(env, api, err)
		return nil // the invocation says why
	}
	cmd := exec.Command(f.Command[0], f.Command[1:]...) //nolint:gosec,noctx // the template's own function; the service ends it.
	cmd.Env = vars
	cmd.Dir = f.taskRoot()
	cmd.Stdout, cmd.Stderr = out, out
	cmd.WaitDelay = outputTime
	if err := s.spawn(cmd); err != nil {
		err = fmt.Errorf("starting an environment of %s: %w", f.Name, err)
		s.abandon(env, api, err)
		return err
	}
	go func() {
		exit := cmd.Wait()
		reapGroup(cmd.Process)
		s.endExtensions(env)
		out.flush()
		_ = api.Close() // its clients are gone
		s.forget(env, exit)
	}()
	s.mu.Lock()
	defer s.mu.Unlock()
	env.process = cmd.Process
	if env.ending { // the service was closed meanwhile
		kill(env.process)
	}
	return nil
}

// abandon gives up an environment whose processes did not all start.
func (s *Service) abandon(env *environment, api *http.Server, err error) {
	kind, message, _ := strings.Cut(err.Error(), ": ")
	env.mu.Lock()
	if env.initError == nil {
		env.initError = failure(kind, "%s", message).payload
		close(env.failed)
	}
	env.mu.Unlock()
	s.endExtensions(env)
	_ = api.Close() // nobody uses it any more
	s.forget(env, err)
}

// taskRoot is where a function's code is. A function of the template has none
// but its program.
func (f *function) taskRoot() string {
	if f.Code.Dir != "" {
		return f.Code.Dir
	}
	return os.TempDir()
}

// variables are all that an environment gets to know. Those that AWS reserves
// cannot be set by the function's configuration.
func (s *Service) variables(env *environment, api string) ([]string, error) {
	f := env.function
	c := s.opts.Keys.AssumeRole(f.RoleARN, f.Name, func(p *wire.Principal) {
		p.Issued, p.IssuedTo = s.opts.Clock.Now(), f.arn
	})
	vars := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.TempDir(), "TMPDIR=" + os.TempDir(), "TZ=:UTC", "LANG=en_US.UTF-8"}
	for name, value := range f.Environment {
		vars = append(vars, name+"="+value)
	}
	if _, set := f.Environment[portVar]; len(f.Extensions) > 0 && !set {
		port, err := child.FreePort(s.ctx)
		if err != nil {
			return nil, err
		}
		vars = append(vars, portVar+"="+strconv.Itoa(port))
	}
	return append(vars,
		"AWS_LAMBDA_RUNTIME_API="+api,
		"_HANDLER="+f.Handler,
		"LAMBDA_TASK_ROOT="+f.taskRoot(),
		"AWS_LAMBDA_FUNCTION_NAME="+f.Name,
		"AWS_LAMBDA_FUNCTION_VERSION=$LATEST",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE="+strconv.Itoa(f.MemoryMB),
		"AWS_LAMBDA_INITIALIZATION_TYPE=on-demand",
		"AWS_LAMBDA_LOG_GROUP_NAME=/aws/lambda/"+f.Name,
		"AWS_LAMBDA_LOG_STREAM_NAME="+env.started.UTC().Format("2006/01/02")+"/[$LATEST]"+env.id,
		"AWS_EXECUTION_ENV=AWS_Lambda_"+f.Runtime,
		"AWS_REGION="+s.opts.Region,
		"AWS_DEFAULT_REGION="+s.opts.Region,
		"AWS_ENDPOINT_URL="+s.opts.Endpoint,
		"AWS_ACCESS_KEY_ID="+c.AccessKeyID,
		"AWS_SECRET_ACCESS_KEY="+c.SecretAccessKey,
		"AWS_SESSION_TOKEN="+c.SessionToken,
	), nil
}

// errInit means that an environment did not come to its first invocation; it
// must be ended.
var errInit = errors.New("the environment did not start")

// awaitReady waits until the runtime asks for its first invocation.
func (env *environment) awaitReady(ctx context.Context) error {
	select {
	case <-env.ready: // as nearly always: no timer is made
		return nil
	default:
	}
	timer := time.NewTimer(initTimeout + env.function.Timeout)
	defer timer.Stop()
	select {
	case <-env.ready:
		return nil
	case <-env.failed:
		return fmt.Errorf("%w: its runtime reported an error", errInit)
	case <-env.dead:
		return fmt.Errorf("%w: %s", errInit, exitText(env.exit))
	case <-timer.C:
		return fmt.Errorf("%w: it was not ready after %v", errInit, initTimeout+env.function.Timeout)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// initFailure is the outcome of an invocation whose environment never became
// ready: what the runtime reported, or else how the process ended.
func (env *environment) initFailure(inv *invocation) outcome {
	env.mu.Lock()
	reported := env.initError
	env.mu.Unlock()
	if reported != nil {
		return outcome{payload: reported, functionError: unhandled}
	}
	select {
	case <-env.dead:
		return died(inv, env)
	default:
		return timedOut(inv, initTimeout+env.function.Timeout)
	}
}

// exitText says how a process ended, in AWS's words.
func exitText(err error) string {
	if err == nil {
		return "Runtime exited without providing a reason"
	}
	return "Runtime exited with error: " + err.Error()
}
