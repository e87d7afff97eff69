package gobuild_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rekey-go/rekey/internal/local/gobuild"
)

func TestAProgramIsBuiltForThisMachine(t *testing.T) {
	t.Parallel()
	target := t.TempDir()
	if !gobuild.Has("testdata/hello") || gobuild.Has("testdata") {
		t.Error("the folder with the program is not told from the one above it")
	}
	if err := gobuild.Build(t.Context(), "testdata/hello", target); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), filepath.Join(target, gobuild.Bootstrap)).CombinedOutput()
	if err != nil || string(out) != "hello\n" {
		t.Errorf("the program said %q, %v", out, err)
	}
}

func TestAnErrorHasTheCompilersOutput(t *testing.T) {
	t.Parallel()
	err := gobuild.Build(t.Context(), "testdata/broken", t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "main.go:4:15: undefined: missing") {
		t.Errorf("got %v, want the line that does not compile", err)
	}
}
