package main

import (
	"os/exec"
	"syscall"
)

// dieWithParent has a child of this process end with it, however it ends, and
// keeps the terminal's interrupt from it: the parent stops it in its own time.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}

// tieToParent has a command be asked to end when this process ends, however it
// does, and gives it a group of its own, unless it shares a terminal with this
// process.
func tieToParent(cmd *exec.Cmd, ownGroup bool) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: ownGroup}
}
