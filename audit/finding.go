package audit

import "time"

// The severities of findings.
const (
	High   = "high"
	Medium = "medium"
	Low    = "low"
)

// The kinds of findings. docs/audit.md says what each one is counted from, and
// what can fool it.
const (
	KindLaggard           = "laggard"
	KindRotationFailed    = "rotation-failed"
	KindRotationStuck     = "rotation-stuck"
	KindRotationOverdue   = "rotation-overdue"
	KindNeverRotated      = "never-rotated"
	KindUnused            = "unused"
	KindReadAfterDeletion = "read-after-deletion"
	KindDeletionDue       = "deletion-due"
	KindForcedDeletion    = "forced-deletion"
	KindBulkRead          = "bulk-read"
	KindBatchCatchAll     = "batch-catch-all"
	KindListThenGet       = "list-then-get"
	KindManyRegions       = "many-regions"
	KindRoot              = "root"
	KindCrossAccount      = "cross-account"
	KindConsoleRead       = "console-read"
	KindLongLivedKey      = "long-lived-key"
	KindIMDSv1            = "imdsv1"
	KindNoEndpoint        = "no-endpoint"
	KindDenied            = "denied"
	KindFirstSeen         = "first-seen"
	KindChange            = "change"
	KindDecoy             = "decoy"
)

// A Finding is something that somebody should look at.
type Finding struct {
	// Severity is [High], [Medium] or [Low].
	Severity string `json:"severity"`
	// Kind is one of the kinds above.
	Kind      string    `json:"kind"`
	Secret    string    `json:"secret,omitempty"`
	SecretARN string    `json:"secretArn,omitempty"`
	Principal string    `json:"principal,omitempty"`
	VersionID string    `json:"versionId,omitempty"`
	At        time.Time `json:"at"`
	Text      string    `json:"text"`
	// Labels are the principal's, where it is a known tool or a rotator: they
	// explain a finding and never hide one.
	Labels []string `json:"labels,omitempty"`
	// Events are the ids of the events that show it, the latest ten of them in
	// the order of time; none where it is the inventory or a lease that does.
	Events []string `json:"events,omitempty"`
	// MoreEvents is how many others there are.
	MoreEvents int `json:"moreEvents,omitempty"`
	// Next is a command that looks further or sets it right, ready for a shell.
	Next string `json:"next,omitempty"`
}
