package dynamodb

import (
	"encoding/binary"
	"maps"
	"slices"
	"strings"
	"time"
)

// tableRecord is what the store keeps of a table.
type tableRecord struct {
	Name    string
	ID      string
	Hash    keyAttribute
	Range   keyAttribute // with an empty name where there is none
	Created time.Time
	settings
	// TTL is the attribute that holds an item's time to live, in seconds
	// since 1970. Empty turns expiry off.
	TTL       string
	Protected bool
	Tags      map[string]string
}

// A keyAttribute is a part of the primary key.
type keyAttribute struct {
	Name string
	Type string // S, N or B
}

// A table is a table in force.
type table struct {
	tableRecord
	items map[string]item // :: key text -> item
	keys  []string        // the keys of items, sorted
}

func newTable(record tableRecord) *table {
	return &table{tableRecord: record, items: make(map[string]item)}
}

// An itemKey is an item's primary key.
type itemKey struct {
	// text sorts by hash key and then by range key, which it ends with.
	text string
	// partition is the front of text that all items of a hash key share.
	partition string
}

// put replaces an item, or removes it where i is nil.
func (t *table) put(key itemKey, i item) {
	at, found := slices.BinarySearch(t.keys, key.text)
	switch {
	case i == nil && found:
		t.keys = slices.Delete(t.keys, at, at+1)
		delete(t.items, key.text)
	case i != nil:
		if !found {
			t.keys = slices.Insert(t.keys, at, key.text)
		}
		t.items[key.text] = i
	}
}

// keyOf returns the primary key that an item has.
func (t *table) keyOf(i item) (itemKey, error) {
	hash, err := t.keyPart(i, t.Hash)
	if err != nil {
		return itemKey{}, err
	}
	key := itemKey{partition: partition(hash)}
	key.text = key.partition
	if t.Range.Name == "" {
		return key, nil
	}
	ranged, err := t.keyPart(i, t.Range)
	key.text += ranged
	return key, err
}

// partition is a hash key made into a front of which none is a part of
// another.
func partition(hash string) string {
	return string(binary.BigEndian.AppendUint16(nil, uint16(len(hash)))) + hash //nolint:gosec // it is at most maxHash.
}

const (
	maxHash  = 2048
	maxRange = 1024
)

// keyPart returns the sorting text of a key attribute.
func (t *table) keyPart(i item, a keyAttribute) (string, error) {
	v, ok := i[a.Name]
	switch {
	case !ok:
		return "", validationf("One or more parameter values were invalid: Missing the key %s in the item", a.Name)
	case v.kind != a.Type:
		return "", validationf("One or more parameter values were invalid: Type mismatch for key %s expected: %s actual: %s", a.Name, a.Type, v.kind)
	}
	text, _ := v.order()
	switch {
	case text == "":
		return "", validationf("One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty %s value. Key: %s", setName(a.Type), a.Name)
	case a == t.Hash && len(text) > maxHash:
		return "", validationf("One or more parameter values were invalid: Size of hashkey has exceeded the maximum size limit of%d bytes", maxHash)
	case a == t.Range && len(text) > maxRange:
		return "", validationf("One or more parameter values were invalid: Aggregated size of all range keys has exceeded the size limit of %d bytes", maxRange)
	}
	return text, nil
}

// exactKey returns the key of an item that has the key's attributes only.
func (t *table) exactKey(i item) (itemKey, error) {
	if err := i.check(); err != nil {
		return itemKey{}, err
	}
	want := 1
	if t.Range.Name != "" {
		want = 2
	}
	for name := range i {
		if !t.isKey(name) {
			return itemKey{}, errKeySchema()
		}
	}
	if len(i) != want || i[t.Hash.Name].kind != t.Hash.Type || want == 2 && i[t.Range.Name].kind != t.Range.Type {
		return itemKey{}, errKeySchema()
	}
	return t.keyOf(i)
}

func errKeySchema() error {
	return validationf("The provided key element does not match the schema")
}

// isKey reports whether an attribute is a part of the primary key.
func (t *table) isKey(name string) bool {
	return name != "" && (name == t.Hash.Name || name == t.Range.Name)
}

// keyItem is an item's key attributes.
func (t *table) keyItem(i item) item {
	key := maps.Clone(i)
	maps.DeleteFunc(key, func(name string, _ value) bool { return !t.isKey(name) })
	return key
}

// span returns the keys of a partition, or all where it is empty.
func (t *table) span(partition string) []string {
	if partition == "" {
		return t.keys
	}
	from, _ := slices.BinarySearch(t.keys, partition)
	to := from
	for to < len(t.keys) && strings.HasPrefix(t.keys[to], partition) {
		to++
	}
	return t.keys[from:to]
}
