package audit_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rekey-go/rekey/audit"
)

const (
	thiefRole    = "arn:aws:iam::111122223333:role/build"
	thiefSession = "arn:aws:sts::111122223333:assumed-role/build/i-0abc"
	thiefID      = `{"type":"AssumedRole","principalId":"AROATHIEF:i-0abc","arn":"` + thiefSession + `","accountId":"111122223333","accessKeyId":"ASIATHIEF","sessionContext":{"sessionIssuer":{"arn":"` + thiefRole + `"}}}`
	otherID      = `{"type":"AssumedRole","principalId":"AROATHIEF:i-0def","arn":"arn:aws:sts::111122223333:assumed-role/build/i-0def","accountId":"111122223333","accessKeyId":"ASIAOTHER","sessionContext":{"sessionIssuer":{"arn":"` + thiefRole + `"}}}`
	ordersARN    = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:orders/db-AbCdEf"
)

// of is a record of a call.
func of(who, event, name, mm, parameters, rest string) json.RawMessage {
	source := "secretsmanager.amazonaws.com"
	if name == "Decrypt" {
		source = "kms.amazonaws.com"
	}
	return json.RawMessage(fmt.Sprintf(`{"userIdentity":%s,"eventID":%q,"eventSource":%q,"eventName":%q,"eventTime":"2026-03-02T12:%s:00Z",`+
		`"awsRegion":"eu-west-1","recipientAccountId":"111122223333","requestParameters":%s%s}`, who, event, source, name, mm, parameters, rest))
}

func theft() audit.Records {
	const denied = `,"errorCode":"AccessDenied","errorMessage":"User: x is not authorized to perform: secretsmanager:GetSecretValue on resource: payroll because no identity-based policy allows it"`
	return audit.Records{
		of(thiefID, "r1", "GetSecretValue", "01", `{"secretId":"orders/db"}`, ""),
		of(thiefID, "k1", "Decrypt", "01", `{"encryptionContext":{"SecretARN":"`+ordersARN+`","SecretVersionId":"v1"}}`, ""),
		of(thiefID, "b1", "BatchGetSecretValue", "02", `{"secretIdList":["orders/db","mail"]}`, ""),
		of(thiefID, "r2", "GetSecretValue", "02", `{"secretId":"orders/db","versionId":"v2"}`, ""),
		of(thiefID, "r3", "GetSecretValue", "02", `{"secretId":"mail"}`, ""),
		of(thiefID, "r3", "GetSecretValue", "02", `{"secretId":"mail"}`, ""), // delivered twice
		of(thiefID, "d1", "GetSecretValue", "03", `null`, denied),
		of(thiefID, "x1", "DescribeSecret", "04", `{"secretId":"only-looked-at"}`, ""),
		of(otherID, "o1", "GetSecretValue", "05", `{"secretId":"others"}`, ""),
		of(`{"type":"IAMUser","arn":"arn:aws:iam::111122223333:user/ana","principalId":"AIDAANA","accountId":"111122223333","accessKeyId":"AKIAANA"}`,
			"u1", "GetSecretValue", "06", `{"secretId":"anas"}`, ""),
	}
}

func minute(n int) time.Time { return time.Date(2026, 3, 2, 12, n, 0, 0, time.UTC) }

func TestWhatASessionTouchedIsFollowed(t *testing.T) {
	t.Parallel()
	got, err := audit.Follow(t.Context(), theft(), "i-0abc", audit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := []audit.Touched{
		{Name: "mail", Region: "eu-west-1", Reads: 1, First: minute(2), Last: minute(2), Versions: []audit.VersionReads{{Reads: 1, First: minute(2), Last: minute(2)}}, Events: []string{"r3"}},
		{Name: "orders/db", ARN: ordersARN, Region: "eu-west-1", Reads: 2, First: minute(1), Last: minute(2), Versions: []audit.VersionReads{
			{VersionID: "v1", Reads: 1, First: minute(1), Last: minute(1)}, {VersionID: "v2", Reads: 1, Explicit: 1, First: minute(2), Last: minute(2)},
		}, Events: []string{"r1", "r2"}},
		{Name: "payroll", Region: "eu-west-1", Denied: 1, First: minute(3), Last: minute(3), Events: []string{"d1"}},
	}
	if diff := cmp.Diff(want, got.Secrets); diff != "" {
		t.Errorf("what it touched (-want +got):\n%s", diff)
	}
	if got.Batches != 1 || got.Unattributed != 0 {
		t.Errorf("%d batches and %d calls of nothing, want 1 and 0", got.Batches, got.Unattributed)
	}
}

func TestAPrincipalIsNamedInManyWays(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		by      string
		secrets string
	}{
		thiefRole:                            {"role", "mail orders/db others payroll"},
		thiefSession:                         {"assumed role", "mail orders/db payroll"},
		"ASIATHIEF":                          {"access key", "mail orders/db payroll"},
		"i-0abc":                             {"session", "mail orders/db payroll"},
		"AROATHIEF":                          {"principal id", "mail orders/db others payroll"},
		"arn:aws:iam::111122223333:user/ana": {"user", "anas"},
		"111122223333":                       {"account", "anas mail orders/db others payroll"},
		"nobody":                             {"", ""},
		"":                                   {"", ""},
	}
	for who, tt := range tests {
		t.Run(who, func(t *testing.T) {
			t.Parallel()
			got, err := audit.Follow(t.Context(), theft(), who, audit.Options{})
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, s := range got.Secrets {
				names = append(names, s.Name)
			}
			if strings.Join(names, " ") != tt.secrets {
				t.Errorf("it touched %q, want %q", names, tt.secrets)
			}
			if slices.ContainsFunc(got.Matches, func(m audit.Match) bool { return m.By != tt.by }) || (len(got.Matches) == 0) != (tt.by == "") {
				t.Errorf("it was found by %v, want %q", got.Matches, tt.by)
			}
		})
	}
}

func TestWhatIsOutOfTheTimeIsNotFollowed(t *testing.T) {
	t.Parallel()
	got, err := audit.Follow(t.Context(), theft(), "i-0abc", audit.Options{From: minute(3)})
	if err != nil || len(got.Secrets) != 1 || got.Secrets[0].Name != "payroll" || got.Matches[0].Records != 2 {
		t.Errorf("got %+v, %v; want the last two records", got, err)
	}
}
