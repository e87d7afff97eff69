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

// page sorts all members, and returns those of one page with the token for the
// next.
func (l listing[T]) page(all []T, size *int, most int, token string) (part []T, next string, err error) {
	slices.SortFunc(all, func(a, b T) int { return l.order(l.place(a), l.place(b)) })
	if token != "" {
		last, ok := l.parse(token)
		if !ok {
			return nil, "", wire.Errorf("InvalidNextTokenException", "The NextToken value is invalid.")
		}
		all = slices.DeleteFunc(all, func(t T) bool { return l.order(l.place(t), last) <= 0 })
	}
	n := most
	if size != nil {
		n = *size
	}
	if n < len(all) {
		all = all[:n]
		next = l.token(l.place(all[n-1]))
	}
	return append([]T{}, all...), next, nil // an empty list on the wire, not null
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
