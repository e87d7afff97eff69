package lambda_test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for what must happen. It is long, for
// machines under load, and waited out only by a test that fails.
const patience = 2 * time.Minute

// A gate is where the test function stops in the middle of an invocation, and
// says from which process it comes. That process's end is seen there too.
type gate struct {
	t  *testing.T
	ln net.Listener
}

func newGate(t *testing.T) *gate {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	return &gate{t: t, ln: ln}
}

func (g *gate) addr() string { return g.ln.Addr().String() }

// A visitor is a process that waits at a gate.
type visitor struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
	name string
	pid  int
}

// arrival waits for a process to come to the gate.
func (g *gate) arrival() *visitor {
	g.t.Helper()
	if err := g.ln.(*net.TCPListener).SetDeadline(time.Now().Add(patience)); err != nil {
		g.t.Fatal(err)
	}
	conn, err := g.ln.Accept()
	if err != nil {
		g.t.Fatalf("nobody came to the gate: %v", err)
	}
	g.t.Cleanup(func() { _ = conn.Close() })
	v := &visitor{t: g.t, conn: conn, in: bufio.NewReader(conn)}
	if _, err := fmt.Fscanf(v.in, "%s %d\n", &v.name, &v.pid); err != nil {
		g.t.Fatalf("reading who came to the gate: %v", err)
	}
	return v
}

// pass lets the visitor go on.
func (v *visitor) pass() {
	v.t.Helper()
	if err := v.conn.Close(); err != nil {
		v.t.Fatal(err)
	}
}

// fail lets the visitor go on with an error.
func (v *visitor) fail(text string) {
	v.t.Helper()
	if _, err := fmt.Fprint(v.conn, text); err != nil {
		v.t.Fatal(err)
	}
	v.pass()
}

// end waits for the visitor's process to end.
func (v *visitor) end() {
	v.t.Helper()
	if err := v.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		v.t.Fatal(err)
	}
	_, err := v.in.ReadByte()
	if timeout, ok := err.(net.Error); ok && timeout.Timeout() { //nolint:errorlint // as net gives it.
		v.t.Fatalf("the process %d lives on", v.pid)
	}
}

// gone checks that the visitor's process, an environment's, has ended already, and
// that the engine knows.
func (v *visitor) gone() {
	v.t.Helper()
	if alive(v.t, v.pid) {
		v.t.Errorf("the process %d of %q lives on", v.pid, v.name)
	}
}

// alive reports whether there is a process, be it one that its parent has not
// heard the end of.
func alive(t *testing.T, pid int) bool {
	t.Helper()
	p, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	return p.Signal(syscall.Signal(0)) == nil
}
