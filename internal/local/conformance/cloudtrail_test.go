package conformance_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// The shapes are those of records that people published of their own accounts:
// the logs of DataDog's stratus-red-team (docs/detonation-logs), the events in
// the documentation of External Secrets' Reloader, AWS's user guides of Secrets
// Manager and KMS, and its re:Post article on "aRN".

// trailDelay is how much longer than anything else AWS's trail takes.
const trailDelay = 8

// recordCases are what the trail has of calls on the secret $name, whose ARN is
// $arn: by the name of the event its request and its response.
func recordCases() map[string]belief {
	record := func(request, response string, readOnly bool, more string) []step {
		return []step{ok("", "", fmt.Sprintf(`{
			"eventVersion":"$any","userIdentity":"$any","eventTime":"$any","eventSource":"secretsmanager.amazonaws.com","eventName":"$any",
			"awsRegion":"$any","sourceIPAddress":"$any","userAgent":"$any","requestParameters":%s,"responseElements":%s,"requestID":"$any",
			"eventID":"$any","readOnly":%t,"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"$any","eventCategory":"Management"%s}`,
			request, response, readOnly, more))}
	}
	return map[string]belief{
		"CreateSecret":   {inferred, "re:Post, secrets-manager-arn: of the operations that were said to tell \"aRN\", those that write a value are none", record(`{"name":"$name","clientRequestToken":"$t1","description":"of a test"}`, `{"arn":"$arn"}`, false, "")},
		"PutSecretValue": {recorded, "External Secrets Reloader, SQS schema", record(`{"secretId":"$name","clientRequestToken":"$t2"}`, `{"arn":"$arn"}`, false, "")},
		"GetSecretValue": {recorded, "stratus-red-team, secretsmanager-retrieve-secrets", record(`{"secretId":"$arn","versionStage":"AWSCURRENT"}`, `null`, true, "")},
		"DescribeSecret": {inferred, "stratus-red-team, secretsmanager-retrieve-secrets", record(`{"secretId":"$name"}`, `null`, true, "")},
		"RestoreSecret":  {documented, "re:Post, secrets-manager-arn", record(`{"secretId":"$name"}`, `{"arn":"$arn","name":"$name"}`, false, "")},
		"DeleteSecret":   {documented, "user guide, monitoring; re:Post, secrets-manager-arn", record(`{"secretId":"$name","recoveryWindowInDays":7}`, `{"arn":"$arn","name":"$name","deletionDate":"$any"}`, false, "")},
		"ListSecretVersionIds": {remembered, "what a missing secret leaves", record(`{"secretId":"$other"}`, `null`, true,
			`,"errorCode":"ResourceNotFoundException","errorMessage":"Secrets Manager can't find the specified secret."`)},
	}
}

// makeRecords makes the calls of the cases.
func makeRecords(ctx context.Context, client *secretsmanager.Client, v variables) error {
	made, err := client.CreateSecret(ctx, &secretsmanager.CreateSecretInput{
		Name: new(v["name"]), ClientRequestToken: new(v["t1"]), Description: new("of a test"), SecretString: new("first"),
	})
	if err != nil {
		return err
	}
	v["arn"] = *made.ARN
	var errs [6]error
	_, errs[0] = client.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: new(v["name"]), ClientRequestToken: new(v["t2"]), SecretString: new("second")})
	_, errs[1] = client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: made.ARN, VersionStage: new("AWSCURRENT")})
	_, errs[2] = client.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: new(v["name"])})
	_, errs[3] = client.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: new(v["name"]), RecoveryWindowInDays: new(int64(7))})
	_, errs[4] = client.RestoreSecret(ctx, &secretsmanager.RestoreSecretInput{SecretId: new(v["name"])})
	if _, err := client.ListSecretVersionIds(ctx, &secretsmanager.ListSecretVersionIdsInput{SecretId: new(v["other"])}); err == nil {
		errs[5] = fmt.Errorf("the secret %s is there", v["other"])
	}
	return errors.Join(errs[:]...)
}

func TestCloudTrailRecords(t *testing.T) {
	to := newTarget(t)
	vars := variables{"name": "rekey-conformance-" + token()[:8], "t1": token(), "t2": token()}
	vars["other"] = vars["name"] + "/Other"
	client, began := secretsmanager.NewFromConfig(to.config), time.Now().Add(-time.Minute)
	t.Cleanup(func() {
		_, _ = client.DeleteSecret(context.Background(), &secretsmanager.DeleteSecretInput{SecretId: new(vars["name"]), ForceDeleteWithoutRecovery: new(true)})
	})
	if err := makeRecords(t.Context(), client, vars); err != nil {
		t.Fatal(err)
	}
	cases, held := recordCases(), 0
	for _, name := range slices.Sorted(maps.Keys(cases)) {
		b := cases[name]
		err := to.record(t.Context(), name, b.steps[0].want, vars, began)
		switch {
		case err == nil:
			held++
		case to.mustHold:
			t.Errorf("%s: %v\n%s: %s", name, err, b.source, b.where)
		default:
			t.Logf("%s does not hold: %v", name, err)
		}
	}
	t.Logf("records: %d of %d cases hold at %s", held, len(cases), aws.ToString(to.config.BaseEndpoint))
}

// record waits for an event of the secret and holds its record against what is
// believed. That of an encrypted connection, and of a console, is left out.
func (to target) record(ctx context.Context, event, want string, vars variables, since time.Time) error {
	wanted, err := parse([]byte(want))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, trailDelay*to.patience)
	defer cancel()
	for {
		found, err := to.find(ctx, event, vars, since)
		if found != nil {
			delete(found, "tlsDetails")
			return vars.match(wanted, found)
		}
		if err != nil || !to.mustHold {
			return errors.Join(err, errors.New("there is no record"))
		}
		select {
		case <-ctx.Done():
			return errors.New("there is no record")
		case <-time.After(to.pause):
		}
	}
}

// find looks an event up that is about one of the case's secrets.
func (to target) find(ctx context.Context, event string, vars variables, since time.Time) (map[string]any, error) {
	pages := cloudtrail.NewLookupEventsPaginator(cloudtrail.NewFromConfig(to.config), &cloudtrail.LookupEventsInput{
		StartTime:        &since,
		LookupAttributes: []types.LookupAttribute{{AttributeKey: types.LookupAttributeKeyEventName, AttributeValue: &event}},
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, e := range page.Events {
			got, err := parse([]byte(aws.ToString(e.CloudTrailEvent)))
			if err != nil {
				return nil, fmt.Errorf("the record of %s: %w", event, err)
			}
			record, _ := got.(map[string]any)
			asked, _ := record["requestParameters"].(map[string]any)
			names := []string{vars["name"], vars["other"], vars["arn"]}
			if slices.Contains(names, fmt.Sprint(asked["secretId"])) || slices.Contains(names, fmt.Sprint(asked["name"])) {
				return record, nil
			}
		}
	}
	return nil, nil
}

func TestCloudTrail(t *testing.T) {
	service{
		name: "cloudtrail", target: "CloudTrail_20131101",
		client:   func(cfg aws.Config) any { return cloudtrail.NewFromConfig(cfg) },
		modelled: func(string) bool { return true },
		derive:   func(variables) {},
		cleanUp:  func(context.Context, any, variables) error { return nil },
	}.check(t, lookupCases())
}

func lookupCases() map[string]belief {
	attribute := func(key, value string) string {
		text, _ := json.Marshal(map[string]string{"AttributeKey": key, "AttributeValue": value}) // strings only
		return string(text)
	}
	return map[string]belief{
		"an event that is not there": {documented, "API reference, LookupEvents", []step{
			ok("LookupEvents", `{"LookupAttributes":[`+attribute("EventId", "$t1")+`]}`, `{"Events":[]}`),
		}},
		"a secret that nothing happened to": {documented, "API reference, LookupEvents", []step{
			ok("LookupEvents", `{"MaxResults":1,"LookupAttributes":[`+attribute("ResourceName", "$name")+`]}`, `{"Events":[]}`),
		}},
	}
}
