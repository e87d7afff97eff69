package cloudtrail

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// fileTime is how a log file's name and folders tell its time.
const (
	fileTime  = "20060102T1504Z"
	dayFolder = "2006/01/02"
)

// deliverFile writes a packed segment as a log file, and notes it for the next
// digest. A reader sees the whole file or none.
func (e *encoder) deliverFile(packed []byte, hash string, at time.Time) error {
	s := e.service
	name := fmt.Sprintf("%s_CloudTrail_%s_%s_%s.json.gz", s.opts.Account, s.opts.Region, at.UTC().Format(fileTime), rand.Text()[:16])
	defer e.deliverTo(name, packed, hash, at)
	if s.opts.Dir == "" {
		return nil
	}
	key := folderPlace().key(&s.opts, "CloudTrail", at, name)
	if err := errors.Join(s.writeObject(key, packed), syncFile(s.path(key))); err != nil {
		return fmt.Errorf("writing a log file: %w", err)
	}
	open := &s.ring.open
	return e.note(logFile{
		Bucket: Bucket, Object: key, Hash: hash, HashAlgorithm: hashAlgorithm,
		Newest: stamp(open.newest), Oldest: stamp(open.oldest),
	})
}

// path is the file that stands for an object of the bucket.
func (s *Service) path(key string) string {
	return filepath.Join(s.opts.Dir, filepath.FromSlash(key))
}

// folder is where the days of the log files or of the digests lie.
func (s *Service) folder(kind string) string {
	return filepath.Join(s.opts.Dir, "AWSLogs", s.opts.Account, kind, s.opts.Region)
}

func (s *Service) writeObject(key string, data []byte) error {
	path := s.path(key)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return writeWhole(path, data)
}

// writeWhole writes a file under another name first, so that a kill leaves no
// half of it. It is safe from a power cut once it is synced.
func writeWhole(path string, data []byte) error {
	temp := path + ".part"
	if err := os.WriteFile(temp, data, 0o600); err != nil {
		return errors.Join(err, os.RemoveAll(temp))
	}
	return os.Rename(temp, path)
}

// syncFile makes a file safe from a power cut.
func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0) //nolint:gosec // as above.
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// load reads back what earlier runs wrote, takes over the records of the
// journal that are in no log file, and starts it anew with them. A file that
// cannot be read is left out.
func (e *encoder) load() {
	s := e.service
	if s.opts.Dir == "" {
		return
	}
	undelivered, broken, err := readJournal(s.opts.Dir)
	s.fail(err)
	if broken > 0 {
		s.fail(fmt.Errorf("%s has %d lines that are no records; they are left out", filepath.Join(s.opts.Dir, journalFile), broken))
	}
	s.fail(e.takeUp(undelivered))
	known := make(map[string]bool) // :: event id -> it is in a file
	s.restore(e.recent(known))
	undelivered = slices.DeleteFunc(undelivered, func(u entry) bool { return known[u.id] })
	e.journal, err = openJournal(s.opts.Dir, undelivered)
	s.fail(err)
	s.mu.Lock()
	for _, u := range undelivered {
		s.ring.add(u)
	}
	s.mu.Unlock()
	if len(undelivered) > 0 {
		e.arm()
	}
}

// recent reads the latest log files, and notes the ids of their records.
func (e *encoder) recent(known map[string]bool) []*segment {
	s := e.service
	files, err := s.recentFiles()
	s.fail(err)
	var segments []*segment
	for count := 0; len(files) > 0 && count < keep; files = files[:len(files)-1] {
		seg, err := readSegment(files[len(files)-1])
		if err != nil {
			s.fail(err)
			continue
		}
		for i := range seg.entries {
			known[seg.entries[i].id] = true
		}
		count += len(seg.entries)
		segments = append(segments, seg)
	}
	slices.Reverse(segments)
	return segments
}

// restore puts segments that were read back into the ring.
func (s *Service) restore(segments []*segment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, seg := range segments {
		seg.first = s.ring.open.first
		s.ring.open.first += uint64(len(seg.entries))
		s.ring.count += len(seg.entries)
		s.ring.sealed = append(s.ring.sealed, seg)
	}
}

// recentFiles lists the log files of the time that LookupEvents looks back,
// oldest first.
func (s *Service) recentFiles() ([]string, error) {
	since := s.opts.Clock.Now().Add(-retention).UTC()
	files, err := filesSince(s.folder("CloudTrail"), since)
	if err != nil {
		return nil, fmt.Errorf("listing the log files: %w", err)
	}
	slices.SortStableFunc(files, func(a, b string) int { // by minute, then by when it was written
		if c := strings.Compare(minuteOf(a), minuteOf(b)); c != 0 {
			return c
		}
		return writtenAt(a).Compare(writtenAt(b))
	})
	return files, nil
}

// filesSince lists the files of a day and of those after it.
func filesSince(root string, since time.Time) (files []string, err error) {
	first := since.UTC().Format(dayFolder)
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && path == root {
			return fs.SkipAll
		}
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".json.gz") {
			return err
		}
		day, err := filepath.Rel(root, filepath.Dir(path))
		if err == nil && filepath.ToSlash(day) >= first {
			files = append(files, path)
		}
		return err
	})
	return files, err
}

// minuteOf is the path of a log file without its random end.
func minuteOf(path string) string {
	return path[:strings.LastIndexByte(path, '_')+1]
}

func writtenAt(path string) time.Time {
	info, err := os.Stat(path)
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

// readSegment reads a log file back.
func readSegment(path string) (*segment, error) {
	packed, err := os.ReadFile(path) //nolint:gosec // the path is below the operator's folder.
	if err != nil {
		return nil, fmt.Errorf("reading a log file back: %w", err)
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("reading %s back: %w", filepath.Base(path), err)
	}
	var r ring
	err = eachRecord(z, func(raw json.RawMessage) error {
		e, err := readEntry(raw)
		if err == nil {
			r.add(e)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading %s back: %w", filepath.Base(path), err)
	}
	r.open.packed = packed
	return &r.open, nil
}

// readEntry is the entry of a record that was written before, without its
// text.
func readEntry(raw json.RawMessage) (entry, error) {
	var r record
	if err := json.Unmarshal(raw, &r); err != nil {
		return entry{}, err
	}
	at, err := time.Parse(time.RFC3339, r.EventTime)
	if err != nil {
		return entry{}, err
	}
	r.at = at
	return r.index(), nil
}
