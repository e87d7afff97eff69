package apikey

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/rekey-go/rekey/rotation"
)

// An account is where a provider has the keys of one member of a secret, and
// with what they are managed there.
type account struct {
	Member
	provider  Provider // the member's
	by        Key      // manages keys
	store     rotation.Store
	secretARN string
}

// keyName is the name of the key for a version.
func (a account) keyName(versionID string) string { return a.Member.keyName(a.secretARN, versionID) }

// made reports whether a key was made for the secret.
func (a account) made(k Key) bool { return strings.HasPrefix(k.Name, a.prefix(a.secretARN)) }

// sweep deletes the keys that were made for the secret and that no version
// holds. With all, those of versions that have lost their labels go too.
func (a account) sweep(ctx context.Context, all bool) error {
	keys, err := a.provider.List(ctx, a.by)
	if err != nil {
		return err
	}
	return a.sweepKeys(ctx, keys, all)
}

// sweepKeys does so for keys that were listed before: what the versions hold is
// read after that, so that no key is taken for lost that is stored meanwhile.
func (a account) sweepKeys(ctx context.Context, keys []Key, all bool) error {
	keys = slices.DeleteFunc(slices.Clone(keys), func(k Key) bool { return !a.made(k) })
	if len(keys) == 0 {
		return nil
	}
	versions, err := a.versions(ctx)
	if err != nil {
		return err
	}
	for _, k := range keys {
		lost, err := a.lost(ctx, versions, k, all)
		if err == nil && lost {
			err = a.provider.Delete(ctx, a.by, k.ID)
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
func (a account) versions(ctx context.Context) ([]holder, error) {
	now, err := a.store.Describe(ctx, a.secretARN)
	if err != nil {
		return nil, err
	}
	unlabelled, err := a.store.Unlabelled(ctx, a.secretARN)
	if err != nil {
		return nil, err
	}
	var all []holder
	for version, labels := range now.Versions {
		all = append(all, holder{version, a.keyName(version), labels})
	}
	for _, version := range unlabelled {
		if len(now.Versions[version]) == 0 {
			all = append(all, holder{version, a.keyName(version), nil})
		}
	}
	return all, nil
}

// lost reports whether nobody can have a key that was made for the secret. A key
// for the pending version is not lost before that has a value: it may be on its
// way. With all, the key of a version without a label is lost too.
func (a account) lost(ctx context.Context, versions []holder, k Key, all bool) (bool, error) {
	at := slices.IndexFunc(versions, func(h holder) bool { return h.name == k.Name })
	if at < 0 {
		return true, nil
	}
	h := versions[at]
	v, err := a.store.Get(ctx, a.secretARN, h.version, "")
	if errors.Is(err, rotation.ErrNoValue) {
		return !h.has(rotation.LabelPending), nil
	}
	return err == nil && a.key(v).ID != k.ID || all && len(h.labels) == 0, err
}

// maxRead is how many versions are read to find out whose a key is.
const maxRead = 10

// holders finds the versions that hold keys, by the keys' ids.
func (a account) holders(ctx context.Context, versions []holder) (map[string]holder, error) {
	found := make(map[string]holder)
	for _, h := range versions[:min(len(versions), maxRead)] {
		v, err := a.store.Get(ctx, a.secretARN, h.version, "")
		if errors.Is(err, rotation.ErrNoValue) {
			continue
		}
		if err != nil {
			return nil, err
		}
		id := a.key(v).ID
		if _, known := found[id]; !known || h.has(rotation.LabelCurrent) {
			found[id] = h
		}
	}
	return found, nil
}
