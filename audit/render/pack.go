package render

import (
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rekey-go/rekey/audit"
)

// A packing is a whole report as numbers, in the form that the page's script
// reads: a table of columns for each list of the report. A text, and a list of
// texts, stands once, and rows have its number. A member that is added to the
// report is in it without a change here.
type packing struct {
	// base is what times count from, in milliseconds since 1970.
	base int64
	// texts are all texts; the first is empty. lists are their numbers.
	texts []string
	lists [][]int
	// tables begin with the report itself, which has one row. The others are
	// named by the path of their members: secrets.accesses.versions.
	tables []*packedTable

	byText map[string]int
	byList map[string]int
	byName map[string]*packedTable
	plans  map[reflect.Type][]member
}

// A packedTable is a list of the report. The rows of a list within a list stand
// one after the other, and the outer row's column has how many are its own.
type packedTable struct {
	name    string
	rows    int
	columns []*packedColumn

	next int // the column to be filled
}

// A packedColumn has a value for each row; zeros at its end are left out.
type packedColumn struct {
	name   string
	kind   string
	values []float64
}

// The kinds of columns, by what a value is.
const (
	packedNumber = "number"
	packedFlag   = "flag"  // 0 or 1
	packedTime   = "time"  // seconds since the base, or 0 for none
	packedText   = "text"  // the number of a text
	packedTexts  = "texts" // the number of a list
	packedJSON   = "json"  // the number of a list whose texts had a quotation mark between them
	packedRows   = "rows"  // how many rows of the table of that name
)

// reportTable is the name of the table that is the report.
const reportTable = "report"

// A member is one of a struct that is packed.
type member struct {
	index int
	name  string
}

// pack packs a report.
func pack(r *audit.Report) *packing {
	p := &packing{
		texts: []string{""}, byText: map[string]int{"": 0},
		lists: [][]int{{}}, byList: map[string]int{"": 0},
		byName: make(map[string]*packedTable), plans: make(map[reflect.Type][]member),
	}
	p.row(reportTable, reflect.ValueOf(r).Elem())
	p.rebase()
	return p
}

// A packedPart is what one element of the page holds. A browser takes longer
// for one large text than for its parts.
type packedPart struct {
	Base  int64    `json:"base,omitempty"`
	Texts []string `json:"texts,omitempty"`
	Lists [][]int  `json:"lists,omitempty"`
	// Table names the table that a column belongs to, and Rows is how many it has.
	Table  string    `json:"table,omitempty"`
	Rows   int       `json:"rows,omitempty"`
	Column string    `json:"column,omitempty"`
	Kind   string    `json:"kind,omitempty"`
	Values []float64 `json:"values,omitempty"`
}

// partSize is how many texts or lists a part has.
const partSize = 4096

// parts are all parts.
func (p *packing) parts(yield func(packedPart) bool) {
	if !yield(packedPart{Base: p.base}) {
		return
	}
	for texts := range slices.Chunk(p.texts, partSize) {
		if !yield(packedPart{Texts: texts}) {
			return
		}
	}
	for lists := range slices.Chunk(p.lists, partSize) {
		if !yield(packedPart{Lists: lists}) {
			return
		}
	}
	for _, t := range p.tables {
		for _, c := range t.columns {
			if !yield(packedPart{Table: t.name, Rows: t.rows, Column: c.name, Kind: c.kind, Values: c.values}) {
				return
			}
		}
	}
}

// write writes the parts as elements of the page with JSON, in which no text can
// end the element that it stands in: what HTML reads as markup is escaped.
func (p *packing) write(w io.Writer) error {
	for part := range p.parts {
		text, err := json.Marshal(part)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "<script type=\"application/json\" class=\"report\">%s</script>\n", text); err != nil {
			return err
		}
	}
	return nil
}

// row adds a row to a table, and to the tables of the lists within it.
func (p *packing) row(name string, v reflect.Value) {
	t, ok := p.byName[name]
	if !ok {
		t = &packedTable{name: name}
		p.byName[name] = t
		p.tables = append(p.tables, t)
	}
	t.next = 0
	p.cells(t, "", v)
	t.rows++
}

// cells fills a row with a struct's members. Those of a struct within it come
// after its name and a point.
func (p *packing) cells(t *packedTable, prefix string, v reflect.Value) {
	for _, m := range p.plan(v.Type()) {
		f, name := v.Field(m.index), prefix+m.name
		inner := structOf(f.Type())
		switch {
		case inner == nil:
			kind, n := p.cell(t, name, f)
			t.put(name, kind, n)
		case f.Kind() != reflect.Pointer:
			p.cells(t, name+".", f)
		case f.IsNil():
			t.put(name, packedFlag, 0)
			p.cells(t, name+".", reflect.Zero(inner))
		default:
			t.put(name, packedFlag, 1)
			p.cells(t, name+".", f.Elem())
		}
	}
}

// plan lists the members of a struct that are packed.
func (p *packing) plan(of reflect.Type) []member {
	if plan, ok := p.plans[of]; ok {
		return plan
	}
	var plan []member
	for i := range of.NumField() {
		f := of.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.IsExported() && name != "-" {
			plan = append(plan, member{i, name})
		}
	}
	p.plans[of] = plan
	return plan
}

// put fills the next column of the row that is being made.
func (t *packedTable) put(name, kind string, n float64) {
	if t.next == len(t.columns) {
		t.columns = append(t.columns, &packedColumn{name: name, kind: kind})
	}
	c := t.columns[t.next]
	t.next++
	if n == 0 {
		return
	}
	for len(c.values) < t.rows {
		c.values = append(c.values, 0)
	}
	c.values = append(c.values, n)
}

// cell is a member's value as a number.
func (p *packing) cell(t *packedTable, name string, v reflect.Value) (kind string, n float64) {
	switch v.Kind() {
	case reflect.String:
		return packedText, float64(p.text(v.String()))
	case reflect.Int:
		return packedNumber, float64(v.Int())
	case reflect.Bool:
		if v.Bool() {
			n = 1
		}
		return packedFlag, n
	case reflect.Map:
		return packedTexts, float64(p.list(pairs(v)))
	case reflect.Struct:
		if at, _ := reflect.TypeAssert[time.Time](v); !at.IsZero() { // structOf took all others
			n = float64(at.UnixMilli())
		}
		return packedTime, n
	case reflect.Slice:
		switch list := v.Interface().(type) {
		case json.RawMessage:
			return packedJSON, float64(p.list(strings.Split(string(list), `"`)))
		case []string:
			return packedTexts, float64(p.list(list))
		}
		path := name
		if t.name != reportTable {
			path = t.name + "." + name
		}
		for i := range v.Len() {
			p.row(path, v.Index(i))
		}
		return packedRows, float64(v.Len())
	}
	panic(fmt.Sprintf("a report's member %s is a %v, which cannot be packed", name, v.Type()))
}

// text is the number of a text. Two texts that differ have two, though they may
// look the same when they are cleaned.
func (p *packing) text(text string) int {
	n, ok := p.byText[text]
	if !ok {
		n = len(p.texts)
		p.byText[text] = n
		p.texts = append(p.texts, clean(text))
	}
	return n
}

// list is the number of a list of texts; 0 for one that has none.
func (p *packing) list(texts []string) int {
	if len(texts) == 0 || len(texts) == 1 && texts[0] == "" {
		return 0
	}
	numbers := make([]int, len(texts))
	var key []byte
	for i, text := range texts {
		numbers[i] = p.text(text)
		key = append(strconv.AppendInt(key, int64(numbers[i]), 10), ' ')
	}
	n, ok := p.byList[string(key)]
	if !ok {
		n = len(p.lists)
		p.byList[string(key)] = n
		p.lists = append(p.lists, numbers)
	}
	return n
}

// rebase makes times count from a second before the earliest, which keeps them
// short.
func (p *packing) rebase() {
	earliest := 0.0
	for at := range p.times() {
		if earliest == 0 || *at < earliest {
			earliest = *at
		}
	}
	p.base = int64(earliest)/1000*1000 - 1000
	for at := range p.times() {
		*at = (*at - float64(p.base)) / 1000
	}
}

// times are all times but those of nothing.
func (p *packing) times() func(yield func(*float64) bool) {
	return func(yield func(*float64) bool) {
		for _, t := range p.tables {
			for _, c := range t.columns {
				if c.kind != packedTime {
					continue
				}
				for i := range c.values {
					if c.values[i] != 0 && !yield(&c.values[i]) {
						return
					}
				}
			}
		}
	}
}
