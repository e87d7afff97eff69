package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// A flood is a text that comes again and again, for so many bytes.
type flood struct {
	text string
	left int
	last func() // called before the end
}

func (f *flood) Read(p []byte) (n int, err error) {
	if f.left <= 0 {
		f.last()
		return 0, io.EOF
	}
	for n < len(p) && f.left > 0 {
		m := copy(p[n:], f.text)
		n, f.left = n+m, f.left-m
	}
	return n, nil
}

// TestALineWithoutAnEndIsReadInBoundedMemory gives the command a line on
// standard input that is twice the memory that it may have.
func TestALineWithoutAnEndIsReadInBoundedMemory(t *testing.T) {
	t.Parallel()
	const most = 128 << 10 // KiB, with the race detector
	for name, text := range map[string]string{
		"of one letter":                      strings.Repeat("x", 4096),
		"of lists that name Secrets Manager": `["secretsmanager.amazonaws.com",`,
	} {
		if peak := peakOfAudit(t, &flood{text: text, left: 2 * most << 10}); peak > most {
			t.Errorf("a line %s takes %d KiB of memory, want %d at most", name, peak, most)
		}
	}
}

// peakOfAudit is the most memory, in KiB, that an audit of standard input takes.
func peakOfAudit(t *testing.T, in *flood) (kib int) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Args = []string{"rekey", "audit", "-"}
	cmd.Stdout, cmd.Stderr = &out, &out
	in.last = func() { kib = peakOf(t, cmd.Process.Pid) }
	cmd.Stdin = in
	err = cmd.Run()
	if code := cmd.ProcessState.ExitCode(); code != exitAWS || !strings.Contains(out.String(), "the report is not of all records") {
		t.Errorf("auditing a broken line: %v, want exit code %d\n%s", err, exitAWS, out.String())
	}
	if kib == 0 {
		t.Error("the memory of the process is not known")
	}
	return kib
}

// peakOf is the most memory that a process has had, in KiB.
func peakOf(t *testing.T, pid int) (kib int) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Error(err)
	}
	if _, after, ok := strings.Cut(string(status), "VmHWM:"); ok {
		_, _ = fmt.Sscan(after, &kib)
	}
	return kib
}
