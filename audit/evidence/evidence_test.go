package evidence_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/rekey-go/rekey/audit/evidence"
)

// key is the same in each test, and opens nothing.
func key(text string) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed([]byte((text + strings.Repeat(".", ed25519.SeedSize))[:ed25519.SeedSize]))
}

func public(k ed25519.PrivateKey) ed25519.PublicKey { return k.Public().(ed25519.PublicKey) }

// write writes a pack with a record of each kind, and returns its bytes.
func write(t testing.TB, k ed25519.PrivateKey, kinds ...string) (path string, data []byte) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "evidence.jsonl")
	log, err := evidence.Open(path, k)
	if err != nil {
		t.Fatal(err)
	}
	for i, kind := range kinds {
		if _, err := log.Append(kind, map[string]int{"n": i}); err != nil {
			t.Fatal(err)
		}
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	if data, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	return path, data
}

func kinds(records []evidence.Record) string {
	var out []string
	for _, r := range records {
		out = append(out, r.Kind)
	}
	return strings.Join(out, " ")
}

func TestAPackIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	k := key("a")
	_, data := write(t, k, "read", "rotated", evidence.KindClosed)
	for name, pinned := range map[string]ed25519.PublicKey{"with the key": public(k), "with the key that it names": nil} {
		pack, err := evidence.Read(bytes.NewReader(data), pinned)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := kinds(pack.Records); got != "read rotated closed" || !pack.Closed || !pack.Key.Equal(public(k)) {
			t.Errorf("%s: got %q, closed %v", name, got, pack.Closed)
		}
	}
	if _, err := evidence.Read(bytes.NewReader(data), public(key("b"))); !isBroken(err, 1) {
		t.Errorf("with another key: %v, want record 1 to be broken", err)
	}
}

func isBroken(err error, record int) bool {
	broken, ok := errors.AsType[*evidence.BrokenError](err)
	return ok && broken.Record == record
}

// TestNoByteIsFree changes each byte in turn: the record that it is in is named.
func TestNoByteIsFree(t *testing.T) {
	t.Parallel()
	_, data := write(t, key("a"), "read", "rotated", evidence.KindClosed)
	record := 1
	for i, b := range data {
		for _, other := range []byte{b ^ 1, b ^ 0x20, '\n', ' '} {
			if other == b {
				continue
			}
			changed := slices.Clone(data)
			changed[i] = other
			if _, err := evidence.Read(bytes.NewReader(changed), nil); !isBroken(err, record) {
				t.Fatalf("byte %d changed from %q to %q: %v, want record %d to be broken", i, b, other, err, record)
			}
		}
		if b == '\n' {
			record++
		}
	}
}

func TestNoRecordCanBeMovedOrLeftOut(t *testing.T) {
	t.Parallel()
	_, data := write(t, key("a"), "one", "two", "three", evidence.KindClosed)
	_, foreign := write(t, key("a"), "other", "other", "other", "other")
	line := bytes.SplitAfter(data, []byte("\n"))
	tests := map[string]struct {
		lines  [][]byte
		broken int
	}{
		"nothing at all":                {nil, 1},
		"without the first":             {line[1:4], 1},
		"without the second":            {[][]byte{line[0], line[2], line[3]}, 2},
		"without the last but one":      {[][]byte{line[0], line[1], line[3]}, 3},
		"two that changed places":       {[][]byte{line[0], line[2], line[1], line[3]}, 2},
		"one twice":                     {[][]byte{line[0], line[1], line[1], line[2]}, 3},
		"one of another pack":           {[][]byte{line[0], bytes.SplitAfter(foreign, []byte("\n"))[1], line[2]}, 2},
		"one after the end":             {[][]byte{line[0], line[1], line[2], line[3], line[1]}, 5},
		"a last line that is cut off":   {[][]byte{line[0], line[1][:len(line[1])-1]}, 2},
		"an empty line between two":     {[][]byte{line[0], []byte("\n"), line[1]}, 2},
		"a line that is hardly its end": {[][]byte{line[0], []byte(strings.Repeat("0", 131) + "\n")}, 2},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pack, err := evidence.Read(bytes.NewReader(bytes.Join(tt.lines, nil)), nil)
			if !isBroken(err, tt.broken) || len(pack.Records) != tt.broken-1 {
				t.Errorf("got %d records and %v, want record %d to be broken", len(pack.Records), err, tt.broken)
			}
		})
	}
	pack, err := evidence.Read(bytes.NewReader(bytes.Join(line[:3], nil)), nil)
	if err != nil || pack.Closed {
		t.Errorf("cut off between two records: closed %v, %v; want one that is not closed", pack.Closed, err)
	}
}

// TestAPackGoesOnAfterACrash cuts the file off at every byte of its last record.
func TestAPackGoesOnAfterACrash(t *testing.T) {
	t.Parallel()
	k := key("a")
	path, data := write(t, k, "read", "rotated")
	first := bytes.IndexByte(data, '\n') + 1
	for cut := first; cut < len(data); cut += 7 {
		if err := os.WriteFile(path, data[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		log, err := evidence.Open(path, k)
		if err != nil {
			t.Fatal(err)
		}
		if got := kinds(log.Pack().Records); got != "read" {
			t.Fatalf("cut off at byte %d: %q is there, want the first record", cut, got)
		}
		if _, err := log.Append("again", nil); err != nil {
			t.Fatal(err)
		}
		log.Close()
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		pack, err := evidence.Read(file, public(k))
		file.Close()
		if err != nil || kinds(pack.Records) != "read again" {
			t.Fatalf("cut off at byte %d: %q, %v", cut, kinds(pack.Records), err)
		}
	}
}

func TestWhatIsBrokenOrClosedIsNotWrittenOn(t *testing.T) {
	t.Parallel()
	path, data := write(t, key("a"), "read", evidence.KindClosed)
	log, err := evidence.Open(path, key("a"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := log.Append("more", nil); !errors.Is(err, evidence.ErrClosed) {
		t.Errorf("after the end: %v, want ErrClosed", err)
	}
	log.Close()
	if _, err := evidence.Open(path, key("b")); !isBroken(err, 1) {
		t.Errorf("with another key: %v, want record 1 to be broken", err)
	}
	if err := os.WriteFile(path, bytes.Replace(data, []byte("read"), []byte("rood"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := evidence.Open(path, key("a")); !isBroken(err, 1) {
		t.Errorf("changed: %v, want record 1 to be broken", err)
	}
}

func TestManyMayWriteAtOnce(t *testing.T) {
	t.Parallel()
	path, _ := write(t, key("a"))
	log, err := evidence.Open(path, key("a"))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 5 {
				if _, err := log.Append("one", nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	log.Close()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if pack, err := evidence.Read(bytes.NewReader(data), nil); err != nil || len(pack.Records) != 40 {
		t.Errorf("got %d records, %v", len(pack.Records), err)
	}
}

// FuzzRead finds no input that a key that signed nothing is taken to have signed,
// and none that is taken with a line left out of it.
func FuzzRead(f *testing.F) {
	_, data := write(f, key("a"), "read", "rotated", evidence.KindClosed)
	f.Add(data)
	f.Add(data[:len(data)/2])
	f.Add([]byte(`{"record":{},"signature":""}` + "\n"))
	f.Add([]byte(`{"record":,"signature":"` + strings.Repeat("0", 128) + "\"}\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		if pack, err := evidence.Read(bytes.NewReader(in), public(key("b"))); err == nil {
			t.Fatalf("%d records are taken that were not signed:\n%s", len(pack.Records), in)
		}
		if pack, err := evidence.Read(bytes.NewReader(in), nil); err == nil && len(pack.Records) != bytes.Count(in, []byte("\n")) {
			t.Fatalf("%d records of %d lines:\n%s", len(pack.Records), bytes.Count(in, []byte("\n")), in)
		}
	})
}

func ExampleOpen() {
	dir, err := os.MkdirTemp("", "evidence")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "evidence.jsonl")
	_, key, _ := ed25519.GenerateKey(nil)
	log, err := evidence.Open(path, key)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, _ = log.Append("rotated", json.RawMessage(`{"secret":"orders/db","from":"v1","to":"v2"}`))
	_, _ = log.Append(evidence.KindClosed, nil)
	_ = log.Close()

	data, _ := os.ReadFile(path)
	forged := bytes.Replace(data, []byte(`"to":"v2"`), []byte(`"to":"v3"`), 1)
	for _, pack := range [][]byte{data, forged} {
		_, err := evidence.Read(bytes.NewReader(pack), key.Public().(ed25519.PublicKey))
		fmt.Println(err)
	}
	// Output:
	// <nil>
	// record 1 is not what the key signed
}
