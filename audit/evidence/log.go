package evidence

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// ErrClosed means that a pack has its last record already.
var ErrClosed = errors.New("the evidence is closed")

// A Log is a pack that is being written. It is safe for concurrent use, by one
// process.
type Log struct {
	file *os.File
	key  ed25519.PrivateKey

	mu     sync.Mutex
	pack   Pack // :: mu
	failed error
}

// Open opens the pack in a file, which it makes if there is none, to be written
// on with the key. What is there is checked first: the error is a *[BrokenError]
// where that is not what the key signed. A last line without an end, as is left
// by who was killed while it wrote, was never reported as written, and is taken
// away.
func Open(path string, key ed25519.PrivateKey) (*Log, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // the caller's own path.
	if err != nil {
		return nil, fmt.Errorf("opening the evidence: %w", err)
	}
	l := &Log{file: file, key: key}
	if err := l.resume(); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return l, nil
}

// resume reads what is there and stands at its end.
func (l *Log) resume() error {
	data, err := os.ReadFile(l.file.Name())
	if err != nil {
		return fmt.Errorf("reading the evidence: %w", err)
	}
	whole := bytes.LastIndexByte(data, '\n') + 1
	if err := l.file.Truncate(int64(whole)); err != nil {
		return fmt.Errorf("taking an unfinished record away: %w", err)
	}
	if _, err := l.file.Seek(int64(whole), 0); err != nil {
		return fmt.Errorf("going to the end of the evidence: %w", err)
	}
	public, _ := l.key.Public().(ed25519.PublicKey) // of a private key it is one
	if whole == 0 {
		l.pack.Key = public
		return nil
	}
	pack, err := Read(bytes.NewReader(data[:whole]), public)
	if err != nil {
		return fmt.Errorf("reading the evidence: %w", err)
	}
	l.pack = *pack
	return nil
}

// Append writes a record with a body that is written as JSON, and returns it
// when it is on the disk. After an error nothing more is written: what is in the
// file then is not known, and Open finds out.
func (l *Log) Append(kind string, body any) (Record, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return Record{}, fmt.Errorf("writing the evidence %q: %w", kind, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.failed != nil:
		return Record{}, l.failed
	case l.pack.Closed:
		return Record{}, ErrClosed
	}
	r := Record{Seq: len(l.pack.Records) + 1, Time: time.Now().UTC(), Prev: l.pack.Head, Kind: kind, Body: text}
	if r.Seq == 1 {
		r.Key = hex.EncodeToString(l.pack.Key)
	}
	if err := l.write(r); err != nil {
		l.failed = fmt.Errorf("writing the evidence %q: %w", kind, err)
		return Record{}, l.failed
	}
	return r, nil
}

// write adds a record to the file and to the pack.
func (l *Log) write(r Record) error {
	body, err := json.Marshal(r)
	if err != nil {
		return err
	}
	line := join(body, ed25519.Sign(l.key, body))
	if _, err := l.file.Write(line); err != nil {
		return err
	}
	if err := l.file.Sync(); err != nil {
		return err
	}
	l.pack.Records = append(l.pack.Records, r)
	l.pack.Head, l.pack.Closed = hash(line), r.Kind == KindClosed
	return nil
}

// Pack is what the file holds now. It may be kept: what is written later is not
// added to it.
func (l *Log) Pack() Pack {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.pack
}

// Close closes the file, not the pack: that is what a record of [KindClosed]
// does.
func (l *Log) Close() error {
	if err := l.file.Close(); err != nil {
		return fmt.Errorf("closing the evidence: %w", err)
	}
	return nil
}
