package local

import "sync"

// An index is a map that is read on every call, and written when a template's
// resources are made and removed.
type index[K comparable, V any] struct{ all sync.Map }

// get returns the zero value where there is none.
func (x *index[K, V]) get(key K) V {
	value, _ := x.all.Load(key)
	v, _ := value.(V)
	return v
}

func (x *index[K, V]) set(key K, value V) { x.all.Store(key, value) }

func (x *index[K, V]) remove(key K) { x.all.Delete(key) }

// each goes through all of it until yield is false. It is an iterator.
func (x *index[K, V]) each(yield func(K, V) bool) {
	x.all.Range(func(key, value any) bool {
		k, _ := key.(K)
		v, _ := value.(V)
		return yield(k, v)
	})
}
