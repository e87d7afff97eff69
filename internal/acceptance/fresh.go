package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// twoCommands are the README's.
const twoCommands = "\n    go run ./cmd/rekey demo     # the whole story once, on this machine\n    go test ./...               # the tests\n"

// freshCloneRuns clones the repository into an empty folder, and runs the first
// of the README's two commands with an environment that has nothing but Go, and
// its caches, so that this compiles only what is Rekey's. The second takes too
// long here; that its tests are there is checked.
func freshCloneRuns(r *run) error {
	if err := contains("README.md", r.file("README.md"), twoCommands); err != nil {
		return err
	}
	path, err := r.onlyGo()
	if err != nil {
		return err
	}
	clone := filepath.Join(r.dir, "clone")
	if err := r.shell("", "git clone -q --no-hardlinks "+r.bench.root+" "+clone).went(); err != nil {
		return err
	}
	script := "cd " + clone + " && " + strings.Join([]string{
		`for absent in docker podman python python3 aws; do if command -v $absent; then exit 9; fi; done`,
		"go run ./cmd/rekey demo",
		`go list -f '{{if or .TestGoFiles .XTestGoFiles}}tested{{end}}' ./... | grep -c tested`,
	}, "\n")
	env := []string{"PATH=" + path, "HOME=" + r.dir, "TMPDIR=" + os.TempDir(), "PGBIN=" + os.Getenv("PGBIN")}
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPROXY", "GOSUMDB", "GOFLAGS", "CGO_ENABLED"} {
		value, err := exec.CommandContext(r.ctx, "go", "env", name).Output() //nolint:gosec // a constant.
		if err != nil {
			return err
		}
		env = append(env, name+"="+strings.TrimSpace(string(value)))
	}
	cmd := exec.CommandContext(r.ctx, "bash", "-euo", "pipefail", "-c", script) //nolint:gosec // as above.
	cmd.Env, cmd.WaitDelay = env, eventWait
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	r.bench.say(r.id, script)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	text := strings.Join(strings.Fields(string(out)), " ")
	return errors.Join(
		contains("the demonstration", text, "deployed from template.yaml, without a value", " sent, 0 failed ok", "rotations 4 of 4, one with its function killed ok",
			"laggards 0 ok", "policies 0 kinds of calls refused ok"),
		lacks("the demonstration's end", text, " FAILED", " failed FAIL"),
	)
}

// onlyGo makes a folder for the PATH that has Go, what a shell has, and the C
// compiler that Go's own packages were compiled with, if one was.
func (r *run) onlyGo() (string, error) {
	dir := filepath.Join(r.dir, "only-go")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	for _, tool := range []string{"bash", "sh", "go", "git", "grep", "gcc"} {
		path, err := exec.LookPath(tool)
		if err != nil && tool == "gcc" {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("needs %s, which %w", tool, errNoTool)
		}
		if path, err = filepath.EvalSymlinks(path); err != nil {
			return "", err
		}
		if err := os.Symlink(path, filepath.Join(dir, tool)); err != nil {
			return "", err
		}
	}
	return dir, nil
}
