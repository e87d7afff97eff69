package rotation_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rekey-go/rekey/rotation"
	"github.com/rekey-go/rekey/rotation/rotationtest"
)

// A bench is a secret with a single user on a server in memory, and what
// rotates it.
type bench struct {
	store     *rotationtest.Store
	server    *rotationtest.Server
	strategy  rotation.Strategy
	rotator   *rotation.Rotator
	promotion []rotation.Promotion
	announce  error // with which announcing fails
	log       bytes.Buffer
}

const firstValue = `{"host":"db","username":"app","password":"first-` + canary + `","database":"shop"}`

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{
		store:  rotationtest.NewStore(rotation.NewValue(firstValue), nil),
		server: rotationtest.NewServer("admin", "a"),
	}
	b.server.SetUser("app", "first-"+canary)
	b.strategy = rotation.SingleUser{Database: b.server}
	b.rotator = rotation.New(b.store, rotation.Options{
		Choose: func(context.Context, rotation.Secret, rotation.Value) (rotation.Strategy, error) {
			return b.strategy, nil
		},
		OnPromoted: func(_ context.Context, p rotation.Promotion) error {
			b.promotion = append(b.promotion, p)
			return b.announce
		},
		FunctionName: "rotator", Logger: slog.New(slog.NewJSONHandler(&b.log, nil)),
	})
	return b
}

// steps runs steps until one fails.
func (b *bench) steps(ctx context.Context, token string, steps ...rotation.Step) error {
	for _, step := range steps {
		e := b.store.Begin(token)
		e.Step, e.RotationToken = step, rotation.NewValue("token-"+canary)
		if err := b.rotator.Step(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) labels(t *testing.T) map[string][]string {
	t.Helper()
	s, err := b.store.Describe(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	return s.Versions
}

func all() []rotation.Step {
	return []rotation.Step{rotation.StepCreate, rotation.StepSet, rotation.StepTest, rotation.StepFinish}
}

func TestOnlyTheSecretsOwnRotationGoesOn(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		secret func(*rotation.Secret)
		event  func(*rotation.Event)
		want   error
	}{
		"a step of its own rotation": {want: nil},
		"a secret that is not rotated": {
			secret: func(s *rotation.Secret) { s.RotationEnabled = false }, want: rotation.ErrRotationDisabled,
		},
		"a secret of another function": {
			secret: func(s *rotation.Secret) { s.FunctionARN += "2" }, want: rotation.ErrNotOurs,
		},
		"a secret of an alias of the function": {
			secret: func(s *rotation.Secret) { s.FunctionARN += ":live" }, want: nil,
		},
		"a token without a version": {
			event: func(e *rotation.Event) { e.Token = "forged" }, want: rotation.ErrUnknownToken,
		},
		"a version that is not pending": {
			secret: func(s *rotation.Secret) { s.Versions["version-2"] = []string{"other"} }, want: rotation.ErrNotPending,
		},
		"a step that is none": {
			event: func(e *rotation.Event) { e.Step = "dropSecret" }, want: rotation.ErrUnknownStep,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			e := b.store.Begin("version-2")
			e.Step = rotation.StepCreate
			if tt.event != nil {
				tt.event(&e)
			}
			if tt.secret != nil {
				b.store.Change(tt.secret)
			}
			err := b.rotator.Step(t.Context(), e)
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if failed, ok := errors.AsType[*rotation.StepError](err); tt.want != nil && (!ok || failed.Step != e.Step || failed.VersionID != e.Token) {
				t.Errorf("the error %v does not say which step of which version", err)
			}
		})
	}
}

func TestAPromotionIsAnnouncedUntilItIsHeard(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.announce = errors.New("the bus is down")
	if err := b.steps(t.Context(), "version-2", all()...); !errors.Is(err, b.announce) {
		t.Fatalf("got %v, want %v", err, b.announce)
	}
	if err := b.steps(t.Context(), "version-2", all()...); !errors.Is(err, b.announce) {
		t.Fatalf("repeated: got %v, want %v", err, b.announce)
	}
	b.announce = nil
	if err := b.steps(t.Context(), "version-2", all()...); err != nil {
		t.Fatal(err)
	}
	if len(b.promotion) != 3 {
		t.Fatalf("announced %d times, want 3", len(b.promotion))
	}
	for i, p := range b.promotion {
		if p.VersionID != "version-2" || p.PreviousVersionID != "version-1" || p.Name != "db" || p.SecretARN == "" || p.At.IsZero() {
			t.Errorf("announcement %d is %+v", i, p)
		}
	}
	want := map[string][]string{"version-1": {"AWSPREVIOUS"}, "version-2": {"AWSPENDING", "AWSCURRENT"}}
	if diff := cmp.Diff(want, b.labels(t)); diff != "" {
		t.Errorf("labels (-want +got)\n%s", diff)
	}
}

func TestARehearsalTestsTheCurrentValueAndChangesNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if err := b.steps(t.Context(), "version-2", rotation.StepTest); err != nil {
		t.Fatal(err)
	}
	if err := b.steps(t.Context(), "version-2", rotation.StepFinish); !errors.Is(err, rotation.ErrNoValue) {
		t.Errorf("promoting an empty version: got %v, want %v", err, rotation.ErrNoValue)
	}
	b.server.SetUser("app", "changed behind its back")
	if err := b.steps(t.Context(), "version-2", rotation.StepTest); !errors.Is(err, rotation.ErrAuth) {
		t.Errorf("a login that does not work: got %v, want %v", err, rotation.ErrAuth)
	}
	if got := b.server.Users()["app"]; got != "changed behind its back" {
		t.Error("a rehearsal changed the password")
	}
}

func TestASuppliedValueIsRotatedTo(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.store.Supply("supplied", rotation.NewValue(`{"host":"db","username":"app","password":"chosen"}`))
	if err := b.steps(t.Context(), "version-2", all()...); err != nil {
		t.Fatal(err)
	}
	v, err := b.store.Get(t.Context(), "", "", rotation.LabelCurrent)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"database":"shop","host":"db","password":"chosen","username":"app"}`
	if v.Reveal() != want {
		t.Errorf("the current value is %s, want %s", v.Reveal(), want)
	}
	if labels, ok := b.labels(t)["supplied"]; ok {
		t.Errorf("the supplied version still carries %v", labels)
	}
	if err := b.steps(t.Context(), "version-3", all()...); err != nil {
		t.Fatal(err)
	}
	if b.server.Users()["app"] == "chosen" {
		t.Error("the next rotation took the supplied value again")
	}
}

// Two operators supply a value at the same time, and one of them begins the
// rotation.
func TestARotationTakesTheValueThatWasSuppliedForIt(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, token := range []string{"version-2", "version-3"} {
		supplied := "for-" + token
		b.store.Supply(supplied, rotation.NewValue(`{"host":"db","username":"app","password":"`+supplied+`"}`))
		if err := b.store.MoveLabel(t.Context(), "", rotation.SuppliedFor(token), "", supplied); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.steps(t.Context(), "version-2", all()...); err != nil {
		t.Fatal(err)
	}
	if got := b.server.Users()["app"]; got != "for-version-2" {
		t.Errorf("the password is %q, want the one that was supplied for this rotation", got)
	}
	want := map[string][]string{"for-version-3": {rotation.SuppliedFor("version-3"), rotation.LabelSupplied}}
	got := b.labels(t)
	slices.Sort(got["for-version-3"])
	slices.Sort(want["for-version-3"])
	if labels, ok := got["for-version-2"]; ok || !slices.Equal(got["for-version-3"], want["for-version-3"]) {
		t.Errorf("labels %v and %v, want %v for the other rotation's value alone", labels, got["for-version-3"], want["for-version-3"])
	}
}

func TestASuppliedValueIsChecked(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]string{
		"another host":     `{"host":"evil","username":"app","password":"chosen"}`,
		"another port":     `{"host":"db","port":5433,"username":"app","password":"chosen"}`,
		"another database": `{"host":"db","username":"app","password":"chosen","database":"other"}`,
		"another user":     `{"host":"db","username":"admin","password":"chosen"}`,
		"an md5 hash":      `{"host":"db","username":"app","password":"md5` + strings.Repeat("0", 32) + `"}`,
		"a SCRAM verifier": `{"host":"db","username":"app","password":"SCRAM-SHA-256$4096:c2FsdA==$c3RvcmVk:c2VydmVy"}`,
		"no JSON":          `chosen`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			if strings.Contains(name, "port") { // the current value has to name one
				b.store.Replace("with-port", rotation.NewValue(`{"host":"db","port":5432,"username":"app","password":"x"}`))
			}
			b.store.Supply("supplied", rotation.NewValue(value))
			if err := b.steps(t.Context(), "version-2", rotation.StepCreate); !errors.Is(err, rotation.ErrConfiguration) {
				t.Errorf("got %v, want %v", err, rotation.ErrConfiguration)
			}
		})
	}
}

func TestEachStepLeavesOneLineWithoutAValue(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if err := b.steps(t.Context(), "version-2", all()...); err != nil {
		t.Fatal(err)
	}
	b.server.Fail(rotation.ErrNetwork)
	if err := b.steps(t.Context(), "version-3", rotation.StepCreate, rotation.StepSet); !errors.Is(err, rotation.ErrNetwork) {
		t.Fatalf("got %v, want %v", err, rotation.ErrNetwork)
	}
	lines := strings.Split(strings.TrimSpace(b.log.String()), "\n")
	if len(lines) != 6 {
		t.Errorf("%d lines for 6 steps:\n%s", len(lines), b.log.String())
	}
	for _, line := range lines {
		for _, want := range []string{`"name":"db"`, `"version":"version-`, `"step":"`, `"ms":`, `"secret":"arn:`} {
			if !strings.Contains(line, want) {
				t.Errorf("no %s in %s", want, line)
			}
		}
		if strings.Contains(line, canary) {
			t.Errorf("a value in %s", line)
		}
	}
}

func TestOnlySecretsOfTheFunctionsAccountAndRegionAreRotated(t *testing.T) {
	t.Parallel()
	const own = "arn:aws:lambda:us-east-1:111122223333:function:rotator"
	tests := map[string]struct {
		function string
		accounts []string
		want     error
	}{
		"its own":                    {function: own},
		"by an alias":                {function: own + ":live"},
		"where that is not known":    {function: ""},
		"another region":             {function: strings.Replace(own, "us-east-1", "eu-west-1", 1), want: rotation.ErrNotOurs},
		"another account":            {function: strings.Replace(own, "111122223333", "444455556666", 1), want: rotation.ErrNotOurs},
		"an account that was named":  {function: strings.Replace(own, "111122223333", "444455556666", 1), accounts: []string{"111122223333"}},
		"a function that has no ARN": {function: "rotator", want: rotation.ErrNotOurs},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			rotator := rotation.New(b.store, rotation.Options{
				Choose: rotation.Only(b.strategy), Accounts: tt.accounts, Logger: slog.New(slog.DiscardHandler),
			})
			e := b.store.Begin("version-2")
			e.Step, e.FunctionARN = rotation.StepCreate, tt.function
			if err := rotator.Step(t.Context(), e); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

// hanging is a strategy whose test takes as long as it may.
type hanging struct{ rotation.SingleUser }

func (hanging) Test(ctx context.Context, _ rotation.Change) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestATestThatHangsLeavesTimeToRestore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.strategy = hanging{rotation.SingleUser{Database: b.server}}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		if err := b.steps(ctx, "version-2", all()...); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("got %v, want %v", err, context.DeadlineExceeded)
		}
		if ctx.Err() != nil {
			t.Error("the test took all of the step's time")
		}
		if got := b.server.Users()["app"]; got != "first-"+canary {
			t.Error("the current password was not restored")
		}
	})
}
