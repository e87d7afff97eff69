package contain

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	smithytime "github.com/aws/smithy-go/time"
	"golang.org/x/sync/errgroup"

	"github.com/rekey-go/rekey/audit"
	"github.com/rekey-go/rekey/functions/retire"
	"github.com/rekey-go/rekey/internal/follow"
	"github.com/rekey-go/rekey/internal/question"
	"github.com/rekey-go/rekey/internal/supply"
	"github.com/rekey-go/rekey/rotation"
	"github.com/rekey-go/rekey/rotation/keyset"
	"github.com/rekey-go/rekey/runtime/invalidation"
	"github.com/rekey-go/rekey/runtime/secrets"
)

// The kinds of the records of an incident.
const (
	kindBegun     = "begun"     // the incident
	kindRead      = "read"      // what the principal got of a secret
	kindRotated   = "rotated"   // another version is current
	kindAnnounced = "announced" // consumers were told not to use the old one
	kindRetired   = "retired"   // a version was revoked
	kindRefused   = "refused"   // the server refuses it
	kindLetGo     = "let go"    // no consumer holds it, where there is no server to ask
	kindChanged   = "changed"   // by hand
	kindFailed    = "failed"    // a try that did not come to its end
)

// A fact is the body of a record. It holds no value.
type fact struct {
	Incident  string               `json:"incident,omitempty"`
	Principal string               `json:"principal,omitempty"`
	Since     time.Time            `json:"since,omitzero"`
	By        string               `json:"by,omitempty"` // who runs it
	Secret    string               `json:"secret,omitempty"`
	ARN       string               `json:"arn,omitempty"`
	VersionID string               `json:"versionId,omitempty"`
	From      string               `json:"from,omitempty"`
	To        string               `json:"to,omitempty"`
	Versions  []audit.VersionReads `json:"versions,omitempty"`
	Events    []string             `json:"events,omitempty"`
	More      int                  `json:"moreEvents,omitempty"`
	Detail    string               `json:"detail,omitempty"`
}

// A Milestone is something that a run did.
type Milestone struct {
	// Secret is its name, What a word, Detail the rest in words.
	Secret, What, Detail string
	// After is the time since the run began.
	After time.Duration
}

// An Outcome is what became of a secret.
type Outcome struct {
	Name string `json:"name"`
	ARN  string `json:"arn"`
	Risk Risk   `json:"risk"`
	// Status is contained, nothing to do, by hand, or failed.
	Status string `json:"status"`
	// To is the version that is current instead, where there is a new one.
	To string `json:"versionId,omitempty"`
	// Seconds is how long it took in this run.
	Seconds float64 `json:"seconds"`
	// Error says why it failed, and Next what to do then.
	Error string `json:"error,omitempty"`
	Next  string `json:"next,omitempty"`
}

// The statuses.
const (
	Contained = "contained"
	Nothing   = "nothing to do"
	ByHand    = "by hand"
	Failed    = "failed"
)

// A Run says how an incident is worked on.
type Run struct {
	System *System
	// By is who runs it, for the evidence.
	By string
	// Timeout is how long one secret may take.
	Timeout time.Duration
	// Progress is told what was done; many goroutines call it, one at a time.
	Progress func(Milestone)
}

// runner is a run under way.
type runner struct {
	Run
	in    *Incident
	began time.Time
	mu    sync.Mutex
	done  map[string]fact // :: mu; key of a record -> its body
}

// Run does what is left to do. One secret that fails does not stop the others.
// When all are contained the evidence is closed. The error is one of the evidence:
// without it nothing is done.
func (in *Incident) Run(ctx context.Context, opts Run) ([]Outcome, error) {
	r := &runner{Run: opts, in: in, began: time.Now(), done: make(map[string]fact)}
	for _, record := range in.log.Pack().Records {
		var f fact
		if json.Unmarshal(record.Body, &f) == nil {
			r.done[keyOf(record.Kind, f)] = f
		}
	}
	if err := r.begin(); err != nil {
		return nil, err
	}
	out := make([]Outcome, len(in.state.Secrets))
	var g errgroup.Group
	g.SetLimit(max(1, opts.System.Parallel))
	for i := range in.state.Secrets {
		g.Go(func() error {
			out[i] = r.outcome(ctx, &in.state.Secrets[i])
			return nil
		})
	}
	_ = g.Wait() // the outcomes tell
	if err := ctx.Err(); err != nil {
		return out, err
	}
	if slices.ContainsFunc(out, func(o Outcome) bool { return o.Status == ByHand || o.Status == Failed }) {
		return out, nil
	}
	return out, in.close()
}

func keyOf(kind string, f fact) string { return kind + "\x00" + f.ARN + "\x00" + f.VersionID }

// once does something unless there is a record that it was done, and makes one.
func (r *runner) once(kind string, f fact, do func(*fact) error) (fact, error) {
	key := keyOf(kind, f)
	r.mu.Lock()
	known, ok := r.done[key]
	r.mu.Unlock()
	if ok {
		return known, nil
	}
	if do != nil {
		if err := do(&f); err != nil {
			return f, err
		}
	}
	if _, err := r.in.log.Append(kind, f); err != nil {
		return f, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done[key] = f
	detail := f.VersionID + " " + f.Detail
	if f.To != "" {
		detail = f.From + " -> " + f.To + " " + f.Detail
	}
	r.tell(f.Secret, kind, detail)
	return f, nil
}

// tell tells of progress; the caller holds mu.
func (r *runner) tell(secret, what, detail string) {
	if r.Progress != nil && secret != "" {
		r.Progress(Milestone{Secret: secret, What: what, Detail: oneLine(detail), After: time.Since(r.began)})
	}
}

// begin writes down what was found, before anything is done about it.
func (r *runner) begin() error {
	s := &r.in.state
	if _, err := r.once(kindBegun, fact{Incident: s.ID, Principal: s.Principal, Since: s.Since, By: r.By}, nil); err != nil {
		return err
	}
	for _, secret := range s.Secrets {
		f := fact{Secret: secret.Name, ARN: secret.ARN, Versions: secret.Versions, Events: secret.Events, More: secret.MoreEvents, Detail: secret.Why}
		if _, err := r.once(kindRead, f, nil); err != nil {
			return err
		}
	}
	return nil
}

// outcome works on one secret.
func (r *runner) outcome(ctx context.Context, s *Secret) Outcome {
	o := Outcome{Name: s.Name, ARN: s.ARN, Risk: s.Risk, Status: Nothing}
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()
	var err error
	switch {
	case s.ByHand != "":
		o.Status, err = r.byHand(ctx, s)
		o.Next = s.ByHand
	case len(s.Steps) > 0:
		o.Status = Contained
		o.To, err = r.contain(ctx, s)
	}
	o.Seconds = time.Since(began).Seconds()
	if err == nil {
		return o
	}
	o.Status, o.Error, o.Next = Failed, oneLine(err.Error()), "rekey doctor "+quote(s.ARN)+", then the same command again"
	r.fail(s, o.Error)
	return o
}

// fail writes a failure down. It may come again, and may go well the next time.
func (r *runner) fail(s *Secret, text string) {
	f := fact{Secret: s.Name, ARN: s.ARN, By: r.By, Detail: text}
	if _, err := r.in.log.Append(kindFailed, f); err != nil {
		return // the failure is told all the same
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tell(s.Name, kindFailed, text)
}

// contain does all that is to be done about a secret.
func (r *runner) contain(ctx context.Context, s *Secret) (to string, err error) {
	revoke := s.revoked()
	if s.rotates() {
		rotated, err := r.once(kindRotated, fact{Secret: s.Name, ARN: s.ARN, By: r.By}, func(f *fact) error { return r.rotate(ctx, s, f) })
		if err != nil {
			return "", err
		}
		to = rotated.To
		if rotated.From != "" && !slices.Contains(revoke, rotated.From) {
			revoke = append(revoke, rotated.From) // it became current after the plan was made
		}
		told := fact{Secret: s.Name, ARN: s.ARN, From: rotated.From, To: to}
		if _, err := r.once(kindAnnounced, told, func(f *fact) error { return r.announce(ctx, f) }); err != nil {
			return to, err
		}
	}
	for _, version := range revoke {
		f := fact{Secret: s.Name, ARN: s.ARN, VersionID: version, By: r.By}
		if _, err := r.once(kindRetired, f, func(f *fact) error { return r.retire(ctx, f) }); err != nil {
			return to, err
		}
	}
	for _, version := range revoke {
		if err := r.verify(ctx, s, version); err != nil {
			return to, err
		}
	}
	return to, nil
}

// rotate rotates a secret to the incident's own version. A rotation that is under
// way ends first, whoever began it.
func (r *runner) rotate(ctx context.Context, s *Secret, f *fact) error {
	token := r.in.token(s.ARN)
	f.From, f.To = s.Current, token
	for {
		about, err := r.System.Secrets.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &s.ARN})
		if err != nil {
			return err
		}
		if isOver(about, token) {
			return nil
		}
		switch other := underWay(about); other {
		case token:
			return r.follow(ctx, s, token)
		case "":
			f.From = rotation.VersionWith(about.VersionIdsToStages, rotation.LabelCurrent)
			if err := r.start(ctx, s, about, token); err == nil {
				return r.follow(ctx, s, token)
			} else if !isInTheWay(err) {
				return err
			}
		default:
			if err := r.follow(ctx, s, other); err != nil && ctx.Err() != nil {
				return fmt.Errorf("the rotation to version %s is in the way: %w", other, err)
			}
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
}

// follow waits for the end of a rotation.
func (r *runner) follow(ctx context.Context, s *Secret, version string) error {
	return follow.Rotation{Secrets: r.System.Secrets, Trail: r.System.Trail, ARN: s.ARN, VersionID: version, Started: r.began}.Wait(ctx)
}

// isInTheWay reports whether a rotation was not started because of another.
func isInTheWay(err error) bool {
	refused, ok := errors.AsType[*types.InvalidRequestException](err)
	return ok && strings.Contains(refused.ErrorMessage(), "previous rotation")
}

// isOver reports whether the rotation to a version has ended well: it is current,
// or was.
func isOver(about *secretsmanager.DescribeSecretOutput, version string) bool {
	labels := about.VersionIdsToStages[version]
	return slices.Contains(labels, rotation.LabelCurrent) || slices.Contains(labels, rotation.LabelPrevious)
}

// start starts the rotation.
func (r *runner) start(ctx context.Context, s *Secret, about *secretsmanager.DescribeSecretOutput, token string) error {
	if s.Strategy == keyset.Name {
		_, err := supply.Value(ctx, r.System.Secrets, about, keyset.Compromised, token)
		return err
	}
	_, err := r.System.Secrets.RotateSecret(ctx, &secretsmanager.RotateSecretInput{SecretId: about.ARN, ClientRequestToken: &token})
	return err
}

// announce tells consumers never to serve what came before.
func (r *runner) announce(ctx context.Context, f *fact) error {
	return r.System.Publisher.Publish(ctx, invalidation.DetailTypeRotated, invalidation.Rotated{
		SecretARN: f.ARN, Name: f.Secret, VersionID: f.To, PreviousVersionID: f.From, Reason: secrets.ReasonCompromised,
	})
}

// retire orders the revocation of a version, until nothing is in its way. It
// tells the last answer that there was, and not that time ran out.
func (r *runner) retire(ctx context.Context, f *fact) error {
	why := errors.New("there was no answer")
	for {
		var out retire.Outcome
		err := r.System.Invoke(ctx, r.System.Retire, retire.Order{SecretID: f.ARN, VersionID: f.VersionID, Force: true}, &out)
		if err == nil && out.Retired {
			f.Detail = oneLine(out.Reason)
			return nil
		}
		switch {
		case err == nil:
			why = errors.New(oneLine(out.Reason))
		case ctx.Err() == nil:
			why = err
		}
		if isDenied(err) || pause(ctx) != nil {
			return fmt.Errorf("version %s is not revoked: %w", f.VersionID, why)
		}
	}
}

// verify waits until the server refuses a version. Where there is no server to
// ask, as for a signing key, it waits until every consumer holds the current one.
func (r *runner) verify(ctx context.Context, s *Secret, version string) error {
	f := fact{Secret: s.Name, ARN: s.ARN, VersionID: version}
	r.mu.Lock()
	_, letGo := r.done[keyOf(kindLetGo, f)]
	_, refused := r.done[keyOf(kindRefused, f)]
	r.mu.Unlock()
	if letGo || refused {
		return nil
	}
	for {
		state, detail, err := r.stateOf(ctx, s, version)
		switch {
		case err != nil:
			detail = err.Error()
		case state == rotation.StateRefused:
			f.Detail = "the server was asked and refuses it"
			_, err := r.once(kindRefused, f, nil)
			return err
		case state == rotation.StateNoTarget:
			behind, err := r.System.behind(ctx, s.ARN) // a version in between may have the old key still
			if err == nil && len(behind) == 0 {
				f.Detail = "there is no server to ask: who holds the current version refuses what the old key signed, and no consumer's lease is on another"
				_, err := r.once(kindLetGo, f, nil)
				return err
			}
			detail = fmt.Sprintf("%d consumers do not hold the current version", len(behind))
		}
		if pause(ctx) != nil {
			return fmt.Errorf("version %s is revoked, and not seen to be refused: the target says %s: %s", version, state, oneLine(detail))
		}
	}
}

// stateOf asks the target what it makes of a version.
func (r *runner) stateOf(ctx context.Context, s *Secret, version string) (rotation.State, string, error) {
	var d rotation.Diagnosis
	if err := r.System.ask(ctx, s.Function, question.Examine, s.ARN, &d); err != nil {
		return rotation.StateUnknown, "", err
	}
	for _, f := range d.Versions {
		if f.VersionID == version {
			return f.State, f.Detail, nil
		}
	}
	return rotation.StateUnknown, "the version has no label and is not among the newest that are examined", nil
}

// byHand looks whether a human has stored another value since.
func (r *runner) byHand(ctx context.Context, s *Secret) (string, error) {
	about, err := r.System.Secrets.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &s.ARN})
	if isAPI(err) {
		return ByHand, nil // it was so when the plan was made, or is gone since
	}
	if err != nil {
		return Failed, err
	}
	current := rotation.VersionWith(about.VersionIdsToStages, rotation.LabelCurrent)
	if current == "" || current == s.Current {
		return ByHand, nil
	}
	f := fact{Secret: s.Name, ARN: s.ARN, From: s.Current, To: current, By: r.By, Detail: "another value was stored at " + aws.ToTime(about.LastChangedDate).UTC().Format(time.RFC3339) + "; whether the old one is revoked is not known"}
	_, err = r.once(kindChanged, f, nil)
	return Contained, err
}

// pauseFor is how long to wait before something is tried again. It stays well
// below what a server would call an attack.
const pauseFor = 500 * time.Millisecond

func pause(ctx context.Context) error { return smithytime.SleepWithContext(ctx, pauseFor) }
