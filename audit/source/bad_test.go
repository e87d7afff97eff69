package source_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"

	"github.com/rekey-go/rekey/audit"
	"github.com/rekey-go/rekey/audit/source"
)

// sound is a record that a report counts as a read.
func sound(id string) string {
	return `{"eventID":"` + id + `","eventTime":"2026-03-02T12:00:00Z","eventSource":"secretsmanager.amazonaws.com","eventName":"GetSecretValue",` +
		`"awsRegion":"eu-west-1","recipientAccountId":"111122223333","userIdentity":{"type":"Root","accountId":"111122223333"},"requestParameters":{"secretId":"db"}}`
}

func TestAReportOfBadInputIsOfWhatIsSound(t *testing.T) {
	t.Parallel()
	list := func(records ...string) []byte { return []byte(`{"Records":[` + strings.Join(records, ",") + `]}`) }
	whole := list(sound("a"), sound("b"), sound("c"))
	tests := map[string]struct {
		content   []byte
		reads     int
		why       string // what the reason says; empty if nothing was left out
		malformed int
	}{
		"all is sound":                    {content: whole, reads: 3},
		"a gzip file that is cut off":     {content: packed(t, string(list(sound("a"), strings.Repeat(" ", 1<<20), sound("b"))))[:600], reads: 1, why: "unexpected EOF"},
		"a gzip file that is not one":     {content: whole, reads: 3},
		"a gzip head and nothing else":    {content: []byte{0x1f, 0x8b}, why: "unpacking: unexpected EOF"},
		"a gzip file that was altered":    {content: altered(packed(t, string(whole))), reads: 3, why: "checksum"},
		"bytes of something else":         {content: bytes.Repeat([]byte{0, 0xff, '"', '{', '\\'}, 1000), why: "unexpected EOF"},
		"broken JSON in the middle":       {content: list(sound("a"), sound("b")[:230]+"\x00}", sound("c")), reads: 2, why: "no JSON"},
		"a record without its end":        {content: list(sound("a"), sound("b")[:len(sound("b"))-2], sound("c")), reads: 2, why: "no JSON"},
		"a record of 2 MiB":               {content: list(sound("a"), strings.Replace(sound("b"), "db", strings.Repeat("x", 2<<20), 1), sound("c")), reads: 2, why: "larger than 1 MiB"},
		"a record without an eventName":   {content: list(sound("a"), strings.Replace(sound("b"), "eventName", "event", 1)), reads: 1, malformed: 1},
		"a record without a time":         {content: list(sound("a"), strings.Replace(sound("b"), "2026-03-02T12:00:00Z", "soon", 1)), reads: 1, malformed: 1},
		"members of other types":          {content: list(sound("a"), strings.Replace(sound("b"), `{"secretId":"db"}`, `["db"]`, 1)), reads: 1},
		"a record that is days too early": {content: list(sound("a"), strings.Replace(sound("b"), "03-02", "02-20", 1)), reads: 2},
		"an empty file":                   {},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := write(t, map[string][]byte{"bad.json.gz": tt.content})
			report, err := audit.Summarize(t.Context(), source.Files([]string{dir}), audit.Options{})
			if err != nil {
				t.Fatal(err)
			}
			reads := 0
			for _, s := range report.Secrets {
				reads += s.Reads
			}
			c := report.Coverage
			if reads != tt.reads || c.Malformed != tt.malformed || c.Whole() != (tt.why == "" && tt.malformed == 0) {
				t.Errorf("%d reads, %d malformed, skipped %v; want %d reads, %d malformed, skipped %q", reads, c.Malformed, c.Skipped, tt.reads, tt.malformed, tt.why)
			}
			if tt.why != "" && (len(c.Skipped) != 1 || !strings.Contains(c.Skipped[0].Why, tt.why) || filepath.Base(c.Skipped[0].What) != "bad.json.gz") {
				t.Errorf("skipped %v, want bad.json.gz because of %q", c.Skipped, tt.why)
			}
		})
	}
}

// altered changes a byte of the checksum at the end of a gzip file.
func altered(packed []byte) []byte {
	packed[len(packed)-6] ^= 1
	return packed
}

func TestWhatCannotBeOpenedIsLeftOut(t *testing.T) {
	t.Parallel()
	dir := write(t, map[string][]byte{"sound.json": []byte(sound("a")), "closed/in.json": []byte(sound("b"))})
	// A file that is gone when it is its turn, and a folder that is closed.
	if err := os.Symlink(filepath.Join(dir, "was-here"), filepath.Join(dir, "gone.json")); err != nil {
		t.Fatal(err)
	}
	want := []string{"gone.json: opening: no such file or directory"}
	if os.Getuid() > 0 { // root may look into all
		if err := os.Chmod(filepath.Join(dir, "closed"), 0); err != nil {
			t.Fatal(err)
		}
		defer os.Chmod(filepath.Join(dir, "closed"), 0o700)
		want = append([]string{"closed: permission denied"}, want...)
	}
	report, err := audit.Summarize(t.Context(), source.Files([]string{dir}), audit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range report.Coverage.Skipped {
		got = append(got, filepath.Base(s.What)+": "+s.Why)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("skipped (-want +got):\n%s", diff)
	}
}

// endless is a text that goes on for so many bytes.
type endless struct {
	text string
	left int
}

func (e *endless) Read(p []byte) (int, error) {
	if e.left <= 0 {
		return 0, io.EOF
	}
	n := 0
	for n < len(p) && e.left > 0 {
		m := copy(p[n:], e.text)
		n += m
		e.left -= m
	}
	return n, nil
}

func TestMemoryDoesNotDependOnTheInput(t *testing.T) {
	const size = 64 << 20
	bomb := func(text string) io.Reader {
		r, w := io.Pipe()
		go func() {
			z, _ := gzip.NewWriterLevel(w, gzip.BestSpeed)
			_, err := io.Copy(z, &endless{text: text, left: size})
			_ = w.CloseWithError(errors.Join(err, z.Close()))
		}()
		return r
	}
	for name, in := range map[string]io.Reader{
		"a line without an end":            &endless{text: "x", left: size},
		"a text that mentions":             io.MultiReader(strings.NewReader(`{"a":"`), &endless{text: `\"secretsmanager.amazonaws.com\" `, left: size / 8}),
		"lists in lists":                   &endless{text: `["secretsmanager.amazonaws.com",`, left: size / 8},
		"objects in objects":               &endless{text: `{"eventSource":"secretsmanager.amazonaws.com","a":`, left: size / 8},
		"letters that are escapes":         io.MultiReader(strings.NewReader(`{"a":"`), &endless{text: `\u0061`, left: size / 8}),
		"a packed file that grows a lot":   bomb(strings.Repeat("\x00", 1<<16)),
		"a packed record that grows a lot": io.MultiReader(bomb(`{"eventSource":"secretsmanager.amazonaws.com","a":"` + strings.Repeat(" ", 1<<16))),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		report, err := audit.Summarize(t.Context(), source.Files([]string{"-"}, func(o *source.LogsOptions) { o.Stdin, o.Workers = in, 1 }), audit.Options{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		runtime.ReadMemStats(&after)
		if used := after.HeapSys - before.HeapSys; int64(used) > 32<<20 {
			t.Errorf("%s: %d MiB of memory", name, used>>20)
		}
		if name != "a packed file that grows a lot" && report.Coverage.Whole() {
			t.Errorf("%s: nothing was left out", name)
		}
	}
}
