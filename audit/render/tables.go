package render

import (
	"encoding/json"
	"fmt"
	"iter"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rekey-go/rekey/audit"
)

// A table is one list of a report as rows of texts, for CSV and Markdown. Its
// columns have the names that the report's JSON form has, so that they are as
// stable: columns are added at the end of what they belong to, and none is
// renamed.
type table struct {
	name    string
	columns []string
	rows    iter.Seq[[]string]
}

// tables are all lists of a report, what needs attention first.
func tables(r *audit.Report) []table {
	secret := []string{"secret", "secretArn"}
	reader := append(slices.Clone(secret), "principal")
	version := append(slices.Clone(secret), "versionId")
	return []table{
		newTable("findings", nil, plain(r.Findings)),
		newTable("laggards", secret, each(r, func(s *audit.Secret) []audit.Laggard { return s.Laggards })),
		newTable("secrets", nil, plain(r.Secrets)),
		newTable("principals", nil, plain(r.Principals)),
		newTable("accesses", secret, each(r, func(s *audit.Secret) []audit.Access { return s.Accesses })),
		newTable("reads", reader, eachAccess(r, func(a *audit.Access) []audit.VersionReads { return a.Versions })),
		newTable("versions", secret, each(r, func(s *audit.Secret) []audit.Version { return s.Versions })),
		newTable("adoption", version, eachVersion(r)),
		newTable("rotations", secret, each(r, func(s *audit.Secret) []audit.Rotation { return s.Rotations })),
		newTable("deletions", secret, each(r, func(s *audit.Secret) []audit.Deletion { return s.Deletions })),
		newTable("leases", secret, each(r, func(s *audit.Secret) []audit.Lease { return s.Leases })),
		newTable("controls", secret, each(r, func(s *audit.Secret) []audit.Control { return s.Controls })),
		newTable("denied", nil, plain(r.Denied)),
		newTable("changes", nil, plain(r.Changes)),
		newTable("firstSeen", nil, plain(r.FirstSeen)),
		newTable("timeline", secret, each(r, func(s *audit.Secret) []audit.ReadCount { return s.Timeline })),
		newTable("accessTimeline", reader, eachAccess(r, func(a *audit.Access) []audit.ReadCount { return a.Timeline })),
		newTable("coverage", nil, plain([]audit.Coverage{r.Coverage})),
		newTable("skipped", nil, plain(r.Coverage.Skipped)),
	}
}

// newTable is the table of rows that each come with the cells of the columns
// that lead it.
func newTable[T any](name string, leading []string, rows iter.Seq2[[]string, *T]) table {
	return table{
		name:    name,
		columns: columns(slices.Clone(leading), "", reflect.TypeFor[T]()),
		rows: func(yield func([]string) bool) {
			for lead, row := range rows {
				if !yield(cells(slices.Clone(lead), reflect.ValueOf(row).Elem())) {
					return
				}
			}
		},
	}
}

// plain are rows that nothing leads.
func plain[T any](list []T) iter.Seq2[[]string, *T] {
	return func(yield func([]string, *T) bool) {
		for i := range list {
			if !yield(nil, &list[i]) {
				return
			}
		}
	}
}

// each are the rows of all secrets.
func each[T any](r *audit.Report, list func(*audit.Secret) []T) iter.Seq2[[]string, *T] {
	return func(yield func([]string, *T) bool) {
		for i := range r.Secrets {
			s := &r.Secrets[i]
			lead := []string{s.Name, s.ARN}
			for _, row := range plain(list(s)) {
				if !yield(lead, row) {
					return
				}
			}
		}
	}
}

// eachAccess are the rows of all accesses.
func eachAccess[T any](r *audit.Report, list func(*audit.Access) []T) iter.Seq2[[]string, *T] {
	return func(yield func([]string, *T) bool) {
		for lead, a := range each(r, func(s *audit.Secret) []audit.Access { return s.Accesses }) {
			lead = append(slices.Clone(lead), a.Principal)
			for _, row := range plain(list(a)) {
				if !yield(lead, row) {
					return
				}
			}
		}
	}
}

// eachVersion are the adoptions of all versions.
func eachVersion(r *audit.Report) iter.Seq2[[]string, *audit.Adoption] {
	return func(yield func([]string, *audit.Adoption) bool) {
		for lead, v := range each(r, func(s *audit.Secret) []audit.Version { return s.Versions }) {
			lead = append(slices.Clone(lead), v.VersionID)
			for _, row := range plain(v.Adoption) {
				if !yield(lead, row) {
					return
				}
			}
		}
	}
}

// columns appends the names of a struct's members that fit a cell. Structs
// within it give theirs, after their own name and a point; lists of structs have
// a table of their own.
func columns(out []string, prefix string, of reflect.Type) []string {
	for f := range members(of) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if inner := structOf(f.Type); inner != nil {
			out = columns(out, prefix+name+".", inner)
			continue
		}
		out = append(out, prefix+name)
	}
	return out
}

// cells appends the texts of the columns.
func cells(out []string, of reflect.Value) []string {
	for f := range members(of.Type()) {
		v := of.FieldByIndex(f.Index)
		inner := structOf(f.Type)
		switch {
		case inner == nil:
			out = append(out, cell(v))
		case v.Kind() != reflect.Pointer:
			out = cells(out, v)
		case v.IsNil():
			out = append(out, make([]string, len(columns(nil, "", inner)))...)
		default:
			out = cells(out, v.Elem())
		}
	}
	return out
}

// members are those of a struct that a row shows.
func members(of reflect.Type) iter.Seq[reflect.StructField] {
	return func(yield func(reflect.StructField) bool) {
		for f := range of.Fields() {
			list := f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct
			if list || f.Tag.Get("json") == "-" || !f.IsExported() {
				continue
			}
			if !yield(f) {
				return
			}
		}
	}
}

// structOf is the struct that a type is or points to, unless it is a time.
func structOf(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || t == reflect.TypeFor[time.Time]() {
		return nil
	}
	return t
}

// cell is one value as text: a time in RFC 3339, a list with semicolons, nothing
// for a zero time.
func cell(v reflect.Value) string {
	switch value := v.Interface().(type) {
	case time.Time:
		if value.IsZero() {
			return ""
		}
		return value.UTC().Format(time.RFC3339)
	case string:
		return value
	case int:
		return strconv.Itoa(value)
	case json.RawMessage:
		return string(value)
	case []string:
		return strings.Join(value, "; ")
	default:
		if v.Kind() == reflect.Map {
			return strings.Join(pairs(v), "; ")
		}
		return fmt.Sprint(value)
	}
}

// pairs are a map's keys and values, by key.
func pairs(of reflect.Value) []string {
	var parts []string
	for key, value := range of.Seq2() {
		parts = append(parts, key.String()+"="+cell(value))
	}
	slices.Sort(parts)
	return parts
}
