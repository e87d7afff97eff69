package child

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
)

// stateRoot is where a server's folder lies that its account could not reach
// at the place that was asked for.
const stateRoot = "/var/lib/rekey"

// Place returns the folder for a server's files. The account has to pass
// through every folder above it; where it may not, as below /root or in a
// folder of mktemp, the files lie in a folder of their own under /var/lib,
// named after the kind of server and the one that was asked for.
func (a *Account) Place(kind, dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil || a == nil {
		return abs, err
	}
	if err := os.MkdirAll(filepath.Dir(abs), 0o711); err != nil { //nolint:gosec // to be passed through, not read.
		return "", err
	}
	if passable(filepath.Dir(abs)) {
		return abs, nil
	}
	if err := os.MkdirAll(stateRoot, 0o711); err != nil { //nolint:gosec // as above.
		return "", err
	}
	sum := sha256.Sum256([]byte(abs))
	return filepath.Join(stateRoot, fmt.Sprintf("%s-%x", kind, sum[:8])), nil
}

// Temp is where the account's temporary folders may lie.
func (a *Account) Temp() string {
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
