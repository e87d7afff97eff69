package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// A run is one check at work: it has ways to use the product.
type run struct {
	ctx   context.Context //nolint:containedctx // that of the check
	bench *bench
	id    string
	dir   string // a folder of its own
	ends  []func()
}

// end stops what the check started, the last first.
func (r *run) end() {
	for len(r.ends) > 0 {
		last := len(r.ends) - 1
		r.ends[last]()
		r.ends = r.ends[:last]
	}
}

// A system is a server as one check uses it.
type system struct {
	*run
	*server
}

// empty is a system in which no secret has a value, and none gets one.
func (r *run) empty() *system { return &system{r, r.bench.empty()} }

// shop is a system with a database in which each secret has a value: those of
// the documents. Checks do not change these.
func (r *run) shop() *system { return &system{r, r.bench.shop()} }

// up starts a system that is the check's own.
func (r *run) up(flags ...string) *system { return r.upIn("up", flags...) }

// upIn starts a system in a folder of that name, which may have been used before.
func (r *run) upIn(name string, flags ...string) *system {
	s := startServer(r.bench, filepath.Join(r.dir, name), flags...)
	r.ends = append(r.ends, s.stop)
	return &system{r, s}
}

// userEnv is the environment of somebody who has the command on the PATH, and no
// credentials but those that are given.
func userEnv(b *bench, home string, more ...string) []string {
	return append([]string{
		"PATH=" + filepath.Join(b.dir, "bin") + string(os.PathListSeparator) + os.Getenv("PATH"),
		"HOME=" + home, "TMPDIR=" + os.TempDir(), "LC_ALL=C.UTF-8", "AWS_PAGER=", "AWS_EC2_METADATA_DISABLED=true",
		"PGBIN=" + os.Getenv("PGBIN"), "PYENV_ROOT=" + os.Getenv("PYENV_ROOT"), "PYENV_VERSION=" + os.Getenv("PYENV_VERSION"),
	}, more...)
}

// An output is what became of commands.
type output struct {
	out, err string
	code     int
	fault    error // why they could not be run
}

// sh runs commands in a shell, in the check's folder, with what "rekey up"
// prints in the environment: AWS_ENDPOINT_URL and so on, $SM, which is the same
// address, $API, $TOKEN and $PROVIDERS.
func (s *system) sh(commands string) output { return s.pipe("", commands) }

// pipe is sh with a standard input, for values, which no list of processes shows.
func (s *system) pipe(input, commands string) output {
	if s.err != nil {
		return output{fault: s.err}
	}
	return s.shell(input, commands,
		"AWS_ENDPOINT_URL="+s.Ready.AWS, "AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1",
		"AWS_ACCESS_KEY_ID=operator", "AWS_SECRET_ACCESS_KEY=operator",
		"SM="+s.Ready.AWS, "API="+s.Ready.API, "PROVIDERS="+s.Ready.Providers, "TOKEN="+token)
}

// curlAnswers has curl print whole answers, so that status and headers can be
// looked at.
const curlAnswers = "curl() { command curl -sS --raw -i -m 300 \"$@\"; }\n"

// shell runs commands without any system.
func (r *run) shell(input, commands string, env ...string) output {
	r.bench.say(r.id, commands)
	for _, tool := range []string{"aws", "curl"} {
		if !strings.Contains(commands, tool+" ") {
			continue
		}
		if _, err := exec.LookPath(tool); err != nil {
			return output{fault: fmt.Errorf("needs the %s CLI, which %w", tool, errNoTool)}
		}
	}
	cmd := exec.CommandContext(r.ctx, "bash", "-euo", "pipefail", "-c", curlAnswers+commands) //nolint:gosec // the checks' own commands.
	cmd.Dir, cmd.Env, cmd.WaitDelay = r.dir, userEnv(r.bench, r.dir, env...), eventWait
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &stdout, &stderr
	defer inGroup(cmd)()
	err := cmd.Run()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && (!exited || r.ctx.Err() != nil) {
		return output{fault: fmt.Errorf("%s: %w", oneLine(commands), err)}
	}
	return output{out: stdout.String(), err: stderr.String(), code: cmd.ProcessState.ExitCode()}
}

// goTool runs the go command in the repository.
func (r *run) goTool(arguments string) output {
	return r.shell("", "cd "+r.bench.root+" && go "+arguments, "GOCACHE="+os.Getenv("GOCACHE"), "GOFLAGS="+os.Getenv("GOFLAGS"), "HOME="+os.Getenv("HOME"))
}

// wait lets time pass, where it is the subject.
func (r *run) wait(d time.Duration) {
	select {
	case <-time.After(d):
	case <-r.ctx.Done():
	}
}

// call makes one request with curl. The body goes through the standard input.
func (s *system) call(method, path, body string, headers ...string) answer {
	command := []string{"curl -X " + method + ` "$API` + path + `"`}
	if body != "" {
		command = append(command, "--data-binary @-")
	}
	for _, h := range headers {
		command = append(command, "-H '"+h+"'")
	}
	return s.pipe(body, strings.Join(command, " ")).answer()
}

// aws makes one signed call of an AWS service with curl. It is for what is not
// about the aws CLI, which takes half a second for each call.
func (s *system) aws(service, target, body string) output {
	version := "1.1"
	if service == "sqs" || service == "dynamodb" {
		version = "1.0"
	}
	return s.pipe(body, `curl "$SM" --aws-sigv4 aws:amz:us-east-1:`+service+` --user operator:operator -H 'X-Amz-Target: `+target+
		`' -H 'Content-Type: application/x-amz-json-`+version+`' --data-binary @-`)
}

const (
	isJSON   = "Content-Type: application/json"
	asAdmin  = "Authorization: Bearer " + token
	notAdmin = "Authorization: Bearer wrong"
)

// admin calls the admin API as somebody who may.
func (s *system) admin(method, path, body string) answer {
	return s.call(method, path, body, isJSON, asAdmin)
}

// logs waits until the log has texts: what a function writes gets there after its
// answer.
func (s *system) logs(texts ...string) error {
	return s.until(func() error { return contains("the log", s.log(), texts...) })
}

// until tries until that succeeds, or returns the last error.
func (r *run) until(try func() error) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.After(eventWait)
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-late:
			return fmt.Errorf("after %v: %w", eventWait, err)
		case <-r.ctx.Done():
			return errors.Join(err, r.ctx.Err())
		}
	}
}
