package cloudtrail

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// journalFile has the records that are in no log file yet, one a line. What
// it has when the engine is killed, the next start takes over.
const journalFile = "undelivered.jsonl"

// A journal is that file. A nil one keeps nothing.
type journal struct {
	file    *os.File
	size    int64  // of what is whole in the file
	pending []byte // what is to be written
}

// readJournal returns the records of a journal, and how many lines had none.
// The last line is not whole if a kill cut it off; that call was not answered.
func readJournal(dir string) (entries []entry, broken int, err error) {
	data, err := os.ReadFile(filepath.Join(dir, journalFile)) //nolint:gosec // the folder is the operator's choice.
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, 0, fmt.Errorf("reading the journal of the trail: %w", err)
	}
	for line := range bytes.Lines(data) {
		text, whole := bytes.CutSuffix(line, []byte("\n"))
		e, err := readEntry(text)
		switch {
		case err == nil && whole:
			e.raw = bytes.Clone(text)
			entries = append(entries, e)
		case whole:
			broken++
		}
	}
	return entries, broken, nil
}

// openJournal starts the journal anew with the given records.
func openJournal(dir string, entries []entry) (*journal, error) {
	path := filepath.Join(dir, journalFile)
	j := &journal{}
	for _, e := range entries {
		j.write(e.raw)
	}
	if err := writeWhole(path, j.pending); err != nil {
		return nil, fmt.Errorf("opening the journal of the trail: %w", err)
	}
	var err error
	if j.file, err = os.OpenFile(path, os.O_WRONLY, 0o600); err != nil { //nolint:gosec // as above.
		return nil, fmt.Errorf("opening the journal of the trail: %w", err)
	}
	j.size, j.pending = int64(len(j.pending)), nil
	return j, nil
}

// write takes a record in, for the next flush.
func (j *journal) write(raw json.RawMessage) {
	if j != nil {
		j.pending = append(append(j.pending, raw...), '\n')
	}
}

// flush writes what was taken in. What it cannot write, as on a full disk, the
// next flush writes again from the same place.
func (j *journal) flush() error {
	if j == nil || len(j.pending) == 0 {
		return nil
	}
	if _, err := j.file.WriteAt(j.pending, j.size); err != nil {
		return fmt.Errorf("writing the journal of the trail: %w", err)
	}
	j.size += int64(len(j.pending))
	j.pending = j.pending[:0]
	return nil
}

// reset empties the journal: its records are in a log file.
func (j *journal) reset() error {
	if j == nil {
		return nil
	}
	j.pending = j.pending[:0]
	if err := j.file.Truncate(0); err != nil {
		return fmt.Errorf("emptying the journal of the trail: %w", err)
	}
	j.size = 0
	return nil
}

func (j *journal) close() error {
	if j == nil {
		return nil
	}
	return errors.Join(j.flush(), j.file.Close())
}
