package admin

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/google/go-cmp/cmp"

	"github.com/rekey-go/rekey/rotation"
	"github.com/rekey-go/rekey/rotation/rotationtest"
)

const firstToken = "the-first-admin-token"

// hashes is the secret of the API, whose every call may be made to fail.
type hashes struct {
	*rotationtest.Store
	call rotationtest.Call
}

func newHashes(t *testing.T, tokens ...Token) *rotationtest.Store {
	t.Helper()
	text, err := json.Marshal(Tokens{Tokens: tokens})
	if err != nil {
		t.Fatal(err)
	}
	return rotationtest.NewStore(rotation.NewValue(string(text)), nil)
}

// Describe passes on.
func (s hashes) Describe(ctx context.Context, id string) (out rotation.Secret, err error) {
	err = s.call(func() (err error) { out, err = s.Store.Describe(ctx, id); return err })
	return out, err
}

// Get passes on.
func (s hashes) Get(ctx context.Context, id, version, label string) (out rotation.Value, err error) {
	err = s.call(func() (err error) { out, err = s.Store.Get(ctx, id, version, label); return err })
	return out, err
}

// PutCurrent passes on.
func (s hashes) PutCurrent(ctx context.Context, id, from, version string, v rotation.Value) error {
	return s.call(func() error { return s.Store.PutCurrent(ctx, id, from, version, v) })
}

// Tokens reads the hashes as the API does.
func (s hashes) Tokens(ctx context.Context) ([]Token, error) {
	held, _, err := TokenRotation{Store: s.Store}.Read(ctx)
	return held, err
}

// noSecrets is a Secrets Manager without secrets.
type noSecrets struct{ SecretsManager }

// ListSecrets lists none.
func (noSecrets) ListSecrets(context.Context, *secretsmanager.ListSecretsInput, ...func(*secretsmanager.Options)) (*secretsmanager.ListSecretsOutput, error) {
	return &secretsmanager.ListSecretsOutput{}, nil
}

// asked calls the API with a token.
func asked(tokens TokenSource) func(ctx context.Context, v rotation.Value) error {
	api := NewHandler(noSecrets{}, Options{Tokens: tokens, Logger: slog.New(slog.DiscardHandler)})
	return func(ctx context.Context, v rotation.Value) error {
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/admin/secrets", nil)
		r.Header.Set("Authorization", "Bearer "+v.Reveal())
		w := httptest.NewRecorder()
		api.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			return rotation.ErrAuth
		}
		return nil
	}
}

func direct(call func() error) error { return call() }

func TestAnAdminTokenIsRotated(t *testing.T) {
	t.Parallel()
	rotationtest.Exercise(t, func(t *testing.T) rotationtest.Target {
		t.Helper()
		store := newHashes(t, NewToken("local-1", firstToken))
		return rotationtest.Target{
			Value: rotation.NewValue(firstToken), Wrong: rotation.NewValue("nobody-knows-this-token"),
			Accepts: asked(hashes{store, direct}),
			Strategy: func(call rotationtest.Call) rotation.Strategy {
				return TokenRotation{Store: hashes{store, call}}
			},
		}
	})
}

// ids lists the tokens that the API accepts.
func ids(t *testing.T, store *rotationtest.Store) []string {
	t.Helper()
	held, err := hashes{store, direct}.Tokens(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, token := range held {
		ids = append(ids, token.ID)
	}
	return ids
}

func rotateToken(t *testing.T, token *rotationtest.Store, s rotation.Strategy, version string, steps ...rotation.Step) {
	t.Helper()
	r := rotation.New(token, rotation.Options{Choose: rotation.Only(s), Logger: slog.New(slog.DiscardHandler)})
	for _, step := range steps {
		e := token.Begin(version)
		e.Step = step
		if err := r.Step(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTokensOfOthersAndOfGivenUpRotations(t *testing.T) {
	t.Parallel()
	store := newHashes(t, NewToken("local-1", firstToken), NewToken("alice", "the-token-of-alice-herself"))
	token := rotationtest.NewStore(rotation.NewValue(firstToken), nil)
	s := TokenRotation{Store: store}
	rotateToken(t, token, s, "version-2", rotation.StepCreate, rotation.StepSet)
	rotateToken(t, token, s, "version-3", rotation.StepCreate, rotation.StepSet, rotation.StepTest, rotation.StepFinish)
	want := []string{"local-1", "alice", "rotated-version-2", "rotated-version-3"}
	if diff := cmp.Diff(want, ids(t, store)); diff != "" {
		t.Errorf("before the retirement (-want +got)\n%s", diff)
	}
	if err := rotation.Retire(t.Context(), token, rotation.Only(s), "", "version-1"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"alice", "rotated-version-3"}, ids(t, store)); diff != "" {
		t.Errorf("after it (-want +got)\n%s", diff)
	}
}

func TestATokensSuccessorIsForNoMoreThanItWas(t *testing.T) {
	t.Parallel()
	first := NewToken("local-1", firstToken)
	first.Scopes, first.Prefixes = []Scope{ScopeRead}, []string{"shop-"}
	store := newHashes(t, first, NewToken("alice", "the-token-of-alice-herself"))
	token := rotationtest.NewStore(rotation.NewValue(firstToken), nil)
	rotateToken(t, token, TokenRotation{Store: store}, "version-2", rotation.StepCreate, rotation.StepSet)
	held, err := hashes{store, direct}.Tokens(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	next := held[len(held)-1]
	if diff := cmp.Diff([]any{"rotated-version-2", first.Scopes, first.Prefixes}, []any{next.ID, next.Scopes, next.Prefixes}); diff != "" {
		t.Errorf("the new token (-want +got):\n%s", diff)
	}
}

func TestOnlyATokenThatFitsAHeaderIsTaken(t *testing.T) {
	t.Parallel()
	for text, ok := range map[string]bool{
		"a-token-of-twenty-characters": true, "short": false, "a token with spaces in it": false,
		"a-token-with-a-line\nbreak": false, "ein-Schlüssel-mit-Umlaut": false,
	} {
		v, err := TokenRotation{}.Create(t.Context(), rotation.Change{}, rotation.NewValue(text))
		if ok != (err == nil) || ok && v.Reveal() != text || !ok && (!errors.Is(err, rotation.ErrConfiguration) || strings.Contains(err.Error(), text)) {
			t.Errorf("%q: got %v", text, err)
		}
	}
}

func TestTokensThatCannotBeReadAreNotReplaced(t *testing.T) {
	t.Parallel()
	store := rotationtest.NewStore(rotation.NewValue(`SENTINEL`), nil)
	err := TokenRotation{Store: store, Tokens: "dev-admin-tokens"}.Set(t.Context(), rotation.Change{VersionID: "version-2", Pending: rotation.NewValue(firstToken)})
	if !errors.Is(err, rotation.ErrConfiguration) || strings.Contains(err.Error(), "SENTINEL") {
		t.Errorf("got %v", err)
	}
}
