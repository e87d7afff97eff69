package source

import (
	"context"
	"encoding/json"
	"errors"
	"iter"

	"github.com/rekey-go/rekey/audit"
)

// Join is a source of the records of several sources, one after the other: the
// event histories of several Regions and accounts, a bucket and a folder. A
// place of log files that cannot be listed at all is left out, with an
// [audit.SkippedError], where there are others.
func Join(sources ...audit.Source) audit.Source {
	if len(sources) == 1 {
		return sources[0]
	}
	return joined(sources)
}

type joined []audit.Source

// Records yields those of each source.
func (j joined) Records(ctx context.Context) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		for _, src := range j {
			for raw, err := range src.Records(ctx) {
				if root, ok := errors.AsType[*rootError](err); ok {
					err = &audit.SkippedError{What: root.root, Err: root.err}
				}
				if !yield(raw, err) {
					return
				}
			}
		}
	}
}
