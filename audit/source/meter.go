package source

import (
	"context"
	"io"
	"sync/atomic"
	"time"
)

// A Meter counts what is read of log files while they are read: several sources
// may share one. Make it with [NewMeter]. It is safe for concurrent use.
type Meter struct {
	begun  time.Time
	counts [counted]atomic.Int64
	// known is whether all files were counted, by a survey or by reading them.
	known atomic.Bool
}

// A count is one of the things that a meter counts.
type count int

const (
	files    count = iota // read, or left out
	allFiles              // that there are
	packed                // bytes of files, as they lie there
	allBytes              // packed, that there are
	unpacked              // bytes that were searched
	records               // that were found
	counted               // how many counts there are
)

// NewMeter is a meter whose time runs from now on.
func NewMeter() *Meter { return &Meter{begun: time.Now()} }

func (m *Meter) add(c count, n int) {
	if m != nil {
		m.counts[c].Add(int64(n))
	}
}

// reader counts what is read of another one.
func (m *Meter) reader(c count, r io.Reader) io.Reader {
	if m == nil {
		return r
	}
	return &metered{r, &m.counts[c]}
}

type metered struct {
	io.Reader
	bytes *atomic.Int64
}

// Read reads, and counts it.
func (m *metered) Read(p []byte) (int, error) {
	n, err := m.Reader.Read(p)
	m.bytes.Add(int64(n))
	return n, err
}

// A Progress is how far the reading of log files is.
type Progress struct {
	// Files is how many were read or left out, and Of how many there are: zero
	// while that is not known.
	Files, Of int
	// Bytes is how much was read, unpacked, and PerSecond that by time.
	Bytes, PerSecond int64
	// Records is how many were found that an audit looks at.
	Records int
	// Left is how long the rest takes if it is read as fast: zero while its size
	// is not known.
	Left time.Duration
}

// Progress tells how far it is.
func (m *Meter) Progress() Progress {
	of := func(c count) int64 { return m.counts[c].Load() }
	p := Progress{Files: int(of(files)), Bytes: of(unpacked), Records: int(of(records))}
	spent := time.Since(m.begun)
	if s := spent.Seconds(); s > 0 {
		p.PerSecond = int64(float64(p.Bytes) / s)
	}
	if !m.known.Load() {
		return p
	}
	p.Of = int(of(allFiles))
	if done, all := of(packed), of(allBytes); 0 < done && done < all {
		p.Left = time.Duration(float64(spent) * float64(all-done) / float64(done))
	}
	return p
}

// Complete says that all there is was read: what was read is then the whole, even
// if its survey was slower. The survey has to have ended.
func (m *Meter) Complete() {
	m.counts[allFiles].Store(m.counts[files].Load())
	m.counts[allBytes].Store(m.counts[packed].Load())
	m.known.Store(true)
}

// Survey counts the files that logs are going to read, and their bytes, so that
// their meter can tell how much is left. It lists them once more: run it beside
// the reading. What cannot be listed is not counted.
func Survey(ctx context.Context, m *Meter, logs ...*Logs) error {
	var unsized atomic.Bool
	for _, l := range logs {
		err := l.shelf.list(ctx, func(name string, size int64) error {
			if !l.opts.Checkpoint.had(name) {
				m.add(allFiles, 1)
				m.add(allBytes, int(max(size, 0)))
				if size < 0 {
					unsized.Store(true)
				}
			}
			return ctx.Err()
		}, func(string, error) {})
		if err != nil {
			return err
		}
	}
	m.known.Store(!unsized.Load())
	return nil
}
