package audit

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseTime(t *testing.T) {
	t.Parallel()
	want := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	for _, text := range []string{"2026-03-02T09:00:00Z", "2026-03-02 09:00:00.000000000", "2026-03-02 09:00:00", "2026-03-02T10:00:00+01:00"} {
		if got, err := parseTime(text); err != nil || !got.Equal(want) {
			t.Errorf("parseTime(%q): %v, %v; want %v", text, got, err, want)
		}
	}
	if _, err := parseTime("yesterday"); err == nil {
		t.Error(`parseTime("yesterday"): no error`)
	}
}

func TestParseDate(t *testing.T) {
	t.Parallel()
	want := time.Date(2023, 7, 10, 12, 7, 59, 0, time.UTC)
	for _, text := range []string{"Jul 10, 2023, 12:07:59 PM", "Jul 10, 2023 12:07:59 PM", "Jul 10, 2023, 12:07:59\u202fPM", "2023-07-10T12:07:59Z"} {
		if got := parseDate(text); !got.Equal(want) {
			t.Errorf("parseDate(%q): %v, want %v", text, got, want)
		}
	}
}

// TestATriedKeyIsNoUse has the record of KMS when a secret gets a key, whose
// encryption context names no version.
func TestATriedKeyIsNoUse(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]bool{"RequestToValidateKeyAccess": false, "11111111-2222-4333-8444-555555555555": true} {
		for _, operation := range []string{"GenerateDataKey", "Decrypt"} {
			ok, err := parse([]byte(`{"eventSource":"kms.amazonaws.com","eventName":"`+operation+`","eventTime":"2026-03-02T09:00:00Z",
				"requestParameters":{"encryptionContext":{"SecretARN":"arn:aws:secretsmanager:eu-west-1:111122223333:secret:db-AbC123","SecretVersionId":"`+version+`"}}}`), new(record))
			if err != nil || ok != want {
				t.Errorf("%s of version %s is a use: %v, %v, want %v", operation, version, ok, err, want)
			}
		}
	}
}

func TestTheSecretOfARecord(t *testing.T) {
	t.Parallel()
	const arn = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:db-AbC123"
	tests := map[string]struct{ record, want string }{
		"of the parameters":              {`"requestParameters":{"secretId":"db"}`, "db"},
		"of the encryption context":      {`"requestParameters":{"encryptionContext":{"SecretARN":"` + arn + `"}}`, arn},
		"of a rotation's event":          {`"eventType":"AwsServiceEvent","additionalEventData":{"SecretId":"` + arn + `"}`, arn},
		"of a deletion's event":          {`"additionalEventData":{"ARN":"` + arn + `","Name":"db"}`, arn},
		"of the details of an event":     {`"serviceEventDetails":{"secretId":"` + arn + `"}`, arn},
		"of a refusal, as an ARN":        {`"requestParameters":null,"errorMessage":"not authorized to perform: x on resource: ` + arn + ` because no"`, arn},
		"of a refusal, as a name":        {`"requestParameters":null,"errorMessage":"not authorized to perform: x on resource: db because no"`, "db"},
		"of a refusal of everything":     {`"errorMessage":"not authorized to perform: secretsmanager:ListSecrets on resource: * because no"`, ""},
		"of a member of another type":    {`"requestParameters":{"secretId":5,"name":"db"}`, ""},
		"of parameters that are a text":  {`"requestParameters":"secretId=db"`, ""},
		"of an answer, older spelling":   {`"responseElements":{"aRN":"` + arn + `"}`, arn},
		"of a call that is about no one": {`"requestParameters":{}`, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var r record
			ok, err := parse([]byte(`{"eventSource":"secretsmanager.amazonaws.com","eventName":"E","eventTime":"2026-03-02T09:00:00Z",`+tt.record+`}`), &r)
			if err != nil || !ok {
				t.Fatalf("parse: %v, %v", ok, err)
			}
			if got := r.secretID(); got != tt.want {
				t.Errorf("secretID: %q, want %q", got, tt.want)
			}
		})
	}
}

func TestPrincipalOfARecord(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ identity, want string }{
		"a role":                           {`{"type":"AssumedRole","arn":"arn:aws:sts::1:assumed-role/r/s","sessionContext":{"sessionIssuer":{"arn":"arn:aws:iam::1:role/r"}}}`, "arn:aws:iam::1:role/r"},
		"a user whose issuer is empty":     {`{"type":"IAMUser","arn":"arn:aws:iam::1:user/u","sessionContext":{"sessionIssuer":{}}}`, "arn:aws:iam::1:user/u"},
		"the root user":                    {`{"type":"Root","arn":"arn:aws:iam::1:root"}`, "arn:aws:iam::1:root"},
		"a service by itself":              {`{"accountId":"1","invokedBy":"secretsmanager.amazonaws.com"}`, "service:secretsmanager.amazonaws.com"},
		"another account":                  {`{"type":"AWSAccount","accountId":"2","principalId":"AROA"}`, "AWSAccount:2"},
		"a user whose name is not told of": {`{"type":"IAMUser","accountId":"1","userName":"HIDDEN_DUE_TO_SECURITY_REASONS"}`, "IAMUser:HIDDEN_DUE_TO_SECURITY_REASONS"},
		"nobody":                           {`{}`, "unknown"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var r record
			_, err := parse([]byte(`{"eventSource":"secretsmanager.amazonaws.com","eventName":"E","eventTime":"2026-03-02T09:00:00Z","userIdentity":`+tt.identity+`}`), &r)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, principalID(&r.UserIdentity)); diff != "" {
				t.Errorf("principal (-want +got):\n%s", diff)
			}
		})
	}
}

// FuzzParse feeds records of all kinds, and what is none, through everything
// that a report is made of.
func FuzzParse(f *testing.F) {
	err := filepath.WalkDir("../testdata/cloudtrail/AWSLogs", func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		for line := range strings.Lines(string(text)) {
			f.Add([]byte(strings.TrimSuffix(strings.TrimSpace(line), ",")))
		}
		return err
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		c := newCollector(Options{Now: time.Date(2026, 3, 4, 0, 0, 0, 0, time.UTC)})
		for range 2 {
			if err := c.take(raw, nil); err != nil {
				t.Fatal(err)
			}
		}
		if c.facts.n > 1 {
			t.Fatalf("one record left %d facts", c.facts.n)
		}
		want := c.records
		if c.facts.n > 0 && c.facts.at(0).kind == kindKey {
			want -= 1 // a change of a key is no event of Secrets Manager
		}
		r := c.report()
		if n := r.Coverage.Events + r.Coverage.Duplicates + r.Coverage.Replaced; n != want {
			t.Fatalf("%d events and duplicates reported, want %d", n, want)
		}
	})
}
