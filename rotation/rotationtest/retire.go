package rotationtest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/rekey-go/rekey/rotation"
)

// superseded is the version that exerciseRetire revokes.
const superseded = firstVersion

// exerciseRetire revokes what a rotation superseded, with a fault at every call.
// A strategy without an overlap has nothing to revoke; then its old value must
// be refused already.
func exerciseRetire(t *testing.T, setup func(t *testing.T) Target) {
	t.Helper()
	rotated := func(t *testing.T) *run {
		t.Helper()
		r := newRun(t, setup(t))
		r.mustRotate(t, r.process())
		return r
	}
	calls := 0
	overlap := false
	t.Run("without a fault", func(t *testing.T) {
		r := rotated(t)
		before := r.acceptedVersion(t, superseded)
		p := r.process()
		p.fault.after = func() { r.checkAccepted(t) }
		switch err := p.retire(t.Context(), superseded); {
		case errors.Is(err, rotation.ErrReplaced):
			if before == nil && !r.target.Lasting {
				t.Error("nothing was revoked, but the superseded value is accepted")
			}
			return
		case err != nil:
			t.Fatal(err)
		case before != nil:
			t.Errorf("the superseded value was refused before it was retired: %v", before)
		}
		r.checkRetired(t)
		calls, overlap = p.fault.calls, true
	})
	if !overlap {
		return
	}
	for n := range calls {
		for kind, what := range kinds {
			t.Run(fmt.Sprintf("call %d of %d %s", n+1, calls, what), func(t *testing.T) {
				r, f := rotated(t), &fault{kind: kind, at: n}
				_ = r.processWith(f).retire(t.Context(), superseded)
				r.checkEnd(t)
				if err := r.process().retire(t.Context(), superseded); err != nil {
					t.Fatalf("repeated: %v", err)
				}
				f.settle()
				r.checkRetired(t)
			})
		}
	}
	t.Run("not while a rotation is under way", func(t *testing.T) { retireUnderWay(t, rotated(t)) })
	t.Run("not when it is current again", func(t *testing.T) {
		r := rotated(t)
		if err := r.store.MoveLabel(t.Context(), "", rotation.LabelCurrent, r.token, superseded); err != nil {
			t.Fatal(err)
		}
		if err := r.process().retire(t.Context(), superseded); !errors.Is(err, rotation.ErrInUse) {
			t.Errorf("got %v, want %v", err, rotation.ErrInUse)
		}
		r.checkAccepted(t)
	})
}

// retireUnderWay tries to revoke after each step of the next rotation. It may be
// refused, or what is current and pending may not need it; in no case may it
// stop the rotation.
func retireUnderWay(t *testing.T, r *run) {
	t.Helper()
	r.token = "version-3"
	p := r.process()
	for _, step := range steps {
		if err := p.step(t.Context(), step); err != nil {
			t.Fatalf("%s: %v", step, err)
		}
		err := r.process().retire(t.Context(), superseded)
		if err != nil && !errors.Is(err, rotation.ErrInUse) && !errors.Is(err, rotation.ErrReplaced) {
			t.Errorf("after %s: %v", step, err)
		}
		r.checkAccepted(t)
		if err := r.accepted(t.Context(), rotation.LabelCurrent); err != nil {
			t.Errorf("after %s AWSCURRENT is refused: %v", step, err)
		}
	}
	r.checkEnd(t)
}

// checkRetired checks that the superseded value is refused and the current one
// accepted.
func (r *run) checkRetired(t *testing.T) {
	t.Helper()
	if err := r.acceptedVersion(t, superseded); err == nil {
		t.Error("the superseded value is accepted after it was retired")
	}
	if err := r.accepted(t.Context(), rotation.LabelCurrent); err != nil {
		t.Errorf("AWSCURRENT is refused after the superseded value was retired: %v", err)
	}
}
