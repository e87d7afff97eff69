package agent

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/rekey-go/rekey/runtime/secrets"
)

// A query is what a request asks for.
type query struct {
	id      string
	options []secrets.ReadOption
}

// parse reads a request's URL, as AWS's agent does: a parameter that it does
// not know is an error, and of one that comes twice the last counts.
func parse(u *url.URL) (query, error) {
	var q query
	id, byPath := strings.CutPrefix(u.Path, pathPrefix)
	switch {
	case !byPath:
	case id == "":
		return query{}, errors.New("missing secret ID")
	default:
		q.id = id
	}
	for pair := range strings.SplitSeq(u.RawQuery, "&") {
		if pair == "" {
			continue
		}
		if err := q.set(pair, byPath); err != nil {
			return query{}, err
		}
	}
	if q.id == "" {
		return query{}, errors.New("missing parameter secretId")
	}
	return q, nil
}

// set takes one parameter.
func (q *query) set(pair string, byPath bool) error {
	rawName, rawValue, _ := strings.Cut(pair, "=")
	name, err := url.QueryUnescape(rawName)
	if err != nil {
		return errors.New("the query is not well formed")
	}
	value, err := url.QueryUnescape(rawValue)
	if err != nil {
		return fmt.Errorf("parameter %s is not well formed", name)
	}
	switch {
	case name == "secretId" && !byPath:
		q.id = value
	case name == "versionId":
		q.options = append(q.options, secrets.Version(value))
	case name == "versionStage":
		q.options = append(q.options, secrets.Stage(value))
	case name == "refreshNow":
		return q.refresh(value)
	default:
		return fmt.Errorf("unknown parameter: %s", name)
	}
	return nil
}

// refresh takes the value of refreshNow.
func (q *query) refresh(value string) error {
	switch strings.ToLower(value) {
	case "true", "1":
		q.options = append(q.options, secrets.NoCache())
	case "false", "0":
	default:
		return errors.New("invalid refreshNow value")
	}
	return nil
}
