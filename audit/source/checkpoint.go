package source

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"sync"

	"github.com/rekey-go/rekey/audit"
)

// checkpointVersion is that of the form of a checkpoint's file.
const checkpointVersion = 1

// A Checkpoint is a file with the records that were read so far, and with the
// names of what was read to its end: log files, and slices of an event history.
// A source that has one yields what is kept and then only what is new, so that
// a report over months costs the reading of the last day.
//
// Records may come in any order and more than once, as an audit counts each
// event once: a run that is killed is simply repeated, and the events of a bus,
// see [Checkpoint.Add], may come before the log file that has them too.
//
// The file holds a JSON object a line: the form's version, then records and
// names. A line that a kill left unfinished is dropped when it is opened next.
// It holds what CloudTrail holds, and wants the same protection.
type Checkpoint struct {
	mu   sync.Mutex
	file *os.File
	out  *bufio.Writer   // :: beyond it, nothing was written
	done map[string]bool // :: mu; name -> whether an earlier run read it
	kept int64           // the length of the file when it was opened
}

// A checkpointLine is one of the lines.
type checkpointLine struct {
	Version int             `json:"rekeyCheckpoint,omitempty"`
	Record  json.RawMessage `json:"record,omitempty"`
	Done    string          `json:"done,omitempty"`
}

// OpenCheckpoint opens a checkpoint's file, or makes it. One process at a time
// may have it open.
func OpenCheckpoint(path string) (*Checkpoint, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // the path is the operator's choice.
	if err != nil {
		return nil, fmt.Errorf("opening the checkpoint: %w", err)
	}
	c := &Checkpoint{file: file, done: make(map[string]bool)}
	if err := c.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("opening the checkpoint %s: %w", path, err), file.Close())
	}
	return c, nil
}

// load reads the names, and goes on after the last whole line.
func (c *Checkpoint) load() error {
	err := lines(c.file, func(line checkpointLine, end int64) bool {
		if line.Done != "" {
			c.done[line.Done] = true
		}
		c.kept = end
		return true
	})
	if err != nil {
		return err
	}
	if err := c.file.Truncate(c.kept); err != nil {
		return err
	}
	if _, err := c.file.Seek(c.kept, io.SeekStart); err != nil {
		return err
	}
	c.out = bufio.NewWriter(c.file)
	if c.kept == 0 {
		return c.write(checkpointLine{Version: checkpointVersion})
	}
	return nil
}

// lines calls fn with each whole line of a checkpoint and where it ends, until
// fn returns false.
func lines(r io.Reader, fn func(line checkpointLine, end int64) bool) error {
	in := bufio.NewReaderSize(r, 64<<10)
	for at, first := int64(0), true; ; first = false {
		text, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		at += int64(len(text))
		var line checkpointLine
		switch err := json.Unmarshal(text, &line); {
		case err != nil:
			return fmt.Errorf("line that ends at byte %d: %w", at, err)
		case first && line.Version != checkpointVersion:
			return fmt.Errorf("it is no checkpoint of version %d: delete it to begin anew", checkpointVersion)
		}
		if !fn(line, at) {
			return nil
		}
	}
}

func (c *Checkpoint) write(line checkpointLine) error {
	text, err := json.Marshal(line)
	if err != nil {
		return fmt.Errorf("writing the checkpoint: %w", err)
	}
	if _, err := c.out.Write(append(text, '\n')); err != nil {
		return fmt.Errorf("writing the checkpoint: %w", err)
	}
	return nil
}

// Close writes what is not written yet.
func (c *Checkpoint) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return errors.Join(c.out.Flush(), c.file.Sync(), c.file.Close())
}

// Add keeps records, such as the details of events on a bus.
func (c *Checkpoint) Add(records ...json.RawMessage) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, raw := range records {
		if err := c.write(checkpointLine{Record: raw}); err != nil {
			return err
		}
	}
	return c.out.Flush()
}

// Records yields the records that are kept.
func (c *Checkpoint) Records(context.Context) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		c.mu.Lock()
		err := c.out.Flush()
		end, seek := c.file.Seek(0, io.SeekCurrent)
		c.mu.Unlock()
		if err = errors.Join(err, seek); err == nil {
			err = lines(io.NewSectionReader(c.file, 0, end), func(line checkpointLine, _ int64) bool {
				return line.Record == nil || yield(line.Record, nil)
			})
		}
		if err != nil {
			yield(nil, fmt.Errorf("reading the checkpoint: %w", err))
		}
	}
}

// around yields what is kept before what is new. A checkpoint that is nil keeps
// nothing.
func (c *Checkpoint) around(ctx context.Context, fresh iter.Seq2[json.RawMessage, error]) iter.Seq2[json.RawMessage, error] {
	if c == nil {
		return fresh
	}
	return func(yield func(json.RawMessage, error) bool) {
		for raw, err := range c.Records(ctx) {
			if !yield(raw, err) {
				return
			}
		}
		fresh(yield)
	}
}

func (c *Checkpoint) has(name string) bool {
	if c == nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.done[name]
	return ok
}

// had reports whether an earlier run read something.
func (c *Checkpoint) had(name string) bool {
	if c == nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.done[name]
}

// keep notes a record. One that is no JSON is not kept: it is malformed each
// time that its file is read.
func (c *Checkpoint) keep(raw json.RawMessage) error {
	if c == nil {
		return nil
	}
	var line bytes.Buffer
	if json.Compact(&line, raw) != nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.write(checkpointLine{Record: line.Bytes()})
}

// finish notes that something was read to its end.
func (c *Checkpoint) finish(name string) error {
	if c == nil || name == "-" {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done[name] = false
	if err := c.write(checkpointLine{Done: name}); err != nil {
		return err
	}
	return c.out.Flush()
}

var _ audit.Source = (*Checkpoint)(nil)
