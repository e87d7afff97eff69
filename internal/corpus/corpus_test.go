package corpus_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rekey-go/rekey/internal/corpus"
)

func Example() {
	dir, err := os.MkdirTemp("", "corpus")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	truth, err := corpus.Write(dir, corpus.Options{Bytes: 1 << 20, FileBytes: 64 << 10})
	fmt.Println(truth.Bytes >= 1<<20, len(truth.Accesses) > 0, err)
	// Output: true true <nil>
}

func TestTheSameOptionsMakeTheSameFiles(t *testing.T) {
	t.Parallel()
	read := func(seed uint64) map[string]string {
		dir := t.TempDir()
		if _, err := corpus.Write(dir, corpus.Options{Seed: seed, Bytes: 1 << 20, FileBytes: 64 << 10}); err != nil {
			t.Fatal(err)
		}
		files := make(map[string]string)
		err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			rel, _ := filepath.Rel(dir, path)
			text, err := os.ReadFile(path)
			files[rel] = string(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return files
	}
	one := read(1)
	if diff := cmp.Diff(one, read(1)); diff != "" {
		t.Error("the same seed makes other files")
	}
	if len(one) < 10 || cmp.Equal(one, read(2)) {
		t.Errorf("%d files, and another seed makes the same", len(one))
	}
}
