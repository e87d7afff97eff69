package audit

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"hash/maphash"
	"strings"
	"time"
)

// A collector turns records into facts, each event once.
type collector struct {
	opts       Options
	texts      map[string]*string
	principals pool[principal]
	origins    pool[origin]
	deeds      pool[deed]
	facts      facts
	// seen is where each event's fact stands, by the event's id.
	seen index
	// also is where it stands by other ids: those that it shares with the same
	// event in another account, or with what it corrects.
	also map[eventID]int32
	// merged is where a fact went that turned out to be another one's event.
	merged map[int32]int32
	// oddIDs are the ids of events that are not written as UUIDs are.
	oddIDs map[eventID]string
	// keys are the KMS keys of secrets, by ARN, as their decrypts tell.
	keys map[string]string

	scratch            record
	records, malformed int
	skipped            []Skipped
}

func newCollector(opts Options) *collector {
	return &collector{
		opts:       opts,
		texts:      make(map[string]*string),
		principals: newPool[principal](),
		origins:    newPool[origin](),
		deeds:      newPool[deed](),
		seen:       newIndex(),
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
	if known, ok := c.texts[text]; ok {
		return known
	}
	text = strings.Clone(text)
	c.texts[text] = &text
	return &text
}

func (c *collector) internAll(texts []string) []string {
	for i := range texts {
		texts[i] = c.intern(texts[i])
	}
	return texts
}

// A pool keeps one of the values that are equal. It has them by their hash, the
// next free one where two have the same, so that none is there as a key as well.
type pool[T comparable] struct {
	seed  maphash.Seed
	known map[uint64]*T
}

func newPool[T comparable]() pool[T] {
	return pool[T]{seed: maphash.MakeSeed(), known: make(map[uint64]*T)}
}

// share returns the value that is kept; keep makes it, if it is not there yet.
func (p *pool[T]) share(one T, keep func(T) T) *T {
	for hash := maphash.Comparable(p.seed, one); ; hash++ {
		known, ok := p.known[hash]
		switch {
		case !ok:
			kept := keep(one)
			p.known[hash] = &kept
			return &kept
		case *known == one:
			return known
		}
	}
}

// facts is a list that grows without being copied.
type facts struct {
	chunks [][]fact
	n      int32
}

const factsPerChunk = 256

func (l *facts) at(i int32) *fact { return &l.chunks[i/factsPerChunk][i%factsPerChunk] }

func (l *facts) add(f fact) {
	if l.n%factsPerChunk == 0 {
		l.chunks = append(l.chunks, make([]fact, factsPerChunk))
	}
	l.n++
	*l.at(l.n - 1) = f
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
	var others []eventID
	if r.SharedEventID != "" {
		others = append(others, parseID("shared "+r.SharedEventID))
	}
	if r.Addendum.OriginalEventID != "" {
		others = append(others, parseID(r.Addendum.OriginalEventID))
	}
	at := c.place(f.id, others)
	if at == c.facts.n {
		c.facts.add(f)
		c.seen.add(&c.facts, at)
	} else {
		c.become(at, merge(c.facts.at(at), &f))
		c.also[f.id] = at
	}
	for _, id := range others {
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
	if at, ok := c.seen.find(&c.facts, id); ok {
		return at, true
	}
	at, ok := c.also[id]
	return at, ok
}

// place is where the fact of an event stands that has these ids, or is to
// stand. A record may show that two facts are of one event: they become one.
func (c *collector) place(id eventID, others []eventID) int32 {
	at := c.facts.n
	for _, id := range append([]eventID{id}, others...) {
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
			c.become(at, merge(c.facts.at(at), c.facts.at(i)))
			c.merged[i] = at
		}
	}
	return at
}

// merge makes one fact of two of the same event: the better one, with the
// better name of the secret.
func merge(a, b *fact) fact {
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
		out.named = b.named
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

// distinct lists the facts, one of each event, in the order of time.
func (c *collector) distinct() []*fact {
	facts := make([]*fact, 0, int(c.facts.n)-len(c.merged))
	for i := range c.facts.n {
		if _, gone := c.merged[i]; !gone {
			facts = append(facts, c.facts.at(i))
		}
	}
	sortFacts(facts)
	return facts
}

// settle forgets what is needed only until all records were taken: there is
// much of it, and the report takes its place.
func (c *collector) settle() {
	c.texts = make(map[string]*string)
	c.seen, c.also, c.merged = index{}, nil, nil
	c.principals, c.origins, c.deeds = pool[principal]{}, pool[origin]{}, pool[deed]{}
	c.scratch = record{}
}

// eventID writes a fact's id as the record did.
func (c *collector) eventID(f *fact) string {
	if text, ok := c.oddIDs[f.id]; ok {
		return text
	}
	return f.id.String()
}
