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
// standard input that is larger than the memory that it may have.
func TestALineWithoutAnEndIsReadInBoundedMemory(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	const most = 64 << 10 // KiB
	for name, text := range map[string]string{
		"of one letter":                      strings.Repeat("x", 4096),
		"of lists that name Secrets Manager": `["secretsmanager.amazonaws.com",`,
	} {
		var out bytes.Buffer
		peak := 0
		cmd := exec.CommandContext(t.Context(), self)
		cmd.Args = []string{"rekey", "audit", "-"}
		cmd.Stdout, cmd.Stderr = &out, &out
		cmd.Stdin = &flood{text: text, left: 4 * most << 10, last: func() { peak = peakOf(t, cmd.Process.Pid) }}
		err := cmd.Run()
		if code := cmd.ProcessState.ExitCode(); code != exitAWS || !strings.Contains(out.String(), "the report is not of all records") {
			t.Errorf("a line %s: %v, want exit code %d\n%s", name, err, exitAWS, out.String())
		}
		if peak == 0 || peak > most {
			t.Errorf("a line %s takes %d KiB of memory, want %d at most", name, peak, most)
		}
	}
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
