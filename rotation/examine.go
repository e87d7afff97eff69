package rotation

import (
	"context"
	"errors"
	"slices"
)

// A State says what the target makes of the value of a version.
type State string

// The states.
const (
	StateAccepted State = "accepted"
	StateRefused  State = "refused"
	// StateUnknown means that the target could not be asked.
	StateUnknown State = "unknown"
	// StateEmpty means that the version has no value.
	StateEmpty State = "empty"
	// StateNoTarget means that there is nobody to ask: the value is all that
	// there is, as with a signing key.
	StateNoTarget State = "no target"
)

// A Finding is a version of a secret with what the target makes of it.
type Finding struct {
	VersionID string   `json:"versionId"`
	Labels    []string `json:"labels"`
	State     State    `json:"state"`
	// Detail says why it is not accepted.
	Detail string `json:"detail,omitempty"`
}

// works reports whether consumers can use the version.
func (f Finding) works() bool { return f.State == StateAccepted || f.State == StateNoTarget }

// has reports whether the version carries a label.
func (f Finding) has(label string) bool { return slices.Contains(f.Labels, label) }

// A Move is what sets a secret right.
type Move string

// The moves. Each is safe to make where a [Diagnosis] names it, and to repeat.
const (
	// MoveNone means that nothing is wrong.
	MoveNone Move = "none"
	// MoveResume is to call RotateSecret: the rotation that is not complete
	// goes on.
	MoveResume Move = "resume"
	// MoveClear is to take AWSPENDING off a version that is empty.
	MoveClear Move = "clear"
	// MoveRotate is to call RotateSecret: a new rotation starts from the
	// credential that works.
	MoveRotate Move = "rotate"
	// MoveHuman means that a human has to do what the text says.
	MoveHuman Move = "human"
)

// A Diagnosis is the truth table of a secret, the fault that it shows, and the
// one safe move.
type Diagnosis struct {
	Name     string    `json:"name"`
	ARN      string    `json:"arn"`
	Versions []Finding `json:"versions"`
	Fault    string    `json:"fault"`
	Move     Move      `json:"move"`
	// VersionID is the version that the move is about; it may be empty.
	VersionID string `json:"versionId,omitempty"`
	// Next says what the move does, or what a human has to do.
	Next string `json:"next"`
}

// maxExamined is how many versions without a label are tried: enough for what
// rotations that were given up leave behind, and too few to lock an account.
const maxExamined = 5

// Examine asks the target which versions of a secret it accepts, and says what
// is wrong. It changes nothing.
func Examine(ctx context.Context, store Store, choose Chooser, secretID string) (Diagnosis, error) {
	secret, err := store.Describe(ctx, secretID)
	if err != nil {
		return Diagnosis{}, err
	}
	d := Diagnosis{Name: secret.Name, ARN: secret.ARN}
	versions, err := examined(ctx, store, secret)
	if err != nil {
		return d, err
	}
	for _, version := range versions {
		f, err := find(ctx, store, choose, secret, version)
		if err != nil {
			return d, err
		}
		d.Versions = append(d.Versions, f)
	}
	d.judge(secret.RotationEnabled)
	return d, nil
}

// examined are the versions to try: those with a label, and the newest without.
func examined(ctx context.Context, store Store, s Secret) ([]string, error) {
	var versions []string
	for _, label := range []string{LabelCurrent, LabelPending, LabelPrevious, LabelSupplied} {
		if version := s.VersionWith(label); version != "" && !slices.Contains(versions, version) {
			versions = append(versions, version)
		}
	}
	unlabelled, err := store.Unlabelled(ctx, s.ARN)
	if err != nil {
		return nil, err
	}
	return append(versions, unlabelled[:min(len(unlabelled), maxExamined)]...), nil
}

// find tries one version.
func find(ctx context.Context, store Store, choose Chooser, s Secret, version string) (Finding, error) {
	f := Finding{VersionID: version, Labels: append([]string{}, s.Versions[version]...)}
	slices.Sort(f.Labels)
	v, err := store.Get(ctx, s.ARN, version, "")
	switch {
	case errors.Is(err, ErrNoValue):
		f.State = StateEmpty
		return f, nil
	case err != nil:
		return f, err
	}
	strategy, err := choose(ctx, s, v)
	if err != nil {
		f.State, f.Detail = StateUnknown, err.Error()
		return f, nil //nolint:nilerr // it is what was found.
	}
	prober, ok := strategy.(Prober)
	if !ok {
		f.State = StateNoTarget
		return f, nil
	}
	err = inShare(ctx, true, func(ctx context.Context) error { return prober.Probe(ctx, v) })
	switch {
	case err == nil:
		f.State = StateAccepted
	case errors.Is(err, ErrAuth):
		f.State, f.Detail = StateRefused, err.Error()
	default:
		f.State, f.Detail = StateUnknown, err.Error()
	}
	return f, nil
}

// with returns the version that carries a label.
func (d *Diagnosis) with(label string) (Finding, bool) {
	i := slices.IndexFunc(d.Versions, func(f Finding) bool { return f.has(label) })
	if i < 0 {
		return Finding{}, false
	}
	return d.Versions[i], true
}

// judge names the fault and the one safe move.
func (d *Diagnosis) judge(rotates bool) {
	current, hasCurrent := d.with(LabelCurrent)
	pending, stray := d.with(LabelPending)
	stray = stray && !pending.has(LabelCurrent)
	works := slices.ContainsFunc(d.Versions, Finding.works)
	set := func(move Move, version, fault, next string) {
		d.Move, d.VersionID, d.Fault, d.Next = move, version, fault, next
	}
	switch {
	case !hasCurrent:
		set(MoveHuman, "", "the secret has no value", "store the first one: rekey put "+d.Name)
	case current.State == StateUnknown:
		set(MoveHuman, current.VersionID, "the target cannot be asked", "see why: rekey plan "+d.Name)
	case !rotates:
		d.judgeByHand(current)
	case stray && pending.State == StateEmpty && current.works():
		set(MoveClear, pending.VersionID, "a rotation stopped before it made a value, and its AWSPENDING keeps others from starting", "take AWSPENDING off the empty version")
	case stray && pending.has(LabelPrevious) && current.works():
		set(MoveClear, pending.VersionID, "AWSCURRENT was moved by hand, and an AWSPENDING that was left over keeps rotations from starting", "take AWSPENDING off the previous version")
	case stray && pending.works() && !current.works():
		set(MoveResume, pending.VersionID, "a rotation stopped after it set the new value: the target accepts AWSPENDING and refuses AWSCURRENT", "let the rotation go on: it tests and promotes the version that works")
	case stray && works:
		set(MoveResume, pending.VersionID, "a rotation is not complete", "let the rotation go on: it finds the credential that works and starts from there")
	case current.works():
		set(MoveNone, "", "none", "nothing: AWSCURRENT works")
	case works:
		set(MoveRotate, "", "the target refuses AWSCURRENT and accepts an older version: it was changed behind the secret's back", "rotate: the rotation starts from the version that works")
	case stray:
		set(MoveResume, pending.VersionID, "the target accepts no version", "let the rotation go on: a superuser's login can set the value; without one, store the right value: rekey put "+d.Name)
	default:
		set(MoveRotate, "", "the target accepts no version", "rotate: a superuser's login can set the value; without one, store the right value: rekey put "+d.Name)
	}
}

// judgeByHand is judge for a secret that does not rotate.
func (d *Diagnosis) judgeByHand(current Finding) {
	if current.works() {
		d.Move, d.Fault, d.Next = MoveNone, "none", "nothing: AWSCURRENT works; rotation is not enabled"
		return
	}
	d.Move, d.Fault = MoveHuman, "the target refuses AWSCURRENT, and rotation is not enabled"
	d.Next = "turn rotation on, or store the right value: rekey put " + d.Name
}
