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
	"iter"
	"runtime"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/rekey-go/rekey/audit"
)

// A LogsOptions configures how log files are read, wherever they lie.
type LogsOptions struct {
	// From and To spare the days of an S3 layout that cannot hold events
	// between them. If zero, they do not.
	From, To time.Time
	// Workers is how many files are read at once. If zero, it is the number of
	// processors for [Files] and eight for [S3]. Each takes about 3 MiB.
	Workers int
	// Stdin is what the path "-" reads. If nil, it is [os.Stdin].
	Stdin io.Reader
	// Checkpoint keeps what was read, so that a file is read once. If nil, all
	// files are read.
	Checkpoint *Checkpoint
	// Meter counts what is read. If nil, nothing does.
	Meter *Meter
}

// Logs is a source of records from log files.
type Logs struct {
	shelf shelf
	opts  LogsOptions
}

// A shelf is where log files lie.
type shelf interface {
	// list calls add with each log file, and skip with each part that it could
	// not look into.
	list(ctx context.Context, add adder, skip func(what string, err error)) error
	// digests does the same for digest files.
	digests(ctx context.Context, add adder, skip func(what string, err error)) error
	// open begins to read a file. What is not there is [fs.ErrNotExist].
	open(ctx context.Context, name string) (io.ReadCloser, error)
	// signature returns the signature of a digest file, in hexadecimal.
	signature(ctx context.Context, name string) (string, error)
}

// An adder takes a file's name and its size in bytes, -1 if that is not known.
type adder func(name string, size int64) error

// A batch is some records of one file, or an error.
type batch struct {
	data []byte
	ends []int // of each record in data
	err  error
	done string // the file that was read to its end, if it was
}

// batchSize is how many bytes of records go from a worker at once.
const batchSize = 64 << 10

// Records reads the files, several at a time.
func (l *Logs) Records(ctx context.Context) iter.Seq2[json.RawMessage, error] {
	return l.opts.Checkpoint.around(ctx, func(yield func(json.RawMessage, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		workers := cmp.Or(max(l.opts.Workers, 0), runtime.GOMAXPROCS(0))
		names := make(chan string)
		batches := make(chan batch, workers)
		spent := make(chan []byte, 2*workers+1) // buffers to use again
		var running sync.WaitGroup
		running.Go(func() { l.list(ctx, names, batches) })
		for range workers {
			running.Go(func() {
				w := worker{shelf: l.shelf, meter: l.opts.Meter, out: batches, spent: spent, scan: newScanner(nil)}
				for name := range names {
					w.read(ctx, name)
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
			if !l.pass(b, yield) {
				return
			}
			if b.data == nil {
				continue // an error, or the end of a file
			}
			select {
			case spent <- b.data[:0]:
			default:
			}
		}
	})
}

// pass yields what is in a batch.
func (l *Logs) pass(b batch, yield func(json.RawMessage, error) bool) bool {
	begin := 0
	for _, end := range b.ends {
		raw := json.RawMessage(b.data[begin:end])
		if err := l.opts.Checkpoint.keep(raw); err != nil {
			yield(nil, err)
			return false
		}
		if !yield(raw, nil) {
			return false
		}
		begin = end
	}
	l.opts.Meter.add(records, len(b.ends))
	if b.done != "" {
		if err := l.opts.Checkpoint.finish(b.done); err != nil {
			yield(nil, err)
			return false
		}
	}
	return b.err == nil || yield(nil, b.err)
}

// list sends the names of all files that were not read before.
func (l *Logs) list(ctx context.Context, names chan<- string, out chan<- batch) {
	defer close(names)
	err := l.shelf.list(ctx, func(name string, _ int64) error {
		if l.opts.Checkpoint.has(name) {
			return nil
		}
		select {
		case names <- name:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}, func(what string, err error) {
		send(ctx, out, batch{err: &audit.SkippedError{What: what, Err: err}})
	})
	if err != nil && ctx.Err() == nil {
		send(ctx, out, batch{err: fmt.Errorf("listing log files: %w", err)})
	}
}

func send(ctx context.Context, out chan<- batch, b batch) {
	select {
	case out <- b:
	case <-ctx.Done():
	}
}

// A worker reads one file after the other.
type worker struct {
	shelf shelf
	meter *Meter
	out   chan<- batch
	spent <-chan []byte
	scan  *scanner
	zip   *gzip.Reader
	in    *bufio.Reader
}

// read sends the records of a file.
func (w *worker) read(ctx context.Context, name string) {
	err := w.open(ctx, name, func(r io.Reader) error { return w.records(ctx, w.meter.reader(unpacked, r)) })
	w.meter.add(files, 1)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		send(ctx, w.out, batch{err: &audit.SkippedError{What: name, Err: err}})
	default:
		send(ctx, w.out, batch{done: name})
	}
}

// open calls fn with the content of a file.
func (w *worker) open(ctx context.Context, name string, fn func(io.Reader) error) error {
	file, err := w.shelf.open(ctx, name)
	if err != nil {
		return fmt.Errorf("opening: %w", cause(err))
	}
	defer file.Close() //nolint:errcheck // it was only read.
	if w.in == nil {
		w.in = bufio.NewReaderSize(nil, 64<<10)
	}
	w.in.Reset(w.meter.reader(packed, file))
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
	var b batch
	var left leftOut
	for {
		raw, err := w.scan.next()
		if err == nil {
			if b.data == nil {
				b.data = w.buffer()
			}
			b.data = append(b.data, raw...)
			b.ends = append(b.ends, len(b.data))
		}
		more := left.add(err)
		if len(b.ends) > 0 && (!more || len(b.data) >= batchSize) {
			send(ctx, w.out, b)
			b = batch{}
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
