package local_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/rekey-go/rekey"
	"github.com/rekey-go/rekey/internal/local"
	"github.com/rekey-go/rekey/internal/polltest"
)

// TestAFailedRotationIsAnIncident has a rotation function of the system's
// template crash, which the alarm's queue is to hear of.
func TestAFailedRotationIsAnIncident(t *testing.T) {
	t.Parallel()
	e, err := local.Start(t.Context(), local.Options{
		Template: rekey.Template, TemplateFile: "template.yaml", RotationBackoff: []time.Duration{time.Hour},
		Command: func(string) ([]string, error) { return []string{"/bin/false"}, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close(t.Context()) }) //nolint:usetesting // nothing runs any more.
	for _, call := range []struct {
		target string
		input  map[string]any
	}{
		{"secretsmanager.PutSecretValue", map[string]any{"SecretId": "dev-jwt-configuration", "SecretString": "{}"}},
		{"secretsmanager.RotateSecret", map[string]any{"SecretId": "dev-jwt-configuration", "ClientRequestToken": strings.Repeat("1", 32)}},
	} {
		if status, answer := post(t, e, "operator", call.target, call.input); status != http.StatusOK {
			t.Fatalf("%s: %s", call.target, answer)
		}
	}
	var got *sqs.ReceiveMessageOutput
	polltest.Until(t, "there is an incident", func() bool {
		if got, err = sqs.NewFromConfig(configFor(e)).ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{
			QueueUrl: aws.String(e.Endpoint() + "/123456789012/dev-rekey-incidents"), WaitTimeSeconds: 20,
		}); err != nil {
			t.Fatal(err)
		}
		return len(got.Messages) > 0
	})
	body := aws.ToString(got.Messages[0].Body)
	if !strings.Contains(body, `"RotationFailed"`) || !strings.Contains(body, ":secret:dev-jwt-configuration-") {
		t.Errorf("the incident is %s, want the failed rotation", body)
	}
}

// TestADeploymentEndsWithAReport holds the pattern of the audit's rule to the
// event that CloudFormation sends, as AWS documents it.
func TestADeploymentEndsWithAReport(t *testing.T) {
	t.Parallel()
	e, err := local.Start(t.Context(), local.Options{
		Template: rekey.Template, TemplateFile: "template.yaml", StackName: "rekey-dev",
		Command: func(string) ([]string, error) { return []string{"/bin/false"}, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close(t.Context()) }) //nolint:usetesting // nothing runs any more.
	bus := eventbridge.NewFromConfig(configFor(e))
	rule, err := bus.DescribeRule(t.Context(), &eventbridge.DescribeRuleInput{Name: aws.String("dev-audit-deployed")})
	if err != nil {
		t.Fatal(err)
	}
	const own = "arn:aws:cloudformation:us-east-1:123456789012:stack/rekey-dev/local"
	tests := map[string]struct {
		stack, status string
		want          bool
	}{
		"it was made":          {own, "CREATE_COMPLETE", true},
		"it was changed":       {own, "UPDATE_COMPLETE", true},
		"it is being changed":  {own, "UPDATE_IN_PROGRESS", false},
		"it is gone":           {own, "DELETE_COMPLETE", false},
		"another one was made": {strings.Replace(own, "dev", "prod", 1), "CREATE_COMPLETE", false},
	}
	for name, tt := range tests {
		event := `{"version":"0","id":"6a7e8feb-b491-4cf7-a9f1-bf3703467718","detail-type":"CloudFormation Stack Status Change",
			"source":"aws.cloudformation","account":"123456789012","time":"2026-11-26T18:43:48Z","region":"us-east-1","resources":["` + tt.stack + `"],
			"detail":{"stack-id":"` + tt.stack + `","status-details":{"status":"` + tt.status + `","status-reason":""},"client-request-token":""}}`
		got, err := bus.TestEventPattern(t.Context(), &eventbridge.TestEventPatternInput{EventPattern: rule.EventPattern, Event: &event})
		if err != nil {
			t.Fatal(err)
		}
		if got.Result != tt.want {
			t.Errorf("%s: the rule has the audit run: %v", name, got.Result)
		}
	}
}
