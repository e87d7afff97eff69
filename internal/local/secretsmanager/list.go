package secretsmanager

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/rekey-go/rekey/internal/local/wire"
)

const (
	maxFilters     = 10 // and values of one
	maxFilterValue = 512
)

type filter struct {
	Key    string
	Values []string
}

type listInput struct {
	Filters                []filter
	IncludePlannedDeletion bool
	MaxResults             *int
	NextToken              string
	SortBy, SortOrder      string
}

func (in *listInput) check(c *constraints) {
	c.filters(in.Filters)
	c.number("maxResults", in.MaxResults, maxPage)
	c.text("nextToken", in.NextToken, 1, maxNextToken)
	c.oneOf("sortBy", in.SortBy, "created-date", "last-accessed-date", "last-changed-date", "name")
	c.oneOf("sortOrder", in.SortOrder, "asc", "desc")
}

// filters checks what a listing is filtered by. That a key or the values are
// missing is for the operation to say.
func (c *constraints) filters(filters []filter) {
	if len(filters) > maxFilters {
		c.count("filters", len(filters), 0, maxFilters)
	}
	for i, f := range filters {
		at := "filters." + strconv.Itoa(i+1) + ".member."
		c.oneOf(at+"key", f.Key, "all", "name", "tag-key", "description", "tag-value", "primary-region", "owning-service")
		if f.Values != nil {
			c.count(at+"values", len(f.Values), 1, maxFilters)
		}
		for j, val := range f.Values {
			c.given(at+"values."+strconv.Itoa(j+1)+".member", val, 0, maxFilterValue)
			c.pattern(at+"values."+strconv.Itoa(j+1)+".member", val, `^\!?[a-zA-Z0-9 :_@\/\+\=\.\-\!]*$`)
		}
	}
}

type listOutput struct {
	SecretList []listEntry
	NextToken  string `json:",omitempty"`
}

type listEntry struct {
	description
	SecretVersionsToStages map[string][]string `json:",omitempty"`
}

func (s *Service) listSecrets(_ context.Context, _ *wire.Call, in *listInput) (*listOutput, error) {
	if err := checkFilters(in.Filters); err != nil {
		return nil, err
	}
	order := listing[candidate]{
		by:         cmp.Or(in.SortBy, "created-date"),
		descending: in.SortOrder == "desc",
		place:      func(c candidate) place { return c.place(in.SortBy) },
	}
	found, next, err := order.page(s.matching(in.Filters, in.IncludePlannedDeletion), in.MaxResults, maxPage, in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &listOutput{SecretList: make([]listEntry, len(found)), NextToken: next}
	for i, f := range found {
		out.SecretList[i] = listEntry{description: s.describe(f.entry, f.state), SecretVersionsToStages: f.state.versions.stages()}
	}
	return out, nil
}

// A candidate is a secret that a listing may show.
type candidate struct {
	entry *entry
	state *secret
}

// place is where the candidate stands in a listing that is sorted so.
func (c candidate) place(by string) place {
	at := c.state.Created
	switch by {
	case "name":
		at = time.Time{}
	case "last-changed-date":
		at = c.state.Changed
	case "last-accessed-date":
		at = c.entry.access.latest()
	}
	return place{At: at, Name: c.entry.name}
}

// matching returns the secrets that all filters let through.
func (s *Service) matching(filters []filter, deleted bool) []candidate {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var found []candidate
	for _, e := range s.byName {
		st := e.state.Load()
		if st.deleted() && !deleted {
			continue
		}
		if !slices.ContainsFunc(filters, func(f filter) bool { return !f.matches(st) }) {
			found = append(found, candidate{e, st})
		}
	}
	return found
}

func checkFilters(filters []filter) error {
	for _, f := range filters {
		switch {
		case f.Key == "":
			return invalidParameter("Invalid filter key")
		case len(f.Values) == 0:
			return invalidParameter("Invalid filter values for key: %s", f.Key)
		}
	}
	return nil
}

// matches reports whether one of the filter's values is the beginning of what
// it looks at. A value after ! lets through what does not begin so.
func (f filter) matches(st *secret) bool {
	return slices.ContainsFunc(f.Values, func(val string) bool {
		val, not := strings.CutPrefix(val, "!")
		return f.begins(st, val) != not
	})
}

func (f filter) begins(st *secret, val string) bool {
	inTags := func(part func(tag) string) bool {
		return slices.ContainsFunc(st.Tags, func(t tag) bool { return strings.HasPrefix(part(t), val) })
	}
	switch f.Key {
	case "name":
		return strings.HasPrefix(st.Name, val)
	case "description":
		return mention(val, st.Description)
	case "tag-key":
		return inTags(func(t tag) string { return t.Key })
	case "tag-value":
		return inTags(func(t tag) string { return t.Value })
	case "primary-region", "owning-service":
		return false // only replicas and secrets that a service of AWS's owns have them
	default:
		known := []string{st.Name, st.Description}
		for _, t := range st.Tags {
			known = append(known, t.Key, t.Value)
		}
		return mention(val, known...)
	}
}

// mention reports whether each word of a filter's value begins a word of what
// is known of a secret, in whatever case. Recorded: "a secret" finds "an
// secret", and not "asecret".
func mention(val string, known ...string) bool {
	var there []string
	for _, text := range known {
		there = append(append(there, lower(text)), words(text)...)
	}
	wanted := words(val)
	return len(wanted) > 0 && !slices.ContainsFunc(wanted, func(word string) bool {
		return !slices.ContainsFunc(there, func(t string) bool { return strings.HasPrefix(t, word) })
	})
}

// words breaks a text at what is neither letter nor digit, and before a
// capital that follows a small letter: "prodDb/users" has three. They are in
// small letters.
func words(text string) []string {
	var b strings.Builder
	small := false
	for _, r := range text {
		if small && unicode.IsUpper(r) {
			b.WriteByte(' ')
		}
		small = unicode.IsLower(r)
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			r = ' '
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return strings.Fields(b.String())
}
