package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"golang.org/x/term"

	"github.com/rekey-go/rekey/internal/local/store"
)

// maxPassphrase is the longest passphrase that is read from a file.
const maxPassphrase = 1024

// passphrase is that of the state: from the file, from the environment, or
// from the keyboard if the state needs one. It is never taken from arguments.
func (a *app) passphrase(f upFlags) (string, error) {
	given := os.Getenv("REKEY_PASSPHRASE")
	switch {
	case f.stack.StateDir == "" && f.passphrase != "":
		return "", withHint(errors.New("--passphrase-file without --state has nothing to open"), "add --state DIR")
	case f.passphrase != "":
		return readPassphrase(f.passphrase)
	case f.stack.StateDir == "" || given != "" || !store.NeedsPassphrase(f.stack.StateDir):
		return given, nil
	default:
		return a.askPassphrase(f.stack.StateDir)
	}
}

// readPassphrase reads a file whose first line is the passphrase.
func readPassphrase(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("reading the passphrase: %w", err)
	}
	if mode := info.Mode().Perm(); info.Mode().IsRegular() && mode&0o077 != 0 {
		return "", withHint(fmt.Errorf("%s, the file of the passphrase, can be read by others than its owner (mode %04o)", path, mode), "run chmod 600 "+path)
	}
	data, err := os.ReadFile(path) //nolint:gosec // the path is the operator's choice.
	if err != nil {
		return "", fmt.Errorf("reading the passphrase: %w", err)
	}
	line, rest, _ := bytes.Cut(data, []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	if len(line) == 0 || len(line) > maxPassphrase || len(bytes.TrimSpace(rest)) > 0 {
		return "", withHint(fmt.Errorf("%s, the file of the passphrase, does not have one line of 1 to %d bytes", path, maxPassphrase), "write the passphrase into it, and nothing else")
	}
	return string(line), nil
}

// askPassphrase asks at the keyboard, without echo.
func (a *app) askPassphrase(dir string) (string, error) {
	in, ok := a.stdin.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return "", nil // opening the state says that it is missing
	}
	fmt.Fprintf(a.stderr, "passphrase of %s: ", dir)
	data, err := term.ReadPassword(int(in.Fd()))
	fmt.Fprintln(a.stderr)
	if err != nil {
		return "", fmt.Errorf("reading the passphrase: %w", err)
	}
	return string(data), nil
}
