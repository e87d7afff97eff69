package apikey_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"

	"github.com/rekey-go/rekey/internal/providers"
	"github.com/rekey-go/rekey/rotation"
	"github.com/rekey-go/rekey/rotation/apikey"
	"github.com/rekey-go/rekey/rotation/apikey/accesskey"
	"github.com/rekey-go/rekey/rotation/rotationtest"
)

var quiet = slog.New(slog.DiscardHandler)

// patience is how long the strategies wait in these tests: long enough for calls on a
// machine under load, and not so long that keys which are never accepted hold the
// tests up.
const patience = time.Second

// A bench is a provider with a secret that has one of its keys.
type bench struct {
	value, wrong rotation.Value
	// strategy works over a transport.
	strategy func(http.RoundTripper) apikey.Strategy
	live     func() []string
	// first is the id of the key in the value, and others those of keys that
	// are not the secret's.
	first  string
	others []string
}

func client(t *testing.T) *http.Client {
	t.Helper()
	reach, err := rotation.NewReach(rotation.ReachOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c := apikey.NewClient(reach)
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// over returns the client over another transport.
func over(c *http.Client, rt http.RoundTripper) *http.Client {
	out := *c
	if rt != nil {
		out.Transport = rt
	}
	return &out
}

func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

var manage = []string{"mail.send", "api_keys.create", "api_keys.read", "api_keys.delete"}

// newSendGrid has the secret's own key manage keys.
func newSendGrid(t *testing.T) *bench {
	t.Helper()
	account := providers.NewSendGrid()
	url, c := serve(t, account), client(t)
	other, _ := account.Add("somebody else's", "mail.send")
	id, secret := account.Add("made by hand", manage...)
	return &bench{
		value: rotation.NewValue(`{"stripe":"sk_live_untouched" , "sendgrid":"` + secret + `"}`),
		wrong: rotation.NewValue(`{"stripe":"sk_live_untouched","sendgrid":"SG.gone.gone"}`),
		strategy: func(rt http.RoundTripper) apikey.Strategy {
			provider := must(apikey.NewSendGrid(over(c, rt), url))
			return apikey.Strategy{Patience: patience, Members: []apikey.Member{{Name: "sendgrid", Label: "sendgrid", Provider: provider}}}
		},
		live: account.Live, first: id, others: []string{other},
	}
}

// must is for what cannot fail here.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// newPlainSendGrid has a value that is a key and nothing else, which an
// administrator's key looks after.
func newPlainSendGrid(t *testing.T) *bench {
	t.Helper()
	account := providers.NewSendGrid()
	url, c := serve(t, account), client(t)
	admin, adminSecret := account.Add("admin", manage...)
	id, secret := account.Add("made by hand", "mail.send")
	return &bench{
		value: rotation.NewValue(secret), wrong: rotation.NewValue("SG.gone.gone"),
		strategy: func(rt http.RoundTripper) apikey.Strategy {
			return apikey.Strategy{Patience: patience, Members: []apikey.Member{{
				Label: "sendgrid", Provider: must(apikey.NewSendGrid(over(c, rt), url)),
				Admin: func(context.Context) (apikey.Key, error) {
					return apikey.Key{Secret: rotation.NewValue(adminSecret)}, nil
				},
			}}}
		},
		live: account.Live, first: id, others: []string{admin},
	}
}

// twilio is the definition that docs/rotation.md shows, at another address.
func twilio(url string) string {
	page, err := os.ReadFile("../../docs/rotation.md")
	if err != nil {
		panic(err)
	}
	_, text, _ := strings.Cut(string(page), "```json\n{\"twilio\": {")
	text, _, _ = strings.Cut(text, "```")
	return strings.NewReplacer("https://api.twilio.com", url, "AC...", providers.TwilioAccount).Replace(`{"twilio": {` + text)
}

func newTwilio(t *testing.T) *bench {
	t.Helper()
	account := providers.NewTwilio()
	url, c := serve(t, account), client(t)
	other, _ := account.Add("somebody else's")
	id, secret := account.Add("made by hand")
	def := must(apikey.ParseDefinitions(twilio(url)))["twilio"]
	return &bench{
		value: rotation.NewValue(`{"twilio_id":"` + id + `","twilio":"` + secret + `"}`),
		wrong: rotation.NewValue(`{"twilio_id":"` + id + `","twilio":"gone"}`),
		strategy: func(rt http.RoundTripper) apikey.Strategy {
			return apikey.Strategy{Patience: patience, Members: []apikey.Member{
				{Name: "twilio", Label: "twilio", Provider: apikey.NewHTTP(over(c, rt), def)},
			}}
		},
		live: account.Live, first: id, others: []string{other},
	}
}

func newAccessKeys(t *testing.T) *bench {
	t.Helper()
	operator := aws.Credentials{AccessKeyID: "ASIAOPERATOR", SecretAccessKey: "operator"}
	user := providers.NewIAM("mailer", operator)
	url, c := serve(t, user), client(t)
	id, secret := user.Add()
	value := func(secret string) rotation.Value {
		return rotation.NewValue(`{"access_key_id":"` + id + `","secret_access_key":"` + secret + `"}`)
	}
	return &bench{
		value: value(secret), wrong: value("wrong"),
		strategy: func(rt http.RoundTripper) apikey.Strategy {
			provider := accesskey.New(aws.Config{
				Region: "us-east-1", BaseEndpoint: &url, HTTPClient: over(c, rt), Retryer: func() aws.Retryer { return aws.NopRetryer{} },
				Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return operator, nil }),
			}, "mailer")
			return apikey.Strategy{Patience: patience, Members: []apikey.Member{
				{Name: "secret_access_key", IDName: "access_key_id", Label: "iam", Provider: provider},
			}}
		},
		live: user.Live, first: id,
	}
}

// retiringFirst retires what the last rotation superseded before the next one
// begins, as it has to be where there are two keys at most.
type retiringFirst struct{ apikey.Strategy }

func (s retiringFirst) Create(ctx context.Context, c rotation.Change, supplied rotation.Value) (rotation.Value, error) {
	now, err := c.Store.Describe(ctx, c.Secret.ARN)
	if err != nil {
		return rotation.Value{}, err
	}
	if previous := now.VersionWith(rotation.LabelPrevious); previous != "" {
		v, err := c.Store.Get(ctx, c.Secret.ARN, previous, "")
		if err != nil {
			return v, err
		}
		r := rotation.Retirement{Secret: now, VersionID: previous, Superseded: v, Store: settled{c.Store}}
		if err := s.Retire(ctx, r); err != nil && !errors.Is(err, rotation.ErrReplaced) && !errors.Is(err, rotation.ErrInUse) {
			return v, err
		}
	}
	return s.Strategy.Create(ctx, c, supplied)
}

// settled is a store as it was before the rotation under way began.
type settled struct{ rotation.Store }

func (s settled) Describe(ctx context.Context, id string) (rotation.Secret, error) {
	now, err := s.Store.Describe(ctx, id)
	if v := now.VersionWith(rotation.LabelPending); v != "" && !now.Has(v, rotation.LabelCurrent) {
		delete(now.Versions, v)
	}
	return now, err
}

var benches = map[string]func(*testing.T) *bench{
	"SendGrid, by the secret's own key": newSendGrid,
	"SendGrid, by an administrator's":   newPlainSendGrid,
	"Twilio, by a definition":           newTwilio,
	"IAM access keys":                   newAccessKeys,
}

func TestStrategies(t *testing.T) {
	t.Parallel()
	for name, open := range benches {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rotationtest.Exercise(t, func(t *testing.T) rotationtest.Target {
				t.Helper()
				b := open(t)
				plain := b.strategy(nil)
				return rotationtest.Target{
					Value: b.value, Wrong: b.wrong, Accepts: plain.Probe,
					Strategy: func(call rotationtest.Call) rotation.Strategy {
						s := b.strategy(rotationtest.Transport(http.DefaultTransport, call))
						if name == "IAM access keys" {
							return retiringFirst{s}
						}
						return s
					},
				}
			})
		})
	}
}

// errKilled is what a dead process does not see.
var errKilled = errors.New("the process was killed")

// A killer kills a process at one of its calls to the provider, or as it stores
// the pending value.
type killer struct {
	rotation.Store

	at    int
	after bool
	calls int
}

func (k *killer) call(fn func() error) error {
	n := k.calls
	k.calls++
	switch {
	case n < k.at:
		return fn()
	case n == k.at && k.after:
		_ = fn()
	}
	return errKilled
}

func (k *killer) PutPending(ctx context.Context, e rotation.Event, v rotation.Value) error {
	return k.call(func() error { return k.Store.PutPending(ctx, e, v) })
}

var steps = []rotation.Step{rotation.StepCreate, rotation.StepSet, rotation.StepTest, rotation.StepFinish}

// rotate runs the four steps.
func rotate(ctx context.Context, store rotation.Store, e rotation.Event, s rotation.Strategy) error {
	r := rotation.New(store, rotation.Options{Choose: rotation.Only(s), Logger: quiet})
	for _, e.Step = range steps {
		if err := r.Step(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// TestNoKeyIsLeftBehind kills a rotation, and what retires after it, at every
// call, and counts the keys that live in the end.
func TestNoKeyIsLeftBehind(t *testing.T) {
	t.Parallel()
	for name, open := range benches {
		for _, givenUp := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, given up: %v", name, givenUp), func(t *testing.T) {
				t.Parallel()
				for at := range leftBehind(t, open(t), math.MaxInt, false, givenUp) {
					for _, after := range []bool{false, true} {
						leftBehind(t, open(t), at, after, givenUp)
					}
				}
			})
		}
	}
}

// leftBehind returns how many calls there were.
func leftBehind(t *testing.T, b *bench, at int, after, givenUp bool) int {
	t.Helper()
	store := rotationtest.NewStore(b.value, nil)
	k := &killer{Store: store, at: at, after: after}
	dying := b.strategy(rotationtest.Transport(http.DefaultTransport, k.call))
	e := store.Begin("version-2")
	err := rotate(t.Context(), k, e, dying)
	if err == nil { // it is retire that dies
		err = rotation.Retire(t.Context(), store, rotation.Only(dying), e.SecretID, "version-1")
	} else if givenUp {
		e = store.Begin("version-3")
	}
	if err != nil && !errors.Is(err, errKilled) {
		t.Fatalf("killed at %d: %v", at, err)
	}
	whole := b.strategy(nil)
	if err := rotate(t.Context(), store, e, whole); err != nil {
		t.Fatalf("killed at %d, after it: %v; repeated: %v", at, after, err)
	}
	if err := rotation.Retire(t.Context(), store, rotation.Only(whole), e.SecretID, "version-1"); err != nil {
		t.Fatalf("killed at %d, after it: %v; retired: %v", at, after, err)
	}
	live := slices.DeleteFunc(b.live(), func(id string) bool { return slices.Contains(b.others, id) })
	if len(live) != 1 || live[0] == b.first {
		t.Errorf("killed at %d, after it: %v: the keys %v live, want one that is new", at, after, live)
	}
	if got := len(b.live()); got != 1+len(b.others) {
		t.Errorf("killed at %d, after it: %v: %d keys live, want the new one and %d of others", at, after, got, len(b.others))
	}
	v, err := store.Get(t.Context(), "", "", rotation.LabelCurrent)
	if err := errors.Join(err, whole.Probe(t.Context(), v)); err != nil {
		t.Errorf("killed at %d, after it: %v: the current key is refused: %v", at, after, err)
	}
	return k.calls
}

func TestAllButTheKeyKeepsItsBytes(t *testing.T) {
	t.Parallel()
	b := newSendGrid(t)
	store := rotationtest.NewStore(b.value, nil)
	if err := rotate(t.Context(), store, store.Begin("version-2"), b.strategy(nil)); err != nil {
		t.Fatal(err)
	}
	v := must(store.Get(t.Context(), "", "", rotation.LabelCurrent))
	before, after := b.value.Reveal(), v.Reveal()
	at := strings.Index(before, "SG.")
	if diff := cmp.Diff(before[:at], after[:at]); diff != "" || len(before) != len(after) || !strings.HasSuffix(after, `"}`) {
		t.Errorf("the value changed beside the key (-want +got)\n%s", diff)
	}
}
