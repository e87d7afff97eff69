package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// A killer kills the process of a function at one of the calls that it makes:
// those of AWS come through a gate, and the packets to the database through a
// port. They are counted as they come; the one at which it is killed does not
// arrive.
type killer struct {
	kill   func()
	lock   sync.Mutex
	n      int  // of calls so far :: guarded by lock
	at     int  // the call to kill at; -1 is none :: guarded by lock
	killed bool // since it was armed :: guarded by lock
}

// arm has the killer count from 0, and kill at a call.
func (k *killer) arm(at int) {
	k.lock.Lock()
	defer k.lock.Unlock()
	k.n, k.at, k.killed = 0, at, false
}

// hasKilled reports whether there was the call to kill at. The process may have
// answered before: it waits for no answer to its last packet.
func (k *killer) hasKilled() bool {
	k.lock.Lock()
	defer k.lock.Unlock()
	return k.killed
}

// pass lets a call pass, or kills the process in its place.
func (k *killer) pass() bool {
	k.lock.Lock()
	defer k.lock.Unlock()
	if k.n == k.at {
		k.at, k.killed = -1, true
		k.kill()
		return false
	}
	k.n++
	return true
}

// before is a call of AWS that comes to a gate. Where it is killed at, the
// connection ends.
func (k *killer) before(w http.ResponseWriter, _ *http.Request) bool {
	if k.pass() {
		return true
	}
	if h, ok := w.(http.Hijacker); ok {
		if conn, _, err := h.Hijack(); err == nil {
			_ = conn.Close() // nobody is there
		}
	}
	return false
}

// port passes connections on to an address, packet by packet.
func (k *killer) port(r *run, to string) (string, error) {
	listener, err := new(net.ListenConfig).Listen(r.ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	r.ends = append(r.ends, func() { _ = listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go k.carry(r.ctx, client, to)
		}
	}()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	return port, err
}

func (k *killer) carry(ctx context.Context, client net.Conn, to string) {
	defer func() { _ = client.Close() }()
	server, err := new(net.Dialer).DialContext(ctx, "tcp", to)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	go func() {
		_, _ = io.Copy(client, server) // until either ends
		_ = client.Close()
	}()
	packet := make([]byte, 64<<10)
	for {
		n, err := client.Read(packet)
		if err != nil || !k.pass() {
			return
		}
		if _, err := server.Write(packet[:n]); err != nil {
			return
		}
	}
}

// killedRotationsEndAlike makes a rotation that nothing disturbs, and one for
// each of its calls that is killed there; two at a time.
func killedRotationsEndAlike(r *run) error {
	s := r.up()
	heard := s.listen()
	const lanes = 2
	var versions [lanes][]string
	var errs [lanes]error
	var running sync.WaitGroup
	for lane := range lanes {
		l, k, err := s.killable(fmt.Sprintf("m96_%d", lane))
		if err != nil {
			return err
		}
		running.Go(func() { versions[lane], errs[lane] = l.killEach(k, lane, lanes) })
	}
	running.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		return err
	}
	all := slices.Concat(versions[:]...)
	if len(all) < 30 {
		return fmt.Errorf("a rotation makes only %d calls", len(all))
	}
	return heard(func(messages string) error { return announced(messages, all) }).went()
}

// announced checks that messages of a queue tell of the rotation to each of the
// versions.
func announced(messages string, versions []string) error {
	told := make(map[string]bool)
	for message := range strings.SplitSeq(messages, `"Body":`) {
		version := rotatedTo.FindStringSubmatch(message)
		if version != nil && strings.Contains(message, "Secret Rotated") {
			told[version[1]] = true
		}
	}
	for i, version := range versions {
		if !told[version] {
			return fmt.Errorf("rotation %d of %d, to %s, was not announced", i+1, len(versions), version)
		}
	}
	return nil
}

// rotatedTo finds the version in an event that is a text within JSON.
var rotatedTo = regexp.MustCompile(`\\"versionId\\":\\"([^\\"]+)`)

// killable makes a login whose rotations can be killed at each call.
func (s *system) killable(name string) (*databaseLogin, *killer, error) {
	g, err := s.gate()
	if err != nil {
		return nil, nil, err
	}
	k := &killer{at: -1}
	g.before = k.before
	address := postgresAt.FindStringSubmatch(s.said())
	if address == nil {
		return nil, nil, errNoPostgres
	}
	port, err := k.port(s.run, net.JoinHostPort(address[1], address[2]))
	if err != nil {
		return nil, nil, err
	}
	l, err := s.databaseLogin(name, g.URL, port)
	if err == nil {
		k.kill = l.function.strike // who waits for it sees its end
	}
	return l, k, err
}

// killEach makes a rotation without a kill, and then one killed at each call
// that a lane has, until there is none. It returns their versions.
func (l *databaseLogin) killEach(k *killer, first, step int) (versions []string, err error) {
	old, err := l.currentVersion()
	killed := true
	for at := first - step; err == nil && killed; at += step { // below 0 is none
		k.arm(at)
		var fresh string
		if fresh, err = l.rotateThrough(); err != nil {
			return versions, fmt.Errorf("killed at call %d: %w", at, err)
		}
		err = l.stand(map[string]string{old: "old", fresh: "new"}, "new accepted, new accepted, old refused")
		versions, old, killed = append(versions, fresh), fresh, k.hasKilled() || at < 0
	}
	return versions, err
}

// rotateThrough makes a rotation, every step until it succeeds and once more.
func (l *databaseLogin) rotateThrough() (fresh string, err error) {
	if fresh, err = l.begin(); err != nil {
		return "", err
	}
	for _, step := range rotationSteps {
		for range 2 {
			err := l.step(step, fresh)
			for errors.Is(err, errKilled) {
				err = l.step(step, fresh)
			}
			if err != nil {
				return fresh, err
			}
		}
	}
	return fresh, nil
}

// strayStepsAreRefused sends the function what Secrets Manager would not, or
// sends too late.
func strayStepsAreRefused(r *run) error {
	l, err := r.shop().databaseLogin("m97", "", "")
	if err != nil {
		return err
	}
	first, err := l.currentVersion()
	if err != nil {
		return err
	}
	refused := func(step, version, code string) error {
		err := l.step(step, version)
		if err == nil {
			return fmt.Errorf("%s went well, want %s", step, code)
		}
		return contains("the error", err.Error(), code)
	}
	errs := []error{refused("createSecret", first, "configuration.disabled: rotation is not enabled for the secret")}
	second, err := l.begin()
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	for _, step := range rotationSteps {
		errs = append(errs,
			refused(step, newID(), "conflict.token: the secret has no version of this token"),
			l.step(step, second),
		)
	}
	names := map[string]string{first: "first", second: "second"}
	const done = "second accepted, second accepted, first refused"
	for _, step := range rotationSteps {
		errs = append(errs,
			refused(step, first, "conflict.pending: version is not staged as AWSPENDING, but as [AWSPREVIOUS]"),
			l.step(step, second), // is current already: nothing is left to do
			l.stand(names, done),
		)
	}
	return errors.Join(append(errs, refused("deleteSecret", second, `configuration.step: unknown step`))...)
}
