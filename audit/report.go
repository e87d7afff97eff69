package audit

import (
	"encoding/json"
	"time"
)

// A Report is what the records of a trail say about secrets. Its JSON form is
// stable: members are added, not changed.
//
// Texts are as the records have them: a user agent or a name may hold
// anything, and whoever shows it escapes it. Lists of such texts are bounded,
// and say how many they leave out.
type Report struct {
	// Generated is when the report was made.
	Generated time.Time `json:"generated"`
	Coverage  Coverage  `json:"coverage"`
	// Secrets by name, those with laggards first. Those that only
	// [Options.Inventory] knows are among them.
	Secrets []Secret `json:"secrets"`
	// Principals are all who made calls, those that read most secrets first.
	Principals []Principal `json:"principals"`
	// Denied are the refused calls, the latest first.
	Denied []Denied `json:"denied"`
	// Changes are the calls that change who can read a secret, or whether
	// anybody can, in the order of time.
	Changes []Change `json:"changes"`
	// FirstSeen are who and what used a secret that [Options.Baseline] knows,
	// and was not seen to use it before, in the order of time. Empty without a
	// baseline.
	FirstSeen []FirstSeen `json:"firstSeen"`
	// Findings are what somebody should look at, the gravest first.
	Findings []Finding `json:"findings"`
	// Baseline is what the next report is to be given as [Options.Baseline]: the
	// one that this report was given, and what the records added. It is state
	// and no part of what is reported, so the report's JSON form is without it.
	Baseline *Baseline `json:"-"`
}

// Coverage says what a report is based on, and what it could not see.
type Coverage struct {
	// From and To are the bounds that were asked for; zero where there is none.
	From time.Time `json:"from,omitzero"`
	To   time.Time `json:"to,omitzero"`
	// FirstEvent and LastEvent are the times of the events that were seen.
	FirstEvent time.Time `json:"firstEvent,omitzero"`
	LastEvent  time.Time `json:"lastEvent,omitzero"`
	// Events is how many distinct events of Secrets Manager, and of KMS on its
	// behalf, the report counts.
	Events int `json:"events"`
	// Duplicates is how many records say again what another one says: of an
	// event that was delivered twice, or to two accounts. Replaced is how many
	// were corrected by another one. With the Events they are the records that
	// were read.
	Duplicates int `json:"duplicates"`
	Replaced   int `json:"replaced"`
	// Malformed is how many records could not be read.
	Malformed int `json:"malformed"`
	// ReadEvents and KMSEvents tell whether there were any.
	ReadEvents bool `json:"readEvents"`
	KMSEvents  bool `json:"kmsEvents"`
	// Inventory and Leases tell whether the caller gave what Secrets Manager
	// itself says of the secrets, and who holds which version.
	Inventory bool `json:"inventory"`
	Leases    bool `json:"leases"`
	// Unattributed is how many calls for a value name no secret.
	Unattributed int `json:"unattributed"`
	// UnknownVersion is how many reads have no known version.
	UnknownVersion int `json:"unknownVersion"`
	// Accounts and Regions are the first ten in the order of the alphabet.
	Accounts []string `json:"accounts"`
	Regions  []string `json:"regions"`
	// MoreAccounts and MoreRegions are how many these leave out.
	MoreAccounts int `json:"moreAccounts,omitempty"`
	MoreRegions  int `json:"moreRegions,omitempty"`
	// Skipped are the parts that could not be read: the report is of the rest.
	Skipped []Skipped `json:"skipped,omitempty"`
	// Integrity is what the trail's digests say of its log files; nil if they
	// were not asked.
	Integrity *Integrity `json:"integrity,omitempty"`
	// Notes say in words what the report did not see.
	Notes []string `json:"notes"`
}

// A Skipped is a part of the records that could not be read.
type Skipped struct {
	// What names it: a file, a folder, an account.
	What string `json:"what"`
	Why  string `json:"why"`
}

// An Integrity is how many log files are what CloudTrail delivered. The package
// source finds it out.
type Integrity struct {
	// Verified files are; Altered ones are not. Missing ones are named by a
	// digest and are not there. Of those with NoDigest nothing is known, which is
	// so of the latest hour's.
	Verified int `json:"verified"`
	Altered  int `json:"altered"`
	Missing  int `json:"missing"`
	NoDigest int `json:"noDigest"`
	// Problems name the files that were altered or are missing, and say which
	// digests cannot be trusted or are not there.
	Problems []string `json:"problems,omitempty"`
}

// Whole reports whether all that was there could be read, and nothing is known
// to have been altered or taken away.
func (c Coverage) Whole() bool {
	return len(c.Skipped) == 0 && c.Malformed == 0 && (c.Integrity == nil || len(c.Integrity.Problems) == 0)
}

// A Principal is one who made calls: all that it did with all secrets.
type Principal struct {
	// ID is the ARN of the role or user, or what stands for it: see
	// [Access.Principal].
	ID string `json:"id"`
	// Type is CloudTrail's type of the identity, Account the identity's.
	Type    string `json:"type,omitempty"`
	Account string `json:"account,omitempty"`
	// Labels and Flags are those of its accesses together.
	Labels []string `json:"labels,omitempty"`
	Flags  []string `json:"flags,omitempty"`
	// Secrets is how many different secrets it read, and Tried how many it was
	// refused or failed to read and did not read otherwise.
	Secrets int `json:"secrets"`
	Tried   int `json:"tried"`
	// Reads, Writes, Denied and Errors are counted as in a [Secret], and with
	// them the calls that name no secret.
	Reads  int `json:"reads"`
	Writes int `json:"writes"`
	Denied int `json:"denied"`
	Errors int `json:"errors"`
	// Batches counts all successful BatchGetSecretValue calls, those that ask by
	// a filter and name no secret as well; Lists those of ListSecrets.
	Batches int       `json:"batches"`
	Lists   int       `json:"lists"`
	First   time.Time `json:"first"`
	Last    time.Time `json:"last"`
	// Policy is an IAM policy document that allows what the principal did with
	// success, by exact ARNs, and nothing else; empty if that is nothing. A
	// secret whose ARN is not known stands there by a pattern for its random
	// end.
	Policy json.RawMessage `json:"policy,omitempty"`
}

// A Denied is what one principal was refused.
type Denied struct {
	// Secret and SecretARN are empty for calls that name none.
	Secret    string    `json:"secret,omitempty"`
	SecretARN string    `json:"secretArn,omitempty"`
	Principal string    `json:"principal"`
	Action    string    `json:"action"`
	Count     int       `json:"count"`
	First     time.Time `json:"first"`
	Last      time.Time `json:"last"`
	// Message is what the latest of them was answered.
	Message string `json:"message,omitempty"`
	// Events are the ids of the latest ten.
	Events []string `json:"events,omitempty"`
}

// A Change is a call that changes who can read a secret, or whether anybody
// can: of its resource policy, its KMS key, its rotation or its replicas.
type Change struct {
	At time.Time `json:"at"`
	// Secret and SecretARN are empty for a KMS key that no secret is known to
	// use.
	Secret    string `json:"secret,omitempty"`
	SecretARN string `json:"secretArn,omitempty"`
	Principal string `json:"principal"`
	Action    string `json:"action"`
	// Detail says in words what was changed to what, as far as the record tells.
	Detail string `json:"detail,omitempty"`
	// Failed is whether the call was refused, or went wrong.
	Failed bool   `json:"failed,omitempty"`
	Event  string `json:"event"`
}

// The kinds of what is first seen.
const (
	NewPrincipal = "principal"
	// NewNetwork is an address's /24, or /48 of IPv6.
	NewNetwork = "network"
	// NewAgent is a user agent's first word without its version: the program.
	NewAgent = "agent"
)

// A FirstSeen is who or what used a secret for the first time.
type FirstSeen struct {
	At        time.Time `json:"at"`
	Secret    string    `json:"secret"`
	SecretARN string    `json:"secretArn,omitempty"`
	// Kind is [NewPrincipal], [NewNetwork] or [NewAgent], and Value what is new.
	Kind  string `json:"kind"`
	Value string `json:"value"`
	// Principal made the call.
	Principal string `json:"principal"`
	Event     string `json:"event"`
}
