package secretstest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/rekey-go/rekey/runtime/secrets"
	"github.com/rekey-go/rekey/runtime/secretstest"
)

// TestMain is also the program of TestAProgramFindsTheEngine.
func TestMain(m *testing.M) {
	name := os.Getenv("READ_SECRET")
	if name == "" {
		os.Exit(m.Run())
	}
	ctx := context.Background()
	cfg, err := config.LoadDefaultConfig(ctx)
	if err == nil {
		var client *secrets.Client
		if client, err = secrets.FromEnv(cfg, os.Getenv); err == nil {
			var value string
			value, err = client.String(ctx, name)
			fmt.Fprint(os.Stdout, value)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

type login struct{ Username, Password string }

func text(t *testing.T, client *secrets.Client, name string, options ...secrets.ReadOption) string {
	t.Helper()
	value, err := client.String(t.Context(), name, options...)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func TestValuesOfAllKinds(t *testing.T) {
	t.Parallel()
	aws := secretstest.Start(t, secretstest.Secrets{
		"text": "a \"text\"", "bytes": []byte{0, 0xff}, "login": login{"app", "pw"}, "empty": nil,
	})
	client := aws.Client()
	if got := text(t, client, "text"); got != "a \"text\"" {
		t.Errorf("text = %q", got)
	}
	if got := text(t, client, "bytes"); got != "\x00\xff" {
		t.Errorf("bytes = %q", got)
	}
	if got, err := secrets.JSON[login](t.Context(), client, "login"); err != nil || got != (login{"app", "pw"}) {
		t.Errorf("login = %v, %v", got, err)
	}
	if _, err := client.Get(t.Context(), "empty"); !errors.Is(err, secrets.ErrNoValue) {
		t.Errorf("the placeholder: %v, want ErrNoValue", err)
	}
	if _, err := client.Get(t.Context(), "another"); !errors.Is(err, secrets.ErrNotFound) {
		t.Errorf("a secret that Start was not given: %v, want ErrNotFound", err)
	}
}

func TestARotationIsHeardAtOnce(t *testing.T) {
	t.Parallel()
	aws := secretstest.Start(t, secretstest.Secrets{"key": "old"})
	first, second := aws.Client(), aws.Client()
	text(t, first, "key")
	text(t, second, "key")
	id := aws.Rotate("key", "new")
	for _, client := range []*secrets.Client{first, second} {
		s, err := client.Get(t.Context(), "key")
		if err != nil || s.Reveal() != "new" || s.VersionID() != id {
			t.Errorf("after Rotate: %v, %v, want version %s", s, err, id)
		}
	}
	if got := text(t, first, "key", secrets.Stage("AWSPREVIOUS")); got != "old" {
		t.Errorf("AWSPREVIOUS = %q", got)
	}
	if _, err := first.FetchStage(t.Context(), "key", "AWSPENDING"); !errors.Is(err, secrets.ErrNoValue) {
		t.Errorf("AWSPENDING after the rotation: %v, want ErrNoValue", err)
	}
}

func TestARotationWhoseNewsAreLost(t *testing.T) {
	t.Parallel()
	aws := secretstest.Start(t, secretstest.Secrets{"key": "old"})
	client := aws.Client()
	text(t, client, "key")
	aws.RotateUnheard("key", "new")
	client.Check(t.Context())
	if got := text(t, client, "key"); got != "old" {
		t.Errorf("a client that heard nothing returns %q", got)
	}
	if got := text(t, client, "key", secrets.NoCache()); got != "new" {
		t.Errorf("asked of Secrets Manager: %q", got)
	}
}

// The window of a single user's rotation: the server takes only the pending
// password. With the ladder no call fails; without it, the test of the kit's
// user would.
func TestTheWindowOfASingleUser(t *testing.T) {
	t.Parallel()
	aws := secretstest.Start(t, secretstest.Secrets{"login": login{"app", "pw-0"}})
	var accepted atomic.Pointer[string]
	accepted.Store(new("pw-0"))
	refused := errors.New("password authentication failed")
	ref := secrets.Bind[login](aws.Client(), "login")
	query := func(ctx context.Context) error {
		isRefusal := func(err error) bool { return errors.Is(err, refused) }
		return secrets.Use(ctx, ref, isRefusal, func(_ context.Context, l login) error {
			if l.Password != *accepted.Load() {
				return refused
			}
			return nil
		})
	}
	rotate := func(password string) {
		r := aws.Stage("login", login{"app", password})
		accepted.Store(&password)
		if err := query(t.Context()); err != nil {
			t.Errorf("in the window: %v", err)
		}
		r.Finish()
		if got, err := ref.Get(t.Context()); err != nil || got.Password != password {
			t.Errorf("after the window: %v", err)
		}
	}
	secretstest.Load(t, query, func() { rotate("pw-1") })
}

func TestAWSFails(t *testing.T) {
	t.Parallel()
	for name, how := range map[string]error{
		"throttling": secrets.ErrThrottled, "denied": secrets.ErrDenied, "out of reach": secrets.ErrUnavailable,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			aws := secretstest.Start(t, secretstest.Secrets{"known": "value", "unknown": "value", "rotated": "before"})
			client := aws.Client()
			text(t, client, "known")
			text(t, client, "rotated")
			mend := aws.Fail(how)
			if _, err := client.Get(t.Context(), "unknown"); !errors.Is(err, how) {
				t.Errorf("a first read: %v, want %v", err, how)
			}
			if got := text(t, client, "known"); got != "value" {
				t.Errorf("what was in memory: %q", got)
			}
			aws.Rotate("rotated", "after")
			if got := text(t, client, "rotated"); got != "before" {
				t.Errorf("rotated while AWS failed: %q, want the value at hand", got)
			}
			mend()
			if got := text(t, client, "rotated", secrets.NoCache()); got != "after" {
				t.Errorf("rotated, after AWS was mended: %q", got)
			}
		})
	}
}

func TestAProgramFindsTheEngine(t *testing.T) {
	t.Parallel()
	aws := secretstest.Start(t, secretstest.Secrets{"key": "value"})
	program := exec.CommandContext(t.Context(), os.Args[0])
	program.Env = append(aws.Env(), "READ_SECRET=key", "HOME="+t.TempDir())
	out, err := program.CombinedOutput()
	if err != nil || string(out) != "value" {
		t.Errorf("the program printed %q, %v", out, err)
	}
}

// A verdict is a test that takes notes of its failures.
type verdict struct {
	testing.TB
	failures atomic.Int64
	last     atomic.Pointer[string]
}

func (v *verdict) Errorf(format string, args ...any) {
	v.failures.Add(1)
	v.last.Store(new(fmt.Sprintf(format, args...)))
}

func (*verdict) Helper() {}

func TestLoadFailsTheTestForEachKindOfCall(t *testing.T) {
	t.Parallel()
	var broken atomic.Bool
	tests := map[string]func(context.Context) error{
		"a request": secretstest.Requests(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if broken.Load() {
				w.WriteHeader(http.StatusInternalServerError)
			}
		}), http.MethodGet, "/"),
		"an invocation": secretstest.Invocations(func(context.Context, map[string]string) error {
			if broken.Load() {
				return errors.New("no")
			}
			return nil
		}, []byte(`{}`)),
	}
	for name, do := range tests {
		broken.Store(false)
		v := &verdict{TB: t}
		if calls := secretstest.Load(v, do, func() {}); calls < 16 || v.failures.Load() != 0 {
			t.Errorf("%s that works: %d calls, %d failures", name, calls, v.failures.Load())
		}
		secretstest.Load(v, do, func() { broken.Store(true) })
		if v.failures.Load() == 0 || !strings.Contains(*v.last.Load(), "calls failed") {
			t.Errorf("%s that fails after during: %d failures, last %v", name, v.failures.Load(), v.last.Load())
		}
	}
}
