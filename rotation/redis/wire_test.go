package redis

import (
	"bytes"
	"io"
	"net"
	"strconv"
	"sync"
	"testing"

	"github.com/rekey-go/rekey/internal/child"
	"github.com/rekey-go/rekey/internal/redistest"
	"github.com/rekey-go/rekey/rotation"
)

// A wire records what clients send through it, and can be cut.
type wire struct {
	port int

	mu   sync.Mutex
	sent bytes.Buffer
	left int // how many bytes it still lets through; negative: all
}

// Write takes what a client has sent. It ends with io.EOF where the wire is cut.
func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.left < 0 {
		return w.sent.Write(p)
	}
	n := min(len(p), w.left)
	w.left -= n
	w.sent.Write(p[:n])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (w *wire) cutAfter(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.left = n
}

func (w *wire) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sent.String()
}

// carry passes on what a client sends, and the answers. A server has done all
// that came through before the client hears that the wire was cut.
func (w *wire) carry(client, server *net.TCPConn) {
	go func() {
		p := make([]byte, 4096)
		for {
			n, err := client.Read(p)
			through, cut := w.Write(p[:n])
			_, _ = server.Write(p[:through])
			if err != nil || cut != nil {
				_ = server.CloseWrite()
				return
			}
		}
	}()
	_, _ = io.Copy(client, server)
	_, _ = client.Close(), server.Close()
}

// wireTo starts a wire to a port.
func wireTo(t *testing.T, port int) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	w := &wire{port: l.Addr().(*net.TCPAddr).Port, left: -1}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
			if err != nil {
				_ = client.Close()
				continue
			}
			go w.carry(client.(*net.TCPConn), server.(*net.TCPConn))
		}
	}()
	return w
}

// startPlain starts a server that takes connections without TLS too, over a
// wire.
func startPlain(t *testing.T) (*redistest.Server, *wire) {
	t.Helper()
	port, err := child.FreePort(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := redistest.Start(t, redistest.Options{Arguments: []string{"--port", strconv.Itoa(port)}})
	return s, wireTo(t, port)
}

func TestAChangeThatIsCutOffIsMadeAndWrittenDownOrNeither(t *testing.T) {
	t.Parallel()
	s, wire := startPlain(t)
	db := database(t, rotation.ReachOptions{AllowPlaintext: true})
	c := credential(t, s, s.User, s.Password)
	c.Port, c.Plaintext = wire.port, true
	next := rotation.NewValue("next")
	add := func(cut int) error {
		redistest.Do(t, s, "ACL", setUser("app", "old", "+get")...)
		redistest.Do(t, s, "ACL", "SAVE")
		wire.cutAfter(-1)
		session, err := db.Login(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = session.Close(t.Context()) }()
		wire.cutAfter(cut)
		return session.(rotation.DualSession).AddPassword(t.Context(), "app", rotation.Value{}, next)
	}
	for cut := 0; ; cut++ {
		err := add(cut)
		live := accepted(t, s, "app", "next")
		redistest.Do(t, s, "ACL", "LOAD") // as a restart would
		kept := accepted(t, s, "app", "next")
		if live != kept {
			t.Errorf("cut after %d bytes: made %v, written down %v", cut, live, kept)
		}
		if err == nil {
			t.Logf("cut after each of %d bytes", cut)
			if !kept {
				t.Error("a change that ended well was not made")
			}
			return
		}
	}
}
