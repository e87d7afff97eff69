package deploy

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// RecoveryDays is how long secrets can be restored after their stack was
// removed.
const RecoveryDays = 7

// Secrets are those of stacks.
type Secrets struct{ client *secretsmanager.Client }

// NewSecrets returns the secrets of an account.
func NewSecrets(cfg aws.Config) Secrets { return Secrets{secretsmanager.NewFromConfig(cfg)} }

// A Leftover is a secret that a former stack left.
type Leftover struct {
	Held
	ARN string `json:"arn"`
	// KeyID is the KMS key it is encrypted with; empty for the account's own.
	KeyID string `json:"keyId,omitempty"`
	// Waits says that it is scheduled for deletion.
	Waits bool `json:"scheduledForDeletion"`
}

// Leftovers finds those secrets of a template that are there.
func (s Secrets) Leftovers(ctx context.Context, held []Held) ([]Leftover, error) {
	var all []Leftover
	for _, h := range held {
		if h.Type != secretType || h.Name == "" {
			continue
		}
		out, err := s.client.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &h.Name})
		switch {
		case isCode(err, "ResourceNotFoundException"):
			continue
		case err != nil:
			return nil, fmt.Errorf("looking for the secret %s: %w", h.Name, err)
		}
		all = append(all, Leftover{Held: h, ARN: aws.ToString(out.ARN), KeyID: aws.ToString(out.KmsKeyId), Waits: out.DeletedDate != nil})
	}
	return all, nil
}

// Restore takes back the deletion of those that wait for it.
func (s Secrets) Restore(ctx context.Context, all []Leftover) error {
	for _, l := range all {
		if !l.Waits {
			continue
		}
		if _, err := s.client.RestoreSecret(ctx, &secretsmanager.RestoreSecretInput{SecretId: &l.ARN}); err != nil {
			return fmt.Errorf("restoring the secret %s: %w", l.Name, err)
		}
	}
	return nil
}

// Imports are what takes over leftovers, and their key where they agree on one
// that the template has.
func Imports(all []Leftover, held []Held) map[string]Import {
	imports := make(map[string]Import, len(all)+1)
	keys := map[string]bool{}
	for _, l := range all {
		imports[l.ID] = Import{Type: secretType, Key: "Id", Value: l.ARN}
		if l.KeyID != "" {
			keys[l.KeyID[strings.LastIndexByte(l.KeyID, '/')+1:]] = true
		}
	}
	for _, h := range held {
		if h.Type != keyType || len(keys) != 1 {
			continue
		}
		for key := range keys {
			imports[h.ID] = Import{Type: keyType, Key: "KeyId", Value: key}
		}
	}
	return imports
}

// A Scheduled is a secret that will be deleted.
type Scheduled struct {
	Name string    `json:"name"`
	ARN  string    `json:"arn"`
	At   time.Time `json:"deletedAt"`
}

// Schedule deletes the secrets that a removed stack retained, after
// [RecoveryDays]. Those that are scheduled already keep their day, and those
// that are gone are left out.
func (s Secrets) Schedule(ctx context.Context, resources []types.StackResourceSummary) ([]Scheduled, error) {
	var all []Scheduled
	for _, r := range resources {
		if aws.ToString(r.ResourceType) != secretType {
			continue
		}
		about, err := s.client.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: r.PhysicalResourceId})
		switch {
		case isCode(err, "ResourceNotFoundException"):
			continue
		case err != nil:
			return all, fmt.Errorf("looking for the secret %s: %w", aws.ToString(r.PhysicalResourceId), err)
		}
		one := Scheduled{Name: aws.ToString(about.Name), ARN: aws.ToString(about.ARN)}
		if about.DeletedDate == nil {
			out, err := s.client.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: about.ARN, RecoveryWindowInDays: new(int64(RecoveryDays))})
			if err != nil {
				return all, fmt.Errorf("scheduling the deletion of %s: %w", one.Name, err)
			}
			about.DeletedDate = out.DeletionDate
		}
		one.At = aws.ToTime(about.DeletedDate)
		all = append(all, one)
	}
	return all, nil
}
