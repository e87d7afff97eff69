package secrets

import (
	"maps"
	"sync"
	"sync/atomic"
)

// A table is what a client has in memory. Readers find an entry without a lock
// or a write that others would wait for.
type table struct {
	limit int // of entries, beside those that are pinned

	mu      sync.Mutex                         // held to change what follows
	entries atomic.Pointer[map[entryID]*entry] // replaced, never changed
	names   atomic.Pointer[map[string]*entry]  // likewise: current versions by name as given

	evicted atomic.Int64
}

// An entryID is what a value is kept under.
type entryID struct {
	id      string // physical name or ARN
	stage   string // empty for AWSCURRENT
	version string
}

// current reports whether it is that of the version with AWSCURRENT.
func (id entryID) current() bool { return id.stage == "" && id.version == "" }

func (t *table) init(limit int) {
	t.limit = limit
	t.entries.Store(&map[entryID]*entry{})
	t.names.Store(&map[string]*entry{})
}

// named returns the entry of a name as a caller gives it, or nil.
func (t *table) named(name string) *entry { return (*t.names.Load())[name] }

// all returns what is in memory. It is not to be changed.
func (t *table) all() map[entryID]*entry { return *t.entries.Load() }

// get returns the entry of an id, and makes it if there is none.
func (t *table) get(id entryID) *entry {
	if e := t.all()[id]; e != nil {
		return e
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.make(id)
}

// name is get of a current version by the name that a caller gave, which it
// remembers: a hit does not put the stage before it again.
func (t *table) name(name, id string) *entry {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.make(entryID{id: id})
	names := maps.Clone(*t.names.Load())
	names[name] = e
	t.names.Store(&names)
	return e
}

// pin is get of an entry that stays until it is unpinned: news of changes has
// to reach those who hold it.
func (t *table) pin(id entryID) *entry {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.make(id)
	e.pins.Add(1)
	return e
}

// make is get for those who hold mu.
func (t *table) make(id entryID) *entry {
	if e := t.all()[id]; e != nil {
		return e
	}
	next := maps.Clone(t.all())
	if len(next) >= t.limit {
		t.evict(next)
	}
	e := &entry{entryID: id}
	next[id] = e
	t.entries.Store(&next)
	return e
}

// evict makes room for one entry: it takes out those that were not read since
// they were last looked at. It is the clock algorithm, in the order in which a
// map happens to be. Where all are pinned or being read, none goes.
func (t *table) evict(next map[entryID]*entry) {
	gone := make(map[*entry]bool)
	for range 2 {
		for id, e := range next {
			if len(next) >= t.limit && e.spare() {
				delete(next, id)
				gone[e] = true
			}
		}
	}
	names := maps.Clone(*t.names.Load())
	maps.DeleteFunc(names, func(_ string, e *entry) bool { return gone[e] })
	t.names.Store(&names)
	t.evicted.Add(int64(len(gone)))
}

// spare reports whether nobody would miss an entry, and forgets that it was
// read.
func (e *entry) spare() bool {
	if e.pins.Load() > 0 || e.used.Swap(false) {
		return false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.landed && e.flight == nil
}
