package rotation

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// The event does not fit the secret.
var (
	// ErrRotationDisabled means that the secret is not set up for rotation.
	ErrRotationDisabled = errors.New("rotation is not enabled for the secret")
	// ErrNotOurs means that another function rotates the secret, or that it is
	// of another account or region: whoever sent the event had no right to.
	ErrNotOurs = errors.New("the secret is rotated by another function")
	// ErrUnknownToken means that the secret has no version of the event's
	// token.
	ErrUnknownToken = errors.New("the secret has no version of this token")
	// ErrNotPending means that the version to rotate to does not carry
	// AWSPENDING: the rotation was cancelled, or another one overtook it.
	ErrNotPending = errors.New("version is not staged as AWSPENDING")
	// ErrUnknownStep means that the event names none of the four steps.
	ErrUnknownStep = errors.New("unknown step")
)

// The versions of the secret are in the way.
var (
	// ErrNoValue means that a version, or the secret, has no value (yet).
	ErrNoValue = errors.New("there is no value")
	// ErrExists means that the version has a value already.
	ErrExists = errors.New("the version has a value already")
	// ErrInUse means that a credential is not superseded: a version with
	// AWSCURRENT or AWSPENDING needs it.
	ErrInUse = errors.New("the credential is in use")
	// ErrReplaced means that nothing is left to revoke: the new value took the
	// place of the old one.
	ErrReplaced = errors.New("the old value was replaced")
)

// The target, which is the server or the service that the value is for,
// refuses, or cannot be asked.
var (
	// ErrAuth means that the target refused the user or the password.
	ErrAuth = errors.New("the login was refused")
	// ErrNetwork means that the target could not be reached, or gave no answer
	// in time.
	ErrNetwork = errors.New("the target cannot be reached")
	// ErrTLS means that the target's certificate could not be verified, or
	// that it speaks no TLS.
	ErrTLS = errors.New("the connection is not secure")
	// ErrPermission means that the login lacks a right for what was asked.
	ErrPermission = errors.New("the login lacks a permission")
	// ErrConflict means that somebody else changed the same thing at the same
	// time, or that a quota is used up. It may go away by itself.
	ErrConflict = errors.New("conflict")
	// ErrConfiguration means that a value, a name or a setting is not what a
	// rotation can work with. A human has to mend it.
	ErrConfiguration = errors.New("configuration")
	// ErrManual means that the target lets nobody but a human do what is left
	// to do, and the text says what that is.
	ErrManual = errors.New("to be done by hand")
)

func configurationf(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrConfiguration, fmt.Sprintf(format, args...))
}

// A StepError says which step of which rotation failed. It wraps the cause.
type StepError struct {
	Step      Step
	SecretID  string
	VersionID string
	Err       error
}

// Error names step, secret and version, the code of the error and what to do
// next.
func (e *StepError) Error() string {
	x := Explain(e.Err)
	return fmt.Sprintf("%s of %s, version %s: %s: %v; next: %s", e.Step, e.SecretID, e.VersionID, x.Code, e.Err, x.Next)
}

// Unwrap gives the cause.
func (e *StepError) Unwrap() error { return e.Err }

// A Class says what kind of situation an error is, and so who can mend it.
type Class string

// The classes of errors.
const (
	ClassNetwork        Class = "network"
	ClassTLS            Class = "tls"
	ClassAuthentication Class = "authentication"
	ClassPermission     Class = "permission"
	ClassConfiguration  Class = "configuration"
	ClassConflict       Class = "conflict"
	ClassUnknown        Class = "unknown"
)

// An Explanation is what an operator needs to act on an error.
type Explanation struct {
	Class Class `json:"class"`
	// Code is the class and what it is about, such as "network.timeout". It
	// does not change from release to release; [Section] is where the
	// documents say more.
	Code string `json:"code"`
	// Next is what to do: a command, or what to look at.
	Next string `json:"next"`
}

// Section is the place in the repository's documents that says what to do about
// a code, as a link: "docs/operations.md#networktimeout".
func Section(code string) string { return "docs/operations.md#" + strings.ReplaceAll(code, ".", "") }

// explanations are looked through from the top: an error that wraps several
// sentinels has the meaning of the first.
//
//nolint:gochecknoglobals // a constant table.
var explanations = []struct {
	err  error
	what Explanation
}{
	{ErrUnknownStep, Explanation{ClassConfiguration, "configuration.step", "send the event as Secrets Manager sends it: Step is createSecret, setSecret, testSecret or finishSecret"}},
	{ErrRotationDisabled, Explanation{ClassConfiguration, "configuration.disabled", "turn rotation on: aws secretsmanager rotate-secret --rotation-lambda-arn"}},
	{ErrNotOurs, Explanation{ClassPermission, "permission.foreign", "find who sent the event: rekey audit shows the callers of the function's secret"}},
	{ErrUnknownToken, Explanation{ClassConflict, "conflict.token", "start a rotation of its own: rekey rotate"}},
	{ErrNotPending, Explanation{ClassConflict, "conflict.pending", "look at the labels: rekey doctor; the rotation was cancelled or overtaken"}},
	{ErrTLS, Explanation{ClassTLS, "tls.unverified", "give the function the certificate of the server's CA: REKEY_DATABASE_CA"}},
	{ErrConfiguration, Explanation{ClassConfiguration, "configuration.value", "mend the value or the setting that the text names, then rekey rotate"}},
	{ErrManual, Explanation{ClassPermission, "permission.manual", "do by hand what the text says, where the provider has its keys"}},
	{ErrPermission, Explanation{ClassPermission, "permission.target", "grant the login what the text names, then rekey rotate"}},
	{context.DeadlineExceeded, Explanation{ClassNetwork, "network.timeout", "check that the target answers from the function's subnets: rekey plan"}},
	{ErrNetwork, Explanation{ClassNetwork, "network.unreachable", "check subnets, security groups and the target itself: rekey plan"}},
	{ErrAuth, Explanation{ClassAuthentication, "authentication.refused", "see which versions the target accepts: rekey doctor"}},
	{ErrConflict, Explanation{ClassConflict, "conflict.target", "wait for the retry; if it stays, see who else changes the target"}},
	{ErrInUse, Explanation{ClassConflict, "conflict.in-use", "wait until no version with AWSCURRENT or AWSPENDING needs it"}},
	{ErrNoValue, Explanation{ClassConfiguration, "configuration.no-value", "store the first value: rekey put"}},
	{ErrExists, Explanation{ClassConflict, "conflict.exists", "start a rotation of its own: rekey rotate"}},
	{ErrReplaced, Explanation{ClassConflict, "conflict.replaced", "nothing: there is no old value to revoke"}},
}

// Explain says what an error means and what to do next.
func Explain(err error) Explanation {
	for _, x := range explanations {
		if errors.Is(err, x.err) {
			return x.what
		}
	}
	return explainAWS(err)
}
