package conformance_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
)

// An objectBelief is one case of S3, whose answers are no JSON: a call, what
// matters of its answer in words, and else the code and the status of its
// refusal.
type objectBelief struct {
	source source
	where  string
	call   func(ctx context.Context, c *s3.Client, bucket *string) (string, error)
	want   string
}

// The bucket of each case has one object, "a/one" of the text "content".
//
//nolint:gochecknoglobals // a constant table
var objectBeliefs = map[string]objectBelief{
	"an object is answered with its MD5 as ETag": {documented, "API_Object.html: the ETag of an object of PutObject without SSE-KMS is the MD5 of its data", func(ctx context.Context, c *s3.Client, bucket *string) (string, error) {
		out, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: aws.String("a/one")})
		if err != nil {
			return "", err
		}
		body, err := io.ReadAll(out.Body)
		return string(body) + " " + aws.ToString(out.ETag), err
	}, `content "9a0364b9e99bb480dd25e1f0284c8555"`},
	"a part of an object": {documented, "API_GetObject.html: Range, and 206 with Content-Range", func(ctx context.Context, c *s3.Client, bucket *string) (string, error) {
		out, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: aws.String("a/one"), Range: aws.String("bytes=1-3")})
		if err != nil {
			return "", err
		}
		body, err := io.ReadAll(out.Body)
		return string(body) + " " + aws.ToString(out.ContentRange), err
	}, "ont bytes 1-3/7"},
	"a part that is not there": {documented, "ErrorResponses.html: InvalidRange, 416", func(ctx context.Context, c *s3.Client, bucket *string) (string, error) {
		_, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: aws.String("a/one"), Range: aws.String("bytes=90-99")})
		return "", err
	}, "InvalidRange 416"},
	"an object that is not there": {documented, "ErrorResponses.html: NoSuchKey, 404", func(ctx context.Context, c *s3.Client, bucket *string) (string, error) {
		_, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: aws.String("none")})
		return "", err
	}, "NoSuchKey 404"},
	"the head of one that is not there": {documented, "API_HeadObject.html: a HEAD has no body, so that there is a 404 and no code", func(ctx context.Context, c *s3.Client, bucket *string) (string, error) {
		_, err := c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: bucket, Key: aws.String("none")})
		return "", err
	}, "NotFound 404"},
	"a bucket that is not there": {documented, "ErrorResponses.html: NoSuchBucket, 404", func(ctx context.Context, c *s3.Client, bucket *string) (string, error) {
		_, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(*bucket + "-none"), Key: aws.String("a")})
		return "", err
	}, "NoSuchBucket 404"},
	"the policy of a bucket without one": {documented, "API_GetBucketPolicy.html and ErrorResponses.html: NoSuchBucketPolicy, 404", func(ctx context.Context, c *s3.Client, bucket *string) (string, error) {
		_, err := c.GetBucketPolicy(ctx, &s3.GetBucketPolicyInput{Bucket: bucket})
		return "", err
	}, "NoSuchBucketPolicy 404"},
	"a policy that is none": {documented, "ErrorResponses.html: MalformedPolicy, 400", func(ctx context.Context, c *s3.Client, bucket *string) (string, error) {
		_, err := c.PutBucketPolicy(ctx, &s3.PutBucketPolicyInput{Bucket: bucket, Policy: aws.String(`{"Statement":[{"Effect":"Maybe"}]}`)})
		return "", err
	}, "MalformedPolicy 400"},
	"the removal of a bucket with an object": {documented, "ErrorResponses.html: BucketNotEmpty, 409", func(ctx context.Context, c *s3.Client, bucket *string) (string, error) {
		_, err := c.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: bucket})
		return "", err
	}, "BucketNotEmpty 409"},
	"the removal of an object that is not there": {documented, "API_DeleteObject.html: 204 whether or not it was there", func(ctx context.Context, c *s3.Client, bucket *string) (string, error) {
		_, err := c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: bucket, Key: aws.String("none")})
		return "gone", err
	}, "gone"},
	"what lies below a folder": {documented, "API_ListObjectsV2.html: CommonPrefixes by a Delimiter, each counted in KeyCount", func(ctx context.Context, c *s3.Client, bucket *string) (string, error) {
		if _, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: aws.String("top"), Body: strings.NewReader("")}); err != nil {
			return "", err
		}
		out, err := c.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: bucket, Delimiter: aws.String("/")})
		if err != nil {
			return "", err
		}
		said := fmt.Sprint(aws.ToInt32(out.KeyCount))
		for _, p := range out.CommonPrefixes {
			said += " " + aws.ToString(p.Prefix)
		}
		for _, o := range out.Contents {
			said += " " + aws.ToString(o.Key)
		}
		return said, nil
	}, "2 a/ top"},
	"pages of a listing": {documented, "API_ListObjectsV2.html: IsTruncated and NextContinuationToken", func(ctx context.Context, c *s3.Client, bucket *string) (string, error) {
		for _, key := range []string{"b", "c"} {
			if _, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: &key, Body: strings.NewReader("")}); err != nil {
				return "", err
			}
		}
		said := ""
		for pages := s3.NewListObjectsV2Paginator(c, &s3.ListObjectsV2Input{Bucket: bucket, MaxKeys: aws.Int32(2)}); pages.HasMorePages(); {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return "", err
			}
			for _, o := range page.Contents {
				said += aws.ToString(o.Key) + " "
			}
			said += "| "
		}
		return said, nil
	}, "a/one b | c | "},
	"the removal of several objects": {documented, "API_DeleteObjects.html: Deleted lists all, those that were not there too", func(ctx context.Context, c *s3.Client, bucket *string) (string, error) {
		out, err := c.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: bucket, Delete: &types.Delete{Objects: []types.ObjectIdentifier{{Key: aws.String("a/one")}, {Key: aws.String("none")}}}})
		if err != nil {
			return "", err
		}
		return fmt.Sprint(len(out.Deleted), len(out.Errors)), nil
	}, "2 0"},
}

func TestS3(t *testing.T) {
	t.Parallel()
	to := newTarget(t)
	client := s3.NewFromConfig(to.config)
	for name, b := range objectBeliefs {
		t.Run(name, func(t *testing.T) {
			bucket := aws.String("rekey-conformance-" + token()[:8])
			if _, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: bucket}); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { empty(context.WithoutCancel(t.Context()), client, bucket) })
			if _, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: bucket, Key: aws.String("a/one"), Body: strings.NewReader("content")}); err != nil {
				t.Fatal(err)
			}
			got, err := b.call(t.Context(), client, bucket)
			if err != nil {
				got = refusal(err)
			}
			switch {
			case got != b.want && to.mustHold:
				t.Errorf("%s, want %s\n%s: %s", got, b.want, b.source, b.where)
			case got != b.want:
				t.Logf("does not hold: %s, want %s", got, b.want)
			}
		})
	}
}

// refusal is the code of an error and its status.
func refusal(err error) string {
	api, isAPI := errors.AsType[smithy.APIError](err)
	answer, isAnswer := errors.AsType[*awshttp.ResponseError](err)
	if !isAPI || !isAnswer {
		return err.Error()
	}
	return fmt.Sprint(api.ErrorCode(), " ", answer.HTTPStatusCode())
}

// empty removes a bucket as far as it can.
func empty(ctx context.Context, c *s3.Client, bucket *string) {
	out, err := c.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: bucket})
	if err != nil {
		return
	}
	for _, o := range out.Contents {
		_, _ = c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: bucket, Key: o.Key}) // what is left, the next line tells
	}
	_, _ = c.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: bucket}) // a case's bucket that stays harms nothing
}
