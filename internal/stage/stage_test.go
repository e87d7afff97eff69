package stage_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/google/go-cmp/cmp"

	"github.com/rekey-go/rekey/internal/stage"
)

func Example() {
	id := stage.Physical(stage.Default, "database-credentials")
	fmt.Println(id)
	fmt.Println(stage.Logical(stage.Default, id))
	// Output:
	// dev-database-credentials
	// database-credentials
}

func TestANameGetsItsStageOnce(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ name, want string }{
		"a logical name":             {"db", "dev-db"},
		"a physical name":            {"dev-db", "dev-db"},
		"a name of another stage":    {"prod-db", "dev-prod-db"},
		"a name that begins alike":   {"development", "dev-development"},
		"an ARN of whatever a stage": {"arn:aws:secretsmanager:::secret:prod-db", "arn:aws:secretsmanager:::secret:prod-db"},
	} {
		if got := stage.Physical("dev", tt.name); got != tt.want {
			t.Errorf("%s: Physical(dev, %q) = %q, want %q", name, tt.name, got, tt.want)
		}
	}
	if got := stage.Logical("dev", "prod-db"); got != "prod-db" {
		t.Errorf("the logical name of another stage's secret is %q", got)
	}
}

// pages answers with one secret a page, as an AWS whose filter has no case.
type pages []string

func (p pages) ListSecrets(_ context.Context, in *secretsmanager.ListSecretsInput, _ ...func(*secretsmanager.Options)) (*secretsmanager.ListSecretsOutput, error) {
	at := len(aws.ToString(in.NextToken))
	out := &secretsmanager.ListSecretsOutput{SecretList: []types.SecretListEntry{{Name: &p[at]}}}
	if at+1 < len(p) {
		out.NextToken = aws.String(aws.ToString(in.NextToken) + "+")
	}
	return out, nil
}

func TestAllPagesAreReadAndOnlyTheStageIsKept(t *testing.T) {
	t.Parallel()
	listed, err := stage.List(t.Context(), pages{"dev-a", "DEV-b", "dev-c"}, "dev", false)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range listed {
		names = append(names, *e.Name)
	}
	if diff := cmp.Diff([]string{"dev-a", "dev-c"}, names); diff != "" {
		t.Errorf("the secrets of the stage (-want +got)\n%s", diff)
	}
}
