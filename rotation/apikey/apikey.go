// Package apikey rotates the API keys of providers such as SendGrid: it has the
// provider make a new key, tries it out, and when nobody holds the old key any
// more revokes that. Both keys work in between.
//
// # Keys in a secret
//
// A [Strategy] rotates one or more members of a secret's JSON value, each with a
// [Provider] of its own, or a value that is a key and nothing else. What belongs
// to no provider keeps every byte. Where a key does not tell its id, which is
// what it is revoked by, the id stands beside it in a member of its own.
//
// # What a crash leaves behind
//
// Only the provider can make a key, and it shows the key once. So createSecret
// has to call the provider before there is a value to store, and a crash in
// between leaves a key whose value nobody has. Every key is therefore made with
// a name that says which secret and which version it is for. setSecret, and
// retire, look through the keys with such names and delete those that no
// version holds; the version is fixed by then, so that two processes that run
// the same step at the same time cannot delete the key that the other one
// stores. No key is touched that has another name.
//
// A provider that has no names, as AWS IAM, is told apart by what the versions
// hold, and an unknown key that was never used is deleted only where there is no
// room for another.
package apikey

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	smithytime "github.com/aws/smithy-go/time"

	"github.com/rekey-go/rekey/rotation"
)

// A Key is an API key as its provider knows it.
type Key struct {
	// ID is by what the provider calls the key. It is no secret.
	ID string
	// Name was given to the key when it was made, and is empty where the
	// provider has no names.
	Name string
	// Secret is the key itself. The provider's list does not have it.
	Secret rotation.Value
	// Created is when the key was made, and zero where the provider does not
	// tell.
	Created time.Time
	// Disabled says that the key counts, but is refused.
	Disabled bool
}

// Format writes the id, and never the key, for every verb.
func (k Key) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "key %s", k.ID) }

// A Verifier tries a key out. A provider that has no more than that lets only
// its users make keys: they hand over the new one, and revoke the old one
// themselves.
type Verifier interface {
	// Verify uses a key as its consumers do, and changes nothing. The error
	// wraps [rotation.ErrAuth] where the provider refuses the key.
	Verify(ctx context.Context, k Key) error
}

// A Provider makes keys and revokes them. The key "by" proves to it who asks; a
// provider that knows that in another way does not look at it.
type Provider interface {
	Verifier
	// List returns all keys, without their secrets.
	List(ctx context.Context, by Key) ([]Key, error)
	// Create makes a key with a name, which may do what the key like may. The
	// error wraps [ErrNoRoom] where there are too many already.
	Create(ctx context.Context, by Key, name string, like Key) (Key, error)
	// Delete revokes a key for good. A key that is gone is no error.
	Delete(ctx context.Context, by Key, id string) error
}

// ErrNoRoom means that a provider lets no more keys be made.
var ErrNoRoom = errors.New("the provider has no room for another key")

// What a provider may have beside.
type (
	// An Identifier can tell the id of a key by the key itself.
	Identifier interface {
		// ID returns the id, or an empty string where it has none.
		ID(secret rotation.Value) string
	}
	// A Disabler can have a key refused and keep it, so that it can be brought
	// back until the next rotation needs its place.
	Disabler interface {
		// Disable revokes a key. A key that is gone is no error.
		Disable(ctx context.Context, by Key, id string) error
	}
	// A UsageTeller knows whether a key was ever used.
	UsageTeller interface {
		Used(ctx context.Context, by Key, id string) (bool, error)
	}
)

// A Member is one API key in a secret's value.
type Member struct {
	// Name is the member of the JSON value that has the key. If empty, the
	// value is the key.
	Name string
	// IDName is the member with the key's id. If empty, it is Name and "_id".
	IDName string
	// Label says of whom the key is, in errors, such as "sendgrid".
	Label string
	// Provider is a [Provider], or just a [Verifier].
	Provider Verifier
	// Admin returns the key that manages the keys. The error wraps
	// [rotation.ErrNoValue] where there is none; then, and if Admin is nil, the
	// secret's own key does so itself.
	Admin func(ctx context.Context) (Key, error)
}

// A Strategy rotates the API keys in a secret. It implements
// [rotation.Strategy], [rotation.Retirer] and [rotation.Prober].
type Strategy struct {
	Members []Member
	// Patience is how long Test waits for a new key to be accepted, and how
	// long Create waits for another process to store what it seems to be making
	// right now; 15 s each if zero, and never longer than the step's time.
	Patience time.Duration
}

var (
	_ rotation.Strategy = Strategy{}
	_ rotation.Retirer  = Strategy{}
	_ rotation.Prober   = Strategy{}
	_ rotation.Namer    = Strategy{}
)

// Name is what operators call the [Strategy]: the word of the tag
// rekey:strategy.
const Name = "api-key"

// Name is [Name].
func (Strategy) Name() string { return Name }

func (s Strategy) patience() time.Duration {
	if s.Patience > 0 {
		return s.Patience
	}
	return 15 * time.Second
}

// Set deletes the keys that were made for the secret and that no version holds.
// The pending key works since it was made.
func (s Strategy) Set(ctx context.Context, c rotation.Change) error {
	for _, m := range s.Members {
		provider, ok := m.Provider.(Provider)
		pending := m.key(c.Pending)
		if !ok || pending.Secret.Empty() {
			continue
		}
		by, err := m.manager(ctx, func() (Key, error) {
			k, err := m.working(ctx, c)
			if k.Secret.Empty() {
				k = pending
			}
			return k, err
		})
		if err == nil {
			err = account{m, provider, by, c.Store, c.Secret.ARN}.sweep(ctx, false)
		}
		// A key that was handed over need not be able to look after keys, and
		// then has left none behind.
		if err != nil && !errors.Is(err, rotation.ErrPermission) && !errors.Is(err, rotation.ErrAuth) {
			return m.errorf("clearing away keys that no version holds: %w", err)
		}
	}
	return nil
}

// Test uses the keys that are new as consumers will, and waits for the provider
// to know them. In a rehearsal, where none is new, it uses all.
func (s Strategy) Test(ctx context.Context, c rotation.Change) error {
	current, err := c.Store.Get(ctx, c.Secret.ARN, "", rotation.LabelCurrent)
	if err != nil && !errors.Is(err, rotation.ErrNoValue) {
		return err
	}
	var changed []Member
	for _, m := range s.Members {
		if m.key(c.Pending).Secret.Reveal() != m.key(current).Secret.Reveal() {
			changed = append(changed, m)
		}
	}
	if len(changed) == 0 {
		return s.Probe(ctx, c.Pending)
	}
	ctx, cancel := context.WithTimeout(ctx, s.patience())
	defer cancel()
	for _, m := range changed {
		if err := m.await(ctx, m.key(c.Pending)); err != nil {
			return err
		}
	}
	return nil
}

// Probe uses all keys of a value.
func (s Strategy) Probe(ctx context.Context, v rotation.Value) error {
	probed := false
	for _, m := range s.Members {
		k := m.key(v)
		if k.Secret.Empty() {
			continue
		}
		if err := m.Provider.Verify(ctx, k); err != nil {
			return m.errorf("%w", err)
		}
		probed = true
	}
	if !probed {
		return s.noKey()
	}
	return nil
}

func (s Strategy) noKey() error {
	var names []string
	for _, m := range s.Members {
		names = append(names, fmt.Sprintf("%q", m.Name))
	}
	return configurationf("the secret's value has no API key in %s; store one with rekey put, or mend the tag that names the providers", strings.Join(names, " or "))
}

// await verifies a key until it is accepted or the time is over.
func (m Member) await(ctx context.Context, k Key) error {
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 2*time.Second) {
		err := m.Provider.Verify(ctx, k)
		if err == nil {
			return nil
		}
		if !errors.Is(err, rotation.ErrAuth) || !sleep(ctx, pause) {
			return m.errorf("the new key: %w", err)
		}
	}
}

// sleep waits, unless the context ends before that.
func sleep(ctx context.Context, d time.Duration) bool {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= d {
		return false
	}
	return smithytime.SleepWithContext(ctx, d) == nil
}

// errorf says of which provider's key an error is.
func (m Member) errorf(format string, args ...any) error {
	return fmt.Errorf("%s: %w", m.Label, fmt.Errorf(format, args...))
}

func configurationf(format string, args ...any) error {
	return fmt.Errorf("%w: %s", rotation.ErrConfiguration, fmt.Sprintf(format, args...))
}

// key is the member's key in a value. What is not there is empty.
func (m Member) key(v rotation.Value) Key {
	secret, id := v, ""
	if m.Name != "" {
		secret, id = member(v, m.Name), member(v, m.idName()).Reveal()
	}
	if teller, ok := m.Provider.(Identifier); ok {
		id = teller.ID(secret)
	}
	return Key{ID: id, Secret: secret}
}

func (m Member) idName() string {
	if m.IDName != "" {
		return m.IDName
	}
	return m.Name + "_id"
}

// manager is the key that manages keys: the administrator's or, where there is
// none, one of the secret's own.
func (m Member) manager(ctx context.Context, own func() (Key, error)) (Key, error) {
	if m.Admin != nil {
		by, err := m.Admin(ctx)
		if !errors.Is(err, rotation.ErrNoValue) {
			return by, err
		}
	}
	return own()
}

// maxTried is how many of the values before the current one are tried.
const maxTried = 4

// working is a stored key that the provider accepts: the current one, or else
// one of those before it. It is empty where there is none.
func (m Member) working(ctx context.Context, c rotation.Change) (Key, error) {
	tried := make(map[string]bool)
	accepted := func(v rotation.Value) (Key, error) {
		k := m.key(v)
		if k.Secret.Empty() || tried[k.Secret.Reveal()] {
			return Key{}, rotation.ErrAuth
		}
		tried[k.Secret.Reveal()] = true
		return k, m.Provider.Verify(ctx, k)
	}
	k, err := accepted(c.Current)
	if !errors.Is(err, rotation.ErrAuth) {
		return k, err
	}
	for v, err := range c.Earlier(ctx) {
		if err != nil {
			return Key{}, err
		}
		if k, err := accepted(v); !errors.Is(err, rotation.ErrAuth) || len(tried) > maxTried {
			return k, err
		}
	}
	return Key{}, nil
}

// prefix begins the names of the keys that are made for a member of a secret.
// Several accounts, regions and stages may share a provider's account, so it
// stands for the secret's ARN.
func (m Member) prefix(secretARN string) string {
	sum := sha256.Sum256([]byte(secretARN + "\x00" + m.Name))
	return "rekey-" + hex.EncodeToString(sum[:6]) + "-"
}

// keyName is the name of the key for a version: at most 55 characters, which all
// providers take. A version id that is longer than a UUID is shortened.
func (m Member) keyName(secretARN, versionID string) string {
	const longest = 36
	if len(versionID) > longest {
		sum := sha256.Sum256([]byte(versionID))
		versionID = hex.EncodeToString(sum[:longest/2])
	}
	return m.prefix(secretARN) + versionID
}
