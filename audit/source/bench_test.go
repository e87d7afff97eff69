//go:build unix

package source_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"golang.org/x/sync/errgroup"

	"github.com/rekey-go/rekey/audit"
	"github.com/rekey-go/rekey/audit/source"
	"github.com/rekey-go/rekey/internal/corpus"
)

const (
	// corpusFolder names the folder with the corpus that is measured, which is
	// made if it is not there; by default it is a temporary one of 1 GiB.
	corpusFolder = "REKEY_CORPUS"
	// corpusMiB, corpusShare, corpusSecrets and corpusPrincipals are what to make:
	// see [corpus.Options].
	corpusMiB        = "REKEY_CORPUS_MIB"
	corpusShare      = "REKEY_CORPUS_SHARE"
	corpusSecrets    = "REKEY_CORPUS_SECRETS"
	corpusPrincipals = "REKEY_CORPUS_PRINCIPALS"
	// measured is what a child process does, so that its time and its memory
	// are of that alone.
	measured = "REKEY_MEASURED"
)

func number(b *testing.B, name string, fallback int) int {
	b.Helper()
	n, err := strconv.Atoi(cmp.Or(os.Getenv(name), strconv.Itoa(fallback)))
	if err != nil {
		b.Fatalf("%s: %v", name, err)
	}
	return n
}

// corpusOf returns the folder with the corpus, and its truth.
func corpusOf(b *testing.B) (string, *corpus.Truth) {
	b.Helper()
	dir := cmp.Or(os.Getenv(corpusFolder), filepath.Join(b.TempDir(), "corpus"))
	if text, err := os.ReadFile(filepath.Join(dir, corpus.TruthFile)); err == nil {
		truth := new(corpus.Truth)
		if err := json.Unmarshal(text, truth); err != nil {
			b.Fatal(err)
		}
		return dir, truth
	}
	truth, err := corpus.Write(dir, corpus.Options{
		Seed: 1, Bytes: int64(number(b, corpusMiB, 1024)) << 20, Share: number(b, corpusShare, 0),
		Secrets: number(b, corpusSecrets, 500), Principals: number(b, corpusPrincipals, 200),
	})
	if err != nil {
		b.Fatal(err)
	}
	return dir, truth
}

// figures are those of a child process.
type figures struct {
	wall, cpu time.Duration
	peak      int // KiB
	out       []byte
}

// child runs one of the measures in a process of its own.
func child(b *testing.B, mode, dir string) (f figures) {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), measured+"="+mode, corpusFolder+"="+dir)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		b.Fatalf("%s: %v\n%s", mode, err, errs.String())
	}
	if _, err := fmt.Sscan(errs.String(), &f.wall, &f.cpu, &f.peak); err != nil {
		b.Fatalf("%s: %v", errs.String(), err)
	}
	f.out = out.Bytes()
	return f
}

// BenchmarkCorpus reads a corpus of 1 GiB, after an unpacking of its files that
// does nothing else, each in a process of its own, and checks the counts.
func BenchmarkCorpus(b *testing.B) {
	dir, truth := corpusOf(b)
	gib := float64(truth.Bytes) / (1 << 30)
	var inflate, summary figures
	for b.Loop() {
		for mode, sum := range map[string]*figures{"inflate": &inflate, "summarize": &summary} {
			f := child(b, mode, dir)
			sum.wall += f.wall
			sum.cpu += f.cpu
			sum.peak = max(sum.peak, f.peak)
			sum.out = f.out
		}
	}
	var report audit.Report
	if err := json.Unmarshal(summary.out, &report); err != nil {
		b.Fatal(err)
	}
	checkTruth(b, truth, &report)
	n := float64(b.N)
	b.ReportMetric(summary.cpu.Seconds()/n/gib, "cpu-s/GiB")
	b.ReportMetric(inflate.cpu.Seconds()/n/gib, "inflate-cpu-s/GiB")
	b.ReportMetric(float64(truth.Bytes)/1e6*n/summary.wall.Seconds(), "MB/s")
	b.ReportMetric(100*inflate.wall.Seconds()/summary.wall.Seconds(), "%-of-inflate")
	b.ReportMetric(100*inflate.cpu.Seconds()/summary.cpu.Seconds(), "cpu-%-of-inflate")
	b.ReportMetric(float64(summary.peak)/1024, "peak-MiB")
	b.ReportMetric(float64(inflate.peak)/1024, "inflate-peak-MiB")
}

// measure is what a child process does. It tells the time that it took, that
// of the processors, in nanoseconds, and its peak of memory in KiB, before it
// writes the report.
func measure(mode, dir string) int {
	begin := time.Now()
	var report *audit.Report
	var err error
	switch mode {
	case "inflate":
		err = inflate(dir)
	case "summarize":
		report, err = audit.Summarize(context.Background(), source.Sparingly(source.Files([]string{dir})), audit.Options{}) // as the command does
	}
	wall := time.Since(begin)
	var used syscall.Rusage
	if err := errors.Join(err, syscall.Getrusage(syscall.RUSAGE_SELF, &used)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Fprintln(os.Stderr, wall.Nanoseconds(), used.Utime.Nano()+used.Stime.Nano(), peak())
	if err := json.NewEncoder(os.Stdout).Encode(report); err != nil {
		return 1
	}
	return 0
}

// peak is the most memory that the process had, or zero where it is not known.
func peak() (kib int) {
	status, _ := os.ReadFile("/proc/self/status")
	if _, after, ok := strings.Cut(string(status), "VmHWM:"); ok {
		_, _ = fmt.Sscan(after, &kib)
	}
	return kib
}

// inflate unpacks all files, several at a time.
func inflate(dir string) error {
	var work errgroup.Group
	paths := make(chan string)
	for range runtime.GOMAXPROCS(0) {
		work.Go(func() error {
			z, buf := new(gzip.Reader), make([]byte, 64<<10)
			for path := range paths {
				f, err := os.Open(path)
				if err != nil {
					return err
				}
				if err := z.Reset(f); err != nil {
					return err
				}
				if _, err := io.CopyBuffer(io.Discard, struct{ io.Reader }{z}, buf); err != nil {
					return err
				}
				_ = f.Close()
			}
			return nil
		})
	}
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".gz") {
			paths <- path
		}
		return err
	})
	close(paths)
	if e := work.Wait(); e != nil {
		return e
	}
	return err
}
