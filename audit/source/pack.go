package source

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/klauspost/compress/gzip"

	"github.com/rekey-go/rekey/audit"
)

// Pack writes the records of a source as a log file that [Files] and [Objects]
// read: one after the other, packed with gzip. It leaves out those that no audit
// needs, such as the records of what KMS did for other services, and returns how
// many it wrote. An error of the source ends it.
func Pack(ctx context.Context, w io.Writer, src audit.Source) (records int, err error) {
	zip := gzip.NewWriter(w)
	for raw, err := range src.Records(ctx) {
		if err != nil {
			return records, err
		}
		if !isWanted(raw) {
			continue
		}
		if _, err := zip.Write(append(slices.Clip(raw), '\n')); err != nil {
			return records, fmt.Errorf("packing records: %w", err)
		}
		records++
	}
	if err := zip.Close(); err != nil {
		return records, fmt.Errorf("packing records: %w", err)
	}
	return records, nil
}

// isWanted reports whether a record has one of the texts that are looked for.
func isWanted(raw []byte) bool {
	return indexService(raw, 0).at >= 0 || indexKeyChange(raw, 0).at >= 0 || indexEscape(raw, 0).at >= 0
}
