package cloudtrail_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	"github.com/aws/smithy-go"
	gocmp "github.com/google/go-cmp/cmp"

	"github.com/rekey-go/rekey/internal/local/clock"
	"github.com/rekey-go/rekey/internal/local/cloudtrail"
	"github.com/rekey-go/rekey/internal/local/wire"
)

const (
	account     = "123456789012"
	region      = "us-east-1"
	secretARN   = "arn:aws:secretsmanager:us-east-1:123456789012:secret:dev-orders-a1b2c3"
	functionARN = "arn:aws:lambda:us-east-1:123456789012:function:dev-login"
	keyARN      = "arn:aws:kms:us-east-1:123456789012:key/aws-secretsmanager"
	canary      = "canary-9d27"
)

// open opens a trail on a clock that stands still.
func open(t *testing.T, opts cloudtrail.Options) *cloudtrail.Service {
	t.Helper()
	opts.Account, opts.Region = account, region
	s, err := cloudtrail.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

func frozen() *clock.Clock {
	c := clock.New()
	c.Freeze()
	return c
}

// client is the SDK's client of a trail behind the front door.
func client(t *testing.T, s *cloudtrail.Service) *sdk.Client {
	t.Helper()
	front := wire.NewFront(wire.FrontOptions{Account: account, Region: region, Now: time.Now}, s.Wire())
	server := httptest.NewServer(front)
	t.Cleanup(server.Close)
	return sdk.New(sdk.Options{
		Region:       region,
		BaseEndpoint: aws.String(server.URL),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}, nil
		}),
	})
}

// call is a call as the front door gives it to the recorder.
func call(at time.Time, operation, input string) *wire.Call {
	return &wire.Call{
		Service:     "secretsmanager",
		EventSource: "secretsmanager.amazonaws.com",
		Operation:   operation,
		Region:      region,
		Account:     account,
		RequestID:   "request-1",
		SourceIP:    "127.0.0.1",
		UserAgent:   "aws-sdk-go-v2/1.47.8",
		Time:        at,
		Caller: wire.Principal{
			Type:        "AssumedRole",
			PrincipalID: "AROAEXAMPLE:dev-login",
			ARN:         "arn:aws:sts::123456789012:assumed-role/dev-login/dev-login",
			AccountID:   account,
			AccessKeyID: "ASIAEXAMPLE",
			RoleARN:     "arn:aws:iam::123456789012:role/dev-login",
			RoleName:    "dev-login",
			SessionName: "dev-login",
			Issued:      at.Add(-time.Minute),
			IssuedTo:    functionARN,
		},
		Input:     json.RawMessage(input),
		Resources: []wire.Resource{{ARN: secretARN, Type: "AWS::SecretsManager::Secret", AccountID: account}},
	}
}

func lookup(t *testing.T, c *sdk.Client, key types.LookupAttributeKey, value string) []types.Event {
	t.Helper()
	in := &sdk.LookupEventsInput{}
	if key != "" {
		in.LookupAttributes = []types.LookupAttribute{{AttributeKey: key, AttributeValue: &value}}
	}
	var events []types.Event
	for pages := sdk.NewLookupEventsPaginator(c, in); pages.HasMorePages(); {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatalf("LookupEvents: %v", err)
		}
		events = append(events, page.Events...)
	}
	return events
}

// record decodes the record of an event, without its random parts.
func record(t *testing.T, e types.Event) map[string]any {
	t.Helper()
	var r map[string]any
	if err := json.Unmarshal([]byte(*e.CloudTrailEvent), &r); err != nil {
		t.Fatal(err)
	}
	delete(r, "eventID")
	return r
}

var at = time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)

// trailAt opens a trail whose clock shows the time of the test's calls.
func trailAt(t *testing.T, opts cloudtrail.Options) *cloudtrail.Service {
	t.Helper()
	opts.Clock = clock.Restore(clock.State{Stands: at.Add(time.Hour)})
	return open(t, opts)
}

func TestRecordsHaveTheShapeOfCloudTrail(t *testing.T) {
	t.Parallel()
	identity := map[string]any{
		"type": "AssumedRole", "principalId": "AROAEXAMPLE:dev-login",
		"arn":       "arn:aws:sts::123456789012:assumed-role/dev-login/dev-login",
		"accountId": account, "accessKeyId": "ASIAEXAMPLE",
		"sessionContext": map[string]any{
			"sessionIssuer": map[string]any{
				"type": "Role", "principalId": "AROAEXAMPLE", "arn": "arn:aws:iam::123456789012:role/dev-login",
				"accountId": account, "userName": "dev-login",
			},
			"attributes": map[string]any{"creationDate": "2026-11-24T09:59:00Z", "mfaAuthenticated": "false"},
		},
		"inScopeOf": map[string]any{"issuerType": "AWS::Lambda::Function", "credentialsIssuedTo": functionARN},
	}
	base := map[string]any{
		"eventVersion": "1.11", "userIdentity": identity, "eventTime": "2026-11-24T10:00:00Z",
		"eventSource": "secretsmanager.amazonaws.com", "awsRegion": region, "sourceIPAddress": "127.0.0.1",
		"userAgent": "aws-sdk-go-v2/1.47.8", "responseElements": nil, "requestID": "request-1",
		"eventType": "AwsApiCall", "managementEvent": true, "recipientAccountId": account, "eventCategory": "Management",
	}
	type output struct {
		ARN          string
		VersionID    string `json:"VersionId"`
		SecretString string
		DeletionDate wire.Timestamp `json:",omitzero"`
	}
	tests := map[string]struct {
		call   *wire.Call
		op     wire.Operation
		output any
		err    error
		want   map[string]any
	}{
		"a read has no response, whatever was answered": {
			call:   call(at, "GetSecretValue", `{"SecretId":"dev-orders","VersionStage":"AWSCURRENT"}`),
			op:     wire.Operation{Access: wire.Read},
			output: &output{ARN: secretARN, SecretString: canary},
			want: map[string]any{
				"eventName": "GetSecretValue", "readOnly": true,
				"requestParameters": map[string]any{"secretId": "dev-orders", "versionStage": "AWSCURRENT"},
			},
		},
		"a write of a value tells the ARN, and nothing of the value": {
			call:   call(at, "PutSecretValue", `{"SecretId":"dev-orders","ClientRequestToken":"v-1","SecretString":"`+canary+`"}`),
			op:     wire.Operation{Access: wire.Write, Redact: []string{"SecretString"}},
			output: &output{ARN: secretARN, VersionID: "v-1", SecretString: canary},
			want: map[string]any{
				"eventName": "PutSecretValue", "readOnly": false,
				"requestParameters": map[string]any{"secretId": "dev-orders", "clientRequestToken": "v-1"},
				"responseElements":  map[string]any{"arn": secretARN},
			},
		},
		"any other write tells its answer": {
			call:   call(at, "RotateSecret", `{"SecretId":"dev-orders","ClientRequestToken":"v-1","RotationRules":{"AutomaticallyAfterDays":30}}`),
			op:     wire.Operation{Access: wire.Write},
			output: &output{ARN: secretARN, VersionID: "v-1"},
			want: map[string]any{
				"eventName": "RotateSecret", "readOnly": false,
				"requestParameters": map[string]any{
					"secretId": "dev-orders", "clientRequestToken": "v-1", "rotationRules": map[string]any{"automaticallyAfterDays": 30.0},
				},
				"responseElements": map[string]any{"arn": secretARN, "versionId": "v-1"},
			},
		},
		"a value is left out where the operation forgot to say so": {
			call: call(at, "CreateSecret", `{"Name":"dev-orders","SecretString":"`+canary+`","Tags":[{"Key":"Team","Value":"a"}]}`),
			op:   wire.Operation{Access: wire.Write},
			want: map[string]any{
				"eventName": "CreateSecret", "readOnly": false,
				"requestParameters": map[string]any{
					"name": "dev-orders", "tags": []any{map[string]any{"key": "Team", "value": "a"}},
				},
			},
		},
		"a time is written in words": {
			call:   call(at, "DeleteSecret", `{"SecretId":"dev-orders","RecoveryWindowInDays":7}`),
			op:     wire.Operation{Access: wire.Write},
			output: &output{ARN: secretARN, DeletionDate: wire.Timestamp(time.Date(2023, 7, 10, 12, 7, 59, 0, time.UTC))},
			want: map[string]any{
				"eventName": "DeleteSecret", "readOnly": false,
				"requestParameters": map[string]any{"secretId": "dev-orders", "recoveryWindowInDays": 7.0},
				"responseElements":  map[string]any{"arn": secretARN, "deletionDate": "Jul 10, 2023, 12:07:59 PM", "versionId": ""},
			},
		},
		"a call that was not allowed has code and message": {
			call: call(at, "GetSecretValue", ""), // the front door lets none through
			op:   wire.Operation{Access: wire.Read},
			err:  wire.Unmodelled("AccessDeniedException", "not authorized"),
			want: map[string]any{
				"eventName": "GetSecretValue", "readOnly": true, "requestParameters": nil,
				"errorCode": "AccessDenied", "errorMessage": "not authorized",
			},
		},
		"a call that failed has code, message and parameters": {
			call: call(at, "GetSecretValue", `{"SecretId":"dev-orders"}`),
			op:   wire.Operation{Access: wire.Read},
			err:  wire.Errorf("ResourceNotFoundException", "not found"),
			want: map[string]any{
				"eventName": "GetSecretValue", "readOnly": true,
				"requestParameters": map[string]any{"secretId": "dev-orders"},
				"errorCode":         "ResourceNotFoundException", "errorMessage": "not found",
			},
		},
		"a failure of the engine is told without its text": {
			call: call(at, "ListSecrets", `{}`),
			op:   wire.Operation{Access: wire.Read},
			err:  errors.New(canary),
			want: map[string]any{
				"eventName": "ListSecrets", "readOnly": true, "requestParameters": nil,
				"errorCode": "InternalFailure", "errorMessage": "An unknown error occurred",
			},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := trailAt(t, cloudtrail.Options{})
			s.Record(tt.call, tt.op, tt.output, tt.err)
			events := lookup(t, client(t, s), "EventSource", "secretsmanager.amazonaws.com")
			if len(events) != 1 {
				t.Fatalf("LookupEvents: got %d events, want 1", len(events))
			}
			want := make(map[string]any)
			for _, part := range []map[string]any{base, tt.want} {
				maps.Copy(want, part)
			}
			if diff := gocmp.Diff(want, record(t, events[0])); diff != "" {
				t.Errorf("record (-want +got):\n%s", diff)
			}
		})
	}
}

func TestACallLeavesItsCompanions(t *testing.T) {
	t.Parallel()
	s := trailAt(t, cloudtrail.Options{})
	c := call(at, "BatchGetSecretValue", `{"SecretIdList":["dev-orders"]}`)
	c.Also = []wire.Companion{{
		Operation:  "GetSecretValue",
		Parameters: map[string]any{"SecretId": secretARN},
		KMS: []wire.KMSUse{{
			Operation: "Decrypt", KeyARN: keyARN,
			Context: map[string]string{"SecretARN": secretARN, "SecretVersionId": "v-1"},
		}},
	}}
	s.Record(c, wire.Operation{Access: wire.Read}, nil, nil)
	events := lookup(t, client(t, s), "ReadOnly", "true")
	var names []string
	for _, e := range events {
		names = append(names, *e.EventName)
	}
	want := []string{"Decrypt", "GetSecretValue", "BatchGetSecretValue"}
	if diff := gocmp.Diff(want, names); diff != "" {
		t.Fatalf("events (-want +got):\n%s", diff)
	}
	decrypt := record(t, events[0])
	if got := decrypt["userIdentity"].(map[string]any)["invokedBy"]; got != "secretsmanager.amazonaws.com" {
		t.Errorf("invokedBy of the decrypt: %v", got)
	}
	wantParameters := map[string]any{
		"encryptionContext":   map[string]any{"SecretARN": secretARN, "SecretVersionId": "v-1"},
		"encryptionAlgorithm": "SYMMETRIC_DEFAULT",
	}
	if diff := gocmp.Diff(wantParameters, decrypt["requestParameters"]); diff != "" {
		t.Errorf("requestParameters of the decrypt (-want +got):\n%s", diff)
	}
	wantResources := []any{map[string]any{"accountId": account, "type": "AWS::KMS::Key", "ARN": keyARN}}
	if diff := gocmp.Diff(wantResources, decrypt["resources"]); diff != "" || decrypt["sharedEventID"] != nil {
		t.Errorf("resources of the decrypt, shared %v (-want +got):\n%s", decrypt["sharedEventID"], diff)
	}
	if got := record(t, events[1])["requestParameters"]; gocmp.Diff(map[string]any{"secretId": secretARN}, got) != "" {
		t.Errorf("requestParameters of the companion: %v", got)
	}
}

func TestAServiceEventHasNoCaller(t *testing.T) {
	t.Parallel()
	s := trailAt(t, cloudtrail.Options{})
	s.ServiceEvent(wire.ServiceEvent{
		EventSource: "secretsmanager.amazonaws.com", EventName: "RotationFailed",
		Additional:   map[string]any{"SecretId": secretARN},
		ErrorMessage: "Error when executing lambda f during testSecret step", RequestID: "Rotation-1", Time: at,
	})
	events := lookup(t, client(t, s), "EventName", "RotationFailed")
	if len(events) != 1 {
		t.Fatalf("LookupEvents: got %d events, want 1", len(events))
	}
	want := map[string]any{
		"eventVersion": "1.11", "userIdentity": map[string]any{"accountId": account, "invokedBy": "secretsmanager.amazonaws.com"},
		"eventTime": "2026-11-24T10:00:00Z", "eventSource": "secretsmanager.amazonaws.com", "eventName": "RotationFailed",
		"awsRegion": region, "sourceIPAddress": "secretsmanager.amazonaws.com", "userAgent": "secretsmanager.amazonaws.com",
		"errorMessage":      "Error when executing lambda f during testSecret step",
		"requestParameters": nil, "responseElements": nil, "requestID": "Rotation-1", "readOnly": false,
		"additionalEventData": map[string]any{"SecretId": secretARN},
		"eventType":           "AwsServiceEvent", "managementEvent": true, "recipientAccountId": account, "eventCategory": "Management",
	}
	if diff := gocmp.Diff(want, record(t, events[0])); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
}

func TestAKeyOfAnotherAccountSharesItsRecord(t *testing.T) {
	t.Parallel()
	s := trailAt(t, cloudtrail.Options{})
	c := call(at, "GetSecretValue", `{"SecretId":"dev-orders"}`)
	c.KMS = []wire.KMSUse{{Operation: "Decrypt", KeyARN: "arn:aws:kms:us-east-1:210987654321:key/k-1"}}
	s.Record(c, wire.Operation{Access: wire.Read}, nil, nil)
	events := lookup(t, client(t, s), "EventName", "Decrypt")
	if len(events) != 1 {
		t.Fatalf("LookupEvents: got %d events, want 1", len(events))
	}
	decrypt := record(t, events[0])
	want := []any{map[string]any{"accountId": "210987654321", "type": "AWS::KMS::Key", "ARN": "arn:aws:kms:us-east-1:210987654321:key/k-1"}}
	if diff := gocmp.Diff(want, decrypt["resources"]); diff != "" || decrypt["sharedEventID"] == nil {
		t.Errorf("resources, shared %v (-want +got):\n%s", decrypt["sharedEventID"], diff)
	}
}

// A bus keeps what was published.
type bus struct {
	mu     sync.Mutex
	events []string
}

func (b *bus) PublishRead(source, detailType string, _ []string, detail any) {
	b.note("read ", source, detailType, detail)
}

func (b *bus) Publish(source, detailType string, _ []string, detail any) {
	b.note("", source, detailType, detail)
}

func (b *bus) note(kind, source, detailType string, detail any) {
	var r struct{ EventName, EventID string }
	raw, _ := detail.(json.RawMessage)
	_ = json.Unmarshal(raw, &r)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events = append(b.events, kind+source+" "+detailType+" "+r.EventName)
}

func TestTheBusHearsOfCallsAndOfServiceEvents(t *testing.T) {
	t.Parallel()
	heard := new(bus)
	s := trailAt(t, cloudtrail.Options{Publisher: heard})
	s.Record(call(at, "PutSecretValue", `{"SecretId":"dev-orders"}`), wire.Operation{Access: wire.Write}, nil, nil)
	s.Record(call(at, "GetSecretValue", `{"SecretId":"dev-orders"}`), wire.Operation{Access: wire.Read}, nil, nil)
	s.ServiceEvent(wire.ServiceEvent{EventSource: "secretsmanager.amazonaws.com", EventName: "RotationSucceeded"})
	if err := s.Sync(); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"aws.secretsmanager AWS API Call via CloudTrail PutSecretValue",
		"read aws.secretsmanager AWS API Call via CloudTrail GetSecretValue",
		"aws.secretsmanager AWS Service Event via CloudTrail RotationSucceeded",
	}
	if diff := gocmp.Diff(want, heard.events); diff != "" {
		t.Errorf("published (-want +got):\n%s", diff)
	}
}

func codeOf(err error) string {
	e, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		return ""
	}
	return cmp.Or(e.ErrorCode(), "?")
}
