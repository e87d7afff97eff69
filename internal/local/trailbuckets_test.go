package local_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"

	"github.com/rekey-go/rekey/internal/local"
)

// trailed is a trail of the template, to a bucket with the policy of AWS's guide.
const trailed = `
Resources:
  Bucket: {Type: AWS::S3::Bucket, Properties: {BucketName: logs-of-all}}
  BucketPolicy:
    Type: AWS::S3::BucketPolicy
    Properties:
      Bucket: !Ref Bucket
      PolicyDocument:
        Version: "2012-10-17"
        Statement:
          - {Effect: Allow, Principal: {Service: cloudtrail.amazonaws.com}, Action: "s3:GetBucketAcl", Resource: !GetAtt Bucket.Arn}
          - Effect: Allow
            Principal: {Service: cloudtrail.amazonaws.com}
            Action: s3:PutObject
            Resource: !Sub "${Bucket.Arn}/of/rekey/AWSLogs/${AWS::AccountId}/*"
            Condition: {StringEquals: {"s3:x-amz-acl": bucket-owner-full-control}, ArnLike: {"aws:SourceArn": "arn:aws:cloudtrail:*:*:trail/*"}}
  Trail:
    Type: AWS::CloudTrail::Trail
    DependsOn: BucketPolicy
    Properties: {TrailName: made, S3BucketName: !Ref Bucket, S3KeyPrefix: of/rekey, IsLogging: true, EnableLogFileValidation: true}
  Secret: {Type: AWS::SecretsManager::Secret, Properties: {Name: s}}
`

// keysOf lists the objects of a bucket.
func keysOf(t *testing.T, e *local.Engine, bucket string) (keys []string) {
	t.Helper()
	out, err := s3.NewFromConfig(configFor(e), pathStyle).ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &bucket})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range out.Contents {
		keys = append(keys, *o.Key)
	}
	return keys
}

func pathStyle(o *s3.Options) { o.UsePathStyle = true }

func TestATrailDeliversToItsBucket(t *testing.T) {
	t.Parallel()
	e := start(t, local.Options{Template: []byte(trailed)})
	trails := cloudtrail.NewFromConfig(configFor(e))
	if _, err := secretsmanager.NewFromConfig(configFor(e)).PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: aws.String("s"), SecretString: aws.String("v")}); err != nil {
		t.Fatal(err)
	}
	if err := e.Clock().Advance(t.Context(), 2*time.Hour); err != nil {
		t.Fatal(err)
	}
	status, err := trails.GetTrailStatus(t.Context(), &cloudtrail.GetTrailStatusInput{Name: aws.String("made")})
	if err != nil || !aws.ToBool(status.IsLogging) || aws.ToString(status.LatestDeliveryError) != "" || status.LatestDeliveryTime == nil || status.LatestDigestDeliveryTime == nil {
		t.Fatalf("the status is %+v, %v", status, err)
	}
	logs, digests := 0, 0
	for _, key := range keysOf(t, e, "logs-of-all") {
		switch {
		case strings.HasPrefix(key, "of/rekey/AWSLogs/123456789012/CloudTrail/us-east-1/"):
			logs++
		case strings.HasPrefix(key, "of/rekey/AWSLogs/123456789012/CloudTrail-Digest/us-east-1/"):
			digests++
			head, err := s3.NewFromConfig(configFor(e), pathStyle).HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String("logs-of-all"), Key: &key})
			if err != nil || len(head.Metadata["signature"]) != 512 || head.Metadata["signature-algorithm"] != "SHA256withRSA" {
				t.Errorf("%s has the metadata %v, %v", key, head.Metadata, err)
			}
		default:
			t.Errorf("%s is of no kind that is known", key)
		}
	}
	if logs == 0 || digests != 2 {
		t.Errorf("%d log files and %d digests after two hours, want 1 at least and 2", logs, digests)
	}
	keys, err := trails.ListPublicKeys(t.Context(), &cloudtrail.ListPublicKeysInput{})
	if err != nil || len(keys.PublicKeyList) != 1 {
		t.Errorf("public keys: %v, %v; want one", keys, err)
	}
}

func TestATrailLogsWhileItIsStarted(t *testing.T) {
	t.Parallel()
	e := start(t, local.Options{Template: []byte(strings.Replace(trailed, "IsLogging: true", "IsLogging: false", 1))})
	trails := cloudtrail.NewFromConfig(configFor(e))
	name := aws.String("made")
	later := func(want string) {
		t.Helper()
		if err := e.Clock().Advance(t.Context(), 10*time.Minute); err != nil {
			t.Fatal(err)
		}
		logs := 0
		for _, key := range keysOf(t, e, "logs-of-all") {
			if strings.Contains(key, "/CloudTrail/") {
				logs++
			}
		}
		if got := fmt.Sprint(logs, " files"); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	later("0 files")
	if _, err := trails.StartLogging(t.Context(), &cloudtrail.StartLoggingInput{Name: name}); err != nil {
		t.Fatal(err)
	}
	later("1 files") // with StartLogging itself
	if _, err := trails.StopLogging(t.Context(), &cloudtrail.StopLoggingInput{Name: name}); err != nil {
		t.Fatal(err)
	}
	later("1 files") // what was recorded until then was nothing; StopLogging came after
	if _, err := trails.DeleteTrail(t.Context(), &cloudtrail.DeleteTrailInput{Name: name}); err != nil {
		t.Fatal(err)
	}
	out, err := trails.DescribeTrails(t.Context(), &cloudtrail.DescribeTrailsInput{})
	if err != nil || len(out.TrailList) != 0 {
		t.Errorf("trails: %v, %v; want none", out, err)
	}
}

func TestATrailIsRefusedAsOnAWS(t *testing.T) {
	t.Parallel()
	e := start(t, local.Options{Template: []byte(trailed)})
	trails, buckets := cloudtrail.NewFromConfig(configFor(e)), s3.NewFromConfig(configFor(e), pathStyle)
	if _, err := buckets.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("without-policy")}); err != nil {
		t.Fatal(err)
	}
	code := func(err error) string {
		if api, ok := errors.AsType[smithy.APIError](err); ok {
			return api.ErrorCode()
		}
		return fmt.Sprint(err)
	}
	for want, in := range map[string]*cloudtrail.CreateTrailInput{
		"S3BucketDoesNotExistException":       {Name: aws.String("other"), S3BucketName: aws.String("nowhere")},
		"InsufficientS3BucketPolicyException": {Name: aws.String("other"), S3BucketName: aws.String("without-policy")},
		"TrailAlreadyExistsException":         {Name: aws.String("made"), S3BucketName: aws.String("logs-of-all"), S3KeyPrefix: aws.String("of/rekey")},
		"InvalidTrailNameException":           {Name: aws.String("a b"), S3BucketName: aws.String("logs-of-all")},
	} {
		if _, err := trails.CreateTrail(t.Context(), in); code(err) != want {
			t.Errorf("%s: %v", want, err)
		}
	}
	if _, err := trails.StartLogging(t.Context(), &cloudtrail.StartLoggingInput{Name: aws.String("other")}); code(err) != "TrailNotFoundException" {
		t.Errorf("a trail that there is not: %v", err)
	}
	// A policy that is taken away stops the deliveries, and the status says so.
	if _, err := buckets.DeleteBucketPolicy(t.Context(), &s3.DeleteBucketPolicyInput{Bucket: aws.String("logs-of-all")}); err != nil {
		t.Fatal(err)
	}
	if err := e.Clock().Advance(t.Context(), 10*time.Minute); err != nil {
		t.Fatal(err)
	}
	status, err := trails.GetTrailStatus(t.Context(), &cloudtrail.GetTrailStatusInput{Name: aws.String("made")})
	if err != nil || aws.ToString(status.LatestDeliveryError) != "AccessDenied" {
		t.Errorf("the status is %+v, %v; want AccessDenied", status, err)
	}
}
