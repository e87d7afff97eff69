package audit

import "time"

// A Secret is one secret's part of a report.
type Secret struct {
	Name string `json:"name"`
	// ARN is empty if the records name the secret only by its name.
	ARN     string `json:"arn,omitempty"`
	Account string `json:"account,omitempty"`
	Region  string `json:"region,omitempty"`
	// Decoy is whether nobody has a reason to touch it: see [Options.Decoys].
	Decoy bool `json:"decoy,omitempty"`
	// Current is the version that carries AWSCURRENT, where it is known, and
	// CurrentSince is when it became so, where the records show it.
	Current      string    `json:"current,omitempty"`
	CurrentSince time.Time `json:"currentSince,omitzero"`
	// Reads are successful GetSecretValue calls, Writes all other calls that
	// succeeded and change something, Denied and Errors the calls refused for
	// lack of permission and for other reasons.
	Reads  int `json:"reads"`
	Writes int `json:"writes"`
	Denied int `json:"denied"`
	Errors int `json:"errors"`
	// LastRead and LastReader tell the latest read; zero where there was none.
	LastRead   time.Time `json:"lastRead,omitzero"`
	LastReader string    `json:"lastReader,omitempty"`
	// LastUsed is LastRead or what Secrets Manager says, whichever is later. The
	// latter is a day only, and counts calls that read no value.
	LastUsed time.Time `json:"lastUsed,omitzero"`
	// State is what Secrets Manager itself says of it: nil if it was not asked.
	State     *State     `json:"state,omitempty"`
	Accesses  []Access   `json:"accesses"`
	Versions  []Version  `json:"versions"`
	Rotations []Rotation `json:"rotations"`
	// Steps counts the failures of its rotations by step; "" where the record
	// does not say the step.
	Steps    map[string]int `json:"failedSteps,omitempty"`
	Laggards []Laggard      `json:"laggards"`
	Leases   []Lease        `json:"leases,omitempty"`
	// Deletions are in the order of time.
	Deletions []Deletion `json:"deletions,omitempty"`
	// Controls are Security Hub's verdicts; none without a State, which they are
	// made from.
	Controls []Control   `json:"controls,omitempty"`
	Timeline []ReadCount `json:"timeline"`
	// TimelineStep is the width of the timeline's intervals in seconds.
	TimelineStep int `json:"timelineStep,omitempty"`
}

// An Access is what one principal did with one secret.
type Access struct {
	// Principal is the ARN of the role or user; for a service that acts by
	// itself "service:" and its name; for who has no ARN, the type and what
	// names it; else "unknown".
	Principal string `json:"principal"`
	// Type is CloudTrail's type of the identity.
	Type   string `json:"type,omitempty"`
	Reads  int    `json:"reads"`
	Writes int    `json:"writes"`
	Denied int    `json:"denied"`
	Errors int    `json:"errors"`
	// Describes counts the successful calls that read no value.
	Describes int `json:"describes"`
	// Batches counts the BatchGetSecretValue calls that name the secret.
	Batches int       `json:"batches"`
	First   time.Time `json:"first"`
	Last    time.Time `json:"last"`
	// Rotates is whether the principal carries out the secret's rotations.
	Rotates bool `json:"rotates,omitempty"`
	// Labels say what the principal is where that is known: rotator, by what it
	// did; terraform, cloudformation, console, scanner and others by its user
	// agent, which is what it says of itself; service for AWS's own.
	Labels []string `json:"labels,omitempty"`
	// Versions are the versions that it read, the latest read last.
	Versions []VersionReads `json:"versions,omitempty"`
	// Timeline are its reads over time, in the intervals of the secret's own
	// timeline.
	Timeline []ReadCount `json:"timeline,omitempty"`
	// Sessions, IPs, UserAgents, Regions, SourceIdentities and OnBehalfOf have
	// the first ten different ones in the order of the alphabet. OnBehalfOf are
	// the users of an identity centre whom a session acted for.
	Sessions         []string `json:"sessions,omitempty"`
	IPs              []string `json:"ips,omitempty"`
	UserAgents       []string `json:"userAgents,omitempty"`
	Regions          []string `json:"regions,omitempty"`
	SourceIdentities []string `json:"sourceIdentities,omitempty"`
	OnBehalfOf       []string `json:"onBehalfOf,omitempty"`
	// More is how many these leave out.
	More More `json:"more,omitzero"`
	// Flags are root, console, mfa, no-mfa, long-lived-key, temporary-key,
	// imdsv1, imdsv2, cross-account and endpoint (through a VPC endpoint), where
	// they apply to one of the calls at least.
	Flags []string `json:"flags,omitempty"`
}

// More is how many texts the lists of an [Access] leave out.
type More struct {
	Sessions         int `json:"sessions,omitempty"`
	IPs              int `json:"ips,omitempty"`
	UserAgents       int `json:"userAgents,omitempty"`
	Regions          int `json:"regions,omitempty"`
	SourceIdentities int `json:"sourceIdentities,omitempty"`
	OnBehalfOf       int `json:"onBehalfOf,omitempty"`
}

// VersionReads are a principal's reads of one version.
type VersionReads struct {
	// VersionID is empty for reads whose version is not known.
	VersionID string `json:"versionId,omitempty"`
	Reads     int    `json:"reads"`
	// Explicit counts the reads that asked for the version by its id; the
	// version of the others is known from KMS.
	Explicit int       `json:"explicit"`
	First    time.Time `json:"first"`
	Last     time.Time `json:"last"`
}

// A Version is one version of a secret.
type Version struct {
	VersionID string `json:"versionId"`
	// Labels are its staging labels, where the State tells them.
	Labels []string `json:"labels,omitempty"`
	// Since and Until are when it became current and when it was superseded,
	// where the records show it.
	Since time.Time `json:"since,omitzero"`
	Until time.Time `json:"until,omitzero"`
	// By is the call that made it current: a rotation's event, PutSecretValue
	// or UpdateSecretVersionStage; "first read" where no record shows the call.
	By        string    `json:"by,omitempty"`
	Reads     int       `json:"reads"`
	FirstRead time.Time `json:"firstRead,omitzero"`
	LastRead  time.Time `json:"lastRead,omitzero"`
	// Readers is how many principals read it.
	Readers int `json:"readers"`
	// Holders is how many principals read it last of all versions, where their
	// version is known. Leases is how many consumers' leases are on it.
	Holders int `json:"holders"`
	Leases  int `json:"leases,omitempty"`
	// Adoption is who moved to it, in the order of time: each principal once,
	// with its first read of it.
	Adoption []Adoption `json:"adoption,omitempty"`
}

// An Adoption is one principal's first read of a version.
type Adoption struct {
	At        time.Time `json:"at"`
	Principal string    `json:"principal"`
	// From is the version that it had read before; empty if there was none.
	From string `json:"from,omitempty"`
	// On is how many principals held the version then, this one included, and
	// Of how many had read any known version: On/Of is the share of principals.
	On int `json:"on"`
	Of int `json:"of"`
}

// The ends of a rotation.
const (
	Succeeded = "succeeded"
	Failed    = "failed"
	Abandoned = "abandoned"
	Running   = "running"
)

// A Rotation is one rotation of a secret.
type Rotation struct {
	// Started is zero if the records begin in the middle of it.
	Started time.Time `json:"started,omitzero"`
	Ended   time.Time `json:"ended,omitzero"`
	Status  string    `json:"status"`
	// VersionID is the version that it was to make current.
	VersionID string `json:"versionId,omitempty"`
	// RequestedBy is the principal that called RotateSecret; empty for the
	// schedule.
	RequestedBy string `json:"requestedBy,omitempty"`
	// Failures is how often it failed: one that is tried again may succeed.
	Failures int `json:"failures,omitempty"`
	// Step and Function are where it failed last, and Message what was said.
	Step     string `json:"step,omitempty"`
	Function string `json:"function,omitempty"`
	Message  string `json:"message,omitempty"`
	// Events are the ids of its events, the latest ten.
	Events []string `json:"events,omitempty"`
}

// Duration is how long a rotation took, or zero if that is not known.
func (r Rotation) Duration() time.Duration {
	if r.Started.IsZero() || r.Ended.IsZero() {
		return 0
	}
	return r.Ended.Sub(r.Started)
}

// The classes of laggards. They are kept apart because they do not prove the
// same.
const (
	// ReadsOld is who was given an old version after it was superseded: seen in
	// the records.
	ReadsOld = "reads-old"
	// HoldsOld is who holds a live lease on an old version: it may use it until
	// the lease runs out, and says so itself.
	HoldsOld = "holds-old"
	// Silent is who read the secret before its version changed and not since.
	Silent = "silent"
)

// The evidence for a laggard.
const (
	// AskedForOld means that it asked for an old version, or for AWSPREVIOUS.
	AskedForOld = "asked for the old version"
	// GotOld means that KMS shows it to have been given an old version.
	GotOld = "got the old version"
	// LeaseOnOld means that its lease is on an old version.
	LeaseOnOld = "lease on the old version"
	// NoReadSince means that it read the secret before the new version became
	// current and not since: it may be gone, or live on a cached value. This
	// proves nothing.
	NoReadSince = "no read since"
)

// A Laggard is who may still use a superseded version: a principal, or for
// [HoldsOld] a consumer.
type Laggard struct {
	// Principal is empty for a lease, which names a consumer's environment.
	Principal string `json:"principal,omitempty"`
	// Consumer is the environment that holds the lease.
	Consumer string `json:"consumer,omitempty"`
	// Class is [ReadsOld], [HoldsOld] or [Silent].
	Class string `json:"class"`
	// Evidence is [AskedForOld], [GotOld], [LeaseOnOld] or [NoReadSince].
	Evidence string `json:"evidence"`
	// Proven is false for [NoReadSince].
	Proven bool `json:"proven"`
	// VersionID is the version that it was seen with last, where known.
	VersionID string `json:"versionId,omitempty"`
	// LastRead is its latest read, zero for a lease, and Since when the current
	// version became current.
	LastRead time.Time `json:"lastRead,omitzero"`
	Since    time.Time `json:"since,omitzero"`
	// Expires is when the lease runs out.
	Expires time.Time `json:"expires,omitzero"`
	// Event is the id of that read.
	Event string `json:"event,omitempty"`
}

// A Deletion is one deletion of a secret.
type Deletion struct {
	Scheduled time.Time `json:"scheduled"`
	By        string    `json:"by"`
	// Forced is whether there is no recovery window.
	Forced bool `json:"forced,omitempty"`
	// Due is when the secret is gone.
	Due time.Time `json:"due,omitzero"`
	// Restored is when it was taken back.
	Restored time.Time `json:"restored,omitzero"`
	// Attempts counts the calls for its value between the deletion and its
	// end, however they ended, and Refused those of them that lacked the
	// permission.
	Attempts int `json:"attempts"`
	Refused  int `json:"refused,omitempty"`
	// Principals are the first ten of those who made them, in the order of the
	// alphabet, and MorePrincipals how many more there are.
	Principals     []string `json:"principals,omitempty"`
	MorePrincipals int      `json:"morePrincipals,omitempty"`
	// Events are the ids of the deletion and of the latest attempts.
	Events []string `json:"events,omitempty"`
}

// The verdicts of a [Control], in Security Hub's words.
const (
	Passed = "PASSED"
	// ControlFailed is FAILED.
	ControlFailed = "FAILED"
	// NotAvailable is for a secret that the control does not look at.
	NotAvailable = "NOT_AVAILABLE"
)

// A Control is the verdict of one of Security Hub's controls for Secrets
// Manager on a secret, by the same definition.
type Control struct {
	// ID is SecretsManager.1 to SecretsManager.5.
	ID string `json:"id"`
	// Severity is [Medium], or [Low] for SecretsManager.5.
	Severity string `json:"severity"`
	// Status is [Passed], [ControlFailed] or [NotAvailable].
	Status string `json:"status"`
	// Reason says why, in words.
	Reason string `json:"reason"`
}

// A ReadCount is the reads of one version in one interval of a timeline.
type ReadCount struct {
	// At is the start of the interval.
	At        time.Time `json:"at"`
	VersionID string    `json:"versionId,omitempty"`
	Reads     int       `json:"reads"`
}
