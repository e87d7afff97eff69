package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
)

// A killer kills the process of a function at one of the calls that it makes:
// those of AWS come through a gate, and the packets to the database through a
// port. They are counted as they come; the one at which it is killed does not
// arrive.
type killer struct {
	kill func()
	lock sync.Mutex
	n    int // of calls so far :: guarded by lock
	at   int // the call to kill at; -1 is none :: guarded by lock
}

// arm has the killer count from 0, and kill at a call.
func (k *killer) arm(at int) {
	k.lock.Lock()
	defer k.lock.Unlock()
	k.n, k.at = 0, at
}

// counted is how many calls there were, which is not more than it killed at.
func (k *killer) counted() int {
	k.lock.Lock()
	defer k.lock.Unlock()
	return k.n
}

// pass lets a call pass, or kills the process in its place.
func (k *killer) pass() bool {
	k.lock.Lock()
	defer k.lock.Unlock()
	if k.n == k.at {
		k.at = -1
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
	listener, err := net.Listen("tcp", "127.0.0.1:0")
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
			go k.carry(client, to)
		}
	}()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	return port, err
}

func (k *killer) carry(client net.Conn, to string) {
	defer func() { _ = client.Close() }()
	server, err := net.Dial("tcp", to)
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
// each of its calls that is killed there. Every step is made until it succeeds,
// and once more.
func killedRotationsEndAlike(r *run) error {
	s := r.up()
	heard := s.listen()
	g, err := s.gate()
	if err != nil {
		return err
	}
	k := &killer{at: -1}
	g.before = k.before
	at := postgresAt.FindStringSubmatch(s.said())
	if at == nil {
		return errors.New("rekey up tells of no PostgreSQL")
	}
	port, err := k.port(r, net.JoinHostPort(at[1], at[2]))
	if err != nil {
		return err
	}
	l, err := s.login("m96", g.URL, port)
	if err != nil {
		return err
	}
	k.kill = func() { _ = l.function.cmd.Process.Kill() } // its end is seen by who waits for it
	versions := make([]string, 0, 100)
	for at := -1; ; at++ { // the first is not killed
		k.arm(at)
		version, killed, err := l.rotateThrough()
		if err != nil {
			return fmt.Errorf("killed at call %d: %w", at, err)
		}
		versions = append(versions, version)
		if at >= 0 && !killed {
			break // that was the last
		}
	}
	if len(versions) < 20 {
		return fmt.Errorf("a rotation makes only %d calls", len(versions)-2)
	}
	return errors.Join(heard().shows(versions...), lacks("the functions' log", read(l.function.log()), "panic"))
}

// rotateThrough makes a rotation, and checks how it ended.
func (l *login) rotateThrough() (fresh string, killed bool, err error) {
	old, err := l.labelled("AWSCURRENT")
	if err != nil {
		return "", false, err
	}
	if fresh, err = l.begin(); err != nil {
		return "", false, err
	}
	for _, step := range rotationSteps {
		for range 2 {
			err := l.step(step, fresh)
			for errors.Is(err, errKilled) {
				killed = true
				err = l.step(step, fresh)
			}
			if err != nil {
				return fresh, killed, err
			}
		}
	}
	return fresh, killed, l.stand(map[string]string{old.id: "old", fresh: "new"}, "AWSCURRENT new accepted, AWSPENDING new accepted, AWSPREVIOUS old refused")
}

// strayStepsAreRefused sends the function what Secrets Manager would not, or
// sends too late.
func strayStepsAreRefused(r *run) error {
	l, err := r.shop().login("m97", "", "")
	if err != nil {
		return err
	}
	first, err := l.labelled("AWSCURRENT")
	if err != nil {
		return err
	}
	refused := func(step, version, code string) error {
		err := l.step(step, version)
		if err == nil || !strings.Contains(err.Error(), code) {
			return fmt.Errorf("%s ended with %v, want %s", step, err, code)
		}
		return nil
	}
	errs := []error{refused("createSecret", first.id, "configuration.disabled: rotation is not enabled for the secret")}
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
	names := map[string]string{first.id: "first", second: "second"}
	const done = "AWSCURRENT second accepted, AWSPENDING second accepted, AWSPREVIOUS first refused"
	for _, step := range rotationSteps {
		errs = append(errs,
			refused(step, first.id, "conflict.pending: version is not staged as AWSPENDING, but as [AWSPREVIOUS]"),
			l.step(step, second), // is current already: nothing is left to do
			l.stand(names, done),
		)
	}
	return errors.Join(append(errs, refused("deleteSecret", second, `configuration.step: unknown step`))...)
}
