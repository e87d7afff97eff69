package store_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rekey-go/rekey/internal/local/store"
)

func under(passphrase string) func(*store.Options) {
	return func(o *store.Options) { o.Passphrase = passphrase; store.Fast(o) }
}

// filled makes a state with a value in it, and closes it.
func filled(t *testing.T, opts ...func(*store.Options)) (dir string) {
	t.Helper()
	dir = t.TempDir()
	s, err := store.Open(dir, opts...)
	if err != nil {
		t.Fatal(err)
	}
	big := strings.Repeat(canary, 4000) // of several pages
	if err := errors.Join(s.Table("t").Put("a", canary), s.Table("t").Put("b", big), s.Close()); err != nil {
		t.Fatal(err)
	}
	return dir
}

// reopen opens a state and reads all of it.
func reopen(dir string, opts ...func(*store.Options)) error {
	s, err := store.Open(dir, opts...)
	if err != nil {
		return err
	}
	err = s.Table("t").Load(func(_ string, decode func(any) error) error { return decode(new(string)) })
	return errors.Join(err, s.Close())
}

func TestAPassphraseOpensTheState(t *testing.T) {
	t.Parallel()
	dir := filled(t, under("correct horse"))
	if err := reopen(dir, under("correct horse")); err != nil {
		t.Errorf("with the passphrase: %v", err)
	}
	if !store.NeedsPassphrase(dir) {
		t.Error("the state does not say that it needs a passphrase")
	}
	if _, err := os.Stat(filepath.Join(dir, "state.key")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("there is a key in clear text: %v", err)
	}
}

func TestAStateIsRefusedWithWordsThatHelp(t *testing.T) {
	t.Parallel()
	edit := func(name string, change func([]byte) []byte) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			path := filepath.Join(dir, name)
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, change(data), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	flip := func(at int) func([]byte) []byte {
		return func(data []byte) []byte { data[(at+len(data))%len(data)] ^= 1; return data }
	}
	remove := func(name string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	tests := map[string]struct {
		made, opened func(*store.Options)
		harm         func(t *testing.T, dir string)
		want         error
		says         []string
	}{
		"the passphrase is wrong": {
			made: under("right"), opened: under("wrong"), want: store.ErrPassphrase, says: []string{"state.key.age", "not the one"},
		},
		"the passphrase is missing": {made: under("right"), want: store.ErrPassphrase, says: []string{"state.key.age", "missing"}},
		"a passphrase is given, and a key file is there": {
			opened: under("any"), want: store.ErrPassphrase, says: []string{"state.key", "leave the passphrase out"},
		},
		"the key file is missing": {harm: remove("state.key"), want: store.ErrNoKey, says: []string{"state.key", "backup"}},
		"the sealed key is missing": {
			made: under("right"), opened: under("right"), harm: remove("state.key.age"), want: store.ErrNoKey, says: []string{"state.key.age"},
		},
		"others can read the key file": {
			harm: func(t *testing.T, dir string) {
				if err := os.Chmod(filepath.Join(dir, "state.key"), 0o640); err != nil {
					t.Fatal(err)
				}
			},
			want: store.ErrExposed, says: []string{"state.key", "0640", "chmod 600"},
		},
		"the key file was changed":      {harm: edit("state.key", flip(3)), want: store.ErrTampered, says: []string{"state.db"}},
		"the key file was cut":          {harm: edit("state.key", func(d []byte) []byte { return d[:20] }), want: store.ErrTampered, says: []string{"state.key"}},
		"the sealed key was changed":    {made: under("right"), opened: under("right"), harm: edit("state.key.age", flip(-3)), want: store.ErrTampered, says: []string{"state.key.age"}},
		"the sealed key is no age file": {made: under("right"), opened: under("right"), harm: edit("state.key.age", func([]byte) []byte { return []byte("x") }), want: store.ErrTampered},
		"the state is garbage":          {harm: edit("state.db", func(d []byte) []byte { return bytes.Repeat([]byte{7}, len(d)) }), want: store.ErrTampered, says: []string{"state.db"}},
		"the state was cut":             {harm: edit("state.db", func(d []byte) []byte { return d[:len(d)/2] }), want: store.ErrTampered, says: []string{"state.db"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var made, opened []func(*store.Options)
			if tt.made != nil {
				made = append(made, tt.made)
			}
			if tt.opened != nil {
				opened = append(opened, tt.opened)
			}
			dir := filled(t, made...)
			if tt.harm != nil {
				tt.harm(t, dir)
			}
			err := reopen(dir, opened...)
			if !errors.Is(err, tt.want) {
				t.Fatalf("opening it: %v, want %v", err, tt.want)
			}
			for _, part := range tt.says {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("the error does not say %q: %v", part, err)
				}
			}
		})
	}
}

func TestEveryChangedByteOfAStateIsFoundOrHarmless(t *testing.T) {
	t.Parallel()
	dir := filled(t)
	path := filepath.Join(dir, "state.db")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	other := t.TempDir()
	key, err := os.ReadFile(filepath.Join(dir, "state.key"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(other, "state.key"), key, 0o600); err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(whole); at += 397 { // a prime, so that it hits all parts of a page
		changed := bytes.Clone(whole)
		changed[at] ^= 0xff
		place := filepath.Join(other, "state.db")
		if err := os.WriteFile(place, changed, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := reopen(other); err != nil && !errors.Is(err, store.ErrTampered) && !errors.Is(err, store.ErrNoKey) {
			t.Errorf("byte %d changed: %v, want no error or %v", at, err, store.ErrTampered)
		}
	}
}

func TestAStoredValueIsRefusedUnlessItIsWhatWasWrittenThere(t *testing.T) {
	t.Parallel()
	tests := map[string]func(sealed map[string][]byte){
		"a byte was changed":           func(sealed map[string][]byte) { sealed["a"][30] ^= 1 },
		"the salt was changed":         func(sealed map[string][]byte) { sealed["a"][0] ^= 1 },
		"the count was changed":        func(sealed map[string][]byte) { sealed["a"][23] ^= 1 },
		"it was cut":                   func(sealed map[string][]byte) { sealed["a"] = sealed["a"][:23] },
		"it was emptied":               func(sealed map[string][]byte) { sealed["a"] = nil },
		"two values were exchanged":    func(sealed map[string][]byte) { sealed["a"], sealed["b"] = sealed["b"], sealed["a"] },
		"it was copied to another key": func(sealed map[string][]byte) { sealed["c"] = sealed["a"] },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filled(t)
			store.Harm(t, dir, "t", change)
			if err := reopen(dir); !errors.Is(err, store.ErrTampered) {
				t.Errorf("reading it: %v, want %v", err, store.ErrTampered)
			}
		})
	}
}

func TestNoTwoValuesAreSealedAlike(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for range 3 {
		s := open(t, dir)
		for range 50 {
			if err := s.Table("t").Put(rand.Text(), canary); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	seen := make(map[string]bool) // :: salt and count
	store.Harm(t, dir, "t", func(sealed map[string][]byte) {
		for _, v := range sealed {
			seen[string(v[:24])] = true
		}
	})
	if len(seen) != 150 {
		t.Errorf("150 values have %d nonces", len(seen))
	}
}

func TestCheckFindsWhatIsInTheWay(t *testing.T) {
	t.Parallel()
	if err := store.Check(filepath.Join(t.TempDir(), "none")); err != nil {
		t.Errorf("no state: %v", err)
	}
	dir := filled(t)
	if err := store.Check(dir); err != nil {
		t.Errorf("a state that nobody uses: %v", err)
	}
	open(t, dir)
	if err := store.Check(dir); !errors.Is(err, store.ErrLocked) {
		t.Errorf("a state in use: %v, want %v", err, store.ErrLocked)
	}
}
