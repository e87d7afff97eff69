package main

import (
	"debug/elf"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/rekey-go/rekey/internal/deploy/deploytest"
)

// bootstraps is the script command "bootstraps": it sets ARTIFACTS to a folder
// with programs for arm64 in the place of the functions' own. They are empty:
// the engine goes by what their build information says they are.
func bootstraps(t *testing.T) func(ts *testscript.TestScript, neg bool, args []string) {
	t.Helper()
	dir := t.TempDir()
	build := sync.OnceValue(func() error { return writeEmpty(dir) })
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) > 0 {
			ts.Fatalf("usage: bootstraps")
		}
		ts.Check(build())
		ts.Setenv("ARTIFACTS", dir)
	}
}

// writeEmpty writes an empty program for each function, and one for the agent's
// layer.
func writeEmpty(dir string) error {
	files := map[string]string{"cmd/" + extensionName: "layers/" + extensionName + "/extensions/" + extensionName}
	for name := range functions {
		uri := "functions/" + name + "/bootstrap"
		files[uri] = uri + "/bootstrap"
	}
	for pkg, file := range files {
		program, err := deploytest.Program(elf.EM_AARCH64, modulePath+"/"+pkg)
		if err != nil {
			return err
		}
		file = filepath.Join(dir, filepath.FromSlash(file))
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, program, 0o600)); err != nil {
			return err
		}
	}
	return nil
}
