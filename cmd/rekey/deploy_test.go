package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// bootstraps is the script command "bootstraps": it sets ARTIFACTS to a folder
// with programs for arm64 in the place of the functions' own. They are empty,
// and small: the engine goes by what their build information says they are.
func bootstraps(t *testing.T) func(ts *testscript.TestScript, neg bool, args []string) {
	t.Helper()
	dir := t.TempDir()
	build := sync.OnceValue(func() error { return buildEmpty(dir) })
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) > 0 {
			ts.Fatalf("usage: bootstraps")
		}
		ts.Check(build())
		ts.Setenv("ARTIFACTS", dir)
	}
}

// buildEmpty builds an empty program for each function, of a module of the same
// name.
func buildEmpty(dir string) error {
	source := filepath.Join(dir, "source")
	write := func(name, content string) error {
		path := filepath.Join(source, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		return os.WriteFile(path, []byte(content), 0o600)
	}
	if err := write("go.mod", "module "+modulePath+"\n\ngo 1.26\n"); err != nil {
		return err
	}
	files := map[string]string{"cmd/" + extensionName: "layers/" + extensionName + "/extensions/" + extensionName}
	for name := range functions {
		uri := "functions/" + name + "/bootstrap"
		files[uri] = uri + "/bootstrap"
	}
	for pkg, file := range files {
		if err := write(pkg+"/main.go", "package main\n\nfunc main() {}\n"); err != nil {
			return err
		}
		cmd := exec.Command("go", "build", "-buildvcs=false", "-trimpath", "-ldflags", "-s -w", "-o", filepath.Join(dir, filepath.FromSlash(file)), "./"+pkg)
		cmd.Dir = source
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=arm64", "GOFLAGS=-mod=mod")
		if out, err := cmd.CombinedOutput(); err != nil {
			return &exec.Error{Name: string(out), Err: err}
		}
	}
	return nil
}
