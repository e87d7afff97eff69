package source

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
)

const (
	// windowSize is how much of a stream is looked at together.
	windowSize = 2 << 20
	// chunkSize is how much is read before it is looked at: so little that it
	// is still in the processor's cache.
	chunkSize = 128 << 10
	// maxRecord is how large a record may be. CloudTrail's own limit is 256
	// KiB; a file that was formatted for reading has more white space.
	maxRecord = 1 << 20
)

// The damages that a stream goes on after.
var (
	errTooLarge = errors.New("a record is larger than 1 MiB")
	errBroken   = errors.New("a record is no JSON")
	errCutOff   = errors.New("a record is cut off")
)

// A damage is a record that could not be read, and where: the next one may be
// sound.
type damage struct {
	at  int64 // in the stream
	err error
}

func (d *damage) Error() string { return fmt.Sprintf("%v, about byte %d", d.err, d.at) }
func (d *damage) Unwrap() error { return d.err }

// A scanner finds the records of Secrets Manager in a stream of JSON, and of
// what makes KMS keys unusable, whatever is around them: the list of a log
// file, a bare list, a record per line, the answer of LookupEvents, or the
// envelope of an event.
//
// It does not decode the stream. It looks for a few texts, goes back to where
// the object begins that has them, and forward to where it ends. All that lies
// between such records is passed over at the speed of a search for a text.
//
// An object within a record is not taken for one, whatever it says, see
// [isTop]: a caller can write what they like into the parameters of a call.
type scanner struct {
	r     io.Reader
	buf   []byte
	n     int   // bytes in buf
	base  int64 // bytes of the stream before buf
	eof   bool  // nothing follows buf[:n]
	err   error // why, if it is not the end of the stream
	start int   // what lies before was looked at
	// floor is the end of the last record: the next one begins after it.
	floor int
	// cut is whether something after that end was forgotten.
	cut bool
	// hits are the next one of each search; those before start are not known.
	hits [searches]hit
	// resume is where a text ends that is too large, as far as was read.
	resume int
}

func newScanner(r io.Reader) *scanner {
	s := &scanner{buf: make([]byte, windowSize)}
	s.reset(r)
	return s
}

// reset makes the scanner ready for another stream.
func (s *scanner) reset(r io.Reader) {
	*s = scanner{r: r, buf: s.buf}
	s.forget()
}

// forget lets all searches begin anew.
func (s *scanner) forget() {
	for i := range s.hits {
		s.hits[i].at = -1
	}
}

// next returns the next record, which is valid until the following call. Its
// error is io.EOF, a *damage, after which there may be more records, or what
// ends the stream.
func (s *scanner) next() ([]byte, error) {
	for {
		h := s.hit()
		if h.at == len(s.buf) {
			if err := s.fill(max(s.start, s.n-longest+1)); err != nil {
				return nil, err
			}
			continue
		}
		found, end, err := s.look(h)
		switch {
		case errors.Is(err, errPartial):
			if err := s.fill(h.at); err != nil {
				return nil, s.damaged(h, err)
			}
		case err != nil:
			return nil, s.damaged(h, err)
		case found != nil:
			s.start = s.pass(end)
			return found, nil
		default:
			s.start = end
		}
	}
}

// hit returns the next place to look at; there is none at len(s.buf).
func (s *scanner) hit() hit {
	next := hit{at: len(s.buf)}
	for i, index := range [searches]func([]byte, int) hit{indexService, indexKeyChange, indexEscape} {
		if s.hits[i].at < s.start {
			if s.hits[i] = index(s.buf[:s.n], s.start); s.hits[i].at < 0 {
				s.hits[i].at = len(s.buf)
			}
		}
		if s.hits[i].at < next.at {
			next = s.hits[i]
		}
	}
	return next
}

// look returns the record that a hit belongs to, or nil if it belongs to none,
// and where to look on.
func (s *scanner) look(h hit) (found []byte, end int, err error) {
	if h.length == 0 {
		return s.disguised(h.at)
	}
	return s.around(h.at, h.at+h.length)
}

// damaged is the error of a record about a place. The search goes on after the
// place, for records that begin after it.
func (s *scanner) damaged(h hit, err error) error {
	switch {
	case errors.Is(err, errTooLarge), errors.Is(err, errBroken), errors.Is(err, errCutOff):
		s.start = s.pass(min(max(h.at+max(h.length, 1), s.resume), s.n))
		return &damage{at: s.base + int64(h.at), err: err}
	}
	return err
}

// pass notes that no record is open at a place: the next one begins after it.
func (s *scanner) pass(at int) int {
	s.floor, s.cut, s.resume = at, false, 0
	return at
}

// fill reads more, and forgets what lies more than a record before from, at
// which the search goes on.
func (s *scanner) fill(from int) error {
	if s.eof {
		return s.end()
	}
	s.start = from
	s.forget()
	if drop := max(from-maxRecord, 0); drop > 0 && s.n == len(s.buf) {
		copy(s.buf, s.buf[drop:s.n])
		s.n -= drop
		s.base += int64(drop)
		s.start -= drop
		s.cut = s.cut || s.floor < drop
		s.floor = max(s.floor-drop, 0)
	}
	if s.n == len(s.buf) {
		return errTooLarge
	}
	for limit := min(s.n+chunkSize, len(s.buf)); s.n < limit; {
		n, err := s.r.Read(s.buf[s.n:limit])
		s.n += n
		if err != nil {
			s.eof = true
			if !errors.Is(err, io.EOF) {
				s.err = fmt.Errorf("reading records: %w", err)
			}
			return nil // what was read is looked at first
		}
	}
	return nil
}

// end is the error with which a stream ends: JSON that was not cut off closes
// what it opened last.
func (s *scanner) end() error {
	text := trimmedRight(s.buf[:s.n])
	if s.err == nil && len(text) > 0 && text[len(text)-1] != '}' && text[len(text)-1] != ']' {
		return io.ErrUnexpectedEOF
	}
	return cmp.Or(s.err, io.EOF)
}

// errPartial means that a record goes on after what was read.
var errPartial = errors.New("partial record")

// around does it for a needle, given where that begins and ends.
func (s *scanner) around(at, after int) (found []byte, end int, err error) {
	open := at - 1
	switch {
	case open < s.floor || s.buf[open] != '"':
		return nil, after, nil // the end of a longer text
	case after == s.n && !s.eof:
		return nil, 0, errPartial
	case open > s.floor && s.buf[open-1] == '\\':
		return s.within(open)
	case after == s.n || s.buf[after] != '"':
		return nil, after, nil // the beginning of a longer text
	}
	return s.enclosing(open, after)
}

// disguised does it for a text with a letter, at a place, that is written as an
// escape.
func (s *scanner) disguised(at int) ([]byte, int, error) {
	begin, end, err := s.textAt(at)
	if err != nil || begin < 0 || !isNeedle(unquoted(s.buf[begin:end])) {
		return nil, end, err
	}
	return s.enclosing(begin, end)
}

// textAt returns where the string begins and ends that a place is in. The
// beginning is negative if it is not there any more.
func (s *scanner) textAt(at int) (begin, end int, err error) {
	begin = stringBegin(s.buf[s.floor:at])
	if begin < 0 {
		// The end of a text that was too large, if it is one: at is not a quote
		// that closes it.
		if length, ok := stringEnd(s.buf[at:s.n]); ok {
			return begin, s.pass(at + length), nil
		}
		return begin, s.pass(s.n), nil
	}
	begin += s.floor
	length, ok := stringEnd(s.buf[begin:s.n])
	if !ok {
		s.resume = s.n
		return begin, 0, s.partial(begin)
	}
	return begin, begin + length, nil
}

// within returns the record that stands as the text of a JSON string, as in an
// answer of LookupEvents, given a place in the string; or the record that has
// the string in it.
func (s *scanner) within(at int) ([]byte, int, error) {
	begin, end, err := s.textAt(at)
	if err != nil || begin < 0 {
		return nil, end, err
	}
	if found, after, err := s.enclosing(begin, end); found != nil || err != nil {
		return found, after, err
	}
	inner := bytes.TrimSpace(unquoted(s.buf[begin:end]))
	if n, kind := object(inner); kind == record && n == len(inner) {
		return inner, end, nil
	}
	return nil, end, nil // a text that mentions the service
}

// enclosing returns the record that a string is in: the outermost object around
// it that is one.
func (s *scanner) enclosing(begin, after int) (found []byte, end int, err error) {
	for i, depth := begin, 0; ; depth++ {
		open, ok := enclosing(s.buf[s.floor:i])
		if !ok {
			break
		}
		if depth == maxDepth {
			return nil, 0, errBroken
		}
		i = s.floor + open
		if s.buf[i] == '{' {
			length, kind := object(s.buf[i:s.n])
			switch kind {
			case incomplete:
				return nil, 0, s.partial(i)
			case broken:
				return nil, 0, errBroken
			case record:
				found, end = s.buf[i:i+length], i+length
			case wrapper:
				if isTop(s.buf[s.floor:i]) {
					return found, max(end, s.pass(after)), nil
				}
			case plain:
			}
		}
		if found != nil && isTop(s.buf[s.floor:i]) {
			return found, end, nil
		}
	}
	switch {
	case s.cut: // what is around it began too long ago
		return nil, 0, errTooLarge
	case found != nil:
		return found, end, nil
	}
	return nil, s.pass(after), nil
}

// partial is the error of what begins at a place and does not end in what was
// read.
func (s *scanner) partial(begin int) error {
	switch {
	case s.eof && s.err != nil:
		return s.err
	case s.eof:
		return errCutOff
	case s.n-begin > maxRecord:
		return errTooLarge
	}
	return errPartial
}
