package secrets

import (
	"context"
	"iter"
	"sync/atomic"
)

// JSON reads a secret whose value is JSON into a T. It decodes on every call;
// where that counts, see [Bind]. A value that does not fit is [ErrDecode].
func JSON[T any](ctx context.Context, c *Client, name string, options ...ReadOption) (T, error) {
	s, err := c.Get(ctx, name, options...)
	if err != nil {
		var zero T
		return zero, err
	}
	return decode[T](s)
}

// A Ref is a secret whose value is JSON, decoded once per version. It is safe
// for concurrent use; what T points to is shared between all who get it, and
// must not be changed.
type Ref[T any] struct {
	client *Client
	entry  *entry
	last   atomic.Pointer[decoded[T]]
}

type decoded[T any] struct {
	of    *string // the value that it was decoded from
	value T
	err   error
}

// Bind returns a reference to a secret. It makes no call.
func Bind[T any](c *Client, name string) *Ref[T] {
	return &Ref[T]{client: c, entry: c.table.pin(entryID{id: c.physical(name)})}
}

// Get returns the current value. It reads and fails as [Client.Get] does.
func (r *Ref[T]) Get(ctx context.Context) (T, error) {
	s, err := r.client.read(ctx, r.entry)
	if err != nil {
		var zero T
		return zero, err
	}
	if d := r.last.Load(); d != nil && d.of == s.value {
		return d.value, d.err
	}
	return r.decode(s)
}

// Watch yields the current value at once, and each that becomes current
// afterwards, as [Client.Watch] does. A value that does not fit is yielded as
// [ErrDecode].
func (r *Ref[T]) Watch(ctx context.Context) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for s, err := range r.client.watched(ctx, r.entry.entryID) {
			var v T
			if err == nil {
				v, err = r.decode(s)
			}
			if !yield(v, err) {
				return
			}
		}
	}
}

// decode returns what a version says, from memory where it is the last one.
func (r *Ref[T]) decode(s *Secret) (T, error) {
	if d := r.last.Load(); d != nil && d.of == s.value {
		return d.value, d.err
	}
	d := &decoded[T]{of: s.value}
	d.value, d.err = decode[T](s)
	r.last.Store(d)
	return d.value, d.err
}
