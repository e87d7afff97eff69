package audit

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Trace is all that one principal did with secrets: what somebody knows who
// has its credentials.
type Trace struct {
	// Principal is what was looked for.
	Principal string `json:"principal"`
	// Matches say by what the records were found to be its, most records first.
	// Empty if there is none.
	Matches []Match `json:"matches"`
	// Secrets are those that it read or tried to read, in the order of their
	// names.
	Secrets []Touched `json:"secrets"`
	// Batches counts its successful BatchGetSecretValue calls, and Unattributed
	// its calls for a value that name no secret: what they were about is not
	// known.
	Batches      int `json:"batches"`
	Unattributed int `json:"unattributed"`
	// Coverage is that of the report of its records.
	Coverage Coverage `json:"coverage"`
}

// A Match is one way in which records name the principal.
type Match struct {
	// By is "role", "assumed role", "user", "access key", "session", "account",
	// or "principal id".
	By string `json:"by"`
	// Identity is the principal that a record names, as in [Access.Principal].
	Identity string `json:"identity"`
	// Type is CloudTrail's type of it, and Account its account.
	Type    string `json:"type,omitempty"`
	Account string `json:"account,omitempty"`
	Records int    `json:"records"`
}

// Touched is a secret that a principal read or tried to read.
type Touched struct {
	Name string `json:"name"`
	// ARN is empty if the records name the secret only by its name.
	ARN    string `json:"arn,omitempty"`
	Region string `json:"region,omitempty"`
	Reads  int    `json:"reads"`
	Denied int    `json:"denied"`
	Errors int    `json:"errors"`
	// First and Last are the times of its calls for the value.
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
	// Versions are those that it got, the latest read last.
	Versions []VersionReads `json:"versions,omitempty"`
	// Events are the ids of its calls for the value, the latest hundred, and
	// MoreEvents how many these leave out.
	Events     []string `json:"events"`
	MoreEvents int      `json:"moreEvents,omitempty"`
}

// tracedEvents is how many ids of events a [Touched] has at most.
const tracedEvents = 100

// Follow reads the records of a source and returns what one principal did. It is
// named by the ARN of a role, of a user or of an assumed role's session; by an
// access key id; by the name of a session; by a principal id; or by an account
// id, which means all that is in it.
func Follow(ctx context.Context, src Source, who string, opts Options) (*Trace, error) {
	if opts.Now.IsZero() {
		opts.Now = time.Now()
	}
	t := &Trace{Principal: who, Matches: []Match{}, Secrets: []Touched{}}
	c := newCollector(opts)
	matches, err := c.takeOf(ctx, src, who)
	if err != nil {
		return nil, fmt.Errorf("reading the trail: %w", err)
	}
	for m, n := range matches {
		m.Records = n
		t.Matches = append(t.Matches, m)
	}
	slices.SortFunc(t.Matches, func(a, b Match) int {
		return cmp.Or(cmp.Compare(b.Records, a.Records), strings.Compare(a.Identity, b.Identity), strings.Compare(a.By, b.By))
	})
	c.trace(t)
	return t, nil
}

// takeOf takes the records of one principal, and counts by what they are its.
func (c *collector) takeOf(ctx context.Context, src Source, who string) (map[Match]int, error) {
	matches := make(map[Match]int)
	for raw, err := range src.Records(ctx) {
		m, ok := matchOf(raw, who)
		if err == nil && !ok {
			continue
		}
		before := c.records
		if err := c.take(raw, err); err != nil {
			return nil, err
		}
		if c.records > before { // of secrets, and of the time that is asked for
			matches[m]++
		}
	}
	return matches, ctx.Err()
}

// matchOf says by what a record is of a principal, if it is.
func matchOf(raw json.RawMessage, who string) (Match, bool) {
	if who == "" || !relevant(raw) {
		return Match{}, false
	}
	var r struct{ UserIdentity identity }
	_ = json.Unmarshal(raw, &r) // what cannot be read is nobody's
	id := &r.UserIdentity
	by := id.namedBy(who)
	return Match{By: by, Identity: principalID(id), Type: id.Type, Account: id.AccountID}, by != ""
}

// namedBy says what of an identity a text names; empty if nothing.
func (id *identity) namedBy(who string) string {
	unique, session, _ := strings.Cut(id.PrincipalID, ":")
	switch who {
	case id.AccessKeyID:
		return "access key"
	case id.SessionContext.SessionIssuer.ARN:
		return "role"
	case id.ARN:
		if id.Type == "AssumedRole" {
			return "assumed role"
		}
		return "user"
	case session:
		return "session"
	case unique, id.PrincipalID, principalID(id): // the last as a report has it
		return "principal id"
	case id.AccountID:
		return "account"
	}
	return ""
}

// trace fills a trace with what the collector holds, which is the principal's.
func (c *collector) trace(t *Trace) {
	subjects := c.settle()
	for f := range c.facts.all() {
		switch {
		case f.kind == kindBatch && f.ok():
			t.Batches++
		case f.kind == kindRead && f.secret == nil, f.kind == kindBatch && !f.ok() && f.secret == nil && len(f.rare.list) == 0:
			t.Unattributed++
		}
	}
	b := newBuilder(c, subjects)
	r := &Report{Coverage: b.covered()}
	b.note(r)
	t.Coverage = r.Coverage
	for s := range c.bySecret(subjects) {
		if touched, ok := c.touched(s); ok && c.wanted(s) {
			t.Secrets = append(t.Secrets, touched)
		}
	}
	slices.SortFunc(t.Secrets, func(a, b Touched) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.ARN, b.ARN))
	})
}

// touched is what was done with one secret; false if its value was not asked
// for.
func (c *collector) touched(s *subject) (Touched, bool) {
	out := Touched{Name: s.name, ARN: s.arn, Region: s.region, Events: []string{}}
	for _, f := range s.facts {
		if f.kind != kindRead && f.kind != kindBatch {
			continue
		}
		switch {
		case f.denied:
			out.Denied++
		case f.failed:
			out.Errors++
		case f.kind == kindRead:
			out.Reads++
			out.Versions = countRead(out.Versions, f)
		default:
			continue // a batch that went well has reads of its own
		}
		if out.First.IsZero() {
			out.First = f.at()
		}
		out.Last = f.at()
		out.Events = append(out.Events, c.eventID(f))
	}
	if more := len(out.Events) - tracedEvents; more > 0 {
		out.Events, out.MoreEvents = slices.Clone(out.Events[more:]), more
	}
	sortVersions(out.Versions)
	return out, len(out.Events) > 0
}
