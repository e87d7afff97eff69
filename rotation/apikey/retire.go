package apikey

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/rekey-go/rekey/rotation"
)

// Retire revokes the keys of the superseded value that the current one has no
// more, and clears away what earlier rotations left behind. Its error wraps
// [rotation.ErrManual] where a key can be revoked only by hand.
func (s Strategy) Retire(ctx context.Context, r rotation.Retirement) error {
	current, err := r.Store.Get(ctx, r.Secret.ARN, "", rotation.LabelCurrent)
	if err != nil {
		return err
	}
	superseded := false
	var byHand []error
	for _, m := range s.Members {
		old := m.key(r.Superseded)
		if old.Secret.Empty() || old.Secret.Reveal() == m.key(current).Secret.Reveal() {
			continue
		}
		superseded = true
		err := m.retire(ctx, r, old, m.key(current))
		if err != nil && !errors.Is(err, rotation.ErrManual) {
			return m.errorf("revoking the key of version %s: %w", r.VersionID, err)
		}
		if err != nil {
			byHand = append(byHand, err)
		}
	}
	if !superseded {
		return rotation.ErrReplaced
	}
	return errors.Join(byHand...)
}

// retire revokes one key.
func (m Member) retire(ctx context.Context, r rotation.Retirement, old, current Key) error {
	provider, ok := m.Provider.(Provider)
	if !ok {
		return fmt.Errorf("revoke the %s key of version %s where it was made: %w", m.Label, r.VersionID, rotation.ErrManual)
	}
	by, err := m.manager(ctx, func() (Key, error) { return current, nil })
	if err != nil {
		return err
	}
	keys, err := provider.List(ctx, by)
	if err != nil {
		return err
	}
	if err := r.UnderWay(ctx); err != nil {
		return err
	}
	a := account{m, provider, by, r.Store, r.Secret.ARN}
	id := old.ID
	if at := slices.IndexFunc(keys, func(k Key) bool { return k.Name == a.keyName(r.VersionID) }); id == "" && at >= 0 {
		id = keys[at].ID
	}
	switch id {
	case "":
		return fmt.Errorf("revoke the %s key of version %s where it was made, for its id is not known: %w", m.Label, r.VersionID, rotation.ErrManual)
	case current.ID:
		return fmt.Errorf("the version with %s has a key of the same id: %w", rotation.LabelCurrent, rotation.ErrInUse)
	}
	if err := a.revoke(ctx, keys, Key{ID: id, Secret: old.Secret}); err != nil {
		return err
	}
	// Before AWSPREVIOUS everything was superseded still earlier, or given up.
	return a.sweepKeys(ctx, keys, r.Secret.Has(r.VersionID, rotation.LabelPrevious))
}

// revoke revokes a superseded key that the provider lists. The id alone is no
// proof that the key is the secret's, for whoever may write the value could name
// another one: the key was made for the secret, or it works.
func (a account) revoke(ctx context.Context, keys []Key, old Key) error {
	at := slices.IndexFunc(keys, func(k Key) bool { return k.ID == old.ID })
	if at < 0 || keys[at].Disabled {
		return nil
	}
	if !a.made(keys[at]) {
		switch err := a.provider.Verify(ctx, old); {
		case errors.Is(err, rotation.ErrAuth):
			return nil // it is revoked, or was never right
		case err != nil:
			return err
		}
	}
	if disabler, ok := a.provider.(Disabler); ok {
		return disabler.Disable(ctx, a.by, old.ID)
	}
	return a.provider.Delete(ctx, a.by, old.ID)
}
