package corpus

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/klauspost/compress/gzip"
)

// A file is a log file, and how it is written.
type file struct {
	path    string
	records [][]byte
	shape   shape
}

// shape is how the JSON of a file looks.
type shape int

const (
	asDelivered shape = iota
	indented          // and with the members in the order of the alphabet
	escaped           // with letters of names and values as escapes
	prefixed          // with another member before the records
	shapes
)

// name is the path of the file that a stream delivers at a time.
func (w *world) name(stream int, at time.Time) string {
	account, region := w.stream(stream)
	folder := "AWSLogs"
	if stream%len(accounts) >= 2 {
		folder += "/" + organisation
	}
	return fmt.Sprintf("%s/%s/CloudTrail/%s/%s/%s_CloudTrail_%s_%s_%016x.json.gz",
		folder, account, region, at.Format("2006/01/02"), account, region, at.Format("20060102T1504Z"), w.rand.Uint64())
}

// file makes the next file, of about a size, of the stream whose turn it is.
func (w *world) file(size int) *file {
	stream := w.truth.Files % w.streams()
	at := begin.Add(time.Duration(w.truth.Files/w.streams()+1) * every)
	f := &file{path: w.name(stream, at)}
	if w.truth.Files%8 == 7 {
		f.shape = shape(w.truth.Files / 8 % int(shapes))
	}
	size = size/2 + w.rand.IntN(size+1)
	c := &call{world: w, stream: stream, file: f, delivered: at}
	for _, raw := range w.again[stream] {
		c.write(raw)
	}
	w.truth.Again += len(w.again[stream])
	w.again[stream] = nil
	for c.size < size {
		switch n := w.rand.IntN(10_000); {
		case n < 5*w.opts.Share: // about two records each
			c.secrets()
		case n < 5*w.opts.Share+30:
			c.mention()
		case n == 9_999:
			c.large()
		default:
			c.other()
		}
	}
	w.truth.Files++
	return f
}

// write packs the file.
func (f *file) write(dir string) error {
	path := filepath.Join(dir, filepath.FromSlash(f.path))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	text, err := f.text()
	if err != nil {
		return err
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write(text) // what is wrong, Close tells
	if err := z.Close(); err != nil {
		return err
	}
	return os.WriteFile(path, packed.Bytes(), 0o600)
}

func (f *file) text() ([]byte, error) {
	head := `{"Records":[`
	if f.shape == prefixed {
		head = `{"logFormat":{"version":"1.0","Note":"] } secretsmanager.amazonaws.com"},"Records":[`
	}
	text := append([]byte(head), bytes.Join(f.records, []byte(","))...)
	text = append(text, "]}"...)
	if f.shape == indented {
		var log any
		if err := json.Unmarshal(text, &log); err != nil {
			return nil, err
		}
		return json.MarshalIndent(log, "", "  ")
	}
	if f.shape == escaped {
		for _, e := range escapes {
			text = bytes.ReplaceAll(text, []byte(e.plain), []byte(e.escaped))
		}
	}
	return text, nil
}

// escapes are ways to write a text that mean the same.
var escapes = []struct{ plain, escaped string }{
	{`"eventSource"`, `"event\u0053ource"`},
	{`"secretsmanager.amazonaws.com"`, `"secretsm\u0061nager\u002eamazonaws.com"`},
	{`"eventName"`, `"\u0065ventName"`},
}
