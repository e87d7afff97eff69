package source

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"golang.org/x/time/rate"

	"github.com/rekey-go/rekey/audit"
)

// Secrets is what [Inventory] asks of Secrets Manager. A
// *[secretsmanager.Client] is one.
type Secrets interface {
	ListSecrets(ctx context.Context, in *secretsmanager.ListSecretsInput, opts ...func(*secretsmanager.Options)) (*secretsmanager.ListSecretsOutput, error)
	DescribeSecret(ctx context.Context, in *secretsmanager.DescribeSecretInput, opts ...func(*secretsmanager.Options)) (*secretsmanager.DescribeSecretOutput, error)
}

// An InventoryOptions configures [Inventory].
type InventoryOptions struct {
	// PerSecond is how many calls are made in a second. If zero, it is 20, a
	// fraction of what AWS allows an account in a Region, which others need as
	// well; if negative, calls are not paced.
	PerSecond float64
	// Progress is called after each page with the number of secrets so far, if
	// it is not nil.
	Progress func(secrets int)
}

func (o InventoryOptions) limiter() *rate.Limiter {
	switch {
	case o.PerSecond == 0:
		return rate.NewLimiter(20, 1)
	case o.PerSecond < 0:
		return rate.NewLimiter(rate.Inf, 1)
	}
	return rate.NewLimiter(rate.Limit(o.PerSecond), 1)
}

// Inventory returns what Secrets Manager says of all secrets of the client's
// account and Region, those that are scheduled for deletion as well. It never
// reads a value: it needs secretsmanager:ListSecrets, and for the Regions of
// replicas secretsmanager:DescribeSecret. Where a secret may not be described,
// its replicas are not known, and that is no error.
//
// Leases that go with it are best read before it: a consumer that moves on in
// between is then on the newer side of the two.
func Inventory(ctx context.Context, client Secrets, optFns ...func(*InventoryOptions)) ([]audit.State, error) {
	var opts InventoryOptions
	for _, fn := range optFns {
		fn(&opts)
	}
	limiter := opts.limiter()
	states := []audit.State{}
	pages := secretsmanager.NewListSecretsPaginator(client, &secretsmanager.ListSecretsInput{
		IncludePlannedDeletion: aws.Bool(true), MaxResults: aws.Int32(100),
	})
	for pages.HasMorePages() {
		if err := limiter.Wait(ctx); err != nil {
			return nil, fmt.Errorf("listing the secrets: %w", err)
		}
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("listing the secrets: %w", err)
		}
		for i := range page.SecretList {
			state := stateOf(&page.SecretList[i])
			if state.Primary != "" {
				if err := limiter.Wait(ctx); err != nil {
					return nil, fmt.Errorf("describing %s: %w", state.Name, err)
				}
				state.Replicas = replicas(ctx, client, state.ARN)
			}
			states = append(states, state)
		}
		if opts.Progress != nil {
			opts.Progress(len(states))
		}
	}
	return states, nil
}

// replicas are the Regions that a secret is replicated to, as far as one may
// know.
func replicas(ctx context.Context, client Secrets, arn string) []string {
	out, err := client.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &arn})
	if err != nil {
		return nil
	}
	var regions []string
	for _, r := range out.ReplicationStatus {
		regions = append(regions, aws.ToString(r.Region))
	}
	return regions
}

func stateOf(s *types.SecretListEntry) audit.State {
	state := audit.State{
		ARN: aws.ToString(s.ARN), Name: aws.ToString(s.Name), Owner: aws.ToString(s.OwningService),
		Created: timeOf(s.CreatedDate), Changed: timeOf(s.LastChangedDate), Rotated: timeOf(s.LastRotatedDate),
		Accessed: timeOf(s.LastAccessedDate), Next: timeOf(s.NextRotationDate), Deleted: timeOf(s.DeletedDate),
		Rotation: aws.ToBool(s.RotationEnabled), Function: aws.ToString(s.RotationLambdaARN),
		Key: aws.ToString(s.KmsKeyId), Primary: aws.ToString(s.PrimaryRegion),
		Versions: s.SecretVersionsToStages,
	}
	if s.RotationRules != nil {
		state.EveryDays = int(aws.ToInt64(s.RotationRules.AutomaticallyAfterDays))
		state.Schedule = aws.ToString(s.RotationRules.ScheduleExpression)
	}
	for _, tag := range s.Tags {
		if state.Tags == nil {
			state.Tags = make(map[string]string)
		}
		state.Tags[aws.ToString(tag.Key)] = aws.ToString(tag.Value)
	}
	return state
}

func timeOf(at *time.Time) time.Time {
	if at == nil {
		return time.Time{}
	}
	return at.UTC()
}
