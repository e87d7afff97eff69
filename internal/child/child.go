// Package child runs a server as a child process that ends when its starter
// does, even by SIGKILL: what the packages that start real databases on the
// loopback interface have in common. Started by root, a server may run as
// another account.
package child

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// A Process is a running server. A nil one has ended.
type Process struct {
	name string
	os   *os.Process
	done chan struct{}
}

// Start starts a server as an account; nil is the user of this process. End is
// the signal that the server gets when its starter is no more.
func Start(cmd *exec.Cmd, account *Account, end syscall.Signal) (*Process, error) {
	wait, err := start(cmd, account, end)
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

// Pid is the id of the process.
func (p *Process) Pid() int { return p.os.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// ErrEnded means that a server ended before it was ready.
var ErrEnded = errors.New("the server ended")

// Await waits until the server is ready. The error is [ErrEnded] if it ends
// before that.
func (p *Process) Await(ctx context.Context, ready func() bool) error {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ready() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.done:
			return ErrEnded
		case <-tick.C:
		}
	}
	return nil
}

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

// ErrPortTaken means that another process listens on the port.
var ErrPortTaken = errors.New("port is taken")

// portTries is how often a server is started whose free port was taken by
// another process in between.
const portTries = 3

// OnPort starts a server on a port of the loopback interface, or if that is
// zero on a free one. Start returns an error that wraps [ErrPortTaken] where it
// was taken.
func OnPort(ctx context.Context, port int, start func(port int) error) (err error) {
	if port != 0 {
		return start(port)
	}
	for range portTries {
		if port, err = FreePort(ctx); err != nil {
			return err
		}
		if err = start(port); !errors.Is(err, ErrPortTaken) {
			break
		}
	}
	return err
}

// FreePort finds a port of the loopback interface that nobody listens on.
// Another process may take it before it is used; so it is one of those that no
// system hands out by itself, to connections above all, unless these are all taken.
func FreePort(ctx context.Context) (int, error) {
	const first, ports, tries = 16 << 10, 16 << 10, 100 // Linux hands out those from 32,768 on
	for range tries {
		if port, err := listen(ctx, first+rand.IntN(ports)); err == nil { //nolint:gosec // guards nothing
			return port, nil
		}
	}
	port, err := listen(ctx, 0)
	if err != nil {
		return 0, fmt.Errorf("finding a free port: %w", err)
	}
	return port, nil
}

// listen listens for a moment on a port, and returns it; on a free one if it is 0.
func listen(ctx context.Context, port int) (int, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return 0, err
	}
	_, text, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return 0, errors.Join(err, l.Close())
	}
	port, err = strconv.Atoi(text)
	return port, errors.Join(err, l.Close())
}
