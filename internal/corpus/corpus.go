package corpus

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// Options say how much [Write] makes.
type Options struct {
	// Seed chooses the content.
	Seed uint64
	// Bytes is the size of all records, before gzip, to which whole files are
	// written. If zero, it is 1 GiB.
	Bytes int64
	// FileBytes is the size of a file, about. If zero, it is what 1 GiB in 942
	// files has.
	FileBytes int
	// Secrets and Principals are how many different ones there may be. If
	// zero, they are 500 and 200.
	Secrets, Principals int
	// Share is how many records in a thousand are of Secrets Manager, or of KMS
	// for it, about. If zero, it is 20.
	Share int
}

func (o Options) withDefaults() Options {
	o.Bytes = cmp.Or(o.Bytes, 1<<30)
	o.FileBytes = cmp.Or(o.FileBytes, 1<<30/942)
	o.Secrets = cmp.Or(o.Secrets, 500)
	o.Principals = cmp.Or(o.Principals, 200)
	o.Share = cmp.Or(o.Share, 20)
	return o
}

// A Truth is what an audit of the files must find.
type Truth struct {
	// Bytes is the size of the files, before gzip, and Records how many records
	// are in them.
	Bytes   int64 `json:"bytes"`
	Files   int   `json:"files"`
	Records int   `json:"records"`
	// Events is how many different events are of Secrets Manager, or of KMS for
	// it, and Again how many further records are of one of them: a copy, the
	// other account's side, or a correction.
	Events int `json:"events"`
	Again  int `json:"again"`
	// Accesses are in the order of secret and principal.
	Accesses []Access `json:"accesses"`
}

// An Access is what one principal did with one secret.
type Access struct {
	Secret    string `json:"secret"`    // its ARN
	Principal string `json:"principal"` // its ARN
	Reads     int    `json:"reads"`
	Writes    int    `json:"writes"`
	Denied    int    `json:"denied"`
	Describes int    `json:"describes"`
	Batches   int    `json:"batches"`
	// Versions are the reads by version; those of no known version are at "".
	Versions map[string]int `json:"versions"`
}

// TruthFile is the name of the file with the truth.
const TruthFile = "truth.json"

// Write fills a folder, which need not exist.
func Write(dir string, opts Options) (*Truth, error) {
	w := newWorld(opts.withDefaults())
	var packing errgroup.Group
	packing.SetLimit(runtime.GOMAXPROCS(0))
	for w.truth.Bytes < w.opts.Bytes {
		f := w.file(w.opts.FileBytes)
		packing.Go(func() error { return f.write(dir) })
	}
	for range w.streams() { // what is to come in a later file
		f := w.file(0)
		packing.Go(func() error { return f.write(dir) })
	}
	if err := packing.Wait(); err != nil {
		return nil, fmt.Errorf("writing the corpus: %w", err)
	}
	truth := w.finish()
	text, err := json.MarshalIndent(truth, "", " ")
	if err != nil {
		return nil, fmt.Errorf("writing the corpus: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, TruthFile), text, 0o600); err != nil {
		return nil, fmt.Errorf("writing the corpus: %w", err)
	}
	return truth, nil
}

// finish lists what was counted.
func (w *world) finish() *Truth {
	t := w.truth
	for _, a := range w.counts {
		t.Accesses = append(t.Accesses, *a)
	}
	slices.SortFunc(t.Accesses, func(a, b Access) int {
		return cmp.Or(strings.Compare(a.Secret, b.Secret), strings.Compare(a.Principal, b.Principal))
	})
	return &t
}

// begin is when the first files are delivered.
var begin = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)

const stamp = time.RFC3339
