package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// token opens the admin API of every system, as in the documents.
const token = "admin-token"

// A server is a "rekey up" that runs. Its err says why it does not.
type server struct {
	err error

	// What the ready file tells.
	Ready struct {
		AWS, API, Page, Providers string
		PID                       int
	}
	dir  string // its folder: state/, up.out and up.log
	cmd  *exec.Cmd
	done chan struct{} // is closed when it has ended
}

// state is the folder in which it keeps everything.
func (s *server) state() string { return filepath.Join(s.dir, "state") }

// log is all that it and its functions wrote on the standard error.
func (s *server) log() string { return read(filepath.Join(s.dir, "up.log")) }

// said is what it wrote on the standard output.
func (s *server) said() string { return read(filepath.Join(s.dir, "up.out")) }

func read(path string) string {
	data, err := os.ReadFile(path) //nolint:gosec // a file of ours.
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// offline sends what would leave this machine nowhere. A database may have to be
// downloaded; nothing else needs a network.
var offline = []string{"HTTP_PROXY=http://127.0.0.1:9", "HTTPS_PROXY=http://127.0.0.1:9"}

// startServer runs "rekey up" on free ports and returns when it is ready. A
// folder that has been used goes on where it ended.
func startServer(b *bench, dir string, flags ...string) *server {
	s := &server{dir: dir, done: make(chan struct{})}
	if s.err = os.MkdirAll(dir, 0o700); s.err != nil {
		return s
	}
	ready := filepath.Join(dir, "ready.json")
	args := append([]string{
		"up", "--port", "0", "--api-port", "0", "--state", s.state(), "--ready-file", ready, "--admin-token", token,
	}, flags...)
	b.say("up", "rekey "+fmt.Sprint(args))
	s.cmd = exec.CommandContext(b.ctx, filepath.Join(b.dir, "bin", "rekey"), args...) //nolint:gosec // the command under test.
	s.cmd.Cancel = func() error { return s.cmd.Process.Signal(os.Interrupt) }
	s.cmd.Env = userEnv(b, dir)
	if slices.Contains(flags, "--no-database") {
		s.cmd.Env = append(s.cmd.Env, offline...)
	}
	if s.err = s.run(); s.err != nil {
		return s
	}
	s.err = s.await(ready)
	return s
}

// run starts the process with its outputs in files.
func (s *server) run() error {
	out, err := os.OpenFile(filepath.Join(s.dir, "up.out"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = out.Close() }() // the process has its own
	log, err := os.OpenFile(filepath.Join(s.dir, "up.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // as above
	s.cmd.Stdout, s.cmd.Stderr = out, log
	if err := s.cmd.Start(); err != nil {
		return err
	}
	go func() {
		_ = s.cmd.Wait() // its end is told by what it wrote
		close(s.done)
	}()
	return nil
}

// await reads the ready file as soon as it is there.
func (s *server) await(ready string) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	late := time.After(eventWait)
	for {
		data, err := os.ReadFile(ready) //nolint:gosec // a file of ours.
		if err == nil {
			return json.Unmarshal(data, &s.Ready)
		}
		select {
		case <-tick.C:
		case <-s.done:
			return fmt.Errorf("rekey up ended: %s", s.log())
		case <-late:
			return fmt.Errorf("rekey up is not ready after %v: %s", eventWait, s.log())
		}
	}
}

// stop interrupts the process and waits for its end.
func (s *server) stop() {
	if s.cmd == nil || s.cmd.Process == nil {
		return
	}
	_ = s.cmd.Process.Signal(os.Interrupt) // it may have ended
	select {
	case <-s.done:
	case <-time.After(eventWait):
		_ = s.cmd.Process.Kill() // as above
		<-s.done
	}
}

// pid is the id of the process as text.
func (s *server) pid() string { return strconv.Itoa(s.Ready.PID) }

var errNoTool = errors.New("is not on this machine")
