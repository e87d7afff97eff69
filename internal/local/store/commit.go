package store

import (
	"errors"
	"fmt"

	"go.etcd.io/bbolt"
)

// maxBatch is how many writes share a commit at most.
const maxBatch = 1000

// A write is one function of [Store.Begin], and where to say how it ended.
type write struct {
	fn   func(tx *Tx) error
	done chan<- error
}

// Update makes several writes at once: all of them are kept, or none. The
// function may run more than once, in another goroutine; it must only write.
func (s *Store) Update(fn func(tx *Tx) error) error {
	return s.Begin(fn)()
}

// Begin is [Store.Update] for a caller that goes on meanwhile. Writes reach
// the disk in the order in which they were begun. The function that it returns
// waits until the write is on disk; it need not be called.
func (s *Store) Begin(fn func(tx *Tx) error) (wait func() error) {
	if s == nil {
		return func() error { return nil }
	}
	done := make(chan error, 1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return func() error { return ErrClosed }
	}
	s.waiting = append(s.waiting, write{fn, done})
	if !s.running {
		s.running = true
		go s.run()
	}
	return func() error { return <-done }
}

// run commits until nothing waits. What arrives during one commit is the next.
func (s *Store) run() {
	for {
		batch := s.next()
		if len(batch) == 0 {
			return
		}
		s.commit(batch)
	}
}

func (s *Store) next() []write {
	s.mu.Lock()
	defer s.mu.Unlock()
	batch := s.waiting[:min(len(s.waiting), maxBatch)]
	s.waiting = s.waiting[len(batch):]
	if len(batch) == 0 {
		s.waiting, s.running = nil, false
		s.idle.Broadcast()
	}
	return batch
}

// commit makes all writes of a batch in one commit. One whose function fails
// is taken out, and the others are made without it.
func (s *Store) commit(batch []write) {
	for len(batch) > 0 {
		failed := -1
		err := s.update(func(tx *Tx) error {
			for i, w := range batch {
				if err := w.fn(tx); err != nil {
					failed = i
					return err
				}
			}
			return nil
		})
		if failed < 0 {
			for _, w := range batch {
				w.done <- err
			}
			return
		}
		batch[failed].done <- err
		batch = append(batch[:failed:failed], batch[failed+1:]...)
	}
}

// update is one commit: written and synced, or undone.
func (s *Store) update(fn func(tx *Tx) error) (err error) {
	defer guard(s.path, &err)
	defer faults()()
	var inner error
	err = s.db.Update(func(tx *bbolt.Tx) error {
		inner = fn(&Tx{keys: s.keys, tx: tx})
		return inner
	})
	if err != nil && !errors.Is(err, inner) {
		return fmt.Errorf("writing %s: %w", s.path, err)
	}
	return err
}
