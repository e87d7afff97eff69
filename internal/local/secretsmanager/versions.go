package secretsmanager

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// The labels that Secrets Manager itself gives and moves.
const (
	labelCurrent  = "AWSCURRENT"
	labelPrevious = "AWSPREVIOUS"
	labelPending  = "AWSPENDING"
)

const (
	maxLabels   = 20  // on one version
	maxVersions = 100 // that are kept, unless they are young or labelled
	youngFor    = 24 * time.Hour
)

// What the state machine refuses. The operations put it in AWS's words.
var (
	errNoVersion     = errors.New("no such version")
	errOtherValue    = errors.New("the version has another value")
	errNotAttached   = errors.New("the label is not attached to the version to remove it from")
	errMustName      = errors.New("the version to remove the label from must be named")
	errKeepCurrent   = errors.New("AWSCURRENT can only move")
	errEmptyCurrent  = errors.New("a version without a value cannot be AWSCURRENT")
	errPending       = errors.New("AWSPENDING is attached to a version that is not AWSCURRENT")
	errVersionExists = errors.New("the version exists")
	errTooMany       = errors.New("too many versions or labels")
)

// A value is what a version holds: text, or bytes. Like all secret values it
// is not printed, and it never changes. Both are pointers because fmt prints
// what lies in unexported fields, but does not follow pointers there.
type value struct {
	text   *string
	binary *[]byte
}

// Format keeps values out of logs and errors.
func (v *value) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[redacted]")) }

func (v *value) equal(other *value) bool {
	if v == nil || other == nil {
		return v == other
	}
	if (v.text == nil) != (other.text == nil) {
		return false
	}
	if v.text != nil {
		return *v.text == *other.text
	}
	return bytes.Equal(v.bytes(), other.bytes())
}

// bytes returns a binary value, or nil for text.
func (v *value) bytes() []byte {
	if v.binary == nil {
		return nil
	}
	return *v.binary
}

// A version never changes: what looks like a change is a new one in its place.
type version struct {
	id      string
	created time.Time
	keyID   string // the KMS key that it is encrypted with; empty for the default
	// value is nil for the version that a rotation begins with, until the
	// rotation function fills it.
	value *value
}

// versions are the versions of a secret and the labels on them. It is a value:
// its operations return the state that follows and leave the one they were
// called on as it was, so that a refused call changes nothing. The zero value
// is a secret that never had a value.
//
// These hold in every state that the operations lead to:
//   - a label is on one version at most;
//   - once a version is AWSCURRENT, one always is, and it has a value;
//   - when AWSCURRENT moves, AWSPREVIOUS goes to the version that it left;
//   - a version without a value carries a label.
type versions struct {
	// all are in the order in which they were made. A secret has some hundred
	// at most, unless they are of one day; each write copies the list, and
	// what is asked for most is at its end.
	all    []*version
	labels map[string]string // :: label -> version id
}

func (v versions) clone() versions {
	c := versions{all: slices.Clone(v.all), labels: maps.Clone(v.labels)}
	if c.labels == nil {
		c.labels = make(map[string]string)
	}
	return c
}

// get returns the version of an id, or nil.
func (v versions) get(id string) *version {
	for _, ver := range slices.Backward(v.all) {
		if ver.id == id {
			return ver
		}
	}
	return nil
}

// at returns the version that carries a label, or nil.
func (v versions) at(label string) *version {
	if id := v.labels[label]; id != "" {
		return v.get(id)
	}
	return nil
}

// set puts a version in its place, and in that of the one that it follows.
func (v *versions) set(ver *version) {
	i, there := slices.BinarySearchFunc(v.all, ver, byAge)
	if there {
		v.all[i] = ver
	} else {
		v.all = slices.Insert(v.all, i, ver)
	}
}

// byAge orders versions by the time they were made.
func byAge(a, b *version) int {
	if c := a.created.Compare(b.created); c != 0 {
		return c
	}
	return strings.Compare(a.id, b.id)
}

// labelsOf returns the labels of a version in alphabetical order.
func (v versions) labelsOf(id string) []string {
	var labels []string
	for label, at := range v.labels {
		if at == id {
			labels = append(labels, label)
		}
	}
	slices.Sort(labels)
	return labels
}

// put stores a value under a version id and adds labels to that version,
// taking them off others. The first value of a secret becomes AWSCURRENT
// whatever its labels. Putting a value that the version has already changes
// nothing.
func (v versions) put(now time.Time, id string, val *value, keyID string, labels ...string) (versions, error) {
	created := now
	if old := v.get(id); old != nil && old.value != nil {
		if !old.value.equal(val) {
			return v, errOtherValue
		}
		return v, nil
	} else if old != nil {
		created = old.created
	}
	next := v.clone()
	next.set(&version{id: id, created: created, keyID: keyID, value: val})
	if v.at(labelCurrent) == nil {
		labels = append(slices.Clone(labels), labelCurrent)
	}
	for _, label := range labels {
		if label != labelCurrent {
			next.labels[label] = id
		}
	}
	// Last, because it decides where AWSPREVIOUS goes.
	if slices.Contains(labels, labelCurrent) {
		next.promote(id)
	}
	return next.settled(v, now)
}

// promote moves AWSCURRENT in place.
func (v versions) promote(id string) {
	former := v.labels[labelCurrent]
	if former == id {
		return
	}
	v.labels[labelCurrent] = id
	if former != "" {
		v.labels[labelPrevious] = former
	}
}

// move takes a label off a version and puts it on another. Without to it only
// takes it off; from must be named where the label is on a version other than
// to.
func (v versions) move(now time.Time, label, from, to string) (versions, error) {
	at := v.labels[label]
	switch {
	case from != "" && v.get(from) == nil || to != "" && v.get(to) == nil:
		return v, errNoVersion
	case from != "" && from != at:
		return v, errNotAttached
	case at != "" && at != to && from == "":
		return v, errMustName
	case label == labelCurrent && to == "":
		return v, errKeepCurrent
	case label == labelCurrent && v.get(to).value == nil:
		return v, errEmptyCurrent
	case at == to:
		return v, nil
	}
	next := v.clone()
	switch {
	case to == "":
		delete(next.labels, label)
	case label == labelCurrent:
		next.promote(to)
	default:
		next.labels[label] = to
	}
	return next.settled(v, now)
}

// begin makes the version that a rotation works on: a new one that is
// AWSPENDING, without a value unless one is given. It is errPending where an
// earlier rotation left AWSPENDING on a version that did not become current.
func (v versions) begin(now time.Time, id string, val *value, keyID string) (versions, error) {
	if pending := v.labels[labelPending]; pending != "" && pending != v.labels[labelCurrent] {
		return v, errPending
	}
	if v.get(id) != nil {
		return v, errVersionExists
	}
	next := v.clone()
	next.set(&version{id: id, created: now, keyID: keyID, value: val})
	next.labels[labelPending] = id
	return next.settled(v, now)
}

// endPending takes AWSPENDING off a version that carries it.
func (v versions) endPending(id string) versions {
	if v.labels[labelPending] != id || id == "" {
		return v
	}
	next := v.clone()
	delete(next.labels, labelPending)
	next.dropEmpty()
	return next
}

// discard removes a version that carries no label but AWSPENDING.
func (v versions) discard(id string) versions {
	next := v.endPending(id)
	if len(next.labelsOf(id)) > 0 {
		return next
	}
	next = next.clone()
	next.all = slices.DeleteFunc(next.all, func(ver *version) bool { return ver.id == id })
	return next
}

// settled is the end of every operation: versions that nothing needs go, and
// a state that is beyond the limits is refused for the one before.
func (v versions) settled(before versions, now time.Time) (versions, error) {
	v.dropEmpty()
	count := make(map[string]int, len(v.labels))
	for _, id := range v.labels {
		if count[id]++; count[id] > maxLabels {
			return before, errTooMany
		}
	}
	if len(count) > maxVersions {
		return before, errTooMany
	}
	v.prune(now)
	return v, nil
}

// dropEmpty removes versions that have neither a value nor a label.
func (v *versions) dropEmpty() {
	v.all = slices.DeleteFunc(v.all, func(ver *version) bool {
		return ver.value == nil && len(v.labelsOf(ver.id)) == 0
	})
}

// prune removes the oldest versions beyond maxVersions that carry no label
// and are not young.
func (v *versions) prune(now time.Time) {
	over := len(v.all) - maxVersions
	v.all = slices.DeleteFunc(v.all, func(ver *version) bool {
		if over <= 0 || now.Sub(ver.created) < youngFor || len(v.labelsOf(ver.id)) > 0 {
			return false
		}
		over--
		return true
	})
}

// since lists the versions that are not as they were before, and the ids of
// those that are gone.
func (v versions) since(before versions) (changed []*version, gone []string) {
	old, now := before.all, v.all
	for len(old) > 0 || len(now) > 0 {
		switch {
		case len(old) > 0 && len(now) > 0 && old[0] == now[0]:
			old, now = old[1:], now[1:]
		case len(old) == 0 || len(now) > 0 && byAge(now[0], old[0]) < 0:
			changed, now = append(changed, now[0]), now[1:]
		case len(now) == 0 || byAge(old[0], now[0]) < 0:
			gone, old = append(gone, old[0].id), old[1:]
		default: // another state of the same version
			changed, old, now = append(changed, now[0]), old[1:], now[1:]
		}
	}
	return changed, gone
}

// movedTo lists the labels that are on another version than they were before,
// in alphabetical order.
func (v versions) movedTo(before versions) []string {
	var moved []string
	for label, id := range v.labels {
		if before.labels[label] != id {
			moved = append(moved, label)
		}
	}
	slices.Sort(moved)
	return moved
}
