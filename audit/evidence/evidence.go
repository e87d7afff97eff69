package evidence

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// KindClosed is the kind of the record that ends a pack.
const KindClosed = "closed"

// maxLine is how long a line of a pack is at most, in bytes.
const maxLine = 16 << 20

// A Record is one thing that was done, or seen.
type Record struct {
	// Seq counts the records of a pack from 1.
	Seq int `json:"seq"`
	// Time is when the record was written, by its writer's clock.
	Time time.Time `json:"time"`
	// Prev is the SHA-256 of the line before in hexadecimal digits; empty for the
	// first.
	Prev string `json:"prev"`
	// Key is the public key of the pack in hexadecimal digits. The first record
	// has it.
	Key string `json:"key,omitempty"`
	// Kind says what it is about, in the words of its writer; [KindClosed] is the
	// pack's own.
	Kind string `json:"kind"`
	// Body is what the writer has to say. It holds no value.
	Body json.RawMessage `json:"body"`
}

// A BrokenError says where a pack ceases to be what was written.
type BrokenError struct {
	// Record is the number of the first record that is not right, from 1.
	Record int
	Why    string
}

// Error names the record.
func (e *BrokenError) Error() string { return fmt.Sprintf("record %d %s", e.Record, e.Why) }

// A Pack is what was read of a pack.
type Pack struct {
	// Records are those that are right, up to the first that is not.
	Records []Record
	// Key is the public key that signed them.
	Key ed25519.PublicKey
	// Head is the SHA-256 of the last line in hexadecimal digits.
	Head string
	// Closed says that the last record is the last that was written. Without it,
	// records may have been cut off at the end.
	Closed bool
}

// Read reads a pack and checks every hash and signature. If key is nil it takes
// the one that the first record names, which proves less: see the package's
// documentation. The error is a *[BrokenError] for the first record that is not
// right; those before it are returned all the same.
func Read(r io.Reader, key ed25519.PublicKey) (*Pack, error) {
	p := &Pack{Key: key}
	lines := bufio.NewReader(r)
	for {
		line, err := readLine(lines)
		end := errors.Is(err, io.EOF)
		switch {
		case end && len(line) == 0 && len(p.Records) > 0:
			return p, nil
		case end && len(line) == 0:
			return p, p.broken("is not there: the pack is empty")
		case end:
			return p, p.broken("is cut off: its line has no end")
		case err != nil:
			return p, err
		}
		if why := p.add(line); why != "" {
			return p, p.broken(why)
		}
	}
}

// readLine reads a line with its end.
func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > maxLine:
			return line, fmt.Errorf("a line is longer than %d bytes", maxLine)
		case !errors.Is(err, bufio.ErrBufferFull):
			return line, err
		}
	}
}

func (p *Pack) broken(why string) error { return &BrokenError{Record: len(p.Records) + 1, Why: why} }

// add checks a line and adds its record, or says what is wrong with it.
func (p *Pack) add(line []byte) (why string) {
	if p.Closed {
		return "comes after the one that closed the pack"
	}
	body, signature, ok := split(line)
	if !ok {
		return "has not the form of one"
	}
	var r Record
	if err := json.Unmarshal(body, &r); err != nil {
		return "is no JSON of a record"
	}
	if len(p.Records) == 0 && p.Key == nil {
		key, err := hex.DecodeString(r.Key)
		if err != nil || len(key) != ed25519.PublicKeySize {
			return "names no key"
		}
		p.Key = key
	}
	switch {
	case !ed25519.Verify(p.Key, body, signature):
		return "is not what the key signed"
	case r.Seq != len(p.Records)+1:
		return fmt.Sprintf("has the number %d", r.Seq)
	case r.Prev != p.Head:
		return "does not follow the one before it"
	}
	p.Records = append(p.Records, r)
	p.Head, p.Closed = hash(line), r.Kind == KindClosed
	return ""
}

// The form of a line. There is one way only to write a record and its
// signature, so that no byte of a line is free.
const (
	before  = `{"record":`
	between = `,"signature":"`
	after   = "\"}\n"
)

// join makes a line.
func join(body, signature []byte) []byte {
	line := append([]byte(before), body...)
	line = append(line, between...)
	line = hex.AppendEncode(line, signature)
	return append(line, after...)
}

// split takes a line apart.
func split(line []byte) (body, signature []byte, ok bool) {
	at := len(line) - len(after) - hex.EncodedLen(ed25519.SignatureSize)
	if at < len(before)+len(between) {
		return nil, nil, false
	}
	signature, err := hex.DecodeString(string(line[at : len(line)-len(after)]))
	if err != nil {
		return nil, nil, false
	}
	body = line[min(len(before), at-len(between)) : at-len(between)]
	return body, signature, bytes.Equal(join(body, signature), line)
}

func hash(line []byte) string {
	sum := sha256.Sum256(line)
	return hex.EncodeToString(sum[:])
}
