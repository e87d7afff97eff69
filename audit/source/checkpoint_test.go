package source_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rekey-go/rekey/audit"
	"github.com/rekey-go/rekey/audit/source"
	"github.com/rekey-go/rekey/internal/corpus"
)

// open opens a checkpoint for the time of fn.
func open(t *testing.T, path string, fn func(*source.Checkpoint)) {
	t.Helper()
	c, err := source.OpenCheckpoint(path)
	if err != nil {
		t.Fatal(err)
	}
	fn(c)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestACheckpointReadsEachFileOnce(t *testing.T) {
	t.Parallel()
	dir, path := t.TempDir(), filepath.Join(t.TempDir(), "checkpoint")
	put := func(name, content string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	read := func() (got []string) {
		open(t, path, func(c *source.Checkpoint) {
			ids, errs := collect(source.Files([]string{dir}, func(o *source.LogsOptions) { o.Checkpoint = c }))
			if len(errs) > 0 {
				t.Log(errs)
			}
			got = ids
		})
		return got
	}
	check := func(when string, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, read()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
	}
	put("1.json", record("a"))
	check("the first run", "a")
	put("1.json", record("not read again"))
	put("0.json", record("b")+record("c"))
	check("a file of an earlier time", "a", "b", "c")
	open(t, path, func(c *source.Checkpoint) {
		if err := c.Add(json.RawMessage(record("event"))); err != nil {
			t.Fatal(err)
		}
	})
	check("an event of the bus", "a", "b", "c", "event")
	put("2.json", record("d")+record("half")[:60])
	check("a file that breaks off", "a", "b", "c", "d", "event")
	put("2.json", record("d")+record("whole"))
	check("the same file, whole", "a", "b", "c", "d", "d", "event", "whole")
}

func TestACheckpointOutlivesAKillAnywhere(t *testing.T) {
	t.Parallel()
	dir, path := t.TempDir(), filepath.Join(t.TempDir(), "checkpoint")
	truth, err := corpus.Write(dir, corpus.Options{Bytes: 1 << 20, FileBytes: 64 << 10, Secrets: 30, Principals: 9, Share: 200})
	if err != nil {
		t.Fatal(err)
	}
	summary := func() (r *audit.Report) {
		open(t, path, func(c *source.Checkpoint) {
			if r, err = audit.Summarize(t.Context(), source.Files([]string{dir}, func(o *source.LogsOptions) { o.Checkpoint = c }), audit.Options{}); err != nil {
				t.Fatal(err)
			}
		})
		return r
	}
	summary()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at <= len(whole); at += 1 + len(whole)/23 {
		if err := os.WriteFile(path, slices.Clone(whole[:at]), 0o600); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(truth.Accesses, found(summary())); diff != "" {
			t.Errorf("after a kill at byte %d (-want +got):\n%.2000s", at, diff)
		}
	}
}

func TestACheckpointOfAnotherVersionIsRefused(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{
		"another version": `{"rekeyCheckpoint":2}` + "\n", "none": `{"done":"x"}` + "\n", "no JSON": "x\n",
	} {
		path := filepath.Join(t.TempDir(), "checkpoint")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := source.OpenCheckpoint(path); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func FuzzCheckpoint(f *testing.F) {
	f.Add([]byte(`{"rekeyCheckpoint":1}` + "\n" + `{"done":"x"}` + "\n" + `{"record":{}}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		path := filepath.Join(t.TempDir(), "checkpoint")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := source.OpenCheckpoint(path)
		if err != nil {
			return
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := source.OpenCheckpoint(path); err != nil {
			t.Errorf("opened once, not twice: %v", err)
		}
	})
}
