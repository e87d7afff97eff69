// Package store keeps the engine's state in a folder, encrypted.
//
// A [Store] is a set of tables of JSON values, or of bytes. A write is on disk when its
// method returns: it was written and synced (fsync), so that neither a kill at
// any moment nor a power cut loses what was acknowledged. Writes that come
// while another is being synced share the next sync, so that many clients do
// not wait for each other.
//
// # Encryption
//
// Each value is sealed with AES-256-GCM. Table and key are part of the seal: a
// value that was changed, or moved to another place, is refused when it is
// read. The master key lies beside the state, in one of two files:
//
//	state.key      32 bytes, readable by their owner only
//	state.key.age  the same, encrypted with a passphrase by age (scrypt)
//
// Every start seals under a key of its own, which HKDF-SHA256 derives from the
// master key and a random salt of 16 bytes, and counts its seals: no nonce is
// ever used twice under one key. A stored value is salt, count and ciphertext.
//
// The names of tables and keys are not encrypted: put no secret into a key.
//
// What encryption does not show: that the whole folder was replaced by an
// older copy of itself, or that a value was taken out by somebody who can
// write the file format. Keep the folder where only its owner can write.
//
// # The file
//
// Format, atomic commits and the lock that keeps a second engine out are
// bbolt's. When a write fails, as on a full disk, its method returns the error
// and the state is the one from before.
//
// A nil *Store keeps nothing, and all its methods succeed: an engine without
// a state folder runs on it.
package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

var (
	// ErrLocked means that another engine has the state folder open.
	ErrLocked = errors.New("state folder is in use by another process")
	// ErrTampered means that a stored value is not what was written, or that
	// the key is not the one it was written with.
	ErrTampered = errors.New("stored state was changed, or the key is another one")
	// ErrNoKey means that there is state, but no key to read it with.
	ErrNoKey = errors.New("the key of the stored state is missing")
	// ErrExposed means that others than its owner can read the key file.
	ErrExposed = errors.New("the key file can be read by others than its owner")
	// ErrPassphrase means that the state needs a passphrase and none was given,
	// that it was the wrong one, or that one was given and none is needed.
	ErrPassphrase = errors.New("passphrase")
	// ErrClosed means that the store was closed before the write.
	ErrClosed = errors.New("the store is closed")
)

const (
	stateFile = "state.db"
	// lockWait is how long Open waits for another engine to let go.
	lockWait = 200 * time.Millisecond
	// formatTable has one value, by which Open finds out that it has the key.
	formatTable, formatKey, format = "store", "format", "rekey state 1"
)

// Options configure [Open].
type Options struct {
	// Passphrase opens the state, or is set on a new one. If empty, the key
	// lies in a file in the folder.
	Passphrase string

	workFactor int // of scrypt, as a power of two; 0 is age's own
}

// A Store is safe for concurrent use.
type Store struct {
	db   *bbolt.DB
	path string
	keys *keyring

	mu      sync.Mutex
	waiting []write
	running bool
	closed  bool
	idle    *sync.Cond // told when running ends
}

// Open opens the state in dir, and makes both where there are none. Its errors
// wrap those of this package, and say what to do.
func Open(dir string, optFns ...func(*Options)) (*Store, error) {
	var opts Options
	for _, fn := range optFns {
		fn(&opts)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the state folder: %w", err)
	}
	s := &Store{path: filepath.Join(dir, stateFile)}
	s.idle = sync.NewCond(&s.mu)
	var err error
	if s.db, err = openFile(s.path); err != nil {
		return nil, err
	}
	master, err := s.openKey(dir, opts)
	if err == nil {
		s.keys = newKeyring(master)
		err = s.checkFormat()
	}
	if err != nil {
		return nil, errors.Join(err, s.db.Close())
	}
	return s, nil
}

// openKey reads the master key, or makes it where nothing was stored yet.
func (s *Store) openKey(dir string, opts Options) ([]byte, error) {
	fresh := true
	err := s.view(func(tx *bbolt.Tx) error {
		return tx.ForEach(func([]byte, *bbolt.Bucket) error { fresh = false; return nil })
	})
	if err != nil {
		return nil, err
	}
	return openKey(dir, fresh, opts)
}

// Check finds out, without opening it, what would keep [Open] from opening the
// state in dir: another engine, or a missing or exposed key. It is no error if
// there is no state yet.
func Check(dir string) error {
	path := filepath.Join(dir, stateFile)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	db, err := openFile(path)
	if err != nil {
		return err
	}
	_, err = findKey(dir)
	return errors.Join(err, db.Close())
}

// openFile opens the database, which locks it.
func openFile(path string) (db *bbolt.DB, err error) {
	defer guard(path, &err)
	db, err = bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockWait})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("%s: %w", filepath.Dir(path), ErrLocked)
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, bolterrors.ErrVersionMismatch):
		return nil, fmt.Errorf("%s: %w", path, ErrTampered)
	case err != nil:
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	return db, nil
}

// guard makes an error of what bbolt does with a file whose pages are not what
// it wrote: it panics, or reads where the file has ended. The function whose
// error is given must defer it first.
func guard(path string, err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("%s: %w", path, ErrTampered)
	}
}

// faults makes a panic of an access to memory whose file is too short, and
// returns the function that ends it.
func faults() (restore func()) {
	before := debug.SetPanicOnFault(true)
	return func() { debug.SetPanicOnFault(before) }
}

// checkFormat finds out whether the state can be read with the key.
func (s *Store) checkFormat() error {
	table, found := s.Table(formatTable), ""
	err := Each(table, func(_ string, v string) error { found = v; return nil })
	switch {
	case err != nil:
		return err
	case found == "":
		return table.Put(formatKey, format)
	case found != format:
		return fmt.Errorf("%s: the state has the format %q, and this version reads %q", s.path, found, format)
	}
	return nil
}

// Close lets go of the state folder, once what was begun is written.
func (s *Store) Close() error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	s.closed = true
	for s.running {
		s.idle.Wait()
	}
	s.mu.Unlock()
	return s.db.Close()
}

// A Raw is a value that is kept as it is, and not as JSON.
type Raw []byte

// A Tx is the inside of [Store.Update].
type Tx struct {
	keys *keyring
	tx   *bbolt.Tx
}

// Put writes a value as JSON, or a [Raw] as it is.
func (tx *Tx) Put(table, key string, v any) error {
	plain, err := encode(v)
	if err != nil {
		return fmt.Errorf("encoding %s %q: %w", table, key, err)
	}
	bucket, err := tx.tx.CreateBucketIfNotExists([]byte(table))
	if err != nil {
		return fmt.Errorf("opening table %s: %w", table, err)
	}
	return bucket.Put([]byte(key), tx.keys.seal(plain, place(table, key)))
}

func encode(v any) ([]byte, error) {
	if raw, ok := v.(Raw); ok {
		return raw, nil
	}
	return json.Marshal(v)
}

func decode(plain []byte, v any) error {
	if raw, ok := v.(*Raw); ok {
		*raw = plain
		return nil
	}
	return json.Unmarshal(plain, v)
}

// Delete removes a value. It is no error if there is none.
func (tx *Tx) Delete(table, key string) error {
	bucket := tx.tx.Bucket([]byte(table))
	if bucket == nil {
		return nil
	}
	return bucket.Delete([]byte(key))
}

// place is what a seal is bound to.
func place(table, key string) []byte {
	return []byte(table + "\x00" + key)
}

// Table returns the table of a name. It need not exist.
func (s *Store) Table(name string) Table { return Table{store: s, name: name} }

// A Table is a set of values by key.
type Table struct {
	store *Store
	name  string
}

// Put writes a value as JSON, or a [Raw] as it is. It is on disk when Put returns.
func (t Table) Put(key string, v any) error {
	return t.store.Update(func(tx *Tx) error { return tx.Put(t.name, key, v) })
}

// Delete removes a value. It is no error if there is none.
func (t Table) Delete(key string) error {
	return t.store.Update(func(tx *Tx) error { return tx.Delete(t.name, key) })
}

// Load calls fn for each value in the order of the keys. It returns an error
// that wraps [ErrTampered] if a value is not what was written.
func (t Table) Load(fn func(key string, decode func(v any) error) error) error {
	if t.store == nil {
		return nil
	}
	return t.store.view(func(tx *bbolt.Tx) error {
		bucket := tx.Bucket([]byte(t.name))
		if bucket == nil {
			return nil
		}
		return bucket.ForEach(func(key, sealed []byte) error {
			plain, err := t.store.keys.unseal(sealed, place(t.name, string(key)))
			if err != nil {
				return fmt.Errorf("%s, table %s, key %q: %w", t.store.path, t.name, key, ErrTampered)
			}
			return fn(string(key), func(v any) error { return decode(plain, v) })
		})
	})
}

// view reads the file, which may not be what was written.
func (s *Store) view(fn func(tx *bbolt.Tx) error) (err error) {
	defer guard(s.path, &err)
	defer faults()()
	return s.db.View(fn)
}

// Each calls fn for each value of a table, decoded, as [Table.Load] does.
func Each[T any](t Table, fn func(key string, v T) error) error {
	return t.Load(func(key string, decode func(v any) error) error {
		var v T
		if err := decode(&v); err != nil {
			return err
		}
		return fn(key, v)
	})
}
