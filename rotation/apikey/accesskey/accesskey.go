// Package accesskey makes and revokes the access keys of an IAM user, for
// package apikey.
//
// IAM lets a user have two access keys, gives them no names, and takes seconds
// to know a new one everywhere. So the user has to be the secret's own; a new
// key is tried out until it is known; and a retired key is made inactive, not
// deleted: until the next rotation needs its place it can be brought back with
// aws iam update-access-key.
package accesskey

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"github.com/rekey-go/rekey/rotation"
	"github.com/rekey-go/rekey/rotation/apikey"
)

// A Provider is the access keys of one IAM user. It implements
// [apikey.Provider], [apikey.Disabler] and [apikey.UsageTeller]. The rights are
// those of its configuration's credentials, which need iam:CreateAccessKey,
// ListAccessKeys, UpdateAccessKey and DeleteAccessKey on the user, and
// iam:GetAccessKeyLastUsed.
type Provider struct {
	cfg  aws.Config
	iam  *iam.Client
	user string
}

var (
	_ apikey.Provider    = (*Provider)(nil)
	_ apikey.Disabler    = (*Provider)(nil)
	_ apikey.UsageTeller = (*Provider)(nil)
)

// New returns the provider for a user.
func New(cfg aws.Config, user string) *Provider {
	return &Provider{cfg: cfg, iam: iam.NewFromConfig(cfg), user: user}
}

// Verify asks STS whose the key is, and checks that it is the user's.
func (p *Provider) Verify(ctx context.Context, k apikey.Key) error {
	if k.ID == "" {
		return fmt.Errorf("%w: the value has an access key without its id", rotation.ErrConfiguration)
	}
	cfg := p.cfg.Copy()
	cfg.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: k.ID, SecretAccessKey: k.Secret.Reveal(), Source: "rekey"}, nil
	})
	out, err := sts.NewFromConfig(cfg).GetCallerIdentity(ctx, new(sts.GetCallerIdentityInput))
	if err != nil {
		return meaning("asking STS whose the access key is", err)
	}
	_, path, _ := strings.Cut(aws.ToString(out.Arn), ":user/")
	if path != p.user && !strings.HasSuffix(path, "/"+p.user) {
		return fmt.Errorf("%w: the access key %s is not of the IAM user %q", rotation.ErrConfiguration, k.ID, p.user)
	}
	return nil
}

// List returns the user's keys.
func (p *Provider) List(ctx context.Context, _ apikey.Key) ([]apikey.Key, error) {
	out, err := p.iam.ListAccessKeys(ctx, &iam.ListAccessKeysInput{UserName: &p.user})
	if err != nil {
		return nil, meaning("listing the access keys", err)
	}
	keys := make([]apikey.Key, 0, len(out.AccessKeyMetadata))
	for _, k := range out.AccessKeyMetadata {
		keys = append(keys, apikey.Key{
			ID: aws.ToString(k.AccessKeyId), Created: aws.ToTime(k.CreateDate), Disabled: k.Status == types.StatusTypeInactive,
		})
	}
	return keys, nil
}

// Create makes a key. It has the rights of the user, as all of the user's keys.
func (p *Provider) Create(ctx context.Context, _ apikey.Key, _ string, _ apikey.Key) (apikey.Key, error) {
	out, err := p.iam.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: &p.user})
	if _, full := errors.AsType[*types.LimitExceededException](err); full {
		return apikey.Key{}, fmt.Errorf("%q has two access keys: %w", p.user, apikey.ErrNoRoom)
	}
	if err != nil {
		return apikey.Key{}, meaning("making an access key", err)
	}
	k := out.AccessKey
	return apikey.Key{
		ID: aws.ToString(k.AccessKeyId), Secret: rotation.NewValue(aws.ToString(k.SecretAccessKey)), Created: aws.ToTime(k.CreateDate),
	}, nil
}

// Disable makes a key inactive.
func (p *Provider) Disable(ctx context.Context, _ apikey.Key, id string) error {
	_, err := p.iam.UpdateAccessKey(ctx, &iam.UpdateAccessKeyInput{UserName: &p.user, AccessKeyId: &id, Status: types.StatusTypeInactive})
	return unlessGone(meaning("making the access key "+id+" inactive", err))
}

// Delete makes a key inactive, and deletes it.
func (p *Provider) Delete(ctx context.Context, by apikey.Key, id string) error {
	if err := p.Disable(ctx, by, id); err != nil {
		return err
	}
	_, err := p.iam.DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{UserName: &p.user, AccessKeyId: &id})
	return unlessGone(meaning("deleting the access key "+id, err))
}

// Used reports whether anybody has used a key.
func (p *Provider) Used(ctx context.Context, _ apikey.Key, id string) (bool, error) {
	out, err := p.iam.GetAccessKeyLastUsed(ctx, &iam.GetAccessKeyLastUsedInput{AccessKeyId: &id})
	if err != nil {
		return false, meaning("asking when the access key "+id+" was used", err)
	}
	return out.AccessKeyLastUsed != nil && out.AccessKeyLastUsed.LastUsedDate != nil, nil
}

func unlessGone(err error) error {
	if _, gone := errors.AsType[*types.NoSuchEntityException](err); gone {
		return nil
	}
	return err
}

// meaning says what was being done, and what an error of AWS means for a
// rotation.
func meaning(doing string, err error) error {
	if err == nil {
		return nil
	}
	refused, answered := errors.AsType[smithy.APIError](err)
	if !answered {
		return fmt.Errorf("%s: %w: %w", doing, rotation.ErrNetwork, err)
	}
	switch refused.ErrorCode() {
	case "InvalidClientTokenId", "SignatureDoesNotMatch", "UnrecognizedClientException":
		return fmt.Errorf("%s: %w: %s", doing, rotation.ErrAuth, refused.ErrorCode()) // the text could tell of the signature
	case "AccessDenied", "AccessDeniedException":
		return fmt.Errorf("%s: %w: %w", doing, rotation.ErrPermission, err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}
