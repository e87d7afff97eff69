package s3_test

import (
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"github.com/rekey-go/rekey/internal/local/s3"
	"github.com/rekey-go/rekey/internal/local/store"
	"github.com/rekey-go/rekey/internal/local/wire"
)

// start is a service behind the front door, and a client of it.
func start(t *testing.T) (*s3.Service, *awss3.Client) {
	t.Helper()
	service, err := s3.New(time.Now, nil)
	if err != nil {
		t.Fatal(err)
	}
	client, _ := serve(t, service)
	return service, client
}

// serve puts a service behind the front door.
func serve(t *testing.T, service *s3.Service) (client *awss3.Client, end func()) {
	t.Helper()
	objects := service.Wire()
	server := httptest.NewServer(wire.NewFront(wire.FrontOptions{Region: "us-east-1", Now: time.Now, Objects: &objects}))
	t.Cleanup(server.Close)
	return awss3.New(awss3.Options{
		Region: "us-east-1", BaseEndpoint: &server.URL, Credentials: credentials.NewStaticCredentialsProvider("me", "me", ""),
	}), server.Close
}

func Example() {
	service, err := s3.New(time.Now, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = service.Object("artifacts", "function.zip")
	fmt.Println(err)
	// Output: s3://artifacts/function.zip: no such object
}

// TestWhatTheEngineDoesNotHaveOfS3IsNoCallForTheObject calls for what stands
// beside an object or a bucket, in which a call for itself hides.
func TestWhatTheEngineDoesNotHaveOfS3IsNoCallForTheObject(t *testing.T) {
	t.Parallel()
	service, client := start(t)
	if _, err := client.CreateBucket(t.Context(), &awss3.CreateBucketInput{Bucket: new("bucket")}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.CreateBucket(t.Context(), &awss3.CreateBucketInput{Bucket: new("empty")}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.PutObject(t.Context(), &awss3.PutObjectInput{Bucket: new("bucket"), Key: new("k"), Body: strings.NewReader("content")}); err != nil {
		t.Fatal(err)
	}
	tags := &types.Tagging{TagSet: []types.Tag{{Key: new("a"), Value: new("b")}}}
	calls := map[string]func() error{
		"GetObjectTagging": func() error {
			_, err := client.GetObjectTagging(t.Context(), &awss3.GetObjectTaggingInput{Bucket: new("bucket"), Key: new("k")})
			return err
		},
		"PutObjectTagging": func() error {
			_, err := client.PutObjectTagging(t.Context(), &awss3.PutObjectTaggingInput{Bucket: new("bucket"), Key: new("k"), Tagging: tags})
			return err
		},
		"DeleteObjectTagging": func() error {
			_, err := client.DeleteObjectTagging(t.Context(), &awss3.DeleteObjectTaggingInput{Bucket: new("bucket"), Key: new("k")})
			return err
		},
		"PutObjectAcl": func() error {
			_, err := client.PutObjectAcl(t.Context(), &awss3.PutObjectAclInput{Bucket: new("bucket"), Key: new("k"), ACL: "private"})
			return err
		},
		"DeleteBucketCors": func() error {
			_, err := client.DeleteBucketCors(t.Context(), &awss3.DeleteBucketCorsInput{Bucket: new("empty")})
			return err
		},
		"DeleteBucketWebsite": func() error {
			_, err := client.DeleteBucketWebsite(t.Context(), &awss3.DeleteBucketWebsiteInput{Bucket: new("empty")})
			return err
		},
	}
	for name, try := range calls {
		refusal, ok := errors.AsType[smithy.APIError](try())
		if !ok || refusal.ErrorCode() != "NotImplemented" {
			t.Errorf("%s: %v, want NotImplemented", name, refusal)
		}
		if got, err := service.Object("bucket", "k"); err != nil || string(got) != "content" {
			t.Fatalf("%s: the object is %q, %v; want it as it was", name, got, err)
		}
		if !service.Has("empty") {
			t.Fatalf("%s: the bucket is gone", name)
		}
	}
}

func TestABucketAnswersForWhatItNeverHas(t *testing.T) {
	t.Parallel()
	_, client := start(t)
	if _, err := client.CreateBucket(t.Context(), &awss3.CreateBucketInput{Bucket: new("bucket")}); err != nil {
		t.Fatal(err)
	}
	acl, err := client.GetBucketAcl(t.Context(), &awss3.GetBucketAclInput{Bucket: new("bucket")})
	if err != nil || len(acl.Grants) != 1 || acl.Grants[0].Permission != types.PermissionFullControl || acl.Owner.ID == nil {
		t.Errorf("GetBucketAcl: %+v, %v; want the owner's grant", acl, err)
	}
	payer, err := client.GetBucketRequestPayment(t.Context(), &awss3.GetBucketRequestPaymentInput{Bucket: new("bucket")})
	if err != nil || payer.Payer != types.PayerBucketOwner {
		t.Errorf("GetBucketRequestPayment: %+v, %v; want the owner", payer, err)
	}
	logging, err := client.GetBucketLogging(t.Context(), &awss3.GetBucketLoggingInput{Bucket: new("bucket")})
	if err != nil || logging.LoggingEnabled != nil {
		t.Errorf("GetBucketLogging: %+v, %v; want none", logging, err)
	}
	_, err = client.GetBucketCors(t.Context(), &awss3.GetBucketCorsInput{Bucket: new("bucket")})
	if refusal, ok := errors.AsType[smithy.APIError](err); !ok || refusal.ErrorCode() != "NoSuchCORSConfiguration" {
		t.Errorf("GetBucketCors: %v, want NoSuchCORSConfiguration", err)
	}
	_, err = client.GetBucketCors(t.Context(), &awss3.GetBucketCorsInput{Bucket: new("none")})
	if refusal, ok := errors.AsType[smithy.APIError](err); !ok || refusal.ErrorCode() != "NoSuchBucket" {
		t.Errorf("GetBucketCors of no bucket: %v, want NoSuchBucket", err)
	}
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

func TestWhatIsStoredIsThereAfterARestart(t *testing.T) {
	t.Parallel()
	const canary = "canary-4711"
	dir := t.TempDir()
	service, client, end := startOn(t, dir)
	if _, err := client.CreateBucket(t.Context(), &awss3.CreateBucketInput{Bucket: new("bkt")}); err != nil {
		t.Fatal(err)
	}
	put := func(key, body string) {
		t.Helper()
		_, err := client.PutObject(t.Context(), &awss3.PutObjectInput{
			Bucket: new("bkt"), Key: &key, Body: strings.NewReader(body), Metadata: map[string]string{"of": key}, ContentType: new("text/x"),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	put("a/b", "first")
	put("a/b", canary)
	put("gone", canary)
	put("many", canary)
	put("big", strings.Repeat(canary, 100_000))
	_, errCopy := client.CopyObject(t.Context(), &awss3.CopyObjectInput{Bucket: new("bkt"), Key: new("copy"), CopySource: new("bkt/a/b")})
	_, errDelete := client.DeleteObject(t.Context(), &awss3.DeleteObjectInput{Bucket: new("bkt"), Key: new("gone")})
	_, errMany := client.DeleteObjects(t.Context(), &awss3.DeleteObjectsInput{Bucket: new("bkt"), Delete: &types.Delete{Objects: []types.ObjectIdentifier{{Key: new("many")}}}})
	_, errTags := client.PutBucketTagging(t.Context(), &awss3.PutBucketTaggingInput{Bucket: new("bkt"), Tagging: &types.Tagging{TagSet: []types.Tag{{Key: new("k"), Value: new(canary)}}}})
	_, errVersions := client.PutBucketVersioning(t.Context(), &awss3.PutBucketVersioningInput{Bucket: new("bkt"), VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled}})
	_, errMarked := client.DeleteObject(t.Context(), &awss3.DeleteObjectInput{Bucket: new("bkt"), Key: new("copy")})
	errBucket := errors.Join(service.Provision("other"), service.PutPolicy("other", "{}"), service.RemoveBucket("other"), service.Provision("other"))
	if err := errors.Join(errCopy, errDelete, errMany, errTags, errVersions, errMarked, errBucket); err != nil {
		t.Fatal(err)
	}
	before, err := client.HeadObject(t.Context(), &awss3.HeadObjectInput{Bucket: new("bkt"), Key: new("a/b")})
	if err != nil {
		t.Fatal(err)
	}
	end()
	if state, err := os.ReadFile(filepath.Join(dir, "state.db")); err != nil || strings.Contains(string(state), canary) {
		t.Errorf("the state is readable: %v", err)
	}

	service, client, _ = startOn(t, dir)
	for key, want := range map[string]string{"a/b": canary, "big": strings.Repeat(canary, 100_000), "gone": "", "many": "", "copy": ""} {
		got, err := service.Object("bkt", key)
		if string(got) != want || (want == "") != errors.Is(err, s3.ErrNotFound) {
			t.Errorf("%s has %d bytes, want %d; %v", key, len(got), len(want), err)
		}
	}
	after, err := client.HeadObject(t.Context(), &awss3.HeadObjectInput{Bucket: new("bkt"), Key: new("a/b")})
	if err != nil || *after.ETag != *before.ETag || after.Metadata["of"] != "a/b" || *after.ContentType != "text/x" || !after.LastModified.Equal(*before.LastModified) {
		t.Errorf("the object is %+v, want %+v; %v", after, before, err)
	}
	tags, err := client.GetBucketTagging(t.Context(), &awss3.GetBucketTaggingInput{Bucket: new("bkt")})
	if err != nil || len(tags.TagSet) != 1 {
		t.Errorf("the bucket's tags are %+v, %v", tags, err)
	}
	versions, err := client.GetBucketVersioning(t.Context(), &awss3.GetBucketVersioningInput{Bucket: new("bkt")})
	if err != nil || versions.Status != types.BucketVersioningStatusEnabled {
		t.Errorf("the bucket keeps versions: %+v, %v", versions, err)
	}
	if got := service.Policy("arn:aws:s3:::other"); got != "" {
		t.Errorf("a bucket that was made anew has the policy %s", got)
	}
}

// startOn is a service with a state folder, and how to end it.
func startOn(t *testing.T, dir string) (*s3.Service, *awss3.Client, func()) {
	t.Helper()
	kept, err := store.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	service, err := s3.New(time.Now, kept)
	if err != nil {
		t.Fatal(err)
	}
	client, end := serve(t, service)
	return service, client, func() {
		end()
		if err := kept.Close(); err != nil {
			t.Error(err)
		}
	}
}
