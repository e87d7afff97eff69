package secretsmanager

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A secret is the whole state of one secret at one moment. It never changes:
// a write makes a new one and puts it in the place of the old, so that reads
// need no lock.
type secret struct {
	meta
	versions versions
}

// meta is what the store keeps of a secret beside its versions.
type meta struct {
	ARN, Name   string
	Description string   `json:",omitempty"`
	KMSKeyID    string   `json:",omitempty"`
	Tags        []tag    `json:",omitzero"` // nil if there never was one
	Policy      string   `json:",omitempty"`
	Rotation    rotation `json:",omitzero"`
	// Run is the rotation in progress.
	Run *run `json:",omitempty"`

	Created time.Time
	Changed time.Time
	Rotated time.Time `json:",omitzero"` // by a rotation
	// Deletion is when a secret that is marked for deletion goes.
	Deletion time.Time `json:",omitzero"`

	Labels map[string]string `json:",omitempty"` // :: label -> version id
	// Accessed says on which day versions were read. It is up to a day behind
	// the readers.
	Accessed map[string]time.Time `json:",omitempty"` // :: version id -> day
}

// versionRecord is what the store keeps of a version.
type versionRecord struct {
	ARN, ID string
	Created time.Time
	KeyID   string  `json:",omitempty"`
	Text    *string `json:",omitempty"`
	Binary  []byte  `json:",omitempty"`
}

// tag is a tag, in the order in which it was given.
type tag struct{ Key, Value string }

// deleted reports whether the secret is marked for deletion.
func (s *secret) deleted() bool { return !s.Deletion.IsZero() }

// An entry is a secret's place in the service.
type entry struct {
	arn, name string
	// writing is held by the one writer that makes the next state.
	writing sync.Mutex
	state   atomic.Pointer[secret]
	gone    bool // :: writing; the secret was removed for good

	access accessLog

	timers sync.Mutex
	purge  *timer // :: timers; of the deletion
	due    *timer // :: timers; of the next window
	retry  *timer // :: timers; of the next attempt
	// attempting is held during an attempt at a rotation.
	attempting sync.Mutex
}

func newEntry(s *secret) *entry {
	e := &entry{arn: s.ARN, name: s.Name}
	e.access.days = maps.Clone(s.Accessed)
	for _, day := range s.Accessed {
		e.access.last = later(e.access.last, day)
	}
	e.state.Store(s)
	return e
}

// An accessLog remembers the day on which each version was last read.
type accessLog struct {
	mu   sync.Mutex
	last time.Time            // :: mu; the last day on which any was read
	days map[string]time.Time // :: mu; version id -> day
}

// note marks a version as read. It reports whether this is the secret's first
// read of the day.
func (l *accessLog) note(id string, now time.Time) (first bool) {
	today := now.UTC().Truncate(24 * time.Hour)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.days[id].Equal(today) {
		return false
	}
	if l.days == nil {
		l.days = make(map[string]time.Time)
	}
	l.days[id] = today
	first = l.last.Before(today)
	l.last = today
	return first
}

// of returns the day on which a version was last read, or zero.
func (l *accessLog) of(id string) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.days[id]
}

// latest returns the day on which the secret was last read, or zero.
func (l *accessLog) latest() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

// forget drops what was noted of versions.
func (l *accessLog) forget(ids []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range ids {
		delete(l.days, id)
	}
}

// keep returns the days of all versions, for the store.
func (l *accessLog) keep() map[string]time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.days)
}

// withTags returns tags with others set, each in its old place or at the end.
func withTags(tags, set []tag) []tag {
	tags = slices.Clone(tags)
	for _, t := range set {
		i := slices.IndexFunc(tags, func(old tag) bool { return old.Key == t.Key })
		if i < 0 {
			tags = append(tags, t)
		} else {
			tags[i].Value = t.Value
		}
	}
	return tags
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
