package store

import (
	"errors"
	"path/filepath"
	"slices"
	"testing"

	"go.etcd.io/bbolt"
)

// Fast makes the passphrase cheap to try, for tests.
func Fast(o *Options) { o.workFactor = 4 }

// Harm changes the sealed values of a table in a state that is closed, as
// somebody would who knows the file format and not the key.
func Harm(t testing.TB, dir, table string, change func(sealed map[string][]byte)) {
	t.Helper()
	db, err := bbolt.Open(filepath.Join(dir, stateFile), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		bucket, sealed := tx.Bucket([]byte(table)), make(map[string][]byte)
		_ = bucket.ForEach(func(key, v []byte) error { sealed[string(key)] = slices.Clone(v); return nil })
		change(sealed)
		var errs []error
		for key, v := range sealed {
			errs = append(errs, bucket.Put([]byte(key), v))
		}
		return errors.Join(errs...)
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}
