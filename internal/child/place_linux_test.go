package child_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rekey-go/rekey/internal/child"
)

// A folder that the server's account cannot reach is elsewhere, goes where the
// link to it goes, and does not come back when the link is removed.
func TestAFolderOutOfReachIsElsewhere(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("NOT TESTED: servers run as another account where this process is root's alone")
	}
	home := filepath.Join(t.TempDir(), "home")
	if err := os.Mkdir(home, 0o700); err != nil {
		t.Fatal(err)
	}
	place := func(dir string) string {
		t.Helper()
		target, err := new(child.Account).Place("sample", dir)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(target) })
		return target
	}
	state, moved := filepath.Join(home, "state"), filepath.Join(home, "moved")
	first := place(filepath.Join(state, "sample"))
	if filepath.Dir(first) == state {
		t.Fatalf("the server's files lie in %s, where its account cannot reach them", first)
	}
	if err := os.Rename(state, moved); err != nil {
		t.Fatal(err)
	}
	if again := place(filepath.Join(moved, "sample")); again != first {
		t.Errorf("the files of the state that was moved lie in %s, want %s", again, first)
	}
	if other := place(filepath.Join(state, "sample")); other == first {
		t.Error("a new state of the old name has the files of the old one")
	}

	open := filepath.Join(t.TempDir(), "open")
	if err := os.MkdirAll(filepath.Join(open, "sample"), 0o711); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := new(child.Account).Place("sample", filepath.Join(open, "sample")); err == nil {
		t.Error("files that the account can no longer reach were left behind without a word")
	}
}
