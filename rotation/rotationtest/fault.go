package rotationtest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/rekey-go/rekey/rotation"
)

// A Call makes one call to what a strategy works on, or fails it: the suite
// injects its faults there.
type Call func(call func() error) error

var (
	// errKilled is what a dead process would never see.
	errKilled = errors.New("the process was killed")
	// errFault is what a process sees of a call that failed.
	errFault = fmt.Errorf("the call was made to fail: %w", rotation.ErrNetwork)
)

// A kind of fault.
type kind int

const (
	none         kind = iota
	failBefore        // the call fails
	failAfter         // the call takes effect, and its answer is lost
	twice             // the call is made twice
	killedBefore      // the process dies before the call
	killedAfter       // the process dies after the call took effect
	late              // the process dies, and the call takes effect when the retry is over
)

//nolint:gochecknoglobals // a constant table.
var kinds = map[kind]string{
	failBefore: "fails", failAfter: "fails, though it took effect", killedBefore: "is not made, for the process is killed",
	killedAfter: "is the last before the process is killed", twice: "is made twice", late: "takes effect after the retry",
}

// A fault hits one of the calls of a process. After one that kills, every call
// fails.
type fault struct {
	kind kind
	at   int // the number of the call, from 0

	mu    sync.Mutex
	calls int // that were made
	dead  bool
	owed  func() error // the call that comes late
	after func()       // what is done after each call; it may be nil
}

// do makes one call. A call may make others on its way.
func (f *fault) do(call func() error) error {
	f.mu.Lock()
	dead, hit := f.dead, f.kind != none && f.calls == f.at
	f.calls++
	if hit && f.kind >= killedBefore {
		f.dead = true
	}
	f.mu.Unlock()
	switch {
	case dead:
		return errKilled
	case hit:
		return f.hit(call)
	}
	err := call()
	if f.after != nil {
		f.after()
	}
	return err
}

func (f *fault) hit(call func() error) error {
	switch f.kind {
	case failAfter:
		_ = call() // its answer is lost
		return errFault
	case twice:
		_ = call()
		return call()
	case killedAfter:
		_ = call()
	case late:
		f.owed = call
	case failBefore:
		return errFault
	case none, killedBefore:
	}
	return errKilled
}

// settle makes the call that comes late.
func (f *fault) settle() {
	if f.owed != nil {
		_ = f.owed() // nobody is there to hear of it
	}
}

// store is a [rotation.Store] whose calls may be hit.
type store struct {
	to   rotation.Store
	call Call
}

// Describe passes on.
func (s store) Describe(ctx context.Context, id string) (out rotation.Secret, err error) {
	err = s.call(func() (err error) { out, err = s.to.Describe(ctx, id); return err })
	return out, err
}

// Get passes on.
func (s store) Get(ctx context.Context, id, version, label string) (out rotation.Value, err error) {
	err = s.call(func() (err error) { out, err = s.to.Get(ctx, id, version, label); return err })
	return out, err
}

// Unlabelled passes on.
func (s store) Unlabelled(ctx context.Context, id string) (out []string, err error) {
	err = s.call(func() (err error) { out, err = s.to.Unlabelled(ctx, id); return err })
	return out, err
}

// PutPending passes on.
func (s store) PutPending(ctx context.Context, e rotation.Event, v rotation.Value) error {
	return s.call(func() error { return s.to.PutPending(ctx, e, v) })
}

// MoveLabel passes on.
func (s store) MoveLabel(ctx context.Context, id, label, from, to string) error {
	return s.call(func() error { return s.to.MoveLabel(ctx, id, label, from, to) })
}

// PutCurrent passes on.
func (s store) PutCurrent(ctx context.Context, id, from, version string, v rotation.Value) error {
	return s.call(func() error { return s.to.PutCurrent(ctx, id, from, version, v) })
}
