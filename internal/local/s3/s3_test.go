package s3_test

import (
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"github.com/rekey-go/rekey/internal/local/s3"
	"github.com/rekey-go/rekey/internal/local/wire"
)

// start is a service behind the front door, and a client of it.
func start(t *testing.T) (*s3.Service, *awss3.Client) {
	t.Helper()
	service := s3.New(time.Now)
	store := service.Wire()
	server := httptest.NewServer(wire.NewFront(wire.FrontOptions{Region: "us-east-1", Now: time.Now, Objects: &store}))
	t.Cleanup(server.Close)
	return service, awss3.New(awss3.Options{
		Region: "us-east-1", BaseEndpoint: &server.URL, Credentials: credentials.NewStaticCredentialsProvider("me", "me", ""),
	})
}

func Example() {
	service := s3.New(time.Now)
	_, err := service.Object("artifacts", "function.zip")
	fmt.Println(err)
	// Output: s3://artifacts/function.zip: no such object
}

func TestAnObjectIsPutAndRead(t *testing.T) {
	t.Parallel()
	service, client := start(t)
	if _, err := client.CreateBucket(t.Context(), &awss3.CreateBucketInput{Bucket: new("artifacts")}); err != nil {
		t.Fatal(err)
	}
	_, err := client.PutObject(t.Context(), &awss3.PutObjectInput{Bucket: new("artifacts"), Key: new("a/b.zip"), Body: strings.NewReader("content")})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := service.Object("artifacts", "a/b.zip"); err != nil || string(got) != "content" {
		t.Errorf("Object = %q, %v; want what was put", got, err)
	}
	out, err := client.GetObject(t.Context(), &awss3.GetObjectInput{Bucket: new("artifacts"), Key: new("a/b.zip")})
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := io.ReadAll(out.Body); string(got) != "content" {
		t.Errorf("GetObject = %q, want what was put", got)
	}
	if err := service.RemoveBucket("artifacts"); err == nil {
		t.Error("a bucket with an object was removed")
	}
}

func TestABucketKeepsItsDocuments(t *testing.T) {
	t.Parallel()
	_, client := start(t)
	bucket := new("artifacts")
	if _, err := client.CreateBucket(t.Context(), &awss3.CreateBucketInput{Bucket: bucket}); err != nil {
		t.Fatal(err)
	}
	_, err := client.GetBucketPolicy(t.Context(), &awss3.GetBucketPolicyInput{Bucket: bucket})
	if refusal, ok := errors.AsType[smithy.APIError](err); !ok || refusal.ErrorCode() != "NoSuchBucketPolicy" {
		t.Errorf("the policy of a new bucket: %v, want NoSuchBucketPolicy", err)
	}
	const policy = `{"Statement":[]}`
	if _, err := client.PutBucketPolicy(t.Context(), &awss3.PutBucketPolicyInput{Bucket: bucket, Policy: aws.String(policy)}); err != nil {
		t.Fatal(err)
	}
	if out, err := client.GetBucketPolicy(t.Context(), &awss3.GetBucketPolicyInput{Bucket: bucket}); err != nil || aws.ToString(out.Policy) != policy {
		t.Errorf("the policy is %v, %v; want what was put", out, err)
	}
	_, err = client.PutPublicAccessBlock(t.Context(), &awss3.PutPublicAccessBlockInput{
		Bucket: bucket, PublicAccessBlockConfiguration: &types.PublicAccessBlockConfiguration{BlockPublicAcls: new(true)},
	})
	if err != nil {
		t.Fatal(err)
	}
	out, err := client.GetPublicAccessBlock(t.Context(), &awss3.GetPublicAccessBlockInput{Bucket: bucket})
	if err != nil || !aws.ToBool(out.PublicAccessBlockConfiguration.BlockPublicAcls) {
		t.Errorf("the public access block is %v, %v; want what was put", out, err)
	}
	if _, err := client.DeleteBucket(t.Context(), &awss3.DeleteBucketInput{Bucket: bucket}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.CreateBucket(t.Context(), &awss3.CreateBucketInput{Bucket: bucket}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.GetBucketPolicy(t.Context(), &awss3.GetBucketPolicyInput{Bucket: bucket}); err == nil {
		t.Error("a new bucket has the policy of the one that was deleted")
	}
}
