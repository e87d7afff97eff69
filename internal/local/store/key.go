package store

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"filippo.io/age"
)

const (
	keyFile    = "state.key"
	sealedFile = "state.key.age"
	// maxSealed is above the size of any sealed key.
	maxSealed = 4096
)

// NeedsPassphrase reports whether the state in dir is under a passphrase.
func NeedsPassphrase(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, sealedFile))
	return err == nil
}

// findKey returns the path of the key in dir, or an empty string if there is
// none. A key that others can read is no key any more.
func findKey(dir string) (string, error) {
	for _, name := range []string{sealedFile, keyFile} {
		path := filepath.Join(dir, name)
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return "", fmt.Errorf("looking for the key of the state: %w", err)
		case info.Mode().Perm()&0o077 != 0:
			return "", fmt.Errorf("%s has mode %04o: %w; run chmod 600 on it, and rotate the stored secrets if it was copied", path, info.Mode().Perm(), ErrExposed)
		}
		return path, nil
	}
	return "", nil
}

// openKey reads the master key of the state in dir, or makes it if the state
// is fresh: nothing was stored in it yet.
func openKey(dir string, fresh bool, opts Options) ([]byte, error) {
	path, err := findKey(dir)
	switch {
	case err != nil:
		return nil, err
	case path == "" && !fresh:
		return nil, fmt.Errorf("%s: %w: neither %s nor %s is there; restore it from a backup, or choose an empty folder", dir, ErrNoKey, keyFile, sealedFile)
	case path == "":
		return makeKey(dir, opts)
	case filepath.Base(path) == sealedFile && opts.Passphrase == "":
		return nil, fmt.Errorf("%s: %w missing: the state is under one", path, ErrPassphrase)
	case filepath.Base(path) == keyFile && opts.Passphrase != "":
		return nil, fmt.Errorf("%s: %w given, but the state is under this key file; leave the passphrase out, or choose an empty folder", path, ErrPassphrase)
	}
	return readKey(path, opts)
}

func readKey(path string, opts Options) ([]byte, error) {
	key, err := os.ReadFile(path) //nolint:gosec // the path is the operator's own choice of state folder.
	if err != nil {
		return nil, fmt.Errorf("reading the key of the state: %w", err)
	}
	if filepath.Base(path) == sealedFile {
		if key, err = unwrap(key, opts.Passphrase); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	if len(key) != keySize {
		return nil, fmt.Errorf("%s: %w", path, ErrTampered)
	}
	return key, nil
}

// unwrap decrypts a sealed key.
func unwrap(sealed []byte, passphrase string) ([]byte, error) {
	identity, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPassphrase, err)
	}
	r, err := age.Decrypt(bytes.NewReader(sealed), identity)
	if errors.Is(err, age.ErrIncorrectIdentity) {
		return nil, fmt.Errorf("%w is not the one that the state was made with", ErrPassphrase)
	}
	if err != nil {
		return nil, ErrTampered
	}
	key, err := io.ReadAll(io.LimitReader(r, maxSealed))
	if err != nil {
		return nil, ErrTampered
	}
	return key, nil
}

// makeKey writes a new key so that a crash leaves either no key or a whole one.
func makeKey(dir string, opts Options) ([]byte, error) {
	key := make([]byte, keySize)
	_, _ = rand.Read(key) // it never fails
	name, text := keyFile, key
	if opts.Passphrase != "" {
		var err error
		if text, err = wrap(key, opts); err != nil {
			return nil, err
		}
		name = sealedFile
	}
	if err := writeWhole(filepath.Join(dir, name), text); err != nil {
		return nil, fmt.Errorf("writing the key of the state: %w", err)
	}
	return key, nil
}

// wrap encrypts a key with the passphrase.
func wrap(key []byte, opts Options) ([]byte, error) {
	recipient, err := age.NewScryptRecipient(opts.Passphrase)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPassphrase, err)
	}
	if opts.workFactor != 0 {
		recipient.SetWorkFactor(opts.workFactor)
	}
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, recipient)
	if err != nil {
		return nil, fmt.Errorf("encrypting the key of the state: %w", err)
	}
	_, err = w.Write(key)
	if err = errors.Join(err, w.Close()); err != nil {
		return nil, fmt.Errorf("encrypting the key of the state: %w", err)
	}
	return sealed.Bytes(), nil
}

// writeWhole writes a file, readable by its owner only, so that a crash leaves
// the whole of it or nothing.
func writeWhole(path string, data []byte) error {
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600) //nolint:gosec // the folder is the operator's choice.
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(path+".new"))
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes the names in a folder survive a power cut.
func syncDir(dir string) error {
	d, err := os.Open(dir) //nolint:gosec // as above.
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
