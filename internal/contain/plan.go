package contain

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"golang.org/x/sync/errgroup"

	"github.com/rekey-go/rekey/audit"
	"github.com/rekey-go/rekey/internal/question"
	"github.com/rekey-go/rekey/rotation"
	"github.com/rekey-go/rekey/rotation/keyset"
	"github.com/rekey-go/rekey/runtime/bulletin"
	"github.com/rekey-go/rekey/runtime/invalidation"
)

// A System is the pipeline of one stage, as an operator reaches it.
type System struct {
	Secrets   *secretsmanager.Client
	Trail     *cloudtrail.Client
	Board     *bulletin.Bulletin
	Publisher *invalidation.Publisher
	// Invoke calls a function and decodes its answer.
	Invoke func(ctx context.Context, function string, request, answer any) error
	// Retire is the name of the function that retires.
	Retire string
	// Parallel is how many secrets are worked on at a time.
	Parallel int
}

// A Plan is what a principal knows, and what is to be done about it.
type Plan struct {
	Principal string        `json:"principal"`
	Since     time.Time     `json:"since"`
	Matches   []audit.Match `json:"matches"`
	// Secrets are those that the principal read or tried to read, the gravest
	// first.
	Secrets []Secret `json:"secrets"`
	// Cut are what takes the principal's access away.
	Cut []Measure `json:"cut"`
	// Unknown says in words what the records do not show.
	Unknown  []string       `json:"unknown"`
	Coverage audit.Coverage `json:"coverage"`
}

// A Secret is one that the principal read or tried to read.
type Secret struct {
	audit.Touched
	Kind Kind `json:"kind"`
	// Risk says how grave it is, and Why in words.
	Risk Risk   `json:"risk"`
	Why  string `json:"why"`
	// Known are the versions that the principal got.
	Known []Known `json:"known"`
	// Current is the version with AWSCURRENT.
	Current string `json:"current,omitempty"`
	// Function rotates the secret, and Strategy is how; empty if nothing does.
	Function string `json:"function,omitempty"`
	Strategy string `json:"strategy,omitempty"`
	// Steps are what a run does, in words. Empty if there is nothing to do.
	Steps []string `json:"steps"`
	// ByHand is what a human has to do, because nothing rotates the secret.
	ByHand string `json:"byHand,omitempty"`
	// Holders are the consumers whose lease is on a version that is revoked: they
	// have to fetch the new one.
	Holders []string `json:"holders"`
	// Doubt says what could not be found out.
	Doubt string `json:"doubt,omitempty"`
}

// A Known is a version that the principal got.
type Known struct {
	// VersionID is empty for reads whose version the records do not tell.
	VersionID string   `json:"versionId,omitempty"`
	Labels    []string `json:"labels"`
	// Target is what the secret's server makes of it.
	Target rotation.State `json:"target"`
}

// alive reports whether the version can still be used, as far as is known.
func (k Known) alive() bool {
	switch k.Target {
	case rotation.StateRefused, rotation.StateEmpty:
		return false
	case rotation.StateNoTarget:
		return k.VersionID == "" || len(k.Labels) > 0
	default:
		return true
	}
}

// current reports whether it may be what consumers use now, or soon.
func (k Known) current() bool {
	return k.VersionID == "" || slices.Contains(k.Labels, rotation.LabelCurrent) || slices.Contains(k.Labels, rotation.LabelPending)
}

// Plan finds out what the principal of a trace knows. It changes nothing.
func (s *System) Plan(ctx context.Context, trace *audit.Trace) (*Plan, error) {
	p := &Plan{
		Principal: trace.Principal, Since: trace.Coverage.From, Matches: trace.Matches,
		Secrets: make([]Secret, len(trace.Secrets)), Cut: cut(trace, time.Now()), Unknown: unknown(trace), Coverage: trace.Coverage,
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(max(1, s.Parallel))
	for i, touched := range trace.Secrets {
		g.Go(func() error {
			secret, err := s.look(gctx, touched)
			p.Secrets[i] = secret
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	slices.SortStableFunc(p.Secrets, func(a, b Secret) int {
		return cmp.Or(cmp.Compare(b.Risk, a.Risk), cmp.Compare(b.Kind.weight(), a.Kind.weight()), cmp.Compare(b.Reads, a.Reads), strings.Compare(a.Name, b.Name))
	})
	return p, nil
}

// look finds out what has become of what was read of one secret.
func (s *System) look(ctx context.Context, touched audit.Touched) (Secret, error) {
	out := Secret{Touched: touched, Kind: Other, Known: []Known{}, Steps: []string{}, Holders: []string{}}
	id := cmp.Or(touched.ARN, touched.Name)
	about, err := s.Secrets.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &id})
	switch {
	case isAPI(err):
		out.unseen(err)
		return out, nil
	case err != nil:
		return out, fmt.Errorf("describing %s: %w", id, err)
	}
	out.Name, out.ARN, out.Function = aws.ToString(about.Name), aws.ToString(about.ARN), aws.ToString(about.RotationLambdaARN)
	out.Current = rotation.VersionWith(about.VersionIdsToStages, rotation.LabelCurrent)
	if touched.Reads > 0 {
		s.examine(ctx, &out, about)
	}
	out.Kind = kindOf(about, out.Strategy)
	out.judge()
	if out.Steps = out.steps(); len(out.Steps) > 0 {
		out.Holders, err = s.holders(ctx, out.ARN, out.revoked())
	}
	return out, err
}

// examine asks the rotation function for the strategy, and the target for what
// it makes of the versions that were read.
func (s *System) examine(ctx context.Context, out *Secret, about *secretsmanager.DescribeSecretOutput) {
	target := make(map[string]rotation.State)
	if out.Function != "" {
		var preview rotation.Preview
		var diagnosis rotation.Diagnosis
		if err := s.ask(ctx, out.Function, question.Plan, out.ARN, &preview); err != nil {
			out.Doubt = oneLine(err.Error())
		}
		if err := s.ask(ctx, out.Function, question.Examine, out.ARN, &diagnosis); err != nil {
			out.Doubt = oneLine(err.Error())
		}
		out.Strategy = preview.Strategy
		for _, f := range diagnosis.Versions {
			target[f.VersionID] = f.State
		}
	}
	for _, v := range out.Versions {
		k := Known{VersionID: v.VersionID, Labels: slices.Clone(about.VersionIdsToStages[v.VersionID]), Target: target[v.VersionID]}
		slices.Sort(k.Labels)
		k.Target = cmp.Or(k.Target, rotation.StateUnknown)
		out.Known = append(out.Known, k)
	}
}

func (s *System) ask(ctx context.Context, function, what, arn string, answer any) error {
	return s.Invoke(ctx, function, question.Request{Question: what, SecretID: arn}, answer)
}

// holders are the consumers whose lease is on one of the versions.
func (s *System) holders(ctx context.Context, arn string, versions []string) ([]string, error) {
	return s.leased(ctx, arn, func(version string) bool { return slices.Contains(versions, version) })
}

// behind are the consumers whose lease is on another version than the current one.
func (s *System) behind(ctx context.Context, arn string) ([]string, error) {
	about, err := s.Secrets.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &arn})
	if err != nil {
		return nil, fmt.Errorf("describing %s: %w", arn, err)
	}
	current := rotation.VersionWith(about.VersionIdsToStages, rotation.LabelCurrent)
	return s.leased(ctx, arn, func(version string) bool { return version != current })
}

// leased are the consumers that hold a version of a kind.
func (s *System) leased(ctx context.Context, arn string, is func(version string) bool) ([]string, error) {
	leases, err := s.Board.Leases(ctx, arn)
	if err != nil {
		return nil, fmt.Errorf("who holds %s: %w", arn, err)
	}
	out := []string{}
	for _, l := range leases {
		if time.Now().Before(l.Expires) && is(l.VersionID) {
			out = append(out, l.Consumer)
		}
	}
	slices.Sort(out)
	return out, nil
}

// rotates reports whether the secret needs a new value: whether the principal has
// the one that is current. Of a key set any version will do, which has the key
// after it.
func (s *Secret) rotates() bool {
	return s.Reads > 0 && (s.Strategy == keyset.Name || slices.ContainsFunc(s.Known, Known.current))
}

// revoked are the versions that must not work any more: those that were read,
// and the one that a rotation supersedes.
func (s *Secret) revoked() []string {
	var out []string
	for _, k := range s.Known {
		if k.VersionID != "" && k.alive() {
			out = append(out, k.VersionID)
		}
	}
	if s.rotates() && s.Current != "" && !slices.Contains(out, s.Current) {
		out = append(out, s.Current)
	}
	return out
}

// steps are what a run does, in words.
func (s *Secret) steps() []string {
	revoked := s.revoked()
	if s.Reads == 0 || len(revoked) == 0 || s.ByHand != "" {
		return []string{}
	}
	var out []string
	if s.rotates() {
		how := "rotate by " + cmp.Or(s.Strategy, "its rotation function")
		if s.Strategy == keyset.Name {
			how += ", to a key that is made now: the next key was in the value too"
		}
		out = append(out, how, "announce the old version as compromised: no consumer serves it from then on")
	}
	for _, version := range revoked {
		out = append(out, "revoke version "+version+" without a grace period")
	}
	return append(out, "ask the server whether it refuses them")
}

// unknown says what the records cannot show.
func unknown(t *audit.Trace) []string {
	out := slices.Clone(t.Coverage.Notes)
	if t.Batches > 0 {
		out = append(out, fmt.Sprintf("%d batch calls were made; what each returned is told by the reads that the trail has for it", t.Batches))
	}
	if t.Unattributed > 0 {
		out = append(out, fmt.Sprintf("%d calls for a value name no secret", t.Unattributed))
	}
	return append(out,
		"what the principal may read by its policies and did not read is not listed: iam simulate-principal-policy tells it",
		"calls of the last minutes may not be in the trail yet; look again later")
}
