package apikey_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rekey-go/rekey/internal/providers"
	"github.com/rekey-go/rekey/rotation"
	"github.com/rekey-go/rekey/rotation/apikey"
	"github.com/rekey-go/rekey/rotation/rotationtest"
)

// sendGrid is an account with the strategy for a secret's plain value.
func sendGrid(t *testing.T) (*providers.SendGrid, apikey.Strategy) {
	t.Helper()
	account := providers.NewSendGrid()
	url := serve(t, account)
	return account, apikey.Strategy{Patience: patience, Members: []apikey.Member{
		{Label: "sendgrid", Provider: must(apikey.NewSendGrid(client(t), url))},
	}}
}

func TestANewKeyIsGivenTimeToBeKnown(t *testing.T) {
	t.Parallel()
	for lag, want := range map[int]rotation.Class{3: "", 1000: rotation.ClassAuthentication} {
		account, s := sendGrid(t)
		if want == "" {
			s.Patience = time.Minute
		}
		_, secret := account.Add("first", manage...)
		account.Lag(lag)
		store := rotationtest.NewStore(rotation.NewValue(secret), nil)
		err := rotate(t.Context(), store, store.Begin("version-2"), s)
		if got := rotation.Explain(err).Class; (err == nil) != (want == "") || err != nil && got != want {
			t.Errorf("a key that is not known for %d calls: %v, want %q", lag, err, want)
		}
	}
}

func TestANewKeyMayDoWhatTheOldOneMay(t *testing.T) {
	t.Parallel()
	account, s := sendGrid(t)
	_, secret := account.Add("first", manage...)
	store := rotationtest.NewStore(rotation.NewValue(secret), nil)
	if err := rotate(t.Context(), store, store.Begin("version-2"), s); err != nil {
		t.Fatal(err)
	}
	live := account.Live()
	if diff := cmp.Diff(manage, account.Scopes(live[len(live)-1])); diff != "" {
		t.Errorf("scopes (-want +got)\n%s", diff)
	}
}

func TestAFullAccountKeepsTheKeysOfOthers(t *testing.T) {
	t.Parallel()
	account, s := sendGrid(t)
	_, secret := account.Add("first", manage...)
	for i := range 99 {
		account.Add(fmt.Sprintf("rekey-of-another-%d", i), "mail.send")
	}
	store := rotationtest.NewStore(rotation.NewValue(secret), nil)
	err := rotate(t.Context(), store, store.Begin("version-2"), s)
	if got := rotation.Explain(err).Class; got != rotation.ClassConflict || len(account.Live()) != 100 {
		t.Errorf("%v (%s), %d keys; want a conflict and all 100 keys", err, got, len(account.Live()))
	}
	if err == nil || !strings.Contains(err.Error(), "is the one of the version with AWSCURRENT") || !strings.Contains(err.Error(), "is not of this secret") {
		t.Errorf("the error does not say why the keys have to stay: %v", err)
	}
}

// TestTwoKeysOfAUserAreEnough goes through what takes the place of a new access
// key.
func TestTwoKeysOfAUserAreEnough(t *testing.T) {
	t.Parallel()
	b := newAccessKeys(t)
	s := b.strategy(nil)
	store := rotationtest.NewStore(b.value, nil)
	if err := rotate(t.Context(), store, store.Begin("version-2"), s); err != nil {
		t.Fatal(err)
	}
	second := b.live()[1]
	err := rotate(t.Context(), store, store.Begin("version-3"), s)
	if want := fmt.Sprintf("key %s is the one of the version with AWSPREVIOUS", b.first); err == nil || !errors.Is(err, rotation.ErrConflict) || !strings.Contains(err.Error(), want) {
		t.Errorf("before retire: %v, want it to say %q", err, want)
	}
	store.Change(func(s *rotation.Secret) { delete(s.Versions, "version-3") }) // the rotation is cancelled
	if err := rotation.Retire(t.Context(), store, rotation.Only(s), "db", "version-1"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{second}, b.live()); diff != "" {
		t.Errorf("active keys after retire (-want +got)\n%s", diff)
	}
	if err := rotate(t.Context(), store, store.Begin("version-4"), s); err != nil {
		t.Fatalf("after retire: %v", err)
	}
	if live := b.live(); len(live) != 2 || live[0] != second || slices.Contains(live, b.first) {
		t.Errorf("active keys after the next rotation: %v", live)
	}
}

func TestAnAccessKeyThatSomebodyUsesIsKept(t *testing.T) {
	t.Parallel()
	for _, used := range []bool{true, false} {
		b := newAccessKeys(t)
		s := b.strategy(nil)
		provider, ok := s.Members[0].Provider.(apikey.Provider)
		if !ok {
			t.Fatal("not a provider")
		}
		foreign := must(provider.Create(t.Context(), apikey.Key{}, "", apikey.Key{}))
		if used {
			if err := provider.Verify(t.Context(), foreign); err != nil {
				t.Fatal(err)
			}
		}
		store := rotationtest.NewStore(b.value, nil)
		err := rotate(t.Context(), store, store.Begin("version-2"), s)
		if (err != nil) != used || slices.Contains(b.live(), foreign.ID) != used {
			t.Errorf("used: %v; %v; it lives: %v", used, err, slices.Contains(b.live(), foreign.ID))
		}
		if used && (!errors.Is(err, rotation.ErrConflict) || !strings.Contains(err.Error(), foreign.ID)) {
			t.Errorf("got %v, want a conflict over %s", err, foreign.ID)
		}
	}
}

// A gate holds a process back as it stores the pending value.
type gate struct {
	rotation.Store

	reached, open chan struct{}
}

func (g gate) PutPending(ctx context.Context, e rotation.Event, v rotation.Value) error {
	close(g.reached)
	<-g.open
	return g.Store.PutPending(ctx, e, v)
}

// TestTheKeyOfAnotherProcessIsWaitedFor has two processes make the only access
// key that there is room for.
func TestTheKeyOfAnotherProcessIsWaitedFor(t *testing.T) {
	t.Parallel()
	b := newAccessKeys(t)
	store := rotationtest.NewStore(b.value, nil)
	e := store.Begin("version-2")
	e.Step = rotation.StepCreate
	asked := make(chan struct{}, 64)
	slow := b.strategy(nil)
	fast := b.strategy(rotationtest.Transport(http.DefaultTransport, func(call func() error) error {
		err := call()
		asked <- struct{}{}
		return err
	}))
	fast.Patience = 10 * time.Second
	g := gate{store, make(chan struct{}), make(chan struct{})}
	step := func(store rotation.Store, s rotation.Strategy) chan error {
		done := make(chan error, 1)
		go func() {
			done <- rotation.New(store, rotation.Options{Choose: rotation.Only(s), Logger: quiet}).Step(t.Context(), e)
		}()
		return done
	}
	first := step(g, slow)
	<-g.reached // its key is made, and not stored
	second := step(store, fast)
	for range 4 { // who the current key is of, create, list, when the other key was used
		<-asked
	}
	close(g.open)
	for _, done := range []chan error{first, second} {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	v := must(store.Get(t.Context(), "", "version-2", ""))
	if err := slow.Probe(t.Context(), v); err != nil || len(b.live()) != 2 {
		t.Errorf("the stored key: %v; %d keys live", err, len(b.live()))
	}
}

// TestOnlyASecretsOwnKeyIsRevoked has a value that names somebody else's key.
func TestOnlyASecretsOwnKeyIsRevoked(t *testing.T) {
	t.Parallel()
	account, s := sendGrid(t)
	victim, _ := account.Add("somebody else's", "mail.send")
	_, secret := account.Add("first", manage...)
	store := rotationtest.NewStore(rotation.NewValue("SG."+victim+".guessed"), nil)
	store.Replace("version-2", rotation.NewValue(secret))
	err := rotation.Retire(t.Context(), store, rotation.Only(s), "db", "version-1")
	if err != nil || !slices.Contains(account.Live(), victim) {
		t.Errorf("%v; the key lives: %v", err, slices.Contains(account.Live(), victim))
	}
}

func TestASuppliedValueIsCompletedAndChecked(t *testing.T) {
	t.Parallel()
	_, s := sendGrid(t)
	s.Members[0].Name = "sendgrid"
	user := newAccessKeys(t).strategy(nil).Members[0]
	s.Members = append(s.Members, user)
	current := rotation.NewValue(`{"sendgrid":"SG.a.b", "x": 1,"access_key_id":"A1","secret_access_key":"s1"}`)
	for name, tt := range map[string]struct{ supplied, want string }{
		"the key alone":            {`{"sendgrid":"SG.c.d"}`, `{"sendgrid":"SG.c.d", "x": 1,"access_key_id":"A1","secret_access_key":"s1"}`},
		"a key with its id":        {`{"access_key_id":"A2","secret_access_key":"s2"}`, `{"sendgrid":"SG.a.b", "x": 1,"access_key_id":"A2","secret_access_key":"s2"}`},
		"a key without its id":     {`{"secret_access_key":"s2"}`, ""},
		"a key that is no string":  {`{"sendgrid":7}`, ""},
		"a key that is empty":      {`{"sendgrid":""}`, ""},
		"a value that is no JSON":  {`SG.c.d`, ""},
		"a value that is an array": {`["SG.c.d"]`, ""},
	} {
		got, err := s.Create(t.Context(), rotation.Change{Current: current}, rotation.NewValue(tt.supplied))
		if diff := cmp.Diff(tt.want, got.Reveal()); diff != "" {
			t.Errorf("%s: %v (-want +got)\n%s", name, err, diff)
		}
		if tt.want == "" && rotation.Explain(err).Class != rotation.ClassConfiguration {
			t.Errorf("%s: got %v, want it refused", name, err)
		}
	}
}

func TestASuppliedKeyThatIsRefusedDoesNotBecomeCurrent(t *testing.T) {
	t.Parallel()
	account := providers.NewStripe()
	_, secret := account.Add()
	_, restricted := account.Add("charges") // it may not read the balance
	s := apikey.Strategy{Patience: patience, Members: []apikey.Member{
		{Name: "stripe", Label: "stripe", Provider: must(apikey.NewStripe(client(t), serve(t, account)))},
	}}
	for supplied, want := range map[string]rotation.Class{restricted: "", "sk_live_mistyped_canary": rotation.ClassAuthentication} {
		store := rotationtest.NewStore(rotation.NewValue(`{"stripe":"`+secret+`"}`), nil)
		store.Supply("supplied", rotation.NewValue(`{"stripe":"`+supplied+`"}`))
		err := rotate(t.Context(), store, store.Begin("version-2"), s)
		if (err == nil) != (want == "") || err != nil && (rotation.Explain(err).Class != want || strings.Contains(err.Error(), "canary")) {
			t.Errorf("got %v, want %q and no key in it", err, want)
		}
		current := must(store.Get(t.Context(), "", "", rotation.LabelCurrent))
		if got := strings.Contains(current.Reveal(), supplied); got != (want == "") {
			t.Errorf("the supplied key is current: %v", got)
		}
		if want != "" {
			continue
		}
		err = rotation.Retire(t.Context(), store, rotation.Only(s), "db", "version-1")
		if !errors.Is(err, rotation.ErrManual) {
			t.Errorf("retire: %v, want %v", err, rotation.ErrManual)
		}
	}
}

func TestAKeyIsNotPrinted(t *testing.T) {
	t.Parallel()
	k := apikey.Key{ID: "id", Secret: rotation.NewValue("canary")}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
		if got := fmt.Sprintf(verb, k) + fmt.Sprintf(verb, &k) + fmt.Sprintf(verb, []apikey.Key{k}); strings.Contains(got, "canary") || strings.Contains(got, "63616e617279") {
			t.Errorf("%s prints %s", verb, got)
		}
	}
}
