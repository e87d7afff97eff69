package deploy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"runtime"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"golang.org/x/sync/errgroup"
)

// A Bucket holds the packages and templates of an account's deployments in one
// Region: encrypted, closed to the public and to requests without TLS. Every
// call names the account as the owner, so that nobody else's bucket of that
// name is taken for it.
type Bucket struct {
	client  *s3.Client
	name    string
	owner   string // the account
	region  string
	private string // the partition of its ARN
}

// keepDays is how long packages stay after they were uploaded.
const keepDays = 365

// FindBucket names the bucket of the account that is signed in to. It need not
// be there.
func FindBucket(ctx context.Context, cfg aws.Config) (*Bucket, error) {
	who, err := sts.NewFromConfig(cfg).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return nil, fmt.Errorf("asking whose account this is: %w", err)
	}
	account := aws.ToString(who.Account)
	b := &Bucket{
		name: "rekey-artifacts-" + account + "-" + cfg.Region, owner: account, region: cfg.Region, private: "aws",
		client: s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = cfg.BaseEndpoint != nil }),
	}
	if parsed, err := arn.Parse(aws.ToString(who.Arn)); err == nil {
		b.private = parsed.Partition
	}
	return b, nil
}

// Make makes the bucket where it is not there, and sees to its settings.
func (b *Bucket) Make(ctx context.Context) error {
	if err := b.create(ctx); err != nil {
		return fmt.Errorf("making the bucket %s: %w", b.name, err)
	}
	if err := b.secure(ctx); err != nil {
		return fmt.Errorf("securing the bucket %s: %w", b.name, err)
	}
	return nil
}

// Name is the bucket's.
func (b *Bucket) Name() string { return b.name }

func (b *Bucket) create(ctx context.Context) error {
	_, err := b.client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &b.name, ExpectedBucketOwner: &b.owner})
	if !isCode(err, "NotFound", "NoSuchBucket") {
		return err
	}
	in := &s3.CreateBucketInput{Bucket: &b.name}
	if b.region != "us-east-1" { // which has no name as a constraint
		in.CreateBucketConfiguration = &types.CreateBucketConfiguration{LocationConstraint: types.BucketLocationConstraint(b.region)}
	}
	if _, err := b.client.CreateBucket(ctx, in); err != nil && !isCode(err, "BucketAlreadyOwnedByYou") {
		return err
	}
	return nil
}

// secure sets what every bucket of artifacts has. It is done each time, so that
// a bucket that was only just made when a deployment ended is no exception.
func (b *Bucket) secure(ctx context.Context) error {
	_, err := b.client.PutPublicAccessBlock(ctx, &s3.PutPublicAccessBlockInput{
		Bucket: &b.name, ExpectedBucketOwner: &b.owner,
		PublicAccessBlockConfiguration: &types.PublicAccessBlockConfiguration{
			BlockPublicAcls: new(true), BlockPublicPolicy: new(true), IgnorePublicAcls: new(true), RestrictPublicBuckets: new(true),
		},
	})
	if err != nil {
		return err
	}
	_, err = b.client.PutBucketEncryption(ctx, &s3.PutBucketEncryptionInput{
		Bucket: &b.name, ExpectedBucketOwner: &b.owner,
		ServerSideEncryptionConfiguration: &types.ServerSideEncryptionConfiguration{Rules: []types.ServerSideEncryptionRule{{
			ApplyServerSideEncryptionByDefault: &types.ServerSideEncryptionByDefault{SSEAlgorithm: types.ServerSideEncryptionAes256},
		}}},
	})
	if err != nil {
		return err
	}
	_, err = b.client.PutBucketPolicy(ctx, &s3.PutBucketPolicyInput{Bucket: &b.name, ExpectedBucketOwner: &b.owner, Policy: new(b.policy())})
	if err != nil {
		return err
	}
	_, err = b.client.PutBucketLifecycleConfiguration(ctx, &s3.PutBucketLifecycleConfigurationInput{
		Bucket: &b.name, ExpectedBucketOwner: &b.owner,
		LifecycleConfiguration: &types.BucketLifecycleConfiguration{Rules: []types.LifecycleRule{{
			ID: new("artifacts"), Status: types.ExpirationStatusEnabled, Filter: &types.LifecycleRuleFilter{Prefix: new("")},
			Expiration:                     &types.LifecycleExpiration{Days: new(int32(keepDays))},
			AbortIncompleteMultipartUpload: &types.AbortIncompleteMultipartUpload{DaysAfterInitiation: new(int32(7))},
		}}},
	})
	return err
}

// policy denies what comes without TLS.
func (b *Bucket) policy() string {
	on := "arn:" + b.private + ":s3:::" + b.name
	return `{"Version":"2012-10-17","Statement":[{"Sid":"TLSOnly","Effect":"Deny","Principal":"*","Action":"s3:*",` +
		`"Resource":["` + on + `","` + on + `/*"],"Condition":{"Bool":{"aws:SecureTransport":"false"}}}]}`
}

// Upload puts packages below a prefix, those that are not there yet, and
// returns where each is, by its CodeUri.
func (b *Bucket) Upload(ctx context.Context, prefix string, packages []Package) (map[string]string, error) {
	places := make(map[string]string, len(packages))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for _, p := range packages {
		key := prefix + "/" + p.Hash + ".zip"
		places[p.CodeURI] = "s3://" + b.name + "/" + key
		group.Go(func() error { return b.put(ctx, key, p.Zip) })
	}
	return places, group.Wait()
}

// LeftOut is the place of a package that nobody needs, because a condition of the
// template leaves its function or layer out. Nothing is there, and nobody else
// can put anything.
func (b *Bucket) LeftOut(prefix string) string {
	return "s3://" + b.name + "/" + prefix + "/left-out.zip"
}

// UploadTemplate puts a template and returns its URL, as CloudFormation takes
// it.
func (b *Bucket) UploadTemplate(ctx context.Context, prefix string, body []byte) (string, error) {
	key := prefix + "/" + hash(body) + ".yaml"
	if err := b.put(ctx, key, func() ([]byte, error) { return body, nil }); err != nil {
		return "", err
	}
	request, err := s3.NewPresignClient(b.client).PresignGetObject(ctx, &s3.GetObjectInput{Bucket: &b.name, Key: &key})
	if err != nil {
		return "", fmt.Errorf("finding the URL of the template: %w", err)
	}
	at, err := url.Parse(request.URL)
	if err != nil {
		return "", fmt.Errorf("reading the URL of the template: %w", err)
	}
	at.RawQuery = "" // CloudFormation reads it with the caller's own rights
	return at.String(), nil
}

// put uploads an object whose key names its content, which is made only where
// it is not there yet.
func (b *Bucket) put(ctx context.Context, key string, makeContent func() ([]byte, error)) error {
	_, err := b.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &b.name, Key: &key, ExpectedBucketOwner: &b.owner})
	if !isCode(err, "NotFound", "NoSuchKey") {
		return err
	}
	content, err := makeContent()
	if err != nil {
		return err
	}
	_, err = b.client.PutObject(ctx, &s3.PutObjectInput{Bucket: &b.name, Key: &key, ExpectedBucketOwner: &b.owner, Body: bytes.NewReader(content)})
	if err != nil {
		return fmt.Errorf("uploading %s: %w", key, err)
	}
	return nil
}

// Empty deletes everything in a bucket below a prefix, old versions too. A
// bucket that is not there is empty.
func Empty(ctx context.Context, client *s3.Client, bucket, prefix string) (deleted int, err error) {
	pages := s3.NewListObjectVersionsPaginator(client, &s3.ListObjectVersionsInput{Bucket: &bucket, Prefix: &prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if isCode(err, "NoSuchBucket", "NotFound") {
			return deleted, nil
		}
		if err != nil {
			return deleted, fmt.Errorf("listing %s: %w", bucket, err)
		}
		var objects []types.ObjectIdentifier
		for _, v := range page.Versions {
			objects = append(objects, types.ObjectIdentifier{Key: v.Key, VersionId: v.VersionId})
		}
		for _, v := range page.DeleteMarkers {
			objects = append(objects, types.ObjectIdentifier{Key: v.Key, VersionId: v.VersionId})
		}
		if len(objects) == 0 {
			continue
		}
		if _, err := client.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: &bucket, Delete: &types.Delete{Objects: objects, Quiet: new(true)}}); err != nil {
			return deleted, fmt.Errorf("emptying %s: %w", bucket, err)
		}
		deleted += len(objects)
	}
	return deleted, nil
}

// Empty deletes what was uploaded below a prefix.
func (b *Bucket) Empty(ctx context.Context, prefix string) (deleted int, err error) {
	return Empty(ctx, b.client, b.name, prefix+"/")
}

// isCode reports whether AWS answered with one of these errors.
func isCode(err error, codes ...string) bool {
	refusal, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		return false
	}
	for _, code := range codes {
		if refusal.ErrorCode() == code {
			return true
		}
	}
	return false
}
