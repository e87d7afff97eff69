package apikey

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/rekey-go/rekey/rotation"
)

// Create has the providers make new keys. Where a value was supplied it takes
// the keys from there, and asks no provider.
func (s Strategy) Create(ctx context.Context, c rotation.Change, supplied rotation.Value) (rotation.Value, error) {
	if !supplied.Empty() {
		return s.takeOver(c.Current, supplied)
	}
	if err := s.check(); err != nil {
		return rotation.Value{}, err
	}
	if stored, err := stored(ctx, c); !errors.Is(err, rotation.ErrNoValue) {
		return stored, err // a step that is repeated makes no second key
	}
	pending, made := c.Current, 0
	for _, m := range s.Members {
		provider, ok := m.Provider.(Provider)
		if !ok || m.key(c.Current).Secret.Empty() {
			continue
		}
		k, err := s.make(ctx, c, m, provider)
		if errors.Is(err, errStored) {
			return stored(ctx, c)
		}
		if err != nil {
			return rotation.Value{}, m.errorf("making a key: %w", err)
		}
		if pending, err = m.with(pending, k); err != nil {
			return rotation.Value{}, err
		}
		made++
	}
	if made == 0 {
		return rotation.Value{}, s.nothingToMake(c.Current)
	}
	return pending, nil
}

// check refuses a value that is a key and nothing else where the provider needs
// to be told the key's id.
func (s Strategy) check() error {
	for _, m := range s.Members {
		_, derived := m.Provider.(Identifier)
		if _, makes := m.Provider.(Provider); makes && m.Name == "" && !derived {
			return configurationf("a key of %s is revoked by its id, which the value has no place for: make the value a JSON object, and tag the member that has the key", m.Label)
		}
	}
	return nil
}

// nothingToMake says why no key was made.
func (s Strategy) nothingToMake(current rotation.Value) error {
	for _, m := range s.Members {
		if !m.key(current).Secret.Empty() {
			return fmt.Errorf(`%w: %s makes keys only for a user who asks in person: make one there, and rotate with it as the new value {%q: "..."}`,
				rotation.ErrManual, m.Label, m.Name)
		}
	}
	return s.noKey()
}

// stored is the value of the version that is to become current, if it has one.
func stored(ctx context.Context, c rotation.Change) (rotation.Value, error) {
	return c.Store.Get(ctx, c.Secret.ARN, c.VersionID, "")
}

// errStored means that another process has stored the version meanwhile.
var errStored = errors.New("the version is stored")

// maxAttempts is how often room is made for a new key.
const maxAttempts = 3

// make makes a key, and makes room for it first where there is none.
func (s Strategy) make(ctx context.Context, c rotation.Change, m Member, provider Provider) (Key, error) {
	like, err := m.working(ctx, c)
	if err != nil {
		return Key{}, fmt.Errorf("the current key: %w", err)
	}
	by, err := m.manager(ctx, func() (Key, error) { return like, nil })
	if err != nil {
		return Key{}, err
	}
	a := account{m, provider, by, c.Store, c.Secret.ARN}
	for range maxAttempts {
		k, err := provider.Create(ctx, by, a.keyName(c.VersionID), like)
		switch {
		case err == nil && k.Secret.Empty():
			return Key{}, configurationf("the provider's answer has no key")
		case !errors.Is(err, ErrNoRoom):
			return k, err
		}
		if err := s.makeRoom(ctx, c, a); err != nil {
			return Key{}, err
		}
	}
	return Key{}, fmt.Errorf("%w, though keys were deleted: %w", ErrNoRoom, rotation.ErrConflict)
}

// longestStep is the longest that a function can run: what makes a key has
// stored it by then, or is dead.
const longestStep = 15 * time.Minute

// makeRoom deletes a key that no version needs. One that no version knows may
// have been made a moment ago by another process, which is then given time to
// store it.
func (s Strategy) makeRoom(ctx context.Context, c rotation.Change, a account) error {
	keys, err := a.provider.List(ctx, a.by)
	if err != nil {
		return err
	}
	versions, err := a.versions(ctx)
	if err != nil {
		return err
	}
	held, err := a.holders(ctx, versions)
	if err != nil {
		return err
	}
	reasons := make([]string, 0, len(keys))
	for _, k := range keys {
		if held[k.ID].version == c.VersionID {
			return errStored
		}
		use, why, err := a.use(ctx, k, c.VersionID, versions, held)
		switch {
		case err != nil:
			return err
		case use == needed:
			reasons = append(reasons, fmt.Sprintf("%s %s", k, why))
			continue
		case use == unclear && time.Since(k.Created) < longestStep:
			if err := s.awaitStored(ctx, c); err != nil {
				return err
			}
		}
		return a.provider.Delete(ctx, a.by, k.ID)
	}
	reasons = reasons[:min(len(reasons), maxReasons)]
	return fmt.Errorf("%w, and none may be deleted: %s: %w", ErrNoRoom, strings.Join(reasons, ", "), rotation.ErrConflict)
}

// maxReasons is for how many keys an error says why they have to stay.
const maxReasons = 3

// A use says whether a key may be deleted to make room.
type use int

const (
	needed  use = iota
	unclear     // unless another process is making it right now
	unused
)

// use tells of what use a key is where one for a version is to be made, and why
// it is needed.
func (a account) use(ctx context.Context, k Key, versionID string, versions []holder, held map[string]holder) (_ use, why string, err error) {
	h, known := held[k.ID]
	teller, tells := a.provider.(UsageTeller)
	switch {
	case known && (h.has(rotation.LabelCurrent) || h.has(rotation.LabelPending)), known && len(h.labels) > 0 && !k.Disabled:
		return needed, fmt.Sprintf("is the one of the version with %s", strings.Join(h.labels, " and ")), nil
	case k.Name == a.keyName(versionID):
		return unclear, "", nil
	case a.made(k):
		lost, err := a.lost(ctx, versions, k, false)
		if lost {
			return unused, "", err
		}
		return needed, "is not retired yet", err
	case k.Name == "" && known:
		return unused, "", nil // of a rotation that was given up, or disabled
	case k.Name == "" && tells:
		if used, err := teller.Used(ctx, a.by, k.ID); !used {
			return unclear, "", err
		}
		return needed, "is of no version of the secret, and somebody uses it; delete it if nobody does", nil
	}
	return needed, "is not of this secret", nil
}

// awaitStored waits for another process to store the version. The error is
// errStored if it does.
func (s Strategy) awaitStored(ctx context.Context, c rotation.Change) error {
	for until := time.Now().Add(s.patience()); ; {
		switch _, err := stored(ctx, c); {
		case err == nil:
			return errStored
		case !errors.Is(err, rotation.ErrNoValue):
			return err
		case time.Now().After(until):
			return nil
		}
		if !sleep(ctx, s.patience()/20) {
			return fmt.Errorf("another process may be making the key: %w", rotation.ErrConflict)
		}
	}
}

// takeOver completes a value that an operator supplied: it need have no more
// than the new keys.
func (s Strategy) takeOver(current, supplied rotation.Value) (rotation.Value, error) {
	pending, err := overlay(current, supplied, s.whole())
	if err != nil {
		return rotation.Value{}, err
	}
	for _, m := range s.Members {
		before, after := m.key(current), m.key(pending)
		switch {
		case before.Secret.Reveal() == after.Secret.Reveal():
		case after.Secret.Empty():
			return rotation.Value{}, configurationf("the supplied value has no string in %q", m.Name)
		case m.needsID() && after.ID != "" && after.ID == before.ID:
			return rotation.Value{}, configurationf("the supplied value has a new key in %q, but not its id in %q", m.Name, m.idName())
		}
	}
	return pending, nil
}

// whole reports whether the value is a key and nothing else.
func (s Strategy) whole() bool { return len(s.Members) == 1 && s.Members[0].Name == "" }

// needsID reports whether the id of a key stands beside it.
func (m Member) needsID() bool {
	_, derived := m.Provider.(Identifier)
	return m.Name != "" && !derived
}

// with returns a value with another key.
func (m Member) with(v rotation.Value, k Key) (rotation.Value, error) {
	if m.Name == "" {
		return k.Secret, nil
	}
	v, err := setMember(v, m.Name, k.Secret)
	if err == nil && m.needsID() && k.ID != "" {
		v, err = setMember(v, m.idName(), rotation.NewValue(k.ID))
	}
	return v, err
}
