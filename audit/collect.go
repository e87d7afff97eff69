package audit

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"iter"
	"sort"
	"strings"
	"time"
)

// A collector turns records into facts, each event once.
type collector struct {
	opts       Options
	texts      pool[string]
	principals pool[principal]
	origins    pool[origin]
	deeds      pool[deed]
	acts       pool[act]
	// facts are by the ids of their events.
	facts table[eventID, fact]
	// also is where a fact stands by other ids: those that it shares with the
	// same event in another account, or with what it corrects.
	also map[eventID]int32
	// merged is where a fact went that turned out to be another one's event.
	merged map[int32]int32
	// oddIDs are the ids of events that are not written as UUIDs are.
	oddIDs map[eventID]string
	// keys are the KMS keys of secrets, by ARN, as their decrypts tell.
	keys map[string]string

	scratch            record
	ids                []eventID // of the record that is added
	records, malformed int
	skipped            []Skipped
}

func newCollector(opts Options) *collector {
	return &collector{
		opts:       opts,
		texts:      newPool[string](),
		principals: newPool[principal](),
		origins:    newPool[origin](),
		deeds:      newPool[deed](),
		acts:       newPool[act](),
		facts:      newTable(func(f *fact) eventID { return f.id }),
		also:       make(map[eventID]int32),
		merged:     make(map[int32]int32),
		oddIDs:     make(map[eventID]string),
		keys:       make(map[string]string),
	}
}

// intern returns a copy of a text that all its users share, so that a fact
// does not keep a whole record alive.
func (c *collector) intern(text string) string { return textAt(c.share(text)) }

// share does the same for who keeps no more than where it is; nil if it is empty.
func (c *collector) share(text string) *string {
	if text == "" {
		return nil
	}
	return c.texts.share(text, strings.Clone)
}

func (c *collector) internAll(texts []string) []string {
	for i := range texts {
		texts[i] = c.intern(texts[i])
	}
	return texts
}

// take adds what a source yielded.
func (c *collector) take(raw json.RawMessage, err error) error {
	if skipped, ok := errors.AsType[*SkippedError](err); ok {
		c.skipped = append(c.skipped, Skipped{What: skipped.What, Why: skipped.Err.Error()})
		return nil
	}
	if err != nil {
		return err
	}
	r := &c.scratch
	ok, err := parse(raw, r)
	if err != nil {
		c.malformed++
		return nil //nolint:nilerr // counted, and told of in the coverage.
	}
	if !ok || !c.inRange(r) {
		return nil
	}
	c.add(r)
	return nil
}

// inRange reports whether a record is of the time that was asked for, in whole
// seconds as CloudTrail tells it.
func (c *collector) inRange(r *record) bool {
	o := &c.opts
	return (o.From.IsZero() || !r.at.Before(o.From.Truncate(time.Second))) && (o.To.IsZero() || !r.at.After(o.To))
}

// add keeps a record's fact, unless its event is known: then it keeps the one
// of the two that says more, so that the order of records does not matter.
func (c *collector) add(r *record) {
	c.records++
	f := c.newFact(r)
	if key := r.firstResource(); f.kind == kindDecrypt && key != "" {
		c.keys[f.ref()] = max(c.keys[f.ref()], c.intern(key))
	}
	c.ids = append(c.ids[:0], f.id)
	if r.SharedEventID != "" {
		c.ids = append(c.ids, parseID("shared "+r.SharedEventID))
	}
	if r.Addendum.OriginalEventID != "" {
		c.ids = append(c.ids, parseID(r.Addendum.OriginalEventID))
	}
	at := c.place(c.ids)
	if at == c.facts.n {
		c.facts.add(f)
	} else {
		c.become(at, c.merge(c.facts.at(at), &f))
		c.also[f.id] = at
	}
	for _, id := range c.ids[1:] {
		c.also[id] = at
	}
}

// become puts a fact in another's place, where it is found by the ids of both.
func (c *collector) become(at int32, f fact) {
	if was := c.facts.at(at); was.id != f.id {
		c.also[was.id], c.also[f.id] = at, at
	}
	*c.facts.at(at) = f
}

// find returns where the fact of an id stands.
func (c *collector) find(id eventID) (int32, bool) {
	if at, ok := c.facts.find(id); ok {
		return at, true
	}
	at, ok := c.also[id]
	return at, ok
}

// place is where the fact of an event stands that has these ids, or is to
// stand. A record may show that two facts are of one event: they become one.
func (c *collector) place(ids []eventID) int32 {
	at := c.facts.n
	for _, id := range ids {
		i, ok := c.find(id)
		if !ok {
			continue
		}
		for next, gone := c.merged[i]; gone; next, gone = c.merged[i] {
			i = next
		}
		switch {
		case at == c.facts.n:
			at = i
		case at != i:
			at, i = min(at, i), max(at, i)
			c.become(at, c.merge(c.facts.at(at), c.facts.at(i)))
			c.merged[i] = at
		}
	}
	return at
}

// merge makes one fact of two of the same event: the better one, with the
// better name of the secret.
func (c *collector) merge(a, b *fact) fact {
	if worse(a, b) {
		a, b = b, a
	}
	out := *a
	if out.corrects() {
		out.rare.replaced = out.rare.replaced || !b.corrects() || b.rare.replaced
	}
	if cmp.Or(
		compareBools(isARN(a.ref()), isARN(b.ref())), compareBools(a.refCorrected(), b.refCorrected()),
		cmp.Compare(len(a.ref()), len(b.ref())), cmp.Compare(a.ref(), b.ref()),
	) < 0 {
		better := *out.act
		better.named = b.named
		out.act = c.act(better)
		if out.corrects() {
			out.rare.refCorrected = b.refCorrected()
		}
	}
	return out
}

// refCorrected reports whether a fact's secret is named by a correction.
func (f *fact) refCorrected() bool { return f.rare != nil && f.rare.refCorrected }

func isARN(text string) bool { return strings.HasPrefix(text, "arn:") }

// worse reports whether the first of two facts of an event says less: a
// correction is better than what it corrects, and the caller's side of a call
// between two accounts knows who called. Otherwise any rule will do, if only
// it does not depend on which came first.
func worse(a, b *fact) bool {
	return cmp.Or(
		compareBools(a.corrects(), b.corrects()),
		compareBools(a.isCallersSide(), b.isCallersSide()),
		bytes.Compare(a.id[:], b.id[:]),
		a.at().Compare(b.at()),
		cmp.Compare(a.action, b.action),
		cmp.Compare(a.version(), b.version()),
		cmp.Compare(a.ip, b.ip), cmp.Compare(a.agent, b.agent),
		cmp.Compare(a.who.id, b.who.id), cmp.Compare(a.who.session, b.who.session),
		compareBools(!a.denied, !b.denied), compareBools(!a.failed, !b.failed),
	) < 0
}

func compareBools(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// settle ends the taking of records. It returns the secrets, and leaves one fact
// of each event, in the order of time, that knows its secret. What was needed
// only until then is forgotten: there is much of it, and the report takes its
// place.
func (c *collector) settle() []*subject {
	c.distinct()
	sort.Sort(order{&c.facts.list, byTime})
	subjects := c.resolve()
	c.texts = newPool[string]()
	c.principals, c.origins, c.deeds = pool[principal]{}, pool[origin]{}, pool[deed]{}
	c.scratch = record{}
	return subjects
}

// distinct leaves out the facts that were merged into others. None is found by its
// id any more.
func (c *collector) distinct() {
	l := &c.facts.list
	n := int32(0)
	for i := range l.n {
		if _, gone := c.merged[i]; !gone {
			*l.at(n) = *l.at(i)
			n++
		}
	}
	l.n = n
	c.facts.slots, c.also, c.merged = nil, nil, nil
}

// bySecret yields each secret with its facts in the order of time, the reads with
// the version that they got, and those of the batches that name it. Then it lets
// them go: nobody has a fact any more when it has ended.
func (c *collector) bySecret(subjects []*subject) iter.Seq[*subject] {
	return func(yield func(*subject) bool) {
		c.spread()
		l := &c.facts.list
		sort.Sort(order{l, bySubject})
		at := int32(0)
		for at < l.n && l.at(at).secret == nil {
			at++
		}
		var facts []*fact
		for _, s := range subjects {
			for facts = facts[:0]; at < l.n && l.at(at).secret == s; at++ {
				facts = append(facts, l.at(at))
			}
			s.facts = facts
			joinVersions(s)
			if !yield(s) {
				return
			}
			s.facts = nil
			l.drop(at)
		}
		*l = list[fact]{}
	}
}

// spread adds a fact for each secret that a batch names.
func (c *collector) spread() {
	for i := range c.facts.n {
		batch := c.facts.at(i)
		if batch.kind != kindBatch || batch.rare == nil {
			continue
		}
		for _, s := range batch.rare.secrets {
			one, about := *batch, *batch.act
			about.secret = s
			one.act = c.act(about)
			c.facts.list.add(one)
		}
	}
	c.acts = pool[act]{}
}

// An order is facts in an order, for [sort.Sort].
type order struct {
	*list[fact]
	compare func(a, b *fact) int
}

// Len is how many facts there are.
func (o order) Len() int { return int(o.n) }

// Less reports whether one comes before another.
func (o order) Less(i, j int) bool { return o.compare(o.at(int32(i)), o.at(int32(j))) < 0 } //nolint:gosec // less than n.

// Swap exchanges two.
func (o order) Swap(i, j int) { a, b := o.at(int32(i)), o.at(int32(j)); *a, *b = *b, *a } //nolint:gosec // less than n.

// byTime compares facts by their time. Within a second, which is as fine as
// CloudTrail tells, a rotation starts before and ends after what it did.
func byTime(a, b *fact) int {
	if a.micros != b.micros {
		return cmp.Compare(a.micros, b.micros)
	}
	return cmp.Or(cmp.Compare(rank(a.action), rank(b.action)), bytes.Compare(a.id[:], b.id[:]))
}

func rank(action string) int {
	switch action {
	case "CreateSecret":
		return 0
	case "RotateSecret":
		return 1
	case "RotationStarted":
		return 2
	case "RotationSucceeded", "RotationFailed", "RotationAbandoned":
		return 4
	}
	return 3
}

// bySubject compares facts by their secret, those of none first, then by their time.
func bySubject(a, b *fact) int {
	if x, y := a.secret.position(), b.secret.position(); x != y {
		return x - y
	}
	return byTime(a, b)
}

// eventID writes a fact's id as the record did.
func (c *collector) eventID(f *fact) string {
	if text, ok := c.oddIDs[f.id]; ok {
		return text
	}
	return f.id.String()
}
