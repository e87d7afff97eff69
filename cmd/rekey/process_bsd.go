//go:build unix && !linux

package main

import (
	"os/exec"
	"syscall"
)

// tieToParent gives a command a group of its own, unless it shares a terminal
// with this process.
func tieToParent(cmd *exec.Cmd, ownGroup bool) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: ownGroup}
}
