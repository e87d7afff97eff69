// Package stage knows what the names of a stage's secrets look like.
//
// A stage is one deployment of the template: dev, staging, prod. Several may
// share an account and a Region, so the stage stands before the name of
// everything that it has: the secret that people call database-credentials is
// dev-database-credentials to Secrets Manager in stage dev. People, the command
// and the API write the first, the logical name; AWS's calls take the second,
// the physical one.
//
// Consumers have the same rule in runtime/secrets, which imports nothing
// internal.
package stage

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
)

// Default is the stage where none is named, as in template.yaml.
const Default = "dev"

// Has reports whether a physical name is one of the stage.
func Has(stage, name string) bool { return strings.HasPrefix(name, stage+"-") }

// Physical is the name that Secrets Manager knows a secret of the stage by. An
// ARN, and a name that has the stage before it already, stay as they are.
func Physical(stage, name string) string {
	if strings.HasPrefix(name, "arn:") || Has(stage, name) {
		return name
	}
	return stage + "-" + name
}

// Logical is a secret's name without its stage. The name of another stage's
// secret stays as it is.
func Logical(stage, name string) string { return strings.TrimPrefix(name, stage+"-") }

// List reads what Secrets Manager lists of the stage's secrets, and of those
// that are scheduled for deletion where deleted is true.
func List(ctx context.Context, client secretsmanager.ListSecretsAPIClient, stage string, deleted bool) ([]types.SecretListEntry, error) {
	var all []types.SecretListEntry
	pages := secretsmanager.NewListSecretsPaginator(client, &secretsmanager.ListSecretsInput{
		Filters:                []types.Filter{{Key: types.FilterNameStringTypeName, Values: []string{stage + "-"}}},
		IncludePlannedDeletion: &deleted, MaxResults: aws.Int32(100), // AWS has no larger page
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, e := range page.SecretList {
			if Has(stage, aws.ToString(e.Name)) { // AWS's filter has no case
				all = append(all, e)
			}
		}
	}
	return all, nil
}
