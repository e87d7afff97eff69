package keyset_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/rekey-go/rekey/rotation"
	"github.com/rekey-go/rekey/rotation/keyset"
	"github.com/rekey-go/rekey/rotation/rotationtest"
)

// rotate runs a rotation to a version.
func rotate(ctx context.Context, store *rotationtest.Store, s rotation.Strategy, version string) error {
	r := rotation.New(store, rotation.Options{Choose: rotation.Only(s), Logger: silent()})
	for _, step := range []rotation.Step{rotation.StepCreate, rotation.StepSet, rotation.StepTest, rotation.StepFinish} {
		e := store.Begin(version)
		e.Step = step
		if err := r.Step(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

func mustRotate(t *testing.T, store *rotationtest.Store, s rotation.Strategy, version string) *keyset.Set {
	t.Helper()
	if err := rotate(t.Context(), store, s, version); err != nil {
		t.Fatal(err)
	}
	return current(t, store)
}

func current(t *testing.T, store *rotationtest.Store) *keyset.Set {
	t.Helper()
	v, err := store.Get(t.Context(), "", "", rotation.LabelCurrent)
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, v)
}

func sign(t *testing.T, s *keyset.Set) string {
	t.Helper()
	token, err := s.Sign(jwt.RegisteredClaims{Issuer: s.Issuer})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestAKeyIsPublishedBeforeItSigns(t *testing.T) {
	t.Parallel()
	store := rotationtest.NewStore(rotation.NewValue(first), nil)
	before := current(t, store)
	one := mustRotate(t, store, keyset.Strategy{}, "version-2")
	if one.Current.ID != before.Current.ID || one.Next == nil || len(one.Previous) != 0 {
		t.Fatalf("after the first rotation: %v, want the old key to sign on and a next one", one)
	}
	two := mustRotate(t, store, keyset.Strategy{}, "version-3")
	if two.Current.ID != one.Next.ID || two.Next == nil || len(two.Previous) != 1 || two.Previous[0].ID != before.Current.ID {
		t.Fatalf("after the second rotation: %v, want %v to sign", two, one.Next)
	}
	if o := object(t, mustValue(t, two)); o["audience"] != "everyone" {
		t.Error("a member that nobody knows is lost")
	}
}

func mustValue(t *testing.T, s *keyset.Set) rotation.Value {
	t.Helper()
	v, err := s.Value()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestAKeyThatWasPublishedJustNowDoesNotSign(t *testing.T) {
	t.Parallel()
	store := rotationtest.NewStore(rotation.NewValue(first), nil)
	now := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	store.SetClock(func() time.Time { return now })
	patient := keyset.Strategy{Publish: 5 * time.Minute}
	published := mustRotate(t, store, patient, "version-2")

	now = now.Add(5*time.Minute - time.Second)
	err := rotate(t.Context(), store, patient, "version-3")
	if !errors.Is(err, rotation.ErrConflict) || !strings.Contains(err.Error(), "2026-03-02T10:05:00Z") {
		t.Fatalf("got %v, want a conflict that says until when", err)
	}
	if got := current(t, store); got.Current.ID != published.Current.ID {
		t.Errorf("%v signs, want %v", got.Current, published.Current)
	}
	now = now.Add(time.Second)
	if got := mustRotate(t, store, patient, "version-3"); got.Current.ID != published.Next.ID {
		t.Errorf("%v signs, want %v", got.Current, published.Next)
	}
}

func TestAStepWaitsUntilTheKeyMaySignIfItHasTheTime(t *testing.T) {
	t.Parallel()
	patient := keyset.Strategy{Publish: time.Minute}
	for name, tt := range map[string]struct {
		left, waits time.Duration
		err         error
	}{
		"it has":     {left: 90 * time.Second, waits: time.Minute},
		"it has not": {left: 60 * time.Second, err: rotation.ErrConflict},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				store := rotationtest.NewStore(rotation.NewValue(first), nil)
				store.SetClock(func() time.Time { return time.Now().Truncate(time.Second) }) // as AWS tells the time
				mustRotate(t, store, patient, "version-2")
				ctx, cancel := context.WithTimeout(t.Context(), tt.left)
				defer cancel()
				preview, err := rotation.Plan(ctx, store, rotation.Only(patient), "")
				if err != nil || preview.OK != (tt.err == nil) {
					t.Errorf("the plan says %v of %+v (%v)", preview.OK, preview.Checks, err)
				}
				began := time.Now()
				if err := rotate(ctx, store, patient, "version-3"); !errors.Is(err, tt.err) || tt.err == nil && err != nil {
					t.Errorf("got %v, want %v", err, tt.err)
				}
				if got := time.Since(began); got != tt.waits {
					t.Errorf("it took %v, want %v", got, tt.waits)
				}
			})
		})
	}
}

func TestAWaitForAKeyEndsWithTheStep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		patient := keyset.Strategy{Publish: time.Minute}
		store := rotationtest.NewStore(rotation.NewValue(first), nil)
		published := mustRotate(t, store, patient, "version-2")
		ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
		time.AfterFunc(30*time.Second, cancel)
		if err := rotate(ctx, store, patient, "version-3"); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want %v", err, context.Canceled)
		}
		if got := current(t, store); got.Current.ID != published.Current.ID {
			t.Errorf("%v signs, want %v", got.Current, published.Current)
		}
	})
}

func TestAfterALeakAKeySignsThatNobodyHasSeen(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []keyset.Algorithm{keyset.HS256, keyset.ES256} {
		t.Run(string(algorithm), func(t *testing.T) {
			t.Parallel()
			store := rotationtest.NewStore(value(t, algorithm), nil)
			patient := keyset.Strategy{Publish: time.Hour}
			leaked := mustRotate(t, store, patient, "version-2") // with a next key
			stolen := sign(t, leaked)
			store.Supply("leak", rotation.NewValue(keyset.Compromised))
			after := mustRotate(t, store, patient, "version-3")
			for _, k := range []keyset.Key{leaked.Current, *leaked.Next} {
				if after.Current.ID == k.ID || after.Next.ID == k.ID {
					t.Errorf("%v signs, or will, and was in the value that leaked", k)
				}
			}
			if after.Current.Algorithm != algorithm || after.Issuer != leaked.Issuer {
				t.Errorf("the new key is of %v for %q, want %v for %q", after.Current.Algorithm, after.Issuer, algorithm, leaked.Issuer)
			}
			if err := rotation.Retire(t.Context(), store, rotation.Only(patient), "", "version-2"); err != nil {
				t.Fatal(err)
			}
			if err := current(t, store).Verify(stolen, &jwt.RegisteredClaims{}); err == nil {
				t.Error("a token of the stolen key is accepted")
			}
		})
	}
}

func TestASuppliedKeySignsAtOnceAndOldTokensLiveOn(t *testing.T) {
	t.Parallel()
	store := rotationtest.NewStore(value(t, keyset.HS256), nil)
	patient := keyset.Strategy{Publish: time.Hour}
	before := current(t, store)
	old := sign(t, before)

	store.Supply("supplied", rotation.NewValue(`{"signing_key":"another-256-bit-secret","issuer":"other.com"}`))
	after := mustRotate(t, store, patient, "version-2")
	o := object(t, mustValue(t, after))
	if o["signing_key"] != "another-256-bit-secret" || o["issuer"] != "other.com" {
		t.Fatalf("issuer %v, or another signing_key than the supplied", o["issuer"])
	}
	if after.Next == nil || after.Next.ID == before.Next.ID {
		t.Errorf("the next key is %v, want one that was not in the value from before", after.Next)
	}
	if err := after.Verify(old, &jwt.RegisteredClaims{}); err != nil {
		t.Errorf("a token of the old key and issuer: %v", err)
	}
	if err := after.Verify(sign(t, after), &jwt.RegisteredClaims{}); err != nil {
		t.Errorf("a token of the supplied key: %v", err)
	}
	if err := before.Verify(sign(t, after), &jwt.RegisteredClaims{}); !errors.Is(err, keyset.ErrUnknownKey) {
		t.Errorf("a verifier with the old version: got %v, want %v, upon which it looks again", err, keyset.ErrUnknownKey)
	}
	forged, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"iss": "other.com"}).SignedString([]byte("guessed"))
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{
		"of another key": forged, "that is none": "a.b.c",
		"of the old issuer under the new key": mustSign(t, after, "myapp.com"),
	} {
		if err := after.Verify(token, &jwt.RegisteredClaims{}); err == nil {
			t.Errorf("a token %s is accepted", name)
		}
	}
}

func mustSign(t *testing.T, s *keyset.Set, issuer string) string {
	t.Helper()
	token, err := s.Sign(jwt.RegisteredClaims{Issuer: issuer})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestAVersionFromBeforeCanBeSuppliedAgain(t *testing.T) {
	t.Parallel()
	store := rotationtest.NewStore(value(t, keyset.ES256), nil)
	before := current(t, store)
	after := mustRotate(t, store, keyset.Strategy{}, "version-2")
	store.Supply("rollback", mustValue(t, before))
	back := mustRotate(t, store, keyset.Strategy{}, "version-3")
	if back.Current.ID != before.Current.ID || len(back.Previous) != 1 || back.Previous[0].ID != after.Current.ID {
		t.Errorf("after the rollback %v, want %v to sign and %v to be accepted", back, before.Current, after.Current)
	}
}

func TestASuppliedValueThatDoesNotDoIsRefused(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"a short key":                       `{"signing_key":"SENTINEL"}`,
		"no key":                            `{"issuer":"SENTINEL"}`,
		"a text":                            `SENTINEL SENTINEL SENTINEL`,
		"the same key under another issuer": `{"signing_key":"new-256-bit-secret-key","issuer":"SENTINEL"}`,
	} {
		store := rotationtest.NewStore(rotation.NewValue(first), nil)
		store.Supply("supplied", rotation.NewValue(text))
		err := rotate(t.Context(), store, keyset.Strategy{}, "version-2")
		if !errors.Is(err, rotation.ErrConfiguration) || strings.Contains(err.Error(), "SENTINEL") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestTheAlgorithmChangesFromKeyToKey(t *testing.T) {
	t.Parallel()
	store := rotationtest.NewStore(rotation.NewValue(first), nil)
	modern := keyset.Strategy{Algorithm: keyset.EdDSA}
	old := sign(t, current(t, store))
	mustRotate(t, store, modern, "version-2")
	s := mustRotate(t, store, modern, "version-3")
	if s.Current.Algorithm != keyset.EdDSA || s.Previous[0].Algorithm != keyset.HS256 {
		t.Fatalf("%s signs and %s is accepted", s.Current.Algorithm, s.Previous[0].Algorithm)
	}
	if err := s.Verify(old, &jwt.RegisteredClaims{}); err != nil {
		t.Errorf("a token from before: %v", err)
	}
	if err := rotate(t.Context(), store, keyset.Strategy{Algorithm: "RS1"}, "version-4"); !errors.Is(err, rotation.ErrConfiguration) {
		t.Errorf("an unknown algorithm: got %v", err)
	}
}

func TestAPreviousKeyHasNoPrivatePart(t *testing.T) {
	t.Parallel()
	store := rotationtest.NewStore(value(t, keyset.EdDSA), nil)
	s := mustRotate(t, store, keyset.Strategy{}, "version-2")
	keys, _ := object(t, mustValue(t, s))["keys"].([]any)
	for _, k := range keys {
		k, _ := k.(map[string]any)
		if _, private := k["d"]; private != (k["state"] != "previous") {
			t.Errorf("the %v key has a private part: %v", k["state"], private)
		}
	}
}

func TestAValueThatWasEditedByHandSignsWithSigningKey(t *testing.T) {
	t.Parallel()
	before := parse(t, value(t, keyset.HS256))
	v := mustValue(t, before)
	text := strings.Replace(v.Reveal(), `"signing_key":"`, `"signing_key":"edited-`, 1)
	after := parse(t, rotation.NewValue(text))
	if after.Current.ID == before.Current.ID {
		t.Error("the edited key does not sign")
	}
	if err := after.Verify(sign(t, before), &jwt.RegisteredClaims{}); err != nil {
		t.Errorf("a token of the key from before: %v", err)
	}
}

func TestRetiringEndsTheOldTokensAndNoOthers(t *testing.T) {
	t.Parallel()
	store := rotationtest.NewStore(value(t, keyset.HS256), nil)
	var s keyset.Strategy
	tokens := []string{sign(t, current(t, store))}
	for n := 2; n <= 4; n++ {
		tokens = append(tokens, sign(t, mustRotate(t, store, s, fmt.Sprintf("version-%d", n))))
	}
	accepted := func() (n int) {
		for _, token := range tokens {
			if current(t, store).Verify(token, &jwt.RegisteredClaims{}) == nil {
				n++
			}
		}
		return n
	}
	for n := 1; n <= 3; n++ {
		retire(t, store, s, fmt.Sprintf("version-%d", n))
		if got, want := accepted(), 4-n; got != want {
			t.Errorf("after version-%d was retired %d tokens are accepted, want %d", n, got, want)
		}
	}
}

func TestRetiringAVersionEndsWhatIsOlder(t *testing.T) {
	t.Parallel()
	store := rotationtest.NewStore(value(t, keyset.HS256), nil)
	for n := 2; n <= 4; n++ {
		mustRotate(t, store, keyset.Strategy{}, fmt.Sprintf("version-%d", n))
	}
	for _, late := range []string{"version-3", "version-1"} {
		retire(t, store, keyset.Strategy{}, late)
		if got := current(t, store).Previous; len(got) != 0 {
			t.Errorf("after %s was retired %v are left", late, got)
		}
	}
}

func retire(t *testing.T, store rotation.Store, s rotation.Strategy, version string) {
	t.Helper()
	err := rotation.Retire(t.Context(), store, rotation.Only(s), "", version)
	if err != nil && !errors.Is(err, rotation.ErrReplaced) {
		t.Fatalf("retiring %s: %v", version, err)
	}
}

func TestAKeyThatSignsOnIsNotRetired(t *testing.T) {
	t.Parallel()
	store := rotationtest.NewStore(rotation.NewValue(first), nil)
	mustRotate(t, store, keyset.Strategy{}, "version-2") // publishes only
	mustRotate(t, store, keyset.Strategy{}, "version-3")
	err := rotation.Retire(t.Context(), store, rotation.Only(keyset.Strategy{}), "", "version-1")
	if !errors.Is(err, rotation.ErrReplaced) || len(current(t, store).Previous) != 1 {
		t.Errorf("got %v: its key signed in version-2 too, and is retired with that", err)
	}
	retire(t, store, keyset.Strategy{}, "version-2")
	if got := current(t, store); len(got.Previous) != 0 {
		t.Errorf("left %v", got)
	}
}

func TestRetiringWaitsForARotationThatIsUnderWay(t *testing.T) {
	t.Parallel()
	store := rotationtest.NewStore(value(t, keyset.HS256), nil)
	mustRotate(t, store, keyset.Strategy{}, "version-2")
	store.Begin("version-3")
	err := rotation.Retire(t.Context(), store, rotation.Only(keyset.Strategy{}), "", "version-1")
	if !errors.Is(err, rotation.ErrInUse) {
		t.Errorf("got %v, want %v", err, rotation.ErrInUse)
	}
}

// overtaking has another version become current just before a retirement
// stores its own.
type overtaking struct {
	*rotationtest.Store
}

// PutCurrent is overtaken.
func (s overtaking) PutCurrent(ctx context.Context, id, from, version string, v rotation.Value) error {
	if err := rotate(ctx, s.Store, keyset.Strategy{}, "version-3"); err != nil {
		return err
	}
	return s.Store.PutCurrent(ctx, id, from, version, v)
}

func TestRetiringNeverUndoesARotation(t *testing.T) {
	t.Parallel()
	store := rotationtest.NewStore(value(t, keyset.HS256), nil)
	mustRotate(t, store, keyset.Strategy{}, "version-2")
	err := rotation.Retire(t.Context(), overtaking{store}, rotation.Only(keyset.Strategy{}), "", "version-1")
	if !errors.Is(err, rotation.ErrInUse) {
		t.Errorf("got %v, want %v", err, rotation.ErrInUse)
	}
	about, err := store.Describe(t.Context(), "")
	if err != nil || about.VersionWith(rotation.LabelCurrent) != "version-3" {
		t.Errorf("AWSCURRENT is on %q, %v", about.VersionWith(rotation.LabelCurrent), err)
	}
	retire(t, store, keyset.Strategy{}, "version-2")
	if got := current(t, store); len(got.Previous) != 0 {
		t.Errorf("left %v", got)
	}
}
