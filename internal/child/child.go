// Package child runs a server as a child process that ends when its starter
// does, even by SIGKILL: what the packages that start real databases on the
// loopback interface have in common. Started by root, a server may run as
// another account.
package child

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// A Process is a running server. A nil one has ended.
type Process struct {
	name string
	os   *os.Process
	done chan struct{}
}

// Start starts a server as an account; nil is the user of this process.
func Start(cmd *exec.Cmd, account *Account) (*Process, error) {
	wait, err := start(cmd, account)
	if err != nil {
		return nil, err
	}
	p := &Process{name: filepath.Base(cmd.Path), os: cmd.Process, done: make(chan struct{})}
	go func() {
		_ = wait() // how it ended is in its log
		close(p.done)
	}()
	return p, nil
}

// Run runs a command to its end, as an account.
func Run(cmd *exec.Cmd, account *Account) error {
	wait, err := start(cmd, account)
	if err != nil {
		return err
	}
	return wait()
}

// Pid is the id of the process.
func (p *Process) Pid() int { return p.os.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// stopWait is how long a process may take to heed a signal.
const stopWait = 5 * time.Second

// Stop ends the process by the first signal that it heeds, and at last by
// SIGKILL.
func (p *Process) Stop(signals ...os.Signal) error {
	if p == nil {
		return nil
	}
	for _, signal := range append(signals, os.Kill) {
		_ = p.os.Signal(signal) // it may have ended
		select {
		case <-p.done:
			return nil
		case <-time.After(stopWait):
		}
	}
	return fmt.Errorf("%s (pid %d) does not end", p.name, p.Pid())
}

// FreePort finds a port of the loopback interface that nobody listens on.
// Another process may take it before it is used.
func FreePort(ctx context.Context) (int, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("finding a free port: %w", err)
	}
	_, text, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return 0, errors.Join(err, l.Close())
	}
	port, err := strconv.Atoi(text)
	return port, errors.Join(err, l.Close())
}
