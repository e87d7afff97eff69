package random_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rekey-go/rekey/rotation"
	"github.com/rekey-go/rekey/rotation/random"
	"github.com/rekey-go/rekey/rotation/rotationtest"
)

// accepts is a verifier: it accepts what carries one of the labels.
func accepts(store *rotationtest.Store) func(context.Context, rotation.Value) error {
	return func(ctx context.Context, v rotation.Value) error {
		for _, label := range []string{rotation.LabelCurrent, rotation.LabelPrevious, rotation.LabelPending} {
			if held, err := store.Get(ctx, "", "", label); err == nil && held.Reveal() == v.Reveal() {
				return nil
			}
		}
		return rotation.ErrAuth
	}
}

func TestSuite(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		value    string
		strategy random.Strategy
	}{
		"a text":                {"whsec_the-first-one-of-all", random.Strategy{Prefix: "whsec_", Charset: random.Base64}},
		"a member of an object": {`{"signing_secret":"the-first-one-of-all","url":"https://shop.example"}`, random.Strategy{Field: "signing_secret"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rotationtest.Exercise(t, func(*testing.T) rotationtest.Target {
				v := rotation.NewValue(tt.value)
				store := rotationtest.NewStore(v, nil)
				return rotationtest.Target{
					Value: v, Store: store, Accepts: accepts(store),
					Strategy: func(rotationtest.Call) rotation.Strategy { return tt.strategy },
				}
			})
		})
	}
}

func create(t *testing.T, s random.Strategy, current, supplied string) (string, error) {
	t.Helper()
	v, err := s.Create(t.Context(), rotation.Change{Current: rotation.NewValue(current)}, rotation.NewValue(supplied))
	return v.Reveal(), err
}

func TestNewValuesAreAsTheSettingsSay(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		strategy random.Strategy
		want     string
	}{
		"by default":    {random.Strategy{}, `^[A-Za-z0-9]{32}$`},
		"hexadecimal":   {random.Strategy{Charset: random.Hex, Length: 64}, `^[0-9a-f]{64}$`},
		"for URLs":      {random.Strategy{Charset: random.Base64URL, Length: 43}, `^[A-Za-z0-9_-]{43}$`},
		"with a prefix": {random.Strategy{Prefix: "whsec_", Charset: random.Base64, Length: 44}, `^whsec_[A-Za-z0-9+/]{44}$`},
	} {
		one, err := create(t, tt.strategy, "old", "")
		two, _ := create(t, tt.strategy, "old", "")
		if err != nil || !regexp.MustCompile(tt.want).MatchString(one) || one == two {
			t.Errorf("%s: a value of %d characters, error %v, want one like %s, each time another", name, len(one), err, tt.want)
		}
	}
}

func TestOneMemberChangesAndTheOthersStay(t *testing.T) {
	t.Parallel()
	const current = `{"secret":"old","url":"https://shop.example","retries":3}`
	for supplied, want := range map[string]string{
		"brand-new": "brand-new", `{"secret":"brand-new"}`: "brand-new", `"quoted"`: `"quoted"`,
	} {
		text, err := create(t, random.Strategy{Field: "secret"}, current, supplied)
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			t.Fatal(err)
		}
		wanted := map[string]any{"secret": want, "url": "https://shop.example", "retries": 3.0}
		if diff := cmp.Diff(wanted, got); diff != "" {
			t.Errorf("supplied %s (-want +got)\n%s", supplied, diff)
		}
	}
}

func TestWhatCannotWorkIsRefusedWithoutBeingQuoted(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		strategy          random.Strategy
		current, supplied string
	}{
		"an object without a field":           {random.Strategy{}, `{"a":"SENTINEL"}`, ""},
		"a supplied object without a field":   {random.Strategy{}, "SENTINEL", `{"a":"SENTINEL"}`},
		"a field of a text":                   {random.Strategy{Field: "a"}, "SENTINEL", ""},
		"a supplied object without the field": {random.Strategy{Field: "a"}, `{}`, `{"b":"SENTINEL"}`},
		"a supplied field that is no text":    {random.Strategy{Field: "a"}, `{"a":"SENTINEL"}`, `{"a":{"b":"SENTINEL"}}`},
		"too few bits":                        {random.Strategy{Length: 21}, "SENTINEL", ""},
		"too many characters":                 {random.Strategy{Length: 5000}, "SENTINEL", ""},
		"an unknown charset":                  {random.Strategy{Charset: "runes"}, "SENTINEL", ""},
	} {
		_, err := create(t, tt.strategy, tt.current, tt.supplied)
		if !errors.Is(err, rotation.ErrConfiguration) || strings.Contains(fmt.Sprint(err), "SENTINEL") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
