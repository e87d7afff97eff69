//go:build unix

package secretspgx

import (
	"net"
	"testing"
	"time"

	"github.com/rekey-go/rekey/internal/polltest"
)

// pair returns the two ends of a TCP connection.
func pair(t *testing.T) (ours, theirs *net.TCPConn) {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if ours, err = net.DialTCP("tcp", nil, l.Addr().(*net.TCPAddr)); err != nil {
		t.Fatal(err)
	}
	if theirs, err = l.AcceptTCP(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = ours.Close(), theirs.Close() })
	return ours, theirs
}

func TestSpoke(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		do   func(theirs *net.TCPConn) error
		want bool
	}{
		"a silent connection": {do: func(*net.TCPConn) error { return nil }},
		"a farewell":          {do: func(c *net.TCPConn) error { _, err := c.Write([]byte("E")); return err }, want: true},
		"a closed connection": {do: (*net.TCPConn).Close, want: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ours, theirs := pair(t)
			if err := tt.do(theirs); err != nil {
				t.Fatal(err)
			}
			if tt.want {
				polltest.Until(t, "what was sent has come", func() bool { return spoke(ours) })
			} else if spoke(ours) {
				t.Error("spoke() = true, want false")
			}
		})
	}
}

// pgx reads in the background where a write was slow, and goes on reading when
// the connection is back in the pool.
func TestSpokeDoesNotWaitForAReader(t *testing.T) {
	t.Parallel()
	ours, theirs := pair(t)
	reading := make(chan struct{})
	go func() {
		defer close(reading)
		var buf [1]byte
		for range 2 {
			_, _ = ours.Read(buf[:]) // the second read blocks
		}
	}()
	if _, err := theirs.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	for spoke(ours) { // until the reader has taken it, and reads on
		select {
		case <-reading:
			t.Fatal("the reader ended")
		default:
		}
	}
	done := make(chan bool)
	go func() { done <- spoke(ours) }()
	select {
	case got := <-done:
		if got {
			t.Error("spoke() = true on a silent connection")
		}
	case <-time.After(time.Minute):
		t.Error("spoke waits for a reader")
	}
	_ = theirs.Close()
	<-reading
}
