package cloudtrail

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rekey-go/rekey/internal/local/wire"
)

// maxResults is the largest page, and the default one.
const maxResults = 50

// Wire returns the service as the front door sees it.
func (s *Service) Wire() wire.Service {
	return wire.Service{
		Name:        "cloudtrail",
		EventSource: "cloudtrail.amazonaws.com",
		Protocol:    wire.JSON11,
		Targets:     []string{"CloudTrail_20131101", "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101"},
		Operations: map[string]wire.Operation{
			"LookupEvents":   wire.Op(wire.Read, s.lookupEvents),
			"ListPublicKeys": wire.Op(wire.Read, s.listPublicKeys),
			"DescribeTrails": wire.Op(wire.Read, s.describeTrails),
			"CreateTrail":    wire.Op(wire.Write, s.createTrail),
			"DeleteTrail":    wire.Op(wire.Write, s.deleteTrail),
			"StartLogging":   wire.Op(wire.Write, s.startLogging),
			"StopLogging":    wire.Op(wire.Write, s.stopLogging),
			"GetTrailStatus": wire.Op(wire.Read, s.getTrailStatus),
		},
	}
}

type attribute struct {
	AttributeKey   string
	AttributeValue string
}

type lookupInput struct {
	LookupAttributes []attribute
	StartTime        wire.Timestamp
	EndTime          wire.Timestamp
	EventCategory    string
	MaxResults       *int
	NextToken        string
}

type lookupOutput struct {
	Events    []event
	NextToken string `json:",omitempty"`
}

type event struct {
	EventID         string `json:"EventId"`
	EventName       string
	ReadOnly        string
	AccessKeyID     string `json:"AccessKeyId,omitempty"`
	EventTime       wire.Timestamp
	EventSource     string
	Username        string `json:",omitempty"`
	Resources       []eventResource
	CloudTrailEvent string
}

type eventResource struct {
	ResourceType string `json:",omitempty"`
	ResourceName string
}

// lookupEvents finds events, newest first.
func (s *Service) lookupEvents(_ context.Context, _ *wire.Call, in *lookupInput) (*lookupOutput, error) {
	q, err := s.query(in)
	if err != nil {
		return nil, err
	}
	out := &lookupOutput{Events: []event{}}
	if in.EventCategory != "" {
		return out, nil // insights, of which the engine has none
	}
	s.settle(item{})
	found, more, err := s.find(q)
	if err != nil {
		return nil, err
	}
	for _, f := range found {
		out.Events = append(out.Events, f.event())
	}
	if more {
		out.NextToken = q.token(found[len(found)-1].number)
	}
	// Records are numbered as their calls end, and told of by when they began.
	slices.SortStableFunc(out.Events, func(a, b event) int {
		return time.Time(b.EventTime).Compare(time.Time(a.EventTime))
	})
	return out, nil
}

// A query is a checked lookup.
type query struct {
	attribute  attribute
	start, end time.Time
	max        int
	before     uint64 // only records with a smaller number, if not zero
	digest     string // of the parameters, which a token is bound to
}

func (s *Service) query(in *lookupInput) (*query, error) {
	now := s.opts.Clock.Now()
	q := &query{start: time.Time(in.StartTime), end: time.Time(in.EndTime), max: maxResults, digest: in.digest()}
	switch {
	case len(in.LookupAttributes) > 1:
		return nil, wire.Errorf("InvalidLookupAttributesException", "You can only use one lookup attribute in a request.")
	case in.MaxResults != nil && (*in.MaxResults < 1 || *in.MaxResults > maxResults):
		return nil, wire.Errorf("InvalidMaxResultsException", "A value of %d is not valid for MaxResults. Specify a number between 1 and %d.", *in.MaxResults, maxResults)
	case in.EventCategory != "" && in.EventCategory != "insight":
		return nil, wire.Errorf("InvalidEventCategoryException", "The event category %s is not valid. Specify insight.", in.EventCategory)
	case !q.start.IsZero() && !q.end.IsZero() && q.end.Before(q.start):
		return nil, wire.Errorf("InvalidTimeRangeException", "The start time must be before the end time.")
	}
	for _, a := range in.LookupAttributes {
		if !slices.Contains(attributeKeys(), a.AttributeKey) || a.AttributeValue == "" {
			return nil, wire.Errorf("InvalidLookupAttributesException", "The lookup attribute %s is not valid.", strconv.Quote(a.AttributeKey))
		}
		q.attribute = a
	}
	if in.MaxResults != nil {
		q.max = *in.MaxResults
	}
	if oldest := now.Add(-retention); q.start.Before(oldest) {
		q.start = oldest
	}
	q.start = q.start.Truncate(time.Second)
	if visible := now.Add(-s.opts.Delay); s.opts.Delay > 0 && (q.end.IsZero() || q.end.After(visible)) {
		q.end = visible
	}
	if in.NextToken == "" {
		return q, nil
	}
	var ok bool
	if q.before, ok = q.parseToken(in.NextToken); !ok {
		return nil, wire.Errorf("InvalidNextTokenException", "The token is not valid, or was made for a request with other parameters.")
	}
	return q, nil
}

func attributeKeys() []string {
	return []string{"EventId", "EventName", "ReadOnly", "Username", "ResourceType", "ResourceName", "EventSource", "AccessKeyId"}
}

// digest sums up the parameters but for the size of the page.
func (in *lookupInput) digest() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %d %d %q", in.LookupAttributes,
		time.Time(in.StartTime).UnixMilli(), time.Time(in.EndTime).UnixMilli(), in.EventCategory))
	return hex.EncodeToString(sum[:8])
}

// token names the place after which the next page starts.
func (q *query) token(number uint64) string {
	return base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%s/%d", q.digest, number))
}

func (q *query) parseToken(token string) (before uint64, ok bool) {
	text, err := base64.StdEncoding.DecodeString(token)
	if err != nil {
		return 0, false
	}
	digest, number, _ := strings.Cut(string(text), "/")
	before, err = strconv.ParseUint(number, 10, 64)
	return before, err == nil && digest == q.digest
}

// matches reports whether a query asks for an entry.
func (q *query) matches(e *entry) bool {
	if e.at.Before(q.start) || !q.end.IsZero() && e.at.After(q.end) {
		return false
	}
	v := q.attribute.AttributeValue
	switch q.attribute.AttributeKey {
	case "EventId":
		return e.id == v
	case "EventName":
		return e.name == v
	case "ReadOnly":
		return strconv.FormatBool(e.readOnly) == v
	case "Username":
		return e.user == v
	case "EventSource":
		return e.source == v
	case "AccessKeyId":
		return e.key == v
	case "ResourceType":
		return slices.ContainsFunc(e.about, func(r resource) bool { return r.Type == v })
	case "ResourceName":
		return slices.ContainsFunc(e.about, func(r resource) bool { return r.ARN == v })
	}
	return true
}

// A match is an entry that was found, with its text.
type match struct {
	entry
	number uint64
}

// find returns a page of entries, the latest record first, and whether there
// are more.
func (s *Service) find(q *query) (found []match, more bool, err error) {
	s.mu.Lock()
	segments := slices.Clone(s.ring.sealed)
	open := s.ring.open
	s.mu.Unlock()
	segments = append(segments, &open)
	for _, seg := range slices.Backward(segments) {
		room := q.max - len(found)
		in := seg.matches(q, room+1)
		if more = len(in) > room; more {
			in = in[:room]
		}
		if err := s.addTexts(seg, in); err != nil {
			return nil, false, err
		}
		if found = append(found, in...); more {
			break
		}
	}
	return found, more, nil
}

// matches returns the entries that a query asks for, the latest first, and no more
// than so many. Those of a sealed segment have no text.
func (seg *segment) matches(q *query, most int) []match {
	if seg.newest.Before(q.start) || q.before > 0 && seg.first >= q.before {
		return nil
	}
	var found []match
	for i, e := range slices.Backward(seg.entries) {
		if len(found) == most {
			break
		}
		number := seg.first + uint64(i) + 1 //nolint:gosec // never negative.
		if (q.before == 0 || number < q.before) && q.matches(&e) {
			found = append(found, match{entry: e, number: number})
		}
	}
	return found
}

// addTexts gives the entries of a sealed segment their texts.
func (s *Service) addTexts(seg *segment, found []match) error {
	if seg.packed == nil || len(found) == 0 {
		return nil
	}
	texts, err := s.textsOf(seg)
	if err != nil {
		return err
	}
	for i := range found {
		found[i].raw = texts[found[i].number-seg.first-1]
	}
	return nil
}

// textsOf unpacks a segment, unless it is the one that was unpacked last: who
// turns the pages needs the same one many times.
func (s *Service) textsOf(seg *segment) ([]json.RawMessage, error) {
	s.mu.Lock()
	last := s.last
	s.mu.Unlock()
	if last.of == seg {
		return last.texts, nil
	}
	texts, err := seg.unpack()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.last = unpacked{of: seg, texts: texts}
	s.mu.Unlock()
	return texts, nil
}

func (m *match) event() event {
	e := event{
		EventID:         m.id,
		EventName:       m.name,
		ReadOnly:        strconv.FormatBool(m.readOnly),
		AccessKeyID:     m.key,
		EventTime:       wire.Timestamp(m.at),
		EventSource:     m.source,
		Username:        m.user,
		Resources:       []eventResource{},
		CloudTrailEvent: string(m.raw),
	}
	for _, r := range m.about {
		e.Resources = append(e.Resources, eventResource{ResourceType: r.Type, ResourceName: r.ARN})
	}
	return e
}
