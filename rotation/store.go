package rotation

import (
	"context"
	"slices"
	"time"
)

// A Secret is what Secrets Manager says of a secret, without its value.
type Secret struct {
	// ARN and Name identify it.
	ARN, Name string
	// RotationEnabled says whether it is set up for rotation, and FunctionARN
	// by which function.
	RotationEnabled bool
	FunctionARN     string
	// Versions are the staging labels by version id.
	Versions map[string][]string
	Tags     map[string]string
	// Now is when Secrets Manager said this, and LastRotated when the last
	// rotation ended, zero where none did. Both are by its own clock.
	Now, LastRotated time.Time
}

// VersionWith returns the version that carries a label, or an empty string.
func (s Secret) VersionWith(label string) string { return VersionWith(s.Versions, label) }

// VersionWith returns the version that carries a label, or an empty string,
// among staging labels by version id, as DescribeSecret answers with them in
// VersionIdsToStages. Secrets Manager has a label on one version at most.
func VersionWith(versions map[string][]string, label string) string {
	for version, labels := range versions {
		if slices.Contains(labels, label) {
			return version
		}
	}
	return ""
}

// supplied returns the version whose value an operator supplied for the rotation
// with a token, with the label that says so.
func (s Secret) supplied(token string) (version, label string) {
	for _, label := range []string{SuppliedFor(token), LabelSupplied} {
		if version := s.VersionWith(label); version != "" {
			return version, label
		}
	}
	return "", ""
}

// Has reports whether a version carries a label.
func (s Secret) Has(version, label string) bool { return slices.Contains(s.Versions[version], label) }

// A Store keeps secrets with their versions: Secrets Manager, see [NewStore].
type Store interface {
	// Describe tells of a secret.
	Describe(ctx context.Context, secretID string) (Secret, error)
	// Get reads a version by its id, by a label, or by both, which must then
	// fit. The error wraps [ErrNoValue] where there is none.
	Get(ctx context.Context, secretID, versionID, label string) (Value, error)
	// Unlabelled returns the ids of the versions without a staging label,
	// newest first.
	Unlabelled(ctx context.Context, secretID string) ([]string, error)
	// PutPending stores the value of a version that is to carry AWSPENDING.
	// The error wraps [ErrExists] if the version has another value already.
	PutPending(ctx context.Context, e Event, v Value) error
	// PutCurrent stores a value as a new version and moves AWSCURRENT to it from
	// the version that was read before. The error wraps [ErrConflict] where
	// AWSCURRENT is not there any more, and [ErrExists] where the new version
	// has another value already.
	PutCurrent(ctx context.Context, secretID, from, versionID string, v Value) error
	// MoveLabel takes a label from a version and puts it on another. Either
	// may be empty.
	MoveLabel(ctx context.Context, secretID, label, from, to string) error
}

// An Event asks for one step of a rotation, as Secrets Manager sends it.
type Event struct {
	Step     Step
	SecretID string
	// Token is the id of the version to rotate to.
	Token string
	// FunctionARN is that of the function that the event came to, and empty
	// where it is not known.
	FunctionARN string
	// RotationToken proves to Secrets Manager that a write belongs to the
	// rotation. It is sensitive, and may be empty.
	RotationToken Value
}
