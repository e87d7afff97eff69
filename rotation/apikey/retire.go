package apikey

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

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
	id := old.ID
	if at := slices.IndexFunc(keys, func(k Key) bool { return k.Name == m.keyName(r.Secret.ARN, r.VersionID) }); id == "" && at >= 0 {
		id = keys[at].ID
	}
	switch id {
	case "":
		return fmt.Errorf("revoke the %s key of version %s where it was made, for its id is not known: %w", m.Label, r.VersionID, rotation.ErrManual)
	case current.ID:
		return fmt.Errorf("the version with %s has a key of the same id: %w", rotation.LabelCurrent, rotation.ErrInUse)
	}
	if err := m.revoke(ctx, provider, by, r, keys, Key{ID: id, Secret: old.Secret}); err != nil {
		return err
	}
	// Before AWSPREVIOUS everything was superseded still earlier, or given up.
	return m.sweepKeys(ctx, provider, by, r.Store, r.Secret.ARN, keys, r.Secret.Has(r.VersionID, rotation.LabelPrevious))
}

// revoke revokes a superseded key that the provider lists. The id alone is no
// proof that the key is the secret's, for whoever may write the value could name
// another one: the key was made for the secret, or it works.
func (m Member) revoke(ctx context.Context, provider Provider, by Key, r rotation.Retirement, keys []Key, old Key) error {
	at := slices.IndexFunc(keys, func(k Key) bool { return k.ID == old.ID })
	if at < 0 || keys[at].Disabled {
		return nil
	}
	if !strings.HasPrefix(keys[at].Name, m.prefix(r.Secret.ARN)) {
		switch err := provider.Verify(ctx, old); {
		case errors.Is(err, rotation.ErrAuth):
			return nil // it is revoked, or was never right
		case err != nil:
			return err
		}
	}
	if disabler, ok := provider.(Disabler); ok {
		return disabler.Disable(ctx, by, old.ID)
	}
	return provider.Delete(ctx, by, old.ID)
}

// sweep deletes the keys that were made for the secret and that no version
// holds. With all, those of versions that have lost their labels go too.
func (m Member) sweep(ctx context.Context, provider Provider, by Key, store rotation.Store, secretARN string, all bool) error {
	keys, err := provider.List(ctx, by)
	if err != nil {
		return err
	}
	return m.sweepKeys(ctx, provider, by, store, secretARN, keys, all)
}

// sweepKeys does so for keys that were listed before: what the versions hold is
// read after that, so that no key is taken for lost that is stored meanwhile.
func (m Member) sweepKeys(ctx context.Context, provider Provider, by Key, store rotation.Store, secretARN string, keys []Key, all bool) error {
	prefix := m.prefix(secretARN)
	keys = slices.DeleteFunc(slices.Clone(keys), func(k Key) bool { return !strings.HasPrefix(k.Name, prefix) })
	if len(keys) == 0 {
		return nil
	}
	versions, err := m.versions(ctx, store, secretARN)
	if err != nil {
		return err
	}
	for _, k := range keys {
		lost, err := m.lost(ctx, store, secretARN, versions, k, all)
		if err == nil && lost {
			err = provider.Delete(ctx, by, k.ID)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// A holder is a version that may hold a key, and the name of the key that was
// made for it.
type holder struct {
	version, name string
	labels        []string
}

func (h holder) has(label string) bool { return slices.Contains(h.labels, label) }

// versions are the versions of a secret: those with labels, then the others,
// newest first.
func (m Member) versions(ctx context.Context, store rotation.Store, secretARN string) ([]holder, error) {
	now, err := store.Describe(ctx, secretARN)
	if err != nil {
		return nil, err
	}
	unlabelled, err := store.Unlabelled(ctx, secretARN)
	if err != nil {
		return nil, err
	}
	var all []holder
	for version, labels := range now.Versions {
		all = append(all, holder{version, m.keyName(secretARN, version), labels})
	}
	for _, version := range unlabelled {
		if len(now.Versions[version]) == 0 {
			all = append(all, holder{version, m.keyName(secretARN, version), nil})
		}
	}
	return all, nil
}

// lost reports whether nobody can have a key that was made for the secret. A key
// for the pending version is not lost before that has a value: it may be on its
// way. With all, the key of a version without a label is lost too.
func (m Member) lost(ctx context.Context, store rotation.Store, secretARN string, versions []holder, k Key, all bool) (bool, error) {
	at := slices.IndexFunc(versions, func(h holder) bool { return h.name == k.Name })
	if at < 0 {
		return true, nil
	}
	h := versions[at]
	v, err := store.Get(ctx, secretARN, h.version, "")
	if errors.Is(err, rotation.ErrNoValue) {
		return !h.has(rotation.LabelPending), nil
	}
	return err == nil && m.key(v).ID != k.ID || all && len(h.labels) == 0, err
}

// maxRead is how many versions are read to find out whose a key is.
const maxRead = 10

// holders finds the versions that hold keys, by the keys' ids.
func (m Member) holders(ctx context.Context, store rotation.Store, secretARN string, versions []holder) (map[string]holder, error) {
	found := make(map[string]holder)
	for _, h := range versions[:min(len(versions), maxRead)] {
		v, err := store.Get(ctx, secretARN, h.version, "")
		if errors.Is(err, rotation.ErrNoValue) {
			continue
		}
		if err != nil {
			return nil, err
		}
		id := m.key(v).ID
		if _, known := found[id]; !known || h.has(rotation.LabelCurrent) {
			found[id] = h
		}
	}
	return found, nil
}
