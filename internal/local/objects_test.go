package local_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	cloudformationtypes "github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"github.com/rekey-go/rekey/internal/local"
)

// bucketed is a bucket with a policy, which refuses everybody one object.
const bucketed = `
  Reports: {Type: AWS::S3::Bucket, Properties: {BucketName: dev-reports}}
  ReportsPolicy:
    Type: AWS::S3::BucketPolicy
    Properties:
      Bucket: !Ref Reports
      PolicyDocument:
        Version: "2012-10-17"
        Statement:
          - {Effect: Deny, Principal: "*", Action: "s3:*", Resource: !Sub "${Reports.Arn}/sealed"}
`

func TestBucketsAskIAM(t *testing.T) {
	t.Parallel()
	e := guard(t, `
        - Statement:
            - {Effect: Allow, Action: ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"], Resource: "arn:aws:s3:::dev-reports/mine/*"}
            - {Effect: Allow, Action: "s3:ListBucket", Resource: "arn:aws:s3:::dev-reports", Condition: {StringLike: {"s3:prefix": "mine/*"}}}
`, bucketed)
	bucket := aws.String("dev-reports")
	admin, caller := s3.NewFromConfig(configFor(e)), s3.NewFromConfig(as(e, "Caller"))
	for _, key := range []string{"mine/a", "mine/b", "other"} {
		if _, err := admin.PutObject(t.Context(), &s3.PutObjectInput{Bucket: bucket, Key: &key, Body: strings.NewReader(key)}); err != nil {
			t.Fatal(err)
		}
	}
	get := func(c *s3.Client, key string) error {
		_, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: bucket, Key: &key})
		return err
	}
	put := func(key string) error {
		_, err := caller.PutObject(t.Context(), &s3.PutObjectInput{Bucket: bucket, Key: &key, Body: strings.NewReader("x")})
		return err
	}
	list := func(prefix string) error {
		_, err := caller.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: bucket, Prefix: &prefix})
		return err
	}
	copied := func(from, to string) error {
		_, err := caller.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: bucket, Key: &to, CopySource: aws.String("dev-reports/" + from)})
		return err
	}
	remove := func(keys ...string) error {
		var objects []types.ObjectIdentifier
		for _, key := range keys {
			objects = append(objects, types.ObjectIdentifier{Key: &key})
		}
		_, err := caller.DeleteObjects(t.Context(), &s3.DeleteObjectsInput{Bucket: bucket, Delete: &types.Delete{Objects: objects}})
		return err
	}
	for _, tt := range []struct {
		what string
		err  error
		want string // the action that is refused; empty if none is
	}{
		{"a read of its own", get(caller, "mine/a"), ""},
		{"a read of another", get(caller, "other"), "s3:GetObject"},
		{"a read that the bucket refuses", get(admin, "sealed"), "s3:GetObject"},
		{"a read of what is not there, which it may not list", get(caller, "mine/none"), "s3:ListBucket"},
		{"a write of its own", put("mine/c"), ""},
		{"a write elsewhere", put("other"), "s3:PutObject"},
		{"a list of its own", list("mine/"), ""},
		{"a list of all", list(""), "s3:ListBucket"},
		{"a copy of its own", copied("mine/a", "mine/d"), ""},
		{"a copy of another", copied("other", "mine/e"), "s3:GetObject"},
		{"a deletion of its own", remove("mine/a", "mine/b"), ""},
		{"a deletion of another too", remove("mine/c", "other"), "s3:DeleteObject"},
		{"a look at the buckets", func() error { _, err := caller.ListBuckets(t.Context(), nil); return err }(), "s3:ListAllMyBuckets"},
		{"what it deleted", get(admin, "mine/b"), "NoSuchKey"},
		{"what it did not", get(admin, "mine/c"), ""},
	} {
		refusal, isRefusal := errors.AsType[smithy.APIError](tt.err)
		switch {
		case tt.want == "" && tt.err != nil, tt.want != "" && !isRefusal:
			t.Errorf("%s: %v, want %q refused", tt.what, tt.err, tt.want)
		case tt.want == "NoSuchKey" && refusal.ErrorCode() != "NoSuchKey":
			t.Errorf("%s: %v, want NoSuchKey", tt.what, tt.err)
		case strings.HasPrefix(tt.want, "s3:") && (refusal.ErrorCode() != "AccessDenied" || !strings.Contains(refusal.ErrorMessage(), "perform: "+tt.want+" on resource: ")):
			t.Errorf("%s: %v, want AccessDenied for %s", tt.what, tt.err, tt.want)
		}
	}
}

func TestABucketOfAStackGoesWithIt(t *testing.T) {
	t.Parallel()
	const body = `
Resources:
  Reports: {Type: AWS::S3::Bucket}
  Policy:
    Type: AWS::S3::BucketPolicy
    Properties:
      Bucket: !Ref Reports
      PolicyDocument: {Statement: [{Effect: Deny, Principal: "*", Action: "s3:PutObject", Resource: !Sub "${Reports.Arn}/sealed"}]}
Outputs:
  Domain: {Value: !GetAtt Reports.RegionalDomainName}
`
	a := newAccount(t)
	changes, st := a.change(t, create("two", body))
	if diff := cmp.Diff([]string{"Add Reports", "Add Policy"}, changes); diff != "" || aws.ToString(st.Outputs[0].OutputValue) != "two-reports.s3."+local.Region+".amazonaws.com" {
		t.Fatalf("changes (-want +got):\n%s%+v", diff, st)
	}
	bucket, objects := aws.String("two-reports"), s3.NewFromConfig(configFor(a.Engine))
	put := func(key string) error {
		_, err := objects.PutObject(t.Context(), &s3.PutObjectInput{Bucket: bucket, Key: &key, Body: strings.NewReader("x")})
		return err
	}
	if err := put("a"); err != nil || put("sealed") == nil {
		t.Errorf("put: %v; want an object put, and one refused by the bucket's policy", err)
	}
	remove := func() *cloudformationtypes.Stack {
		if _, err := a.stacks.DeleteStack(t.Context(), &cloudformation.DeleteStackInput{StackName: new("two")}); err != nil {
			t.Fatal(err)
		}
		return a.settled(t, *st.StackId)
	}
	if got := remove(); got.StackStatus != cloudformationtypes.StackStatusDeleteFailed {
		t.Errorf("a stack with a bucket that has an object is %s, want DELETE_FAILED", got.StackStatus)
	}
	if _, err := objects.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: bucket, Key: aws.String("a")}); err != nil {
		t.Fatal(err)
	}
	if got := remove(); got.StackStatus != cloudformationtypes.StackStatusDeleteComplete || a.Objects.Has("two-reports") {
		t.Errorf("the stack is %s, and its bucket is there: %v", got.StackStatus, a.Objects.Has("two-reports"))
	}
}

func TestABucketPolicyIsOneThatCanBeRead(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	objects := s3.NewFromConfig(configFor(a.Engine))
	if _, err := objects.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("reports")}); err != nil {
		t.Fatal(err)
	}
	_, err := objects.PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{Bucket: aws.String("reports"), Policy: aws.String(`{"Statement":[{"Effect":"Maybe"}]}`)})
	if refusal, ok := errors.AsType[smithy.APIError](err); !ok || refusal.ErrorCode() != "MalformedPolicy" {
		t.Errorf("a policy that cannot be read: %v, want MalformedPolicy", err)
	}
}

func TestAStackLeavesABucketThatItRetainsAndItsSuccessorMakesAnother(t *testing.T) {
	t.Parallel()
	const body = `
Resources:
  Reports: {Type: AWS::S3::Bucket, DeletionPolicy: Retain}
Outputs:
  Bucket: {Value: !Ref Reports}
`
	a := newAccount(t)
	_, st := a.change(t, create("two", body))
	if _, err := a.stacks.DeleteStack(t.Context(), &cloudformation.DeleteStackInput{StackName: new("two")}); err != nil {
		t.Fatal(err)
	}
	if got := a.settled(t, *st.StackId); got.StackStatus != cloudformationtypes.StackStatusDeleteComplete {
		t.Fatalf("the stack is %s, want DELETE_COMPLETE", got.StackStatus)
	}
	if !a.Objects.Has(aws.ToString(st.Outputs[0].OutputValue)) {
		t.Error("the bucket went with its stack")
	}
	if _, again := a.change(t, create("two", body)); aws.ToString(again.Outputs[0].OutputValue) == aws.ToString(st.Outputs[0].OutputValue) {
		t.Errorf("the next stack took the bucket %s over", aws.ToString(st.Outputs[0].OutputValue))
	}
}
