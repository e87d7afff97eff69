package source_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/google/go-cmp/cmp"

	"github.com/rekey-go/rekey/audit"
	"github.com/rekey-go/rekey/audit/source"
	"github.com/rekey-go/rekey/internal/local/clock"
	store "github.com/rekey-go/rekey/internal/local/secretsmanager"
	"github.com/rekey-go/rekey/internal/local/wire"
)

// secretsClient is a client of an engine's Secrets Manager.
func secretsClient(t *testing.T) *secretsmanager.Client {
	t.Helper()
	values, err := store.New(store.Options{Account: "123456789012", Region: "us-east-1", Clock: clock.New()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(values.Close)
	server := httptest.NewServer(wire.NewFront(wire.FrontOptions{Account: "123456789012", Region: "us-east-1", Now: time.Now}, values.Wire()))
	t.Cleanup(server.Close)
	return secretsmanager.New(secretsmanager.Options{
		Region: "us-east-1", BaseEndpoint: &server.URL, HTTPClient: server.Client(),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}, nil
		}),
	})
}

func TestAnInventoryHasEverySecret(t *testing.T) {
	t.Parallel()
	client := secretsClient(t)
	for i := range 230 { // three pages
		_, err := client.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{
			Name: aws.String(fmt.Sprint("s-", i)), SecretString: aws.String("canary"),
			Tags: []types.Tag{{Key: aws.String("team"), Value: aws.String("orders")}},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := client.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: aws.String("s-7")}); err != nil {
		t.Fatal(err)
	}
	put, err := client.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: aws.String("s-0"), SecretString: aws.String("canary-2")})
	if err != nil {
		t.Fatal(err)
	}
	pages := 0
	states, err := source.Inventory(t.Context(), client, func(o *source.InventoryOptions) {
		o.PerSecond, o.Progress = -1, func(int) { pages++ }
	})
	if err != nil {
		t.Fatal(err)
	}
	deleted := 0
	for _, s := range states {
		if !s.Deleted.IsZero() {
			deleted++
		}
		if s.ARN == "" || s.Created.IsZero() || s.Tags["team"] != "orders" {
			t.Errorf("%s: %+v", s.Name, s)
		}
	}
	if len(states) != 230 || pages != 3 || deleted != 1 {
		t.Errorf("%d secrets on %d pages, %d deleted, want 230, 3, 1", len(states), pages, deleted)
	}
	i := slices.IndexFunc(states, func(s audit.State) bool { return s.Name == "s-0" })
	if labels := states[i].Versions[*put.VersionId]; !slices.Equal(labels, []string{"AWSCURRENT"}) {
		t.Errorf("labels of the new version: %q", labels)
	}
}

// A lister answers from memory what the engine does not have: replicas.
type lister struct {
	list []types.SecretListEntry
	err  error
}

func (l lister) ListSecrets(context.Context, *secretsmanager.ListSecretsInput, ...func(*secretsmanager.Options)) (*secretsmanager.ListSecretsOutput, error) {
	return &secretsmanager.ListSecretsOutput{SecretList: l.list}, l.err
}

func (l lister) DescribeSecret(_ context.Context, in *secretsmanager.DescribeSecretInput, _ ...func(*secretsmanager.Options)) (*secretsmanager.DescribeSecretOutput, error) {
	if *in.SecretId != *l.list[0].ARN {
		return nil, errors.New("not allowed")
	}
	return &secretsmanager.DescribeSecretOutput{ReplicationStatus: []types.ReplicationStatusType{{Region: aws.String("eu-west-1")}}}, nil
}

func TestAnInventoryTakesOverWhatIsSaid(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	list := []types.SecretListEntry{
		{
			ARN: aws.String("arn:1"), Name: aws.String("one"), PrimaryRegion: aws.String("us-east-1"), KmsKeyId: aws.String("key"),
			OwningService: aws.String("rds"), RotationEnabled: aws.Bool(true), RotationLambdaARN: aws.String("arn:fn"),
			RotationRules: &types.RotationRulesType{AutomaticallyAfterDays: aws.Int64(30), ScheduleExpression: aws.String("rate(30 days)")},
			CreatedDate:   &at, LastChangedDate: &at, LastRotatedDate: &at, LastAccessedDate: &at, NextRotationDate: &at, DeletedDate: &at,
			SecretVersionsToStages: map[string][]string{"v1": {"AWSCURRENT"}},
		},
		{ARN: aws.String("arn:2"), Name: aws.String("two"), PrimaryRegion: aws.String("us-east-1")},
	}
	want := []audit.State{
		{
			ARN: "arn:1", Name: "one", Primary: "us-east-1", Replicas: []string{"eu-west-1"}, Key: "key", Owner: "rds",
			Rotation: true, Function: "arn:fn", EveryDays: 30, Schedule: "rate(30 days)",
			Created: at, Changed: at, Rotated: at, Accessed: at, Next: at, Deleted: at,
			Versions: map[string][]string{"v1": {"AWSCURRENT"}},
		},
		{ARN: "arn:2", Name: "two", Primary: "us-east-1"}, // may not be described
	}
	got, err := source.Inventory(t.Context(), lister{list: list})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("states (-want +got):\n%s", diff)
	}
	refused := errors.New("refused")
	if _, err := source.Inventory(t.Context(), lister{err: refused}); !errors.Is(err, refused) {
		t.Errorf("where nothing may be listed: %v", err)
	}
}
