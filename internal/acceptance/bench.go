package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// How long one check may take, and how long it waits for what is to become so.
// Both are long, for machines under load: only a check that fails waits it out.
const (
	patience  = 20 * time.Minute
	eventWait = 2 * time.Minute
)

// A bench has what all checks share: the command, built once, and the systems
// that nobody changes.
type bench struct {
	ctx  context.Context //nolint:containedctx // that of the whole run
	root string          // of the repository
	dir  string          // a temporary folder
	log  io.Writer       // is told the commands
	lock sync.Mutex      // of log

	probe       func() error // builds the probe
	empty, shop func() *server
	servers     []*server // that are shared, to be stopped :: guarded by lock
}

// newBench builds the command.
func newBench(ctx context.Context, log io.Writer) (*bench, error) {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return nil, fmt.Errorf("finding the repository: %w", err)
	}
	dir, err := openFolder("", "rekey-acceptance-")
	if err != nil {
		return nil, err
	}
	b := &bench{ctx: ctx, root: strings.TrimSpace(string(root)), dir: dir, log: log}
	b.probe = sync.OnceValue(func() error { return b.build("probe", "./internal/acceptance/probe") })
	b.empty = sync.OnceValue(b.startEmpty)
	b.shop = sync.OnceValue(b.startShop)
	if err := b.build("rekey", "./cmd/rekey"); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

// openFolder makes a folder that the accounts of servers may pass through, so that
// their files lie in it and go with the rest.
func openFolder(dir, pattern string) (string, error) {
	made, err := os.MkdirTemp(dir, pattern)
	if err != nil {
		return "", err
	}
	return made, os.Chmod(made, 0o711) //nolint:gosec // to be passed through, not read.
}

// build builds a program of the repository into the folder that the checks have
// on their PATH.
func (b *bench) build(name, pkg string) error {
	cmd := exec.CommandContext(b.ctx, "go", "build", "-o", filepath.Join(b.dir, "bin", name), pkg) //nolint:gosec // a package of ours
	cmd.Dir = b.root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s: %w: %s", pkg, err, out)
	}
	return nil
}

// try checks one statement. What the check started is stopped after it.
func (b *bench) try(s statement) error {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	dir, err := openFolder(b.dir, s.id+"-")
	if err != nil {
		return err
	}
	r := &run{ctx: ctx, bench: b, id: s.id, dir: dir}
	began := time.Now()
	err = s.holds(r)
	r.end()
	b.say(s.id, fmt.Sprintf("# took %.1f s", time.Since(began).Seconds()))
	return err
}

// close stops what is shared and removes the folder.
func (b *bench) close() {
	b.lock.Lock()
	defer b.lock.Unlock()
	for _, s := range b.servers {
		s.stop()
	}
	_ = os.RemoveAll(b.dir) // it is in the temporary folder
}

// say tells of a command, with -v.
func (b *bench) say(id, command string) {
	b.lock.Lock()
	defer b.lock.Unlock()
	fmt.Fprintf(b.log, "%s %s\n", id, strings.TrimSpace(command))
}

// share has a system stopped at the end.
func (b *bench) share(s *server) *server {
	b.lock.Lock()
	defer b.lock.Unlock()
	b.servers = append(b.servers, s)
	return s
}

// startEmpty starts a system in which no secret has a value.
func (b *bench) startEmpty() *server {
	return b.share(startServer(b, filepath.Join(b.dir, "empty"), "--no-database"))
}

// startShop starts a system with a database, a value in each secret, and
// consumers that look at the bulletin often.
func (b *bench) startShop() *server {
	s := b.share(startServer(b, filepath.Join(b.dir, "shop"), "--parameter", "CheckInterval=100ms"))
	r := &run{ctx: b.ctx, bench: b, id: "shop", dir: b.dir}
	if s.err == nil {
		s.err = (&system{run: r, server: s}).stock()
	}
	return s
}
