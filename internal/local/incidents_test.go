package local_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/rekey-go/rekey"
	"github.com/rekey-go/rekey/internal/local"
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
	got, err := sqs.NewFromConfig(configFor(e)).ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{
		QueueUrl: aws.String(e.Endpoint() + "/123456789012/dev-rekey-incidents"), WaitTimeSeconds: 20,
	})
	if err != nil || len(got.Messages) == 0 {
		t.Fatalf("no incident: %v", err)
	}
	body := aws.ToString(got.Messages[0].Body)
	if !strings.Contains(body, `"RotationFailed"`) || !strings.Contains(body, ":secret:dev-jwt-configuration-") {
		t.Errorf("the incident is %s, want the failed rotation", body)
	}
}
