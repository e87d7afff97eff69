//go:build unix

package main

import (
	"os/exec"
	"syscall"
)

// inGroup gives a command a group of its own. What it returns ends all that is
// left of it.
func inGroup(cmd *exec.Cmd) (end func()) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	return func() {
		if cmd.Process != nil {
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // mostly nothing is left
		}
	}
}
