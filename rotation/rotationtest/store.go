package rotationtest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/rekey-go/rekey/rotation"
)

// A Store is a [rotation.Store] in memory, with Secrets Manager's rules for
// labels. It is safe for concurrent use.
type Store struct {
	mu     sync.Mutex
	secret rotation.Secret
	values map[string]rotation.Value // :: version id
	order  []string                  // the versions with a value, oldest first
	now    func() time.Time
}

// Function is the ARN of the function that rotates the store's secret.
const Function = "arn:aws:lambda:us-east-1:111122223333:function:rotator"

// firstVersion is the version of the value that a store begins with.
const firstVersion = "version-1"

// NewStore returns a store with one secret that has a current value.
func NewStore(v rotation.Value, tags map[string]string) *Store {
	return &Store{
		secret: rotation.Secret{
			ARN: "arn:aws:secretsmanager:us-east-1:111122223333:secret:db-a1b2c3", Name: "db", RotationEnabled: true, FunctionARN: Function,
			Versions: map[string][]string{firstVersion: {rotation.LabelCurrent}}, Tags: tags,
		},
		values: map[string]rotation.Value{firstVersion: v}, order: []string{firstVersion}, now: time.Now,
	}
}

// SetClock has the store take the time from a function.
func (s *Store) SetClock(now func() time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = now
}

// Begin does what RotateSecret does: it stages an empty version.
func (s *Store) Begin(token string) rotation.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.secret.Versions[token]; !ok {
		s.attachLocked(rotation.LabelPending, token)
	}
	return rotation.Event{SecretID: s.secret.ARN, Token: token}
}

// Supply stores a value as an operator supplies one.
func (s *Store) Supply(version string, v rotation.Value) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.putLocked(version, v)
	s.attachLocked(rotation.LabelSupplied, version)
}

// Replace makes a new value current, as somebody does who has no rotation.
func (s *Store) Replace(version string, v rotation.Value) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.putLocked(version, v)
	s.promoteLocked(version)
}

func (s *Store) putLocked(version string, v rotation.Value) {
	s.values[version] = v
	s.order = append(s.order, version)
}

// promoteLocked moves AWSCURRENT, and AWSPREVIOUS with it.
func (s *Store) promoteLocked(version string) {
	s.attachLocked(rotation.LabelPrevious, s.secret.VersionWith(rotation.LabelCurrent))
	s.attachLocked(rotation.LabelCurrent, version)
}

// attachLocked moves a label to a version.
func (s *Store) attachLocked(label, version string) {
	for v := range s.secret.Versions {
		s.detachLocked(label, v)
	}
	s.secret.Versions[version] = append(s.secret.Versions[version], label)
}

func (s *Store) detachLocked(label, version string) {
	labels := slices.DeleteFunc(slices.Clone(s.secret.Versions[version]), func(l string) bool { return l == label })
	s.secret.Versions[version] = labels
	if len(labels) == 0 {
		delete(s.secret.Versions, version)
	}
}

// Describe returns a copy of the secret's state.
func (s *Store) Describe(context.Context, string) (rotation.Secret, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.secret
	c.Versions, c.Now = maps.Clone(c.Versions), s.now()
	return c, nil
}

// Get reads a version.
func (s *Store) Get(_ context.Context, _, version, label string) (rotation.Value, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if version == "" {
		version = s.secret.VersionWith(label)
	} else if label != "" && !s.secret.Has(version, label) {
		return rotation.Value{}, fmt.Errorf("version %s does not carry %s", version, label)
	}
	v, ok := s.values[version]
	if !ok {
		return v, rotation.ErrNoValue
	}
	return v, nil
}

// all returns the values of all versions.
func (s *Store) all() map[string]rotation.Value {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.values)
}

// Unlabelled returns the versions without a label, newest first.
func (s *Store) Unlabelled(context.Context, string) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []string
	for _, version := range slices.Backward(s.order) {
		if len(s.secret.Versions[version]) == 0 {
			ids = append(ids, version)
		}
	}
	return ids, nil
}

// PutPending fills a version.
func (s *Store) PutPending(_ context.Context, e rotation.Event, v rotation.Value) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.values[e.Token]; ok {
		return rotation.ErrExists
	}
	s.putLocked(e.Token, v)
	s.attachLocked(rotation.LabelPending, e.Token)
	return nil
}

// PutCurrent makes a value current.
func (s *Store) PutCurrent(_ context.Context, _, from, version string, v rotation.Value) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, ok := s.values[version]
	switch {
	case ok && old.Reveal() != v.Reveal():
		return rotation.ErrExists
	case !s.secret.Has(from, rotation.LabelCurrent):
		return rotation.ErrConflict
	case !ok:
		s.putLocked(version, v)
	}
	s.attachLocked(rotation.LabelStored, version)
	s.promoteLocked(version)
	return nil
}

// MoveLabel moves a label, and AWSPREVIOUS with AWSCURRENT.
func (s *Store) MoveLabel(_ context.Context, _, label, from, to string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if holder := s.secret.VersionWith(label); holder != from {
		return fmt.Errorf("%s is on version %q, not on %q", label, holder, from)
	}
	switch {
	case to == "":
		s.detachLocked(label, from)
	case label == rotation.LabelCurrent:
		s.promoteLocked(to)
		s.secret.LastRotated = s.now()
	default:
		s.attachLocked(label, to)
	}
	return nil
}

// Change changes what Describe tells.
func (s *Store) Change(fn func(*rotation.Secret)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fn(&s.secret)
}
