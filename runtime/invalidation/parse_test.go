package invalidation_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rekey-go/rekey/runtime/invalidation"
)

const (
	arn    = "arn:aws:secretsmanager:us-east-1:123456789012:secret:dev-db-AbCdEf"
	ours   = `{"version":"0","source":"rekey","detail-type":"Secret Rotated","resources":["` + arn + `"],"detail":{"secretArn":"` + arn + `","name":"dev-db","versionId":"v2","previousVersionId":"v1","reason":"rotated","at":"2026-11-24T12:00:00.5Z"}}`
	native = `{"version":"0","source":"aws.secretsmanager","detail-type":"Secret Label Updated","time":"2026-11-24T12:00:00Z","resources":["` + arn + `"],"detail":{"name":"dev-db","labelUpdated":"AWSCURRENT","versionId":"v2"}}`
)

// call is an event via CloudTrail.
func call(detailType, detail string) string {
	return `{"source":"aws.secretsmanager","detail-type":"` + detailType + ` via CloudTrail","detail":` + detail + `}`
}

// quoted is a text as a JSON string.
func quoted(text string) string {
	q, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return string(q)
}

func sqs(bodies ...string) string {
	records := make([]map[string]string, len(bodies))
	for i, body := range bodies {
		records[i] = map[string]string{"eventSource": "aws:sqs", "body": body}
	}
	b, err := json.Marshal(map[string]any{"Records": records})
	if err != nil {
		panic(err)
	}
	return string(b)
}

func TestParse(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	rotated := invalidation.Rotated{SecretARN: arn, Name: "dev-db", VersionID: "v2", PreviousVersionID: "v1", Reason: "rotated", At: at.Add(500 * time.Millisecond)}
	moved := invalidation.Rotated{SecretARN: arn, Name: "dev-db", VersionID: "v2", Reason: "label updated", At: at}
	retired := rotated
	retired.Reason = "retired"
	tests := map[string]struct {
		payload string
		want    []invalidation.Rotated
		only    bool
	}{
		"our event":                  {payload: ours, want: []invalidation.Rotated{rotated}, only: true},
		"our event of a revocation":  {payload: replace(ours, "Secret Rotated", "Secret Retired"), want: []invalidation.Rotated{retired}, only: true},
		"our event without a secret": {payload: `{"source":"rekey","detail-type":"Secret Rotated","detail":{}}`, only: true},
		"our other events":           {payload: replace(ours, "Secret Rotated", "Retirement Abandoned")},
		"ours from another source":   {payload: replace(ours, `"rekey"`, `"someone"`)},
		"the native event":           {payload: native, want: []invalidation.Rotated{moved}, only: true},
		"another label":              {payload: replace(native, "AWSCURRENT", "REKEY_SUPPLIED"), only: true},
		"an SQS batch":               {payload: sqs(ours, native), want: []invalidation.Rotated{rotated, moved}, only: true},
		"SNS in SQS":                 {payload: sqs(`{"Type":"Notification","Message":` + quoted(ours) + `}`), want: []invalidation.Rotated{rotated}, only: true},
		"SNS":                        {payload: `{"Records":[{"EventSource":"aws:sns","Sns":{"Message":` + quoted(ours) + `}}]}`, want: []invalidation.Rotated{rotated}, only: true},
		"a batch with other things":  {payload: sqs(ours, `{"order":7}`), want: []invalidation.Rotated{rotated}},
		"an HTTP request about it":   {payload: `{"version":"2.0","routeKey":"POST /","body":` + quoted(ours) + `}`},
		"raw message delivery":       {payload: native, want: []invalidation.Rotated{moved}, only: true},
		"the body of one message":    {payload: `{"Type":"Notification","Message":` + quoted(native) + `}`, want: []invalidation.Rotated{moved}, only: true},
		"the same twice in a batch":  {payload: sqs(ours, ours, native), want: []invalidation.Rotated{rotated, moved}, only: true},
		"a record of another kind":   {payload: `{"Records":[{"body":{"detail-type":1}},{"body":` + quoted(ours) + `}]}`, want: []invalidation.Rotated{rotated}},
		"a batch in a message":       {payload: sqs(sqs(ours, native))},
		"a native event of another":  {payload: replace(native, "aws.secretsmanager", "aws.secretsmanager.example")},
		"a notification of one":      {payload: `{"Type":"Notification","Message":` + quoted(`{"Type":"Notification","Message":`+quoted(ours)+`}`) + `}`},
		"nested beyond all reason":   {payload: sqs(sqs(sqs(sqs(ours))))},
		"no JSON":                    {payload: `detail-type`},
		"nothing":                    {},
		"a put": {
			payload: call("AWS API Call", `{"eventName":"PutSecretValue","requestParameters":{"secretId":"dev-db","clientRequestToken":"v2"},"responseElements":{"arn":"`+arn+`"}}`),
			want:    []invalidation.Rotated{{SecretARN: arn, Name: "dev-db", Reason: "put"}}, only: true,
		},
		"a put of which only the name is known": {
			payload: call("AWS API Call", `{"eventName":"PutSecretValue","requestParameters":{"secretId":"dev-db"},"responseElements":null}`),
			want:    []invalidation.Rotated{{Name: "dev-db", Reason: "put"}}, only: true,
		},
		"a put that was refused": {
			payload: call("AWS API Call", `{"eventName":"PutSecretValue","errorCode":"AccessDenied","requestParameters":{"secretId":"dev-db"}}`), only: true,
		},
		"a rollback": {
			payload: call("AWS API Call", `{"eventName":"UpdateSecretVersionStage","requestParameters":{"secretId":"`+arn+`","versionStage":"AWSCURRENT","moveToVersionId":"v1"}}`),
			want:    []invalidation.Rotated{{SecretARN: arn, VersionID: "v1", Reason: "label moved"}}, only: true,
		},
		"a move of another label": {
			payload: call("AWS API Call", `{"eventName":"UpdateSecretVersionStage","requestParameters":{"secretId":"`+arn+`","versionStage":"AWSPENDING"}}`), only: true,
		},
		"a deletion, as spelt until 2024": {
			payload: call("AWS API Call", `{"eventName":"DeleteSecret","requestParameters":{"secretId":"dev-db"},"responseElements":{"aRN":"`+arn+`","name":"dev-db"}}`),
			want:    []invalidation.Rotated{{SecretARN: arn, Name: "dev-db", Reason: "deleted"}}, only: true,
		},
		"a restoration": {
			payload: call("AWS API Call", `{"eventName":"RestoreSecret","responseElements":{"arn":"`+arn+`","name":"dev-db"}}`),
			want:    []invalidation.Rotated{{SecretARN: arn, Name: "dev-db", Reason: "restored"}}, only: true,
		},
		"the end of a rotation": {
			payload: call("AWS Service Event", `{"eventName":"RotationSucceeded","requestParameters":null,"additionalEventData":{"SecretId":"`+arn+`"}}`),
			want:    []invalidation.Rotated{{SecretARN: arn, Reason: "rotated"}}, only: true,
		},
		"an update": {
			payload: call("AWS API Call", `{"eventSource":"secretsmanager.amazonaws.com","eventName":"UpdateSecret","requestParameters":{"secretId":"dev-db"},"responseElements":{"ARN":"`+arn+`"}}`),
			want:    []invalidation.Rotated{{SecretARN: arn, Name: "dev-db", Reason: "updated"}}, only: true,
		},
		"a service event of other spelling": {
			payload: call("AWS Service Event", `{"eventName":"RotationSucceeded","serviceEventDetails":{"secretId":"`+arn+`"}}`),
			want:    []invalidation.Rotated{{SecretARN: arn, Reason: "rotated"}}, only: true,
		},
		"a call of another service": {payload: call("AWS API Call", `{"eventSource":"kms.amazonaws.com","eventName":"UpdateSecret","requestParameters":{"secretId":"dev-db"}}`)},
		"a failed rotation":         {payload: call("AWS Service Event", `{"eventName":"RotationFailed","additionalEventData":{"SecretId":"`+arn+`"}}`)},
		"a read":                    {payload: call("AWS API Call", `{"eventName":"GetSecretValue","requestParameters":{"secretId":"dev-db"}}`)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, only := invalidation.Parse([]byte(tt.payload))
			if diff := cmp.Diff(tt.want, got); diff != "" || only != tt.only {
				t.Errorf("Parse: only news %v, want %v (-want +got):\n%s", only, tt.only, diff)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{ours, native, sqs(ours, "x"), sqs(`{"Type":"Notification","Message":` + quoted(ours) + `}`), call("AWS API Call", `{"eventName":"PutSecretValue"}`), strings.Repeat("[", 9999) + "detail-type"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		changes, only := invalidation.Parse(payload)
		seen := map[invalidation.Rotated]bool{}
		for _, c := range changes {
			if c.SecretARN == "" && c.Name == "" || seen[c] {
				t.Errorf("a change of no secret, or one given twice: %+v", c)
			}
			seen[c] = true
		}
		// One message tells of one change at most, however it is made.
		if records := bytes.Count(payload, []byte("{")); len(changes) > max(1, records) {
			t.Errorf("%d changes in a payload of %d objects", len(changes), records)
		}
		// What the middleware makes of it: all news is consumed, and what is none
		// passes as it is.
		next := new(echo)
		if _, err := invalidation.Handler(newClient(&store{}), next).Invoke(t.Context(), payload); err != nil {
			t.Fatal(err)
		}
		if passed := len(next.got) == 1; passed == only {
			t.Errorf("only news: %v, passed on: %v", only, passed)
		}
		if len(changes) == 0 && !only && !strings.Contains(string(payload), "Records") && next.got[0] != string(payload) {
			t.Errorf("a payload was changed to %q", next.got[0])
		}
	})
}

// A message of the largest size, and a batch of them, costs one decode and tells
// of no more than it has messages.
func TestHostilePayloads(t *testing.T) {
	t.Parallel()
	large := `{"source":"rekey","detail-type":"Secret Rotated","detail":{"secretArn":"` + strings.Repeat("a", 1<<20) + `"}}`
	deep := `{"source":"rekey","detail-type":"Secret Rotated","detail":` + strings.Repeat(`{"a":`, 1<<17) + `1` + strings.Repeat("}", 1<<17) + `}`
	many := sqs(slices.Repeat([]string{ours}, 10_000)...)
	tests := map[string]struct {
		payload string
		changes int
	}{
		"a name of a megabyte":             {large, 1},
		"a detail of 131,072 levels":       {deep, 0},
		"ten thousand times the same news": {many, 1},
		"half of it":                       {many[:len(many)/2], 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if changes, _ := invalidation.Parse([]byte(tt.payload)); len(changes) != tt.changes {
				t.Errorf("%d changes, want %d", len(changes), tt.changes)
			}
		})
	}
}
