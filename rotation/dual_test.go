package rotation_test

import (
	"context"
	"errors"
	"testing"

	"github.com/rekey-go/rekey/rotation"
	"github.com/rekey-go/rekey/rotation/rotationtest"
)

// newDual is a bench whose secret's user has two passwords.
func newDual(t *testing.T) *bench {
	t.Helper()
	b := newBench(t)
	b.strategy = rotation.DualPassword{Database: b.server}
	return b
}

// accepts reports whether the server takes the value of a version.
func (b *bench) accepts(t *testing.T, version string) bool {
	t.Helper()
	v, err := b.store.Get(t.Context(), "", version, "")
	if err != nil {
		t.Fatal(err)
	}
	return rotationtest.Login(b.server)(t.Context(), v) == nil
}

func TestTheOldOfTwoPasswordsWorksUntilItIsRetired(t *testing.T) {
	t.Parallel()
	b := newDual(t)
	if err := b.steps(t.Context(), "version-2", all()...); err != nil {
		t.Fatal(err)
	}
	if !b.accepts(t, "version-1") || !b.accepts(t, "version-2") {
		t.Fatal("after the rotation the server does not take both passwords")
	}
	retire := func() error {
		return rotation.Retire(t.Context(), b.store, rotation.Only(b.strategy), "db", "version-1")
	}
	b.store.Begin("version-3")
	if err := retire(); !errors.Is(err, rotation.ErrInUse) {
		t.Errorf("while a rotation is under way: got %v, want %v", err, rotation.ErrInUse)
	}
	if err := b.steps(t.Context(), "version-3", all()...); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := rotation.Retire(t.Context(), b.store, rotation.Only(b.strategy), "db", "version-2"); err != nil {
			t.Fatal(err)
		}
	}
	if b.accepts(t, "version-2") || !b.accepts(t, "version-3") {
		t.Error("after retire the server does not take the current password alone")
	}
}

// A rotation may run from its start to its end before the user is locked.
func TestAPasswordThatBecameCurrentMeanwhileStays(t *testing.T) {
	t.Parallel()
	b := newDual(t)
	b.must(t, "version-2", all()...)
	meanwhile := func(ctx context.Context, c rotation.Credential) (rotation.Credential, error) {
		b.must(t, "version-3", all()...)
		return c, nil
	}
	err := rotation.Retire(t.Context(), b.store, rotation.Only(rotation.DualPassword{Database: b.server, Superuser: meanwhile}), "db", "version-1")
	if !errors.Is(err, rotation.ErrInUse) {
		t.Errorf("got %v, want %v", err, rotation.ErrInUse)
	}
	if !b.accepts(t, "version-3") || !b.accepts(t, "version-2") {
		t.Error("the current password, or the one before it, was dropped")
	}
}

func TestACurrentPasswordIsNotRetired(t *testing.T) {
	t.Parallel()
	b := newDual(t)
	if err := b.steps(t.Context(), "version-2", all()...); err != nil {
		t.Fatal(err)
	}
	// A rollback, by hand: the old value under another version.
	b.store.Replace("rolled-back", rotation.NewValue(firstValue))
	err := rotation.Retire(t.Context(), b.store, rotation.Only(b.strategy), "db", "version-1")
	if !errors.Is(err, rotation.ErrInUse) || !b.accepts(t, "version-1") {
		t.Errorf("got %v, want %v", err, rotation.ErrInUse)
	}
}

// onePassword is a server that knows no second password.
type onePassword struct{ server rotation.Database }

func (o onePassword) Login(ctx context.Context, c rotation.Credential) (rotation.Session, error) {
	session, err := o.server.Login(ctx, c)
	return struct{ rotation.Session }{session}, err
}

func TestAServerWithOnePasswordIsToldFromOneWithTwo(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.strategy = rotation.DualPassword{Database: onePassword{b.server}}
	if err := b.steps(t.Context(), "version-2", all()...); !errors.Is(err, rotation.ErrConfiguration) {
		t.Errorf("got %v, want %v", err, rotation.ErrConfiguration)
	}
	if !b.accepts(t, "version-1") {
		t.Error("the current password was changed")
	}
}
