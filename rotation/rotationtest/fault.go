package rotationtest

import (
	"context"
	"errors"
	"sync"

	"github.com/rekey-go/rekey/rotation"
)

// errCrash is what a dead process would never see.
var errCrash = errors.New("the process was killed")

// A Call makes one call to what a strategy works on, or fails it: the suite
// injects its faults there.
type Call func(call func() error) error

// A crash kills a process at one of its calls. Every later call fails too.
type crash struct {
	mu sync.Mutex
	// left is how many calls succeed before the one that is hit.
	left int
	// after lets the call that is hit take effect.
	after bool
	dead  bool
	calls int
}

// do makes one call.
func (c *crash) do(call func() error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead {
		return errCrash
	}
	c.calls++
	if c.left--; c.left >= 0 {
		return call()
	}
	c.dead = true
	if c.after {
		_ = call() // its answer is lost with the process
	}
	return errCrash
}

// store is a [rotation.Store] whose calls may be hit.
type store struct {
	to    rotation.Store
	crash *crash
}

// Describe passes on.
func (s store) Describe(ctx context.Context, id string) (out rotation.Secret, err error) {
	err = s.crash.do(func() (err error) { out, err = s.to.Describe(ctx, id); return err })
	return out, err
}

// Get passes on.
func (s store) Get(ctx context.Context, id, version, label string) (out rotation.Value, err error) {
	err = s.crash.do(func() (err error) { out, err = s.to.Get(ctx, id, version, label); return err })
	return out, err
}

// Unlabelled passes on.
func (s store) Unlabelled(ctx context.Context, id string) (out []string, err error) {
	err = s.crash.do(func() (err error) { out, err = s.to.Unlabelled(ctx, id); return err })
	return out, err
}

// PutPending passes on.
func (s store) PutPending(ctx context.Context, e rotation.Event, v rotation.Value) error {
	return s.crash.do(func() error { return s.to.PutPending(ctx, e, v) })
}

// MoveLabel passes on.
func (s store) MoveLabel(ctx context.Context, id, label, from, to string) error {
	return s.crash.do(func() error { return s.to.MoveLabel(ctx, id, label, from, to) })
}

// PutCurrent passes on.
func (s store) PutCurrent(ctx context.Context, id, from, version string, v rotation.Value) error {
	return s.crash.do(func() error { return s.to.PutCurrent(ctx, id, from, version, v) })
}
