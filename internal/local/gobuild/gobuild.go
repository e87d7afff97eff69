// Package gobuild builds Lambda functions that are written in Go as the SAM
// CLI does: one program named bootstrap, without the RPC server of
// the runtime go1.x that is gone. It builds for this machine, which is where
// the engine runs the function; Go's own build cache makes a second build
// quick.
package gobuild

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Bootstrap is the name of the program that Lambda starts.
const Bootstrap = "bootstrap"

// Has reports whether a folder has a Go program to build.
func Has(source string) bool {
	files, err := filepath.Glob(filepath.Join(source, "*.go"))
	return err == nil && len(files) > 0
}

// Build builds the program in the folder source as the file bootstrap in the
// folder target. An error has the compiler's output.
func Build(ctx context.Context, source, target string) error {
	target, err := filepath.Abs(target)
	if err != nil {
		return fmt.Errorf("finding the folder for the program: %w", err)
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-tags", "lambda.norpc", "-o", filepath.Join(target, Bootstrap), ".") //nolint:gosec // no part of it is a command.
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "GOOS=", "GOARCH=") // this machine's, whatever is set for a deployment
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s: %w\n%s", source, err, strings.TrimSpace(string(out)))
	}
	return nil
}
