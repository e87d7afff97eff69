package child

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// logFile is what the server writes to.
const logFile = "log"

// A Folder holds all of a server's files, which only its account may read.
type Folder struct {
	root    string
	temp    bool
	account *Account
}

// OpenFolder makes a server's folder, or opens the one that an earlier start made.
// Kind names the server, and users are the accounts that it may run as where
// this process is root's; the first that the system has is taken. Without a
// dir the folder is a temporary one.
//
// The server's account may not be able to reach dir. Then the files lie below
// /var/lib/rekey.
func OpenFolder(dir, kind string, users ...string) (*Folder, error) {
	f := &Folder{temp: dir == "", account: Unprivileged(users...)}
	var err error
	if f.temp {
		f.root, err = os.MkdirTemp(f.account.temp(), "rekey-"+kind+"-")
	} else if f.root, err = f.account.Place(kind, dir); err == nil {
		err = os.MkdirAll(f.root, 0o700)
	}
	if err == nil {
		err = f.account.own(f.root)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("making the folder of %s: %w", kind, err), f.Discard())
	}
	return f, nil
}

// Temporary reports whether the folder goes with the server.
func (f *Folder) Temporary() bool { return f.temp }

// Path is that of a file in the folder.
func (f *Folder) Path(name string) string { return filepath.Join(f.root, name) }

// Write writes a file.
func (f *Folder) Write(name string, data []byte) error {
	if err := os.WriteFile(f.Path(name), data, 0o600); err != nil {
		return err
	}
	return f.account.own(f.Path(name))
}

// Run runs a program that prepares the folder, to its end. The error says
// [Why] it failed.
func (f *Folder) Run(cmd *exec.Cmd) error {
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	f.settle(cmd)
	wait, err := start(cmd, f.account, syscall.SIGKILL)
	if err == nil {
		err = wait()
	}
	if err != nil {
		return fmt.Errorf("%w: %s", err, Why(out.String()))
	}
	return nil
}

// Start starts the server, which writes to the folder's log. End is the signal
// that ends it in order where this process is no more.
func (f *Folder) Start(cmd *exec.Cmd, end syscall.Signal) (*Process, error) {
	log, err := os.OpenFile(f.Path(logFile), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }() // the server has its own
	cmd.Stdout, cmd.Stderr = log, log
	f.settle(cmd)
	return Start(cmd, f.account, end)
}

// settle has a program work in the folder. Without a time zone and a locale
// some servers search for them, for half a second.
func (f *Folder) settle(cmd *exec.Cmd) {
	cmd.Dir = f.root
	cmd.Env = append(os.Environ(), "TZ=UTC", "LC_ALL=C.UTF-8")
}

// Log is what the server has logged so far.
func (f *Folder) Log() string {
	log, _ := os.ReadFile(f.Path(logFile)) // an unreadable log is an empty one
	return string(log)
}

// Discard removes the folder if it is temporary.
func (f *Folder) Discard() error {
	if !f.temp || f.root == "" {
		return nil
	}
	return os.RemoveAll(f.root)
}

// Why is the line of a program's output that is most likely to say why it
// ended: the first that speaks of an error, else the last.
func Why(output string) string {
	lines := strings.Split(strings.TrimSpace(output), "\n")
	for _, line := range lines {
		if lower := strings.ToLower(line); strings.Contains(lower, "error") || strings.Contains(lower, "fatal") {
			return line
		}
	}
	return lines[len(lines)-1]
}
