package audit

import (
	"slices"
	"time"
)

// A State is what Secrets Manager itself says of a secret, as DescribeSecret
// and ListSecrets answer: what the records of a trail do not hold. Whoever
// gives it to a summary collects it, with source.Inventory for one.
type State struct {
	ARN  string `json:"arn"`
	Name string `json:"name"`
	// Created, Changed, Rotated and Accessed are when the secret was made, last
	// changed, last rotated and last accessed; zero if never. Accessed is a day.
	Created  time.Time `json:"created,omitzero"`
	Changed  time.Time `json:"changed,omitzero"`
	Rotated  time.Time `json:"rotated,omitzero"`
	Accessed time.Time `json:"accessed,omitzero"`
	// Next is when the next rotation is due at the latest; zero without one.
	Next time.Time `json:"next,omitzero"`
	// Deleted is when the secret was scheduled for deletion; zero if it is not.
	Deleted time.Time `json:"deleted,omitzero"`
	// Rotation is whether automatic rotation is on, Function the ARN of the
	// function that does it, EveryDays its interval in days as Secrets Manager
	// computes it, and Schedule its expression, where one was set.
	Rotation  bool   `json:"rotation"`
	Function  string `json:"function,omitempty"`
	EveryDays int    `json:"everyDays,omitempty"`
	Schedule  string `json:"schedule,omitempty"`
	// Owner is the AWS service that manages the secret; empty for one's own.
	Owner string `json:"owner,omitempty"`
	// Key is the KMS key; empty for the account's default key.
	Key string `json:"key,omitempty"`
	// Primary is the Region of the secret that this one is a replica of; for one
	// that has replicas it is its own, else empty. Replicas are their Regions.
	Primary  string   `json:"primary,omitempty"`
	Replicas []string `json:"replicas,omitempty"`
	// Tags are its tags. AWS's own, which begin with "aws:", are among them.
	Tags map[string]string `json:"tags,omitempty"`
	// Versions are the staging labels by version id.
	Versions map[string][]string `json:"versions,omitempty"`
}

// labelled is the version that carries a staging label, or "".
func (s *State) labelled(label string) string {
	if s == nil {
		return ""
	}
	for version, labels := range s.Versions {
		if slices.Contains(labels, label) {
			return version // a label is on one version at most
		}
	}
	return ""
}

// A Lease is one consumer environment's claim to hold a version of a secret,
// as the pipeline's bulletin has it.
type Lease struct {
	SecretARN string `json:"secretArn"`
	// Consumer names the environment.
	Consumer  string `json:"consumer"`
	VersionID string `json:"versionId"`
	// Since is from when the consumer holds that version.
	Since time.Time `json:"since,omitzero"`
	// Expires is until when it may serve it without asking, by wall clock.
	Expires time.Time `json:"expires"`
}
