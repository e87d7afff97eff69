package keyset

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"

	"github.com/rekey-go/rekey/rotation"
)

// Retire stores the set without the key that signed in the superseded version
// for the last time, and without those before it. Consumers refuse its tokens as
// soon as they have that version.
func (Strategy) Retire(ctx context.Context, r rotation.Retirement) error {
	if err := r.UnderWay(ctx); err != nil {
		return err // it may have taken the old keys over already
	}
	now, err := r.Store.Describe(ctx, r.Secret.ARN)
	if err != nil {
		return err
	}
	current := now.VersionWith(rotation.LabelCurrent)
	v, err := r.Store.Get(ctx, r.Secret.ARN, current, "")
	if err != nil {
		return err
	}
	held, err := Parse(v)
	if err != nil {
		return err
	}
	superseded, err := Parse(r.Superseded)
	if err != nil {
		return err
	}
	if !held.drop(r.VersionID, superseded.trimmedFrom) {
		if len(held.byID(superseded.Current.ID)) > 0 {
			return rotation.ErrReplaced // it signs on, or did so in a later version
		}
		return nil // it is dropped
	}
	held.trimmedFrom = current
	if v, err = held.Value(); err != nil {
		return err
	}
	if now.Has(current, rotation.LabelPending) { // without AWSCURRENT it would be a rotation under way
		if err := r.Store.MoveLabel(ctx, r.Secret.ARN, rotation.LabelPending, current, ""); err != nil {
			return err
		}
	}
	if err := r.Store.PutCurrent(ctx, r.Secret.ARN, current, trimmed(current, r.VersionID), v); err != nil {
		return inUse(err)
	}
	return r.UnderWay(ctx)
}

// drop removes the previous key that signed for the last time in one of the
// versions, with those before it, and reports whether there was one.
func (s *Set) drop(versions ...string) bool {
	i := slices.IndexFunc(s.Previous, func(k Key) bool {
		return k.LastVersion != "" && slices.Contains(versions, k.LastVersion)
	})
	if i < 0 {
		return false
	}
	s.Previous = s.Previous[:i]
	return true
}

// trimmed is the id of the version that a retirement stores. It is the same
// when the retirement is repeated.
func trimmed(current, superseded string) string {
	sum := sha256.Sum256([]byte("rekey retire\x00" + current + "\x00" + superseded))
	return hex.EncodeToString(sum[:])
}

// inUse turns a conflict into [rotation.ErrInUse]: another version became
// current in between, and the next try looks at that one.
func inUse(err error) error {
	if errors.Is(err, rotation.ErrConflict) {
		return errors.Join(rotation.ErrInUse, err)
	}
	return err
}
