//go:build unix

package main

import (
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// passedOn are the signals that a command gets which this process is sent.
func passedOn() []os.Signal {
	all := []os.Signal{
		os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGCONT, syscall.SIGWINCH,
	}
	return slices.DeleteFunc(all, signal.Ignored) // as nohup ignores one, for the command too
}

// signalNamed finds a signal by its name, with or without SIG; none for "".
func signalNamed(name string) (os.Signal, error) {
	if name == "" {
		return nil, nil
	}
	sig := unix.SignalNum("SIG" + strings.TrimPrefix(strings.ToUpper(name), "SIG"))
	if sig == 0 {
		return nil, withHint(fmt.Errorf("--signal %q is no signal", name), "write --signal HUP")
	}
	return sig, nil
}

// onTerminal reports whether the command talks to a terminal. It stays in this
// process's group then, so that it may read from it.
func (a *app) onTerminal() bool {
	f, ok := a.stdin.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// sharesTerminal reports whether the command got a signal of the terminal by
// itself.
func (a *app) sharesTerminal(sig os.Signal) bool {
	return a.onTerminal() && (sig == os.Interrupt || sig == syscall.SIGQUIT || sig == syscall.SIGWINCH || sig == syscall.SIGCONT)
}

// killGroup ends a process, and what it started where it has a group of its
// own. They may have ended.
func killGroup(p *os.Process) {
	_ = p.Kill()
	_ = syscall.Kill(-p.Pid, syscall.SIGKILL)
}
