package polltest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/rekey-go/rekey/internal/polltest"
)

// A failing test keeps what it ended with.
type failing struct{ with string }

func (f *failing) Fatalf(format string, args ...any) {
	f.with = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func TestUntil(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		looks int // after so many it holds
		want  string
	}{
		"it holds":       {looks: 1},
		"it holds later": {looks: 100},
		"it never holds": {looks: -1, want: "in vain until the key is revoked"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var f failing
				looks, ended := 0, make(chan struct{})
				go func() {
					defer close(ended)
					polltest.Until(&f, "the key is revoked", func() bool { looks++; return looks == tt.looks })
				}()
				<-ended
				if !strings.HasSuffix(f.with, tt.want) || (f.with == "") != (tt.want == "") {
					t.Errorf("after %d looks the test ended with %q, want %q", looks, f.with, tt.want)
				}
				if tt.looks > 0 && looks != tt.looks {
					t.Errorf("it looked %d times, want %d", looks, tt.looks)
				}
			})
		})
	}
}

func ExampleUntil() {
	var t failing // in a test: its *testing.T
	path := filepath.Join(os.TempDir(), fmt.Sprint("rekey-example-", os.Getpid()))
	defer func() { _ = os.Remove(path) }()
	go func() { _ = os.WriteFile(path, nil, 0o600) }() // another process

	polltest.Until(&t, "the file is there", func() bool { _, err := os.Stat(path); return err == nil })
	fmt.Println("it is there")
	// Output: it is there
}
