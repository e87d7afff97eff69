package store_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rekey-go/rekey/internal/local/store"
)

func TestAFailingWriteHarmsNoneThatSharesItsCommit(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	refused := errors.New("refused")
	var waits []func() error
	for i := range 100 {
		waits = append(waits, s.Begin(func(tx *store.Tx) error {
			if err := tx.Put("t", fmt.Sprint(i), "x"); err != nil {
				return err
			}
			if i%10 == 3 {
				return refused
			}
			return nil
		}))
	}
	want := make(map[string]string)
	for i, wait := range waits {
		err := wait()
		if i%10 == 3 {
			if !errors.Is(err, refused) {
				t.Errorf("write %d: %v, want %v", i, err, refused)
			}
			continue
		}
		if err != nil {
			t.Errorf("write %d: %v", i, err)
		}
		want[fmt.Sprint(i)] = "x"
	}
	if diff := cmp.Diff(want, load(t, s.Table("t"))); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
}

func TestWritesKeepTheirOrder(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	var last func() error
	for i := range 2500 { // more than one commit takes
		last = s.Begin(func(tx *store.Tx) error { return tx.Put("t", "a", fmt.Sprint(i)) })
	}
	if err := last(); err != nil {
		t.Fatal(err)
	}
	if got := load(t, s.Table("t"))["a"]; got != "2499" {
		t.Errorf("after 2500 writes: got %s, want the last", got)
	}
}

func TestCloseWritesWhatWasBegun(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	s.Begin(func(tx *store.Tx) error { return tx.Put("t", "a", "1") })
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got := load(t, open(t, dir).Table("t"))["a"]; got != "1" {
		t.Errorf("after Close: got %q, want 1", got)
	}
	if err := s.Table("t").Put("b", "1"); !errors.Is(err, store.ErrClosed) {
		t.Errorf("a write after Close: %v, want %v", err, store.ErrClosed)
	}
}
