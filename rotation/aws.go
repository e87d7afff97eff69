package rotation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/smithy-go"
)

// SecretsManager is what a rotation asks of AWS.
type SecretsManager interface {
	DescribeSecret(ctx context.Context, in *secretsmanager.DescribeSecretInput, opts ...func(*secretsmanager.Options)) (*secretsmanager.DescribeSecretOutput, error)
	GetSecretValue(ctx context.Context, in *secretsmanager.GetSecretValueInput, opts ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error)
	PutSecretValue(ctx context.Context, in *secretsmanager.PutSecretValueInput, opts ...func(*secretsmanager.Options)) (*secretsmanager.PutSecretValueOutput, error)
	ListSecretVersionIds(ctx context.Context, in *secretsmanager.ListSecretVersionIdsInput, opts ...func(*secretsmanager.Options)) (*secretsmanager.ListSecretVersionIdsOutput, error)
	UpdateSecretVersionStage(ctx context.Context, in *secretsmanager.UpdateSecretVersionStageInput, opts ...func(*secretsmanager.Options)) (*secretsmanager.UpdateSecretVersionStageOutput, error)
}

// NewStore returns the store that Secrets Manager is.
func NewStore(client SecretsManager) Store { return awsStore{client} }

// explainAWS tells what an error of AWS means.
func explainAWS(err error) Explanation {
	refused, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		return Explanation{ClassUnknown, "unknown", "read the function's log around this line; rekey doctor shows where things stand"}
	}
	switch refused.ErrorCode() {
	case "AccessDeniedException":
		return Explanation{ClassPermission, "permission.aws", "give the function's role the statement that the text names"}
	case "ThrottlingException", "LimitExceededException":
		return Explanation{ClassConflict, "conflict.quota", "wait for the retry; spread schedules that fire at one time"}
	case "ResourceNotFoundException":
		return Explanation{ClassConfiguration, "configuration.no-secret", "check the name in the event and in the function's settings: rekey list"}
	case "DecryptionFailure", "EncryptionFailure":
		return Explanation{ClassPermission, "permission.kms", "let the function's role use the secret's KMS key"}
	}
	return Explanation{ClassUnknown, "unknown.aws", "look the code up that AWS answered; the retry may do"}
}

type awsStore struct{ client SecretsManager }

// Describe calls DescribeSecret.
func (s awsStore) Describe(ctx context.Context, secretID string) (Secret, error) {
	out, err := s.client.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &secretID})
	if err != nil {
		return Secret{}, fmt.Errorf("describing the secret: %w", err)
	}
	tags := make(map[string]string, len(out.Tags))
	for _, t := range out.Tags {
		tags[aws.ToString(t.Key)] = aws.ToString(t.Value)
	}
	now, ok := awsmiddleware.GetServerTime(out.ResultMetadata)
	if !ok {
		now = time.Now()
	}
	return Secret{
		ARN: aws.ToString(out.ARN), Name: aws.ToString(out.Name), RotationEnabled: aws.ToBool(out.RotationEnabled),
		FunctionARN: aws.ToString(out.RotationLambdaARN), Versions: out.VersionIdsToStages, Tags: tags,
		Now: now.UTC(), LastRotated: aws.ToTime(out.LastRotatedDate).UTC(),
	}, nil
}

// Get calls GetSecretValue.
func (s awsStore) Get(ctx context.Context, secretID, versionID, label string) (Value, error) {
	in := &secretsmanager.GetSecretValueInput{SecretId: &secretID}
	if versionID != "" {
		in.VersionId = &versionID
	}
	if label != "" {
		in.VersionStage = &label
	}
	out, err := s.client.GetSecretValue(ctx, in)
	if _, ok := errors.AsType[*types.ResourceNotFoundException](err); ok {
		return Value{}, fmt.Errorf("reading version %q with label %q: %w", versionID, label, ErrNoValue)
	}
	if err != nil {
		return Value{}, fmt.Errorf("reading version %q with label %q: %w", versionID, label, err)
	}
	if out.SecretString == nil {
		return Value{}, errors.New("the value is binary; a rotation handles text")
	}
	return NewValue(*out.SecretString), nil
}

// Unlabelled calls ListSecretVersionIds.
func (s awsStore) Unlabelled(ctx context.Context, secretID string) ([]string, error) {
	pages := secretsmanager.NewListSecretVersionIdsPaginator(s.client, &secretsmanager.ListSecretVersionIdsInput{
		SecretId: &secretID, IncludeDeprecated: new(true),
	})
	var versions []types.SecretVersionsListEntry
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("listing the versions: %w", err)
		}
		versions = append(versions, page.Versions...)
	}
	slices.SortStableFunc(versions, func(a, b types.SecretVersionsListEntry) int {
		return aws.ToTime(b.CreatedDate).Compare(aws.ToTime(a.CreatedDate))
	})
	var ids []string
	for _, v := range versions {
		if len(v.VersionStages) == 0 {
			ids = append(ids, aws.ToString(v.VersionId))
		}
	}
	return ids, nil
}

// PutPending calls PutSecretValue.
func (s awsStore) PutPending(ctx context.Context, e Event, v Value) error {
	in := &secretsmanager.PutSecretValueInput{
		SecretId: &e.SecretID, ClientRequestToken: &e.Token, SecretString: new(v.Reveal()), VersionStages: []string{LabelPending},
	}
	if !e.RotationToken.Empty() {
		in.RotationToken = new(e.RotationToken.Reveal())
	}
	return s.put(ctx, in)
}

// PutCurrent calls PutSecretValue and UpdateSecretVersionStage: the first alone
// would take AWSCURRENT from whatever version has it.
func (s awsStore) PutCurrent(ctx context.Context, secretID, from, versionID string, v Value) error {
	err := s.put(ctx, &secretsmanager.PutSecretValueInput{
		SecretId: &secretID, ClientRequestToken: &versionID, SecretString: new(v.Reveal()), VersionStages: []string{LabelStored},
	})
	if err != nil {
		return err
	}
	err = s.MoveLabel(ctx, secretID, LabelCurrent, from, versionID)
	if _, ok := errors.AsType[*types.InvalidParameterException](err); ok {
		return fmt.Errorf("%w: AWSCURRENT is not on version %s any more: %w", ErrConflict, from, err)
	}
	return err
}

func (s awsStore) put(ctx context.Context, in *secretsmanager.PutSecretValueInput) error {
	_, err := s.client.PutSecretValue(ctx, in)
	if _, ok := errors.AsType[*types.ResourceExistsException](err); ok {
		return ErrExists
	}
	if err != nil {
		return fmt.Errorf("storing version %s: %w", *in.ClientRequestToken, err)
	}
	return nil
}

// MoveLabel calls UpdateSecretVersionStage.
func (s awsStore) MoveLabel(ctx context.Context, secretID, label, from, to string) error {
	in := &secretsmanager.UpdateSecretVersionStageInput{SecretId: &secretID, VersionStage: &label}
	if from != "" {
		in.RemoveFromVersionId = &from
	}
	if to != "" {
		in.MoveToVersionId = &to
	}
	if _, err := s.client.UpdateSecretVersionStage(ctx, in); err != nil {
		return fmt.Errorf("moving %s: %w", label, err)
	}
	return nil
}
