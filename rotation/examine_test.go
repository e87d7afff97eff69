package rotation_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rekey-go/rekey/rotation"
)

// Each case leaves the secret in a state that people call for help about.
func TestTheFaultIsNamedWithTheOneSafeMove(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		spoil func(t *testing.T, b *bench)
		move  rotation.Move
		fault string
		table map[string]rotation.State
	}{
		"nothing is wrong": {
			spoil: func(*testing.T, *bench) {},
			move:  rotation.MoveNone, fault: "none", table: map[string]rotation.State{"version-1": rotation.StateAccepted},
		},
		"a rotation that ended well": {
			spoil: func(t *testing.T, b *bench) { b.must(t, "version-2", all()...) },
			move:  rotation.MoveNone, fault: "none",
			table: map[string]rotation.State{"version-2": rotation.StateAccepted, "version-1": rotation.StateRefused},
		},
		"a rotation that made no value": {
			spoil: func(_ *testing.T, b *bench) { b.store.Begin("version-2") },
			move:  rotation.MoveClear, fault: "keeps others from starting",
			table: map[string]rotation.State{"version-1": rotation.StateAccepted, "version-2": rotation.StateEmpty},
		},
		"a rotation that stopped after createSecret": {
			spoil: func(t *testing.T, b *bench) { b.must(t, "version-2", rotation.StepCreate) },
			move:  rotation.MoveResume, fault: "not complete",
			table: map[string]rotation.State{"version-1": rotation.StateAccepted, "version-2": rotation.StateRefused},
		},
		"a rotation that stopped after setSecret": {
			spoil: func(t *testing.T, b *bench) { b.must(t, "version-2", rotation.StepCreate, rotation.StepSet) },
			move:  rotation.MoveResume, fault: "accepts AWSPENDING and refuses AWSCURRENT",
			table: map[string]rotation.State{"version-1": rotation.StateRefused, "version-2": rotation.StateAccepted},
		},
		"a version that somebody made current again": {
			spoil: func(t *testing.T, b *bench) {
				b.strategy = rotation.DualPassword{Database: b.server}
				b.must(t, "version-2", all()...)
				if err := b.store.MoveLabel(t.Context(), "", rotation.LabelCurrent, "version-2", "version-1"); err != nil {
					t.Fatal(err)
				}
			},
			move: rotation.MoveClear, fault: "moved by hand",
			table: map[string]rotation.State{"version-1": rotation.StateAccepted, "version-2": rotation.StateAccepted},
		},
		"a value that somebody mistyped": {
			spoil: func(_ *testing.T, b *bench) { b.store.Replace("by-hand", value("app", "mistyped")) },
			move:  rotation.MoveRotate, fault: "behind the secret's back",
			table: map[string]rotation.State{"by-hand": rotation.StateRefused, "version-1": rotation.StateAccepted},
		},
		"a password that nobody stored": {
			spoil: func(_ *testing.T, b *bench) { b.server.SetUser("app", "by hand") },
			move:  rotation.MoveRotate, fault: "accepts no version", table: map[string]rotation.State{"version-1": rotation.StateRefused},
		},
		"a server that is not there": {
			spoil: func(_ *testing.T, b *bench) { b.server.Fail(rotation.ErrNetwork) },
			move:  rotation.MoveHuman, fault: "cannot be asked", table: map[string]rotation.State{"version-1": rotation.StateUnknown},
		},
		"a value without a target": {
			spoil: func(_ *testing.T, b *bench) { b.strategy = struct{ rotation.Strategy }{b.strategy} },
			move:  rotation.MoveNone, fault: "none", table: map[string]rotation.State{"version-1": rotation.StateNoTarget},
		},
		"a secret that does not rotate": {
			spoil: func(_ *testing.T, b *bench) {
				b.server.SetUser("app", "by hand")
				b.store.Change(func(s *rotation.Secret) { s.RotationEnabled = false })
			},
			move: rotation.MoveHuman, fault: "rotation is not enabled", table: map[string]rotation.State{"version-1": rotation.StateRefused},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			tt.spoil(t, b)
			d, err := rotation.Examine(t.Context(), b.store, rotation.Only(b.strategy), "db")
			if err != nil {
				t.Fatal(err)
			}
			if d.Move != tt.move || !strings.Contains(d.Fault, tt.fault) || d.Next == "" {
				t.Errorf("the move is %s for %q, want %s for %q", d.Move, d.Fault, tt.move, tt.fault)
			}
			table := map[string]rotation.State{}
			for _, f := range d.Versions {
				table[f.VersionID] = f.State
			}
			if diff := cmp.Diff(tt.table, table); diff != "" {
				t.Errorf("the truth table (-want +got)\n%s", diff)
			}
		})
	}
}

// must runs steps.
func (b *bench) must(t *testing.T, token string, steps ...rotation.Step) {
	t.Helper()
	if err := b.steps(t.Context(), token, steps...); err != nil {
		t.Fatal(err)
	}
}

func TestADryRunCallsTheStrategyAsItsTagDoes(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for name, tt := range map[string]struct {
		strategy rotation.Strategy
		err      error
		want     string
	}{
		"a single user":              {strategy: rotation.SingleUser{Database: b.server}, want: "single-user"},
		"alternating users":          {strategy: rotation.AlternatingUsers{Database: b.server}, want: "alternating-users"},
		"dual passwords":             {strategy: rotation.DualPassword{Database: b.server}, want: "dual-password"},
		"one that has no name":       {strategy: unnamed{b.strategy}, want: "rotation_test.unnamed"},
		"none that would fit at all": {err: rotation.ErrConfiguration, want: ""},
	} {
		choose := func(context.Context, rotation.Secret, rotation.Value) (rotation.Strategy, error) {
			return tt.strategy, tt.err
		}
		p, err := rotation.Plan(t.Context(), b.store, choose, "db")
		if err != nil || p.Strategy != tt.want {
			t.Errorf("%s: the strategy is %q, %v, want %q", name, p.Strategy, err, tt.want)
		}
	}
}

// unnamed is a strategy of somebody's own, without a name and without a plan.
type unnamed struct{ rotation.Strategy }

func TestADryRunChangesNothingAndSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		spoil func(b *bench)
		want  string // the check that fails
	}{
		"nothing is missing": {func(*bench) {}, ""},
		"rotation is off":    {func(b *bench) { b.store.Change(func(s *rotation.Secret) { s.RotationEnabled = false }) }, "rotation is enabled"},
		"one is under way":   {func(b *bench) { b.store.Begin("version-2") }, "no other rotation is under way"},
		"a wrong password":   {func(b *bench) { b.server.SetUser("app", "other") }, "the server accepts AWSCURRENT, over TLS that is verified"},
		"no login":           {func(b *bench) { b.store.Replace("by-hand", rotation.NewValue(`{"host":"db"}`)) }, "the value is a login"},
		"a superuser of another server": {func(b *bench) {
			b.store.Replace("by-hand", rotation.NewValue(strings.Replace(firstValue, `"db"`, `"DB2"`, 1)))
			super := rotation.SuperuserFrom(b.store, "db")
			b.strategy = rotation.AlternatingUsers{Database: b.server, Superuser: func(ctx context.Context, c rotation.Credential) (rotation.Credential, error) {
				c.Host = "elsewhere"
				return super(ctx, c)
			}}
		}, "the superuser's secret can be read"},
		"no superuser where one is needed": {func(b *bench) { b.strategy = rotation.AlternatingUsers{Database: b.server} }, "the superuser's secret can be read"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			tt.spoil(b)
			before, users := b.labels(t), b.server.Users()
			p, err := rotation.Plan(t.Context(), b.store, rotation.Only(b.strategy), "db")
			if err != nil {
				t.Fatal(err)
			}
			failed := ""
			for _, c := range p.Checks {
				if !c.OK && failed == "" {
					failed = c.Name
				}
				if !c.OK && (c.Why == nil || c.Why.Next == "") {
					t.Errorf("%s: says not what to do next", c.Name)
				}
			}
			if failed != tt.want || p.OK != (tt.want == "") {
				t.Errorf("the check that failed is %q, want %q", failed, tt.want)
			}
			if diff := cmp.Diff(before, b.labels(t)) + cmp.Diff(users, b.server.Users()); diff != "" {
				t.Errorf("the dry run changed something\n%s", diff)
			}
		})
	}
}
