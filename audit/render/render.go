// Package render turns an audit report into what people and programs read: a
// table for the terminal, JSON, CSV, Markdown, and a page that is one file.
//
// The texts of a trail come from whoever made the calls: a user agent may hold
// anything. Control characters never reach the terminal, and the page escapes
// all of them.
package render

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"

	"github.com/rekey-go/rekey/audit"
)

// JSON writes the report as indented JSON and a newline. It encodes an item of
// a list at a time: a report may be larger than what it was made of.
func JSON(w io.Writer, r *audit.Report) error {
	out := bufio.NewWriter(w)
	separator := "{"
	for field, value := range reflect.ValueOf(r).Elem().Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "-" {
			continue
		}
		fmt.Fprintf(out, "%s\n  %q: ", separator, name)
		separator = ","
		if err := writeMember(out, value); err != nil {
			return fmt.Errorf("writing the report's %s: %w", name, err)
		}
	}
	_, _ = out.WriteString("\n}\n") // Flush tells of it
	if err := out.Flush(); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}

// writeMember writes the value of a member of the report, a list item by item.
func writeMember(out *bufio.Writer, v reflect.Value) error {
	if v.Kind() != reflect.Slice || v.Len() == 0 {
		return writeValue(out, "  ", v.Interface())
	}
	separator := "["
	for i := range v.Len() {
		_, _ = out.WriteString(separator + "\n    ") // Flush tells of it
		separator = ","
		if err := writeValue(out, "    ", v.Index(i).Interface()); err != nil {
			return err
		}
	}
	_, err := out.WriteString("\n  ]")
	return err
}

func writeValue(out *bufio.Writer, prefix string, v any) error {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetIndent(prefix, "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	_, err := out.Write(bytes.TrimSuffix(text.Bytes(), []byte("\n")))
	return err
}
