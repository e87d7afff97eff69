package main

import (
	"errors"
	"os"
	"os/exec"
)

// passedOn are the signals that a command gets which this process is sent.
func passedOn() []os.Signal { return []os.Signal{os.Interrupt} }

// signalNamed has no signals to find.
func signalNamed(name string) (os.Signal, error) {
	if name == "" {
		return nil, nil
	}
	return nil, withHint(errors.New("--signal is not there on Windows"), "leave it out: the command is restarted")
}

func (a *app) onTerminal() bool              { return true }
func (a *app) sharesTerminal(os.Signal) bool { return true }

func tieToParent(*exec.Cmd, bool) {}

func killGroup(p *os.Process) { _ = p.Kill() }
