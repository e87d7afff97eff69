//go:build !linux

package child

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// start starts a server process.
func start(cmd *exec.Cmd, _ *Account, _ syscall.Signal) (wait func() error, err error) {
	return cmd.Wait, cmd.Start()
}

// An Account is the user that the server runs as; nil is the user of this
// process. Only Linux has another one here.
type Account struct{}

// own does nothing.
func (*Account) own(string) error { return nil }

// Place returns the folder.
func (*Account) Place(_, dir string) (string, error) { return filepath.Abs(dir) }

// temp is the system's.
func (*Account) temp() string { return os.TempDir() }

// Unprivileged is the user of this process.
func Unprivileged(...string) *Account { return nil }
