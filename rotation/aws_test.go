package rotation_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/google/go-cmp/cmp"

	"github.com/rekey-go/rekey/internal/local/clock"
	"github.com/rekey-go/rekey/internal/local/iam"
	engine "github.com/rekey-go/rekey/internal/local/secretsmanager"
	"github.com/rekey-go/rekey/internal/local/wire"
	"github.com/rekey-go/rekey/rotation"
)

// newSecretsManager starts Secrets Manager without any function.
func newSecretsManager(t *testing.T) (*secretsmanager.Client, *clock.Clock) {
	t.Helper()
	const account, region = "123456789012", "us-east-1"
	ticking := clock.New()
	service, err := engine.New(engine.Options{Account: account, Region: region, Clock: ticking})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(wire.NewFront(wire.FrontOptions{
		Region: region, Account: account, Now: ticking.Now, Identify: iam.NewKeys(account).Lookup,
	}, service.Wire()))
	t.Cleanup(func() { service.Close(); server.Close() })
	return secretsmanager.New(secretsmanager.Options{
		Region: region, BaseEndpoint: &server.URL,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "operator", SecretAccessKey: "none"}, nil
		}),
	}), ticking
}

// version is a token as Secrets Manager takes it.
func version(n string) string { return strings.Repeat("0", 31) + n }

func TestTheStoreIsSecretsManager(t *testing.T) {
	t.Parallel()
	client, _ := newSecretsManager(t)
	store := rotation.NewStore(client)
	ctx := t.Context()
	_, err := client.CreateSecret(ctx, &secretsmanager.CreateSecretInput{
		Name: new("dev-db"), SecretString: new("first"), ClientRequestToken: new(version("1")),
	})
	if err != nil {
		t.Fatal(err)
	}
	pending := rotation.Event{SecretID: "dev-db", Token: version("2")}
	for range 2 { // the same value again is no other value
		if err := store.PutPending(ctx, pending, rotation.NewValue("second")); err != nil {
			t.Fatal(err)
		}
	}
	if err := store.PutPending(ctx, pending, rotation.NewValue("other")); !errors.Is(err, rotation.ErrExists) {
		t.Errorf("another value for the version: got %v, want %v", err, rotation.ErrExists)
	}
	if v, err := store.Get(ctx, "dev-db", version("2"), rotation.LabelPending); err != nil || v.Reveal() != "second" {
		t.Errorf("the pending value: %v", err)
	}
	if err := store.MoveLabel(ctx, "dev-db", rotation.LabelCurrent, version("1"), version("2")); err != nil {
		t.Fatal(err)
	}
	if err := store.MoveLabel(ctx, "dev-db", rotation.LabelPending, version("2"), ""); err != nil {
		t.Fatal(err)
	}
	s, err := store.Describe(ctx, "dev-db")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{version("1"): {rotation.LabelPrevious}, version("2"): {rotation.LabelCurrent}}
	if diff := cmp.Diff(want, s.Versions); diff != "" || s.Name != "dev-db" {
		t.Errorf("labels of %s (-want +got)\n%s", s.Name, diff)
	}
	if age := time.Since(s.Now); age < 0 || age > time.Hour || !s.LastRotated.IsZero() {
		t.Errorf("described at %v, last rotated %v", s.Now, s.LastRotated)
	}
}

func TestAValueIsStoredAsCurrentOnlyInThePlaceOfTheOneThatWasRead(t *testing.T) {
	t.Parallel()
	client, _ := newSecretsManager(t)
	store := rotation.NewStore(client)
	ctx := t.Context()
	_, err := client.CreateSecret(ctx, &secretsmanager.CreateSecretInput{
		Name: new("dev-keys"), SecretString: new("first"), ClientRequestToken: new(version("1")),
	})
	if err != nil {
		t.Fatal(err)
	}
	second := rotation.NewValue("second")
	if err := store.PutCurrent(ctx, "dev-keys", version("1"), version("2"), second); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		from, version string
		value         rotation.Value
		want          error
	}{
		"again, after it was done":          {version("1"), version("2"), second, rotation.ErrConflict},
		"from a version that was overtaken": {version("1"), version("3"), rotation.NewValue("third"), rotation.ErrConflict},
		"another value for the version":     {version("2"), version("2"), rotation.NewValue("other"), rotation.ErrExists},
	} {
		if err := store.PutCurrent(ctx, "dev-keys", tt.from, tt.version, tt.value); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", name, err, tt.want)
		}
	}
	if v, err := store.Get(ctx, "dev-keys", "", rotation.LabelCurrent); err != nil || v.Reveal() != "second" {
		t.Errorf("the current value: %v", err)
	}
}

func TestVersionsWithoutALabelAreFound(t *testing.T) {
	t.Parallel()
	client, ticking := newSecretsManager(t)
	store := rotation.NewStore(client)
	_, err := client.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{
		Name: new("dev-db"), SecretString: new("v"), ClientRequestToken: new(version("1")),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []string{"2", "3", "4"} {
		if err := ticking.Advance(t.Context(), time.Second); err != nil { // the times of versions are told in whole seconds
			t.Fatal(err)
		}
		_, err := client.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{
			SecretId: new("dev-db"), SecretString: &n, ClientRequestToken: new(version(n)),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	got, err := store.Unlabelled(t.Context(), "dev-db")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{version("2"), version("1")}, got); diff != "" {
		t.Errorf("unlabelled versions, newest first (-want +got)\n%s", diff)
	}
	if v, err := store.Get(t.Context(), "dev-db", version("2"), ""); err != nil || v.Reveal() != "2" {
		t.Errorf("a version without a label: %v", err)
	}
}

func TestAStoreWithoutAValueSaysSo(t *testing.T) {
	t.Parallel()
	client, _ := newSecretsManager(t)
	store := rotation.NewStore(client)
	if _, err := store.Describe(t.Context(), "dev-none"); err == nil {
		t.Error("a secret that is not there was described")
	}
	for name, in := range map[string]*secretsmanager.CreateSecretInput{
		"dev-placeholder": {Name: new("dev-placeholder")},
		"dev-binary":      {Name: new("dev-binary"), SecretBinary: []byte{1}},
	} {
		if _, err := client.CreateSecret(t.Context(), in); err != nil {
			t.Fatal(err)
		}
		_, err := store.Get(t.Context(), name, "", rotation.LabelCurrent)
		if err == nil || errors.Is(err, rotation.ErrNoValue) != (name == "dev-placeholder") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
