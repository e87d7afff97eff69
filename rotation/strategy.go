package rotation

import (
	"context"
	"fmt"
	"iter"
)

// A Chooser returns the strategy for a secret, by its tags and by a value of
// it: the pending one, or where there is none the current.
type Chooser func(ctx context.Context, s Secret, v Value) (Strategy, error)

// Only returns a chooser that has one strategy for all secrets.
func Only(s Strategy) Chooser {
	return func(context.Context, Secret, Value) (Strategy, error) { return s, nil }
}

// A Change is a rotation under way, as a strategy sees it.
type Change struct {
	// Secret is what Secrets Manager says of the secret.
	Secret Secret
	// VersionID is the version that is to become current.
	VersionID string
	// Current is the value with AWSCURRENT.
	Current Value
	// Pending is the value with AWSPENDING. In Create there is none.
	Pending Value
	// Earlier reads the values before the current one, for a strategy that
	// finds that the current one is not what the server has: AWSPREVIOUS, then
	// the newest of those without a label, such as the pending value of a
	// rotation that was given up. It ends with an error where they cannot be
	// read.
	Earlier func(ctx context.Context) iter.Seq2[Value, error]
	// Store has the versions as they are now, for a strategy whose Create cannot
	// leave the service alone.
	Store Store
}

// A Strategy knows how one kind of secret changes. Its methods may be called
// again after a crash at any point, and succeed if what they do is done.
type Strategy interface {
	// Create returns the value to store as pending. It must not touch the
	// database or service, unless that one alone can make the value, as with a
	// provider's API key. Then it may leave one behind when it is repeated, at
	// the same time too, or crashes before the value is stored: it must mark
	// what it makes with c.VersionID, return the stored value where there is
	// one, and Set clears away what no version holds. Where supplied is not
	// empty, an operator has supplied a value, and Create checks and completes
	// it.
	Create(ctx context.Context, c Change, supplied Value) (pending Value, err error)
	// Set makes the database or service accept c.Pending.
	Set(ctx context.Context, c Change) error
	// Test uses c.Pending as its consumers will use it.
	Test(ctx context.Context, c Change) error
}

// A Namer is a [Strategy] that has a name.
type Namer interface {
	// Name is what operators call the strategy: the word of the tag
	// rekey:strategy, such as "single-user".
	Name() string
}

// nameOf is what operators call a strategy; of one without a name, its type.
func nameOf(s Strategy) string {
	if named, ok := s.(Namer); ok {
		return named.Name()
	}
	return fmt.Sprintf("%T", s)
}

// A Restorer is a [Strategy] whose Set takes c.Current out of use.
type Restorer interface {
	// Restore makes the database or service accept c.Current again. It is
	// called when Test has failed.
	Restore(ctx context.Context, c Change) error
}

// A Retirer is a [Strategy] with an overlap: what it superseded works on, until
// Retire revokes it.
type Retirer interface {
	// Retire revokes the superseded value, and leaves alone what a version with
	// AWSCURRENT or AWSPENDING needs. The error wraps [ErrInUse] where it has to
	// wait for that, [ErrReplaced] where there is nothing to revoke, and
	// [ErrManual] where only a human can revoke it.
	Retire(ctx context.Context, r Retirement) error
}

// A Retirement is a superseded version that nobody holds any more, as a
// strategy sees it.
type Retirement struct {
	// Secret is what Secrets Manager says of the secret.
	Secret Secret
	// VersionID is the superseded version, and Superseded its value.
	VersionID  string
	Superseded Value
	// Store has the other versions. A rotation may begin at any time, so what is
	// still needed is to be read after nobody else can change the target.
	Store Store
}

// UnderWay returns an error that wraps [ErrInUse] if a rotation of the secret is
// under way now. AWSPENDING on the version with AWSCURRENT, or with AWSPREVIOUS,
// is left over from one that has ended.
func (r Retirement) UnderWay(ctx context.Context) error {
	now, err := r.Store.Describe(ctx, r.Secret.ARN)
	if err != nil {
		return err
	}
	if pending := now.VersionWith(LabelPending); pending != "" && !now.Has(pending, LabelCurrent) && !now.Has(pending, LabelPrevious) {
		return fmt.Errorf("a rotation to version %s is under way: %w", pending, ErrInUse)
	}
	return nil
}

// A Prober is a [Strategy] that can tell of any value whether the database or
// service accepts it, without changing anything.
type Prober interface {
	// Probe uses a value as its consumers do.
	Probe(ctx context.Context, v Value) error
}
