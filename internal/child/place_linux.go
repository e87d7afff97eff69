package child

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// stateRoot is where a server's folder lies that its account could not reach
// at the place that was asked for.
const stateRoot = "/var/lib/rekey"

// Place returns the folder for a server's files. The account has to pass
// through every folder above it; where it may not, as below /root or in a
// folder of mktemp, dir becomes a link to a folder under /var/lib. So what
// holds dir can be moved, and what is put in the place of a removed one is new.
func (a *Account) Place(kind, dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil || a == nil {
		return abs, err
	}
	if err := os.MkdirAll(filepath.Dir(abs), 0o711); err != nil { //nolint:gosec // to be passed through, not read.
		return "", err
	}
	if target, err := os.Readlink(abs); err == nil {
		return target, nil
	}
	if passable(filepath.Dir(abs)) {
		return abs, nil
	}
	if _, err := os.Lstat(abs); err == nil {
		return "", fmt.Errorf("the account that %s runs as can no longer reach %s: let others pass through the folders above it (chmod o+x)", kind, abs)
	}
	if err := os.MkdirAll(stateRoot, 0o711); err != nil { //nolint:gosec // as above.
		return "", err
	}
	target, err := os.MkdirTemp(stateRoot, kind+"-")
	if err != nil {
		return "", err
	}
	if err := os.Symlink(target, abs); err != nil {
		return "", errors.Join(err, os.Remove(target))
	}
	return target, nil
}

// temp is where the account's temporary folders may lie.
func (a *Account) temp() string {
	if dir := os.TempDir(); a == nil || passable(dir) {
		return dir
	}
	return "/tmp"
}

// passable reports whether every user may pass through a folder and all above
// it.
func passable(dir string) bool {
	for {
		info, err := os.Stat(dir)
		if err != nil || info.Mode().Perm()&0o001 == 0 {
			return false
		}
		if dir == filepath.Dir(dir) {
			return true
		}
		dir = filepath.Dir(dir)
	}
}
