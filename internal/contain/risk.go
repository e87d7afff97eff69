package contain

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"

	"github.com/rekey-go/rekey/internal/token"
	"github.com/rekey-go/rekey/rotation"
	"github.com/rekey-go/rekey/rotation/apikey"
	"github.com/rekey-go/rekey/rotation/keyset"
	"github.com/rekey-go/rekey/rotation/random"
)

// A Risk says how much a secret that was touched is worth to who touched it.
type Risk int

// The risks.
const (
	// Refused is for a secret that was tried and not read.
	Refused Risk = iota
	// Dead is for a value that no target accepts any more.
	Dead
	// Old is for a superseded value that is still accepted.
	Old
	// Live is for the value that is in use, and for one whose version is not
	// known.
	Live
)

// risks are the words, by risk.
func risks() []string { return []string{"refused", "dead", "old", "live"} }

// String is a word for the risk.
func (r Risk) String() string { return risks()[r] }

// MarshalText writes the word.
func (r Risk) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads the word.
func (r *Risk) UnmarshalText(text []byte) error {
	i := slices.Index(risks(), string(text))
	if i < 0 {
		return fmt.Errorf("%q is no risk", text)
	}
	*r = Risk(i)
	return nil
}

// A Kind is what a secret opens.
type Kind string

// The kinds, the gravest first.
const (
	// Superuser is a login that can change all other logins of its server.
	Superuser Kind = "superuser"
	// ProviderAdmin is a key that makes and revokes other keys.
	ProviderAdmin Kind = "provider admin"
	Database      Kind = "database login"
	SigningKey    Kind = "signing key"
	APIKey        Kind = "API key"
	Other         Kind = "other"
)

// weight orders the kinds.
func (k Kind) weight() int {
	return -slices.Index([]Kind{Superuser, ProviderAdmin, Database, SigningKey, APIKey, Other}, k)
}

// kindOf tells a secret's kind by its name, for what nothing rotates, and by its
// strategy.
func kindOf(about *secretsmanager.DescribeSecretOutput, strategy string) Kind {
	name := strings.ToLower(aws.ToString(about.Name))
	for _, tag := range about.Tags {
		if strategy == "" && aws.ToString(tag.Key) == "rekey:strategy" {
			strategy = aws.ToString(tag.Value)
		}
	}
	switch {
	case strings.Contains(name, "superuser"), strings.Contains(name, "master"):
		return Superuser
	case strings.Contains(name, "provider-admin"):
		return ProviderAdmin
	}
	switch strategy {
	case keyset.Name:
		return SigningKey
	case apikey.Name, token.RotationName, random.Name:
		return APIKey
	case "":
		if strings.Contains(name, "database") || strings.HasSuffix(name, "/db") || strings.HasSuffix(name, "-db") {
			return Database
		}
		return Other
	}
	return Database
}

// judge says how grave it is and why, and what is left to a human.
func (s *Secret) judge() {
	alive := slices.ContainsFunc(s.Known, Known.alive)
	switch {
	case s.Reads == 0:
		s.Risk = Refused
		s.Why = fmt.Sprintf("%s; tried %d times and not read", s.Kind, s.Denied+s.Errors)
		return
	case slices.ContainsFunc(s.Known, func(k Known) bool { return k.VersionID == "" }):
		s.Risk = Live
		s.Why = fmt.Sprintf("%s; %d reads, of some of which the version is not known: taken for the current one", s.Kind, s.Reads)
	case slices.ContainsFunc(s.Known, func(k Known) bool { return k.current() && k.alive() }):
		s.Risk = Live
		s.Why = fmt.Sprintf("%s; %d reads, of the current version too", s.Kind, s.Reads)
	case s.Strategy == keyset.Name:
		s.Risk = Live
		s.Why = fmt.Sprintf("%s; %d reads of a version that held the key after it", s.Kind, s.Reads)
	case alive:
		s.Risk = Old
		s.Why = fmt.Sprintf("%s; %d reads of superseded versions, of which the target accepts or may accept one", s.Kind, s.Reads)
	default:
		s.Risk = Dead
		s.Why = fmt.Sprintf("%s; %d reads of versions that the target refuses", s.Kind, s.Reads)
	}
	if s.Function == "" && s.Risk > Dead {
		s.ByHand = "nothing rotates it: make a new value at its target, store it (rekey put " + s.Name + "), and revoke the old one there"
	}
}

// unseen judges a secret that Secrets Manager does not show: it is deleted, or
// another account's. What was read of it may work all the same.
func (s *Secret) unseen(err error) {
	s.Doubt = oneLine(err.Error())
	if s.Risk = Refused; s.Reads == 0 {
		s.Why = fmt.Sprintf("tried %d times and not read; it cannot be looked at", s.Denied+s.Errors)
		return
	}
	s.Risk = Live
	s.Why = fmt.Sprintf("%d reads; it cannot be looked at, so take it for live", s.Reads)
	s.ByHand = "revoke at its target what the secret held: Secrets Manager does not show it"
	if isDenied(err) {
		s.ByHand = "get the permission to look at it, and name another folder with --evidence: " + s.Doubt
	}
}

// isAPI reports whether AWS answered, with an error.
func isAPI(err error) bool {
	_, ok := errors.AsType[smithy.APIError](err)
	return ok
}

// isDenied reports whether AWS refused a call for lack of permission: to try it
// again is of no use.
func isDenied(err error) bool {
	api, ok := errors.AsType[smithy.APIError](err)
	return ok && strings.HasPrefix(api.ErrorCode(), "AccessDenied")
}

// underWay is the version of a rotation that is not complete, or empty.
func underWay(about *secretsmanager.DescribeSecretOutput) string {
	version := rotation.VersionWith(about.VersionIdsToStages, rotation.LabelPending)
	labels := about.VersionIdsToStages[version]
	if slices.Contains(labels, rotation.LabelCurrent) || slices.Contains(labels, rotation.LabelPrevious) {
		return ""
	}
	return version
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
