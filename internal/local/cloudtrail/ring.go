package cloudtrail

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"
)

// An entry is a record with what it is looked up by.
type entry struct {
	at       time.Time // in whole seconds, as the record tells it
	id       string
	name     string
	source   string
	user     string
	key      string
	readOnly bool
	about    []resource
	raw      json.RawMessage // nil once its segment is packed
}

// entry encodes a record.
func (r *record) entry() (entry, error) {
	raw, err := json.Marshal(r)
	if err != nil {
		return entry{}, fmt.Errorf("encoding the record of %s: %w", r.EventName, err)
	}
	e := r.index()
	e.raw = raw
	return e, nil
}

// index is the entry of a record without its text.
func (r *record) index() entry {
	return entry{
		at:       r.at.Truncate(time.Second),
		id:       r.EventID,
		name:     r.EventName,
		source:   r.EventSource,
		user:     r.userName(),
		key:      r.UserIdentity.AccessKeyID,
		readOnly: r.ReadOnly,
		about:    r.about(),
	}
}

// about lists what an event is found by as a resource: the keys of KMS, and
// the secret by every name that its record tells.
func (r *record) about() []resource {
	list := slices.Clip(r.Resources)
	if r.EventSource != secretsSource {
		return list
	}
	var in, out struct {
		SecretID string `json:"secretId"`
		Name     string `json:"name"`
		ARN      string `json:"arn"`
	}
	_ = json.Unmarshal(r.RequestParameters, &in) // null, or of another shape: no names
	_ = json.Unmarshal(r.ResponseElements, &out)
	names := []string{in.SecretID, in.Name, out.ARN}
	for _, member := range []string{"SecretId", "ARN", "Name"} {
		name, _ := r.AdditionalData[member].(string)
		names = append(names, name)
	}
	for _, name := range names {
		known := func(known resource) bool { return known.ARN == name }
		if name != "" && !slices.ContainsFunc(list, known) {
			list = append(list, resource{Type: "AWS::SecretsManager::Secret", ARN: name})
		}
	}
	return list
}

// A segment is a run of records in the order in which they were recorded.
type segment struct {
	first   uint64 // number of the first record
	entries []entry
	oldest  time.Time
	newest  time.Time
	packed  []byte // {"Records":[...]} in gzip, once it is sealed
}

// A ring has the latest segments. Its last one is open: its records are not
// packed yet.
type ring struct {
	sealed []*segment // oldest first
	count  int        // records in sealed
	open   segment
}

// add puts a record into the open segment and returns how many it then has.
func (r *ring) add(e entry) int {
	s := &r.open
	if len(s.entries) == 0 {
		s.oldest, s.newest = e.at, e.at
	}
	if e.at.Before(s.oldest) {
		s.oldest = e.at
	}
	if e.at.After(s.newest) {
		s.newest = e.at
	}
	s.entries = append(s.entries, e)
	return len(s.entries)
}

// seal closes the open segment, whose packed form is given, and drops the
// oldest segments that are not needed to keep enough records.
func (r *ring) seal(packed []byte) {
	s := r.open
	s.packed = packed
	s.entries = slices.Clone(s.entries) // a lookup may still read the texts
	for i := range s.entries {
		s.entries[i].raw = nil
	}
	r.sealed = append(r.sealed, &s)
	r.count += len(s.entries)
	r.open = segment{first: s.first + uint64(len(s.entries))}
	for r.count-len(r.sealed[0].entries) >= keep {
		r.count -= len(r.sealed[0].entries)
		r.sealed = slices.Delete(r.sealed, 0, 1)
	}
}

// pack writes the records as the content of a log file. The hash is that of
// the content before it is compressed.
func (s *segment) pack() (packed []byte, hash string, err error) {
	var buf bytes.Buffer
	z, err := gzip.NewWriterLevel(&buf, gzip.BestSpeed)
	if err != nil {
		return nil, "", err
	}
	sum := sha256.New()
	w := io.MultiWriter(z, sum)
	_, _ = io.WriteString(w, `{"Records":[`) // what is wrong with a write, Close tells
	for i, e := range s.entries {
		if i > 0 {
			_, _ = io.WriteString(w, ",")
		}
		_, _ = w.Write(e.raw)
	}
	_, _ = io.WriteString(w, "]}")
	if err := z.Close(); err != nil {
		return nil, "", fmt.Errorf("packing records: %w", err)
	}
	return buf.Bytes(), hex.EncodeToString(sum.Sum(nil)), nil
}

// unpacked is a segment with its texts.
type unpacked struct {
	of    *segment
	texts []json.RawMessage
}

// unpack returns the texts of a sealed segment's records.
func (s *segment) unpack() ([]json.RawMessage, error) {
	z, err := gzip.NewReader(bytes.NewReader(s.packed))
	if err != nil {
		return nil, fmt.Errorf("unpacking records: %w", err)
	}
	texts := make([]json.RawMessage, 0, len(s.entries))
	err = eachRecord(z, func(raw json.RawMessage) error {
		texts = append(texts, raw)
		return nil
	})
	return texts, err
}

// eachRecord calls fn for each record of a log file, without holding more
// than one.
func eachRecord(r io.Reader, fn func(raw json.RawMessage) error) error {
	dec := json.NewDecoder(r)
	for range 3 { // { "Records" [
		if _, err := dec.Token(); err != nil {
			return fmt.Errorf("reading a log file: %w", err)
		}
	}
	for dec.More() {
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return fmt.Errorf("reading a log file: %w", err)
		}
		if err := fn(raw); err != nil {
			return err
		}
	}
	return nil
}
