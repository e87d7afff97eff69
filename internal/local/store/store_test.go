package store_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rekey-go/rekey/internal/local/store"
)

const canary = "canary-4f1c"

func open(t testing.TB, dir string) *store.Store {
	t.Helper()
	s, err := store.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func load(t *testing.T, table store.Table) map[string]string {
	t.Helper()
	got := make(map[string]string)
	err := table.Load(func(key string, decode func(any) error) error {
		var v string
		err := decode(&v)
		got[key] = v
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestWhatIsWrittenIsThereAfterReopening(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	table := s.Table("secrets")
	for _, key := range []string{"a", "b", "c"} {
		if err := table.Put(key, canary+key); err != nil {
			t.Fatal(err)
		}
	}
	if err := table.Delete("b"); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"a": canary + "a", "c": canary + "c"}
	if diff := cmp.Diff(want, load(t, open(t, dir).Table("secrets"))); diff != "" {
		t.Errorf("after reopening (-want +got):\n%s", diff)
	}
}

func TestNothingIsReadableOnDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	if err := s.Table("secrets").Put("a", canary); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"state.db", "state.key"} {
		path := filepath.Join(dir, name)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(data, []byte(canary)) {
			t.Errorf("%s has the value in clear text", name)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != 0o600 {
			t.Errorf("%s has mode %o, want 600", name, got)
		}
	}
}

func TestAnUpdateIsWholeOrNothing(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	refused := errors.New("refused")
	err := s.Update(func(tx *store.Tx) error {
		if err := tx.Put("t", "a", "1"); err != nil {
			return err
		}
		return refused
	})
	if !errors.Is(err, refused) {
		t.Errorf("Update: %v, want %v", err, refused)
	}
	if got := load(t, s.Table("t")); len(got) != 0 {
		t.Errorf("after a refused update the table has %v", got)
	}
}

func TestASecondProcessIsKeptOut(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	open(t, dir)
	if _, err := store.Open(dir); !errors.Is(err, store.ErrLocked) {
		t.Errorf("second Open: %v, want %v", err, store.ErrLocked)
	}
}

func TestAnotherKeyIsRefused(t *testing.T) {
	t.Parallel()
	for name, key := range map[string][]byte{
		"of the right size": bytes.Repeat([]byte{7}, 32),
		"cut short":         {7},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s := open(t, dir)
			if err := errors.Join(s.Table("t").Put("a", "1"), s.Close()); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "state.key"), key, 0o600); err != nil {
				t.Fatal(err)
			}
			again, err := store.Open(dir)
			if err == nil {
				err = errors.Join(again.Table("t").Load(func(string, func(any) error) error { return nil }), again.Close())
			}
			if !errors.Is(err, store.ErrTampered) {
				t.Errorf("reading with another key: %v, want %v", err, store.ErrTampered)
			}
		})
	}
}

func TestANilStoreKeepsNothing(t *testing.T) {
	t.Parallel()
	var s *store.Store
	table := s.Table("t")
	if err := errors.Join(table.Put("a", 1), table.Delete("a"), s.Close()); err != nil {
		t.Fatal(err)
	}
	if got := load(t, table); len(got) != 0 {
		t.Errorf("a nil store has %v", got)
	}
}
