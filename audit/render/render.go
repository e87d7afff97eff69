// Package render turns an audit report into what people and programs read: a
// table for the terminal, JSON, CSV, Markdown, and a page that is one file.
//
// The texts of a trail come from whoever made the calls: a user agent may hold
// anything. Control characters never reach the terminal, and the page escapes
// all of them.
package render

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/rekey-go/rekey/audit"
)

// JSON writes the report as indented JSON and a newline.
func JSON(w io.Writer, r *audit.Report) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(r); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}
