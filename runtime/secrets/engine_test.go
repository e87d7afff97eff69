package secrets_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/rekey-go/rekey/internal/local/clock"
	engine "github.com/rekey-go/rekey/internal/local/secretsmanager"
	"github.com/rekey-go/rekey/internal/local/wire"
	"github.com/rekey-go/rekey/runtime/secrets"
)

// start returns Secrets Manager of the embedded engine, over the wire, with
// the placeholder dev-jwt.
func start(t *testing.T) *secretsmanager.Client {
	t.Helper()
	c := clock.New()
	s, err := engine.New(engine.Options{Account: "123456789012", Region: "us-east-1", Clock: c})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	if _, err := s.Provision(engine.Definition{Name: "dev-jwt"}); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(wire.NewFront(wire.FrontOptions{Account: "123456789012", Region: "us-east-1", Now: c.Now}, s.Wire()))
	t.Cleanup(server.Close)
	return secretsmanager.New(secretsmanager.Options{
		BaseEndpoint: &server.URL, Region: "us-east-1", HTTPClient: server.Client(),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "login", SecretAccessKey: "none"}, nil
		}),
	})
}

func TestOnTheEngine(t *testing.T) {
	t.Parallel()
	api := start(t)
	dev := func(o *secrets.Options) { o.Stage = "dev" }
	c, other := secrets.New(api, dev), secrets.New(api, dev)
	if _, err := c.Get(t.Context(), "missing"); !errors.Is(err, secrets.ErrNotFound) {
		t.Errorf("a secret that is not there: %v, want ErrNotFound", err)
	}
	if _, err := c.Get(t.Context(), "jwt"); !errors.Is(err, secrets.ErrNoValue) {
		t.Errorf("a placeholder: %v, want ErrNoValue", err)
	}
	if err := c.SetFirst(t.Context(), "jwt", "first"); err != nil {
		t.Fatalf("SetFirst: %v", err)
	}
	if err := other.SetFirst(t.Context(), "jwt", "second"); !errors.Is(err, secrets.ErrHasValue) {
		t.Errorf("the second SetFirst: %v, want ErrHasValue", err)
	}
	first, err := other.Get(t.Context(), "jwt")
	if err != nil || first.Reveal() != "first" {
		t.Fatalf("got %v, %v; want the first value", first, err)
	}
	version, err := c.Set(t.Context(), "jwt", "third")
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Invalidate(t.Context(), secrets.Rotated{SecretARN: first.ARN(), VersionID: version}); err != nil {
		t.Fatal(err)
	}
	if got, err := other.Get(t.Context(), "jwt"); err != nil || got.VersionID() != version {
		t.Errorf("after Invalidate: %v, %v; want version %s", got, err, version)
	}
	if got, err := other.FetchStage(t.Context(), "jwt", "AWSPREVIOUS"); err != nil || got.VersionID() != first.VersionID() {
		t.Errorf("AWSPREVIOUS: %v, %v; want %v", got, err, first)
	}
	if _, err := other.Get(t.Context(), "jwt", secrets.Version(first.VersionID()), secrets.Stage("AWSCURRENT")); !errors.Is(err, secrets.ErrNoValue) {
		t.Errorf("a version under another's label: %v, want ErrNoValue", err)
	}
	if _, err := api.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: new("dev-jwt")}); err != nil {
		t.Fatal(err)
	}
	if err := other.Invalidate(t.Context(), secrets.Rotated{SecretARN: first.ARN(), Reason: "deleted"}); err != nil {
		t.Errorf("Invalidate of a deleted secret: %v", err)
	}
	if _, err := other.Get(t.Context(), "jwt"); !errors.Is(err, secrets.ErrDeleted) {
		t.Errorf("a deleted secret: %v, want ErrDeleted", err)
	}
}

func TestASecretSaysWhatItWasStoredAs(t *testing.T) {
	t.Parallel()
	api := start(t)
	tests := map[string]struct {
		put    *secretsmanager.PutSecretValueInput
		binary bool
	}{
		"text":             {put: &secretsmanager.PutSecretValueInput{SecretString: aws.String("text")}},
		"a text of 64 KiB": {put: &secretsmanager.PutSecretValueInput{SecretString: aws.String(strings.Repeat("€", 65536/3))}},
		"64 KiB of bytes":  {put: &secretsmanager.PutSecretValueInput{SecretBinary: bytes.Repeat([]byte("\xff\x00"), 65536/2)}, binary: true},
		"bytes":            {put: &secretsmanager.PutSecretValueInput{SecretBinary: []byte("\x00\xff")}, binary: true},
	}
	for name, tt := range tests {
		tt.put.SecretId = aws.String("dev-jwt")
		if _, err := api.PutSecretValue(t.Context(), tt.put); err != nil {
			t.Fatal(err)
		}
		s, err := secrets.New(api).Get(t.Context(), "dev-jwt")
		if err != nil {
			t.Fatal(err)
		}
		if want := aws.ToString(tt.put.SecretString) + string(tt.put.SecretBinary); s.Reveal() != want {
			t.Errorf("%s: got %d bytes, want the %d that were stored", name, len(s.Reveal()), len(want))
		}
		if s.Binary() != tt.binary || len(s.Labels()) != 1 || s.Labels()[0] != "AWSCURRENT" {
			t.Errorf("%s: binary %v, labels %v; want %v, [AWSCURRENT]", name, s.Binary(), s.Labels(), tt.binary)
		}
	}
}

func TestPrefetchOnTheEngine(t *testing.T) {
	t.Parallel()
	api := start(t)
	var names []string
	for i := range 45 {
		name := fmt.Sprintf("dev-key-%d", i)
		if _, err := api.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: &name, SecretString: aws.String("value of " + name)}); err != nil {
			t.Fatal(err)
		}
		names = append(names, fmt.Sprintf("key-%d", i))
	}
	c := secrets.New(api, func(o *secrets.Options) { o.Stage = "dev" })
	err := c.Prefetch(t.Context(), append(names, "missing", "jwt")...)
	if !errors.Is(err, secrets.ErrNotFound) || !errors.Is(err, secrets.ErrNoValue) {
		t.Errorf("got %v, want the errors of the two that have no value", err)
	}
	for _, name := range names {
		if got, err := c.String(t.Context(), name); err != nil || got != "value of dev-"+name {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if got := c.Stats().Fetches; got != 3 {
		t.Errorf("%d calls for 47 secrets, want 3", got)
	}
}
