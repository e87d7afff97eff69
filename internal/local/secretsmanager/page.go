package secretsmanager

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/rekey-go/rekey/internal/local/wire"
)

// A listing is a list that is told page by page.
type listing[T any] struct {
	by         string // what it is sorted by
	descending bool
	// place is where a member stands in the listing; no two have the same.
	place func(T) place
}

// A place is where a member of a listing stands.
type place struct {
	At   time.Time
	Name string
}

func (p place) compare(q place) int {
	return cmp.Or(p.At.Compare(q.At), strings.Compare(p.Name, q.Name))
}

// A bookmark is what a NextToken holds: the place of the last member that was
// told. Members that come or go meanwhile do not move it.
type bookmark struct {
	By string
	place
}

// page returns the members of one page, in order, with the token for the next. It
// sorts no more than these: a listing of thousands is told in dozens of pages.
func (l listing[T]) page(all []T, size *int, most int, token string) (part []T, next string, err error) {
	var told place
	if token != "" {
		var ok bool
		if told, ok = l.parse(token); !ok {
			return nil, "", wire.Errorf("InvalidNextTokenException", "The NextToken value is invalid.")
		}
	}
	n := most
	if size != nil {
		n = *size
	}
	type member struct {
		place
		of T
	}
	var first []member // of those that are left to tell, and one more
	for _, t := range all {
		p := l.place(t)
		if token != "" && l.order(p, told) <= 0 || len(first) > n && l.order(p, first[n].place) > 0 {
			continue
		}
		at, _ := slices.BinarySearchFunc(first, p, func(m member, p place) int { return l.order(m.place, p) })
		first = slices.Insert(first, at, member{p, t})
		first = first[:min(len(first), n+1)]
	}
	if len(first) > n {
		first = first[:n]
		next = l.token(first[n-1].place)
	}
	part = make([]T, len(first)) // an empty list on the wire, not null
	for i, m := range first {
		part[i] = m.of
	}
	return part, next, nil
}

func (l listing[T]) order(p, q place) int {
	if l.descending {
		return q.compare(p)
	}
	return p.compare(q)
}

func (l listing[T]) token(last place) string {
	text, _ := json.Marshal(bookmark{By: l.by, place: last}) // it always encodes
	return base64.URLEncoding.EncodeToString(text)
}

// parse reads a token of a listing that is sorted by the same.
func (l listing[T]) parse(token string) (last place, ok bool) {
	var b bookmark
	text, err := base64.URLEncoding.DecodeString(token)
	if err == nil {
		err = json.Unmarshal(text, &b)
	}
	return b.place, err == nil && b.By == l.by
}
