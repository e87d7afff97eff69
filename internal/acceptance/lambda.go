package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// A function is one execution environment of a function of Rekey's, outside of
// "rekey up": the process is started here and gets its events from the Runtime
// API of Lambda, which is here too. So the check decides what it can reach, and
// when it is killed.
type function struct {
	*run
	name    string
	command []string // the program, which is rekey in the function's place
	env     []string
	events  chan string
	ends    chan ended // of invocations
	lock    sync.Mutex
	cmd     *exec.Cmd     // the process, or the last that there was :: guarded by lock
	exited  chan struct{} // is closed when it has ended, and nothing of it is under way
}

// An ended says how an invocation did.
type ended struct {
	body   string
	failed bool // the body is an error
}

var errKilled = errors.New("the process was killed")

// function makes an environment of a function of the system, with the variables
// that it is deployed with, and the AWS of an endpoint.
func (s *system) function(name, endpoint string) (*function, error) {
	var deployed struct {
		Environment struct{ Variables map[string]string }
	}
	conf := s.sh(`curl "$SM/2015-03-31/functions/dev-` + name + `/configuration" --aws-sigv4 aws:amz:us-east-1:lambda --user operator:operator`)
	if err := conf.answer().into(&deployed); err != nil {
		return nil, err
	}
	f := &function{run: s.run, name: name, events: make(chan string), ends: make(chan ended)}
	f.command = []string{filepath.Join(s.bench.dir, "bin", "rekey"), "function", name}
	f.env = userEnv(s.bench, s.run.dir,
		"AWS_ENDPOINT_URL="+endpoint, "AWS_REGION=us-east-1", "AWS_ACCESS_KEY_ID=operator", "AWS_SECRET_ACCESS_KEY=operator",
		"AWS_LAMBDA_FUNCTION_NAME=dev-"+name)
	for name, value := range deployed.Environment.Variables {
		f.env = append(f.env, name+"="+value)
	}
	s.ends = append(s.ends, f.close)
	return f, nil
}

// ServeHTTP is the Runtime API.
func (f *function) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // it was killed
	}
	path := strings.TrimPrefix(r.URL.Path, "/2018-06-01/runtime/")
	switch {
	case path == "invocation/next":
		select {
		case event := <-f.events:
			w.Header().Set("Lambda-Runtime-Aws-Request-Id", "11111111-2222-4333-8444-555555555555")
			w.Header().Set("Lambda-Runtime-Deadline-Ms", fmt.Sprint(time.Now().Add(patience).UnixMilli()))
			w.Header().Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:123456789012:function:dev-"+f.name)
			_, _ = io.WriteString(w, event) // if it is gone, that shows
		case <-r.Context().Done():
		}
	case strings.HasSuffix(path, "/response"), strings.HasSuffix(path, "/error"):
		w.WriteHeader(http.StatusAccepted)
		select {
		case f.ends <- ended{string(body), strings.HasSuffix(path, "/error")}:
		case <-r.Context().Done():
		}
	default:
		http.NotFound(w, r)
	}
}

// start starts the process, with a Runtime API of its own: what another has left
// takes no event of it and gives no answer for it.
func (f *function) start() error {
	f.bench.say(f.id, strings.Join(f.command, " "))
	log, err := os.OpenFile(f.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the process has its own
	api, exited := httptest.NewServer(f), make(chan struct{})
	cmd := exec.CommandContext(f.ctx, f.command[0], f.command[1:]...) //nolint:gosec // the command under test.
	cmd.Env = append(slices.Clone(f.env), "AWS_LAMBDA_RUNTIME_API="+strings.TrimPrefix(api.URL, "http://"))
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		api.Close()
		return err
	}
	f.lock.Lock()
	f.cmd, f.exited = cmd, exited
	f.lock.Unlock()
	go func() {
		_ = cmd.Wait() // it is killed, mostly
		api.CloseClientConnections()
		api.Close()
		close(exited)
	}()
	return nil
}

// log is the file with what the processes wrote.
func (f *function) log() string { return filepath.Join(f.dir, f.name+".log") }

// strike sends the process, if there is one, a SIGKILL.
func (f *function) strike() {
	f.lock.Lock()
	defer f.lock.Unlock()
	if f.cmd != nil {
		_ = f.cmd.Process.Kill() // it may have ended
	}
}

// close ends the process.
func (f *function) close() {
	f.strike()
	if f.exited != nil {
		<-f.exited
	}
}

// invoke has the process handle an event; there is one again if it was killed.
// The error is what the function answered, or errKilled.
func (f *function) invoke(event string) (string, error) {
	ctx, cancel := context.WithTimeout(f.ctx, eventWait)
	defer cancel()
	if f.exited == nil || isClosed(f.exited) {
		if err := f.start(); err != nil {
			return "", err
		}
	}
	for events := f.events; ; {
		select {
		case events <- event:
			events = nil // once
		case end := <-f.ends:
			if end.failed {
				return "", errors.New(end.body)
			}
			return end.body, nil
		case <-f.exited:
			return "", errKilled
		case <-ctx.Done():
			return "", fmt.Errorf("function %s does not answer: %w", f.name, ctx.Err())
		}
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// protected has the function of that name handle its request.
func (f *function) protected() answer {
	event := marshal(map[string]any{
		"version": "2.0", "routeKey": "GET /protected", "rawPath": "/protected",
		"requestContext": map[string]any{"http": map[string]string{"method": "GET", "path": "/protected"}, "stage": "$default"},
	})
	text, err := f.invoke(event)
	if err != nil {
		return answer{fault: err}
	}
	var response struct {
		StatusCode int
		Body       string
	}
	err = unmarshal(text, &response)
	return answer{status: response.StatusCode, body: strings.TrimSuffix(response.Body, "\n"), fault: err}
}
