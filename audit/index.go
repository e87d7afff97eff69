package audit

import (
	"hash/maphash"
	"iter"
)

// A list grows without being copied: its elements stay where they are.
type list[T any] struct {
	chunks [][]T
	n      int32
}

const perChunk = 256

func (l *list[T]) at(i int32) *T { return &l.chunks[i/perChunk][i%perChunk] }

func (l *list[T]) add(one T) *T {
	if int(l.n) == len(l.chunks)*perChunk {
		l.chunks = append(l.chunks, make([]T, perChunk))
	}
	l.n++
	at := l.at(l.n - 1)
	*at = one
	return at
}

// drop lets the first elements go, as far as they are apart from the others.
func (l *list[T]) drop(n int32) {
	for i := n/perChunk - 1; i >= 0 && l.chunks[i] != nil; i-- {
		l.chunks[i] = nil
	}
}

// all are the elements in their order.
func (l *list[T]) all() iter.Seq[*T] {
	return func(yield func(*T) bool) {
		for i := range l.n {
			if !yield(l.at(i)) {
				return
			}
		}
	}
}

// A table is a list whose elements are found by their keys. It has no keys of
// its own, but the numbers of the elements that have them, so that it takes six
// to twelve bytes for each. Make it with newTable.
type table[K comparable, T any] struct {
	list[T]
	key   func(*T) K
	seed  maphash.Seed
	slots []int32 // numbers of elements, one more than they are; zero: free
}

func newTable[K comparable, T any](key func(*T) K) table[K, T] {
	return table[K, T]{key: key, seed: maphash.MakeSeed()}
}

// find returns the number of the element with a key.
func (t *table[K, T]) find(key K) (int32, bool) {
	if len(t.slots) == 0 {
		return 0, false
	}
	for i := t.slot(key); t.slots[i] != 0; i = (i + 1) % len(t.slots) {
		if at := t.slots[i] - 1; t.key(t.at(at)) == key {
			return at, true
		}
	}
	return 0, false
}

// add takes up an element whose key is not there.
func (t *table[K, T]) add(one T) *T {
	at := t.list.add(one)
	if int(t.n)*3 <= len(t.slots)*2 {
		t.put(t.n - 1)
		return at
	}
	t.slots = make([]int32, max(16, 2*len(t.slots)))
	for i := range t.n {
		t.put(i)
	}
	return at
}

func (t *table[K, T]) put(at int32) {
	i := t.slot(t.key(t.at(at)))
	for t.slots[i] != 0 {
		i = (i + 1) % len(t.slots)
	}
	t.slots[i] = at + 1
}

// slot is where the search for a key begins. Who writes records may choose the
// keys, but not the seed.
func (t *table[K, T]) slot(key K) int {
	return int(maphash.Comparable(t.seed, key) % uint64(len(t.slots))) //nolint:gosec // less than the number of slots.
}

// A pool keeps one of the values that are equal.
type pool[T comparable] struct{ table[T, T] }

func newPool[T comparable]() pool[T] { return pool[T]{newTable(func(one *T) T { return *one })} }

// share returns the value that is kept; keep makes it, if it is not there yet.
func (p *pool[T]) share(one T, keep func(T) T) *T {
	if i, ok := p.find(one); ok {
		return p.at(i)
	}
	return p.add(keep(one))
}
