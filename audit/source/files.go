package source

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/rekey-go/rekey/audit"
)

// A FilesOptions configures [Files].
type FilesOptions struct {
	// From and To spare the days of an S3 layout that cannot hold events
	// between them. If zero, they do not.
	From, To time.Time
	// Workers is how many files are read at once. If zero, it is the number of
	// processors. Each takes about 3 MiB.
	Workers int
	// Stdin is what the path "-" reads. If nil, it is [os.Stdin].
	Stdin io.Reader
}

// Logs is a source of records from log files.
type Logs struct {
	paths []string
	opts  FilesOptions
}

// Files returns the records of Secrets Manager from files: copies of a trail's
// bucket, folders with .json and .json.gz files in any layout, single files,
// or "-" for standard input. The files may be compressed with gzip and may
// hold what a trail delivers, a list of records, a record per line, or answers
// of LookupEvents.
//
// A file that a folder holds and that cannot be read to its end is skipped
// from there on, with an [audit.SkippedError]. Memory does not depend on the
// size of the files.
func Files(paths []string, optFns ...func(*FilesOptions)) *Logs {
	l := &Logs{paths: paths}
	for _, fn := range optFns {
		fn(&l.opts)
	}
	l.opts.Workers = cmp.Or(max(l.opts.Workers, 0), runtime.GOMAXPROCS(0))
	return l
}

// A batch is some records of one file, or an error.
type batch struct {
	data []byte
	ends []int // of each record in data
	err  error
}

// batchSize is how many bytes of records go from a worker at once.
const batchSize = 128 << 10

// Records reads the files, several at a time.
func (l *Logs) Records(ctx context.Context) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		paths := make(chan string)
		batches := make(chan batch, l.opts.Workers)
		spent := make(chan []byte, 2*l.opts.Workers) // buffers to use again
		var running sync.WaitGroup
		running.Go(func() { l.list(ctx, paths, batches) })
		for range l.opts.Workers {
			running.Go(func() {
				w := worker{logs: l, out: batches, spent: spent, scan: newScanner(nil)}
				for path := range paths {
					w.read(ctx, path)
				}
			})
		}
		go func() {
			running.Wait()
			close(batches)
		}()
		defer func() {
			cancel()
			for range batches { // let the workers end
			}
		}()
		for b := range batches {
			if b.err != nil && !yield(nil, b.err) {
				return
			}
			begin := 0
			for _, end := range b.ends {
				if !yield(json.RawMessage(b.data[begin:end]), nil) {
					return
				}
				begin = end
			}
			select {
			case spent <- b.data[:0]:
			default:
			}
		}
	}
}

// list sends the paths of all files.
func (l *Logs) list(ctx context.Context, paths chan<- string, out chan<- batch) {
	defer close(paths)
	for _, root := range l.paths {
		err := l.walk(root, func(path string) error {
			select {
			case paths <- path:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		if err != nil && ctx.Err() == nil {
			send(ctx, out, batch{err: fmt.Errorf("listing log files: %w", err)})
			return
		}
	}
}

func send(ctx context.Context, out chan<- batch, b batch) {
	select {
	case out <- b:
	case <-ctx.Done():
	}
}

// walk calls fn for each file below a path, which may be a file itself.
func (l *Logs) walk(root string, fn func(path string) error) error {
	if root == "-" {
		return fn(root)
	}
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			if name := d.Name(); path != root && (name == "CloudTrail-Digest" || name == "CloudTrail-Insight" || !l.wanted(path)) {
				return fs.SkipDir
			}
			return nil
		case path == root, strings.HasSuffix(path, ".json"), strings.HasSuffix(path, ".json.gz"),
			strings.HasSuffix(path, ".jsonl"), strings.HasSuffix(path, ".jsonl.gz"):
			return fn(path)
		}
		return nil
	})
}

// dayFolder is the end of the path of a day's folder in the S3 layout.
var dayFolder = regexp.MustCompile(`/CloudTrail/[^/]+/(\d{4}/\d{2}/\d{2})$`)

// wanted reports whether a folder may hold events between From and To. A file
// holds events of earlier days too, and may come a day late.
func (l *Logs) wanted(path string) bool {
	m := dayFolder.FindStringSubmatch(filepath.ToSlash(path))
	if m == nil {
		return true
	}
	day, err := time.Parse("2006/01/02", m[1])
	if err != nil {
		return true
	}
	return (l.opts.From.IsZero() || day.Add(24*time.Hour).After(l.opts.From)) &&
		(l.opts.To.IsZero() || !day.After(l.opts.To.Add(24*time.Hour)))
}

// A worker reads one file after the other.
type worker struct {
	logs  *Logs
	out   chan<- batch
	spent <-chan []byte
	scan  *scanner
	zip   *gzip.Reader
	in    *bufio.Reader
}

// read sends the records of a file.
func (w *worker) read(ctx context.Context, path string) {
	err := w.open(path, func(r io.Reader) error { return w.records(ctx, r) })
	if err != nil && ctx.Err() == nil {
		send(ctx, w.out, batch{err: &audit.SkippedError{What: path, Err: err}})
	}
}

// open calls fn with the content of a file.
func (w *worker) open(path string, fn func(io.Reader) error) (err error) {
	file := cmp.Or[io.Reader](w.logs.opts.Stdin, os.Stdin)
	if path != "-" {
		f, err := os.Open(path) //nolint:gosec // the path is the operator's choice.
		if err != nil {
			return fmt.Errorf("opening: %w", err)
		}
		defer f.Close() //nolint:errcheck // it was only read.
		file = f
	}
	if w.in == nil {
		w.in = bufio.NewReaderSize(nil, 64<<10)
	}
	w.in.Reset(file)
	magic, err := w.in.Peek(2)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("reading: %w", err)
	}
	if !bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		return fn(w.in)
	}
	if w.zip == nil {
		w.zip = new(gzip.Reader)
	}
	if err := w.zip.Reset(w.in); err != nil {
		return fmt.Errorf("unpacking: %w", err)
	}
	return fn(w.zip)
}

// records sends the records of a stream in batches. What is damaged is left
// out, and the error tells of it in the end.
func (w *worker) records(ctx context.Context, r io.Reader) error {
	w.scan.reset(r)
	b := batch{data: w.buffer()}
	var left leftOut
	for {
		raw, err := w.scan.next()
		if err == nil {
			b.data = append(b.data, raw...)
			b.ends = append(b.ends, len(b.data))
		}
		more := left.add(err)
		if len(b.ends) > 0 && (!more || len(b.data) >= batchSize) {
			send(ctx, w.out, b)
			b = batch{data: w.buffer()}
		}
		switch {
		case !more:
			return left.err(err)
		case ctx.Err() != nil:
			return ctx.Err()
		}
	}
}

// leftOut counts the records that could not be read.
type leftOut struct {
	count int
	first *damage
}

// add notes an error, and reports whether there may be more records.
func (l *leftOut) add(err error) bool {
	d, ok := errors.AsType[*damage](err)
	if !ok {
		return err == nil
	}
	if l.count++; l.first == nil {
		l.first = d
	}
	return true
}

// err says what was left out of a stream that ended with an error.
func (l *leftOut) err(end error) error {
	switch {
	case errors.Is(end, io.EOF) && l.count == 0:
		return nil
	case errors.Is(end, io.EOF) && l.count == 1:
		return l.first
	case errors.Is(end, io.EOF):
		return fmt.Errorf("%d records: the first: %w", l.count, l.first)
	case l.count == 0:
		return fmt.Errorf("the rest of it: %w", end)
	}
	return fmt.Errorf("the rest of it, and %d records before: %w", l.count, end)
}

func (w *worker) buffer() []byte {
	select {
	case buf := <-w.spent:
		return buf
	default:
		return make([]byte, 0, batchSize+batchSize/4)
	}
}
