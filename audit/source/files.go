package source

import (
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// Files returns the records of Secrets Manager from files: copies of a trail's
// bucket, folders with .json and .json.gz files in any layout, single files,
// or "-" for standard input. The files may be compressed with gzip and may
// hold what a trail delivers, a list of records, a record per line, or answers
// of LookupEvents.
//
// What cannot be read is left out, with an [audit.SkippedError] for each file:
// a record that is broken or larger than 1 MiB, the rest of a file that breaks
// off, a folder that may not be looked into. Memory does not depend on the size
// of the files or of anything in them.
func Files(paths []string, optFns ...func(*LogsOptions)) *Logs {
	l := new(Logs)
	for _, fn := range optFns {
		fn(&l.opts)
	}
	l.shelf = &folders{roots: paths, opts: &l.opts}
	return l
}

// folders is the shelf of files on a disk.
type folders struct {
	roots []string
	opts  *LogsOptions
}

func (f *folders) list(_ context.Context, add adder, skip func(string, error)) error {
	return f.each(func(path string, d fs.DirEntry) error {
		switch name := filepath.Base(path); {
		case d.IsDir() && (name == "CloudTrail-Digest" || name == "CloudTrail-Insight" || !f.opts.wanted(path)):
			return fs.SkipDir
		case !d.IsDir() && isLog(path):
			return add(path, sizeOf(d))
		}
		return nil
	}, add, skip)
}

// sizeOf is -1 if the file is gone.
func sizeOf(d fs.DirEntry) int64 {
	if info, err := d.Info(); err == nil {
		return info.Size()
	}
	return -1
}

func isLog(path string) bool {
	path = strings.TrimSuffix(path, ".gz")
	return strings.HasSuffix(path, ".json") || strings.HasSuffix(path, ".jsonl")
}

func (f *folders) digests(_ context.Context, add adder, skip func(string, error)) error {
	return f.each(func(path string, d fs.DirEntry) error {
		if !d.IsDir() && strings.Contains(filepath.ToSlash(path), "/CloudTrail-Digest/") && strings.HasSuffix(path, ".json.gz") {
			return add(path, sizeOf(d))
		}
		return nil
	}, func(string, int64) error { return nil }, skip)
}

// signature is that of the file beside the digest which has its name and
// ".sig": a copy on a disk has no place for the metadata of S3.
func (f *folders) signature(_ context.Context, path string) (string, error) {
	text, err := os.ReadFile(path + ".sig") //nolint:gosec // below the operator's folder.
	return trimmed(text), err
}

func (f *folders) open(_ context.Context, path string) (io.ReadCloser, error) {
	if path == "-" {
		return io.NopCloser(cmp.Or[io.Reader](f.opts.Stdin, os.Stdin)), nil
	}
	return os.Open(path) //nolint:gosec // the path is the operator's choice.
}

// each calls below with all that is below the roots, file with the roots that
// are files, and skip with what cannot be looked into. A root that is the only
// one must be.
func (f *folders) each(below func(path string, d fs.DirEntry) error, file adder, skip func(string, error)) error {
	for _, root := range f.roots {
		if root == "-" {
			if err := file(root, -1); err != nil {
				return err
			}
			continue
		}
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			switch {
			case err != nil && path == root && len(f.roots) == 1:
				return &rootError{root, cause(err)}
			case err != nil:
				skip(path, cause(err))
				return nil
			case path == root && d.IsDir():
				return nil
			case path == root:
				return file(path, sizeOf(d))
			}
			return below(path, d)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// A rootError is that nothing of what a source was to read can be listed.
type rootError struct {
	root string
	err  error
}

func (e *rootError) Error() string { return e.root + ": " + e.err.Error() }
func (e *rootError) Unwrap() error { return e.err }

// cause is an error without the path, which stands beside it.
func cause(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

// dayFolder is the end of the path of a day's folder in the S3 layout.
var dayFolder = regexp.MustCompile(`/CloudTrail/[^/]+/(\d{4}/\d{2}/\d{2})$`)

// wanted reports whether a folder may hold events between From and To. A file
// holds events of earlier days too, and may come a day late.
func (o *LogsOptions) wanted(path string) bool {
	m := dayFolder.FindStringSubmatch(filepath.ToSlash(path))
	if m == nil {
		return true
	}
	day, err := time.Parse("2006/01/02", m[1])
	if err != nil {
		return true
	}
	return (o.From.IsZero() || day.Add(24*time.Hour).After(o.From)) &&
		(o.To.IsZero() || !day.After(o.To.Add(24*time.Hour)))
}
