package contain

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/rekey-go/rekey/audit"
	"github.com/rekey-go/rekey/audit/evidence"
	"github.com/rekey-go/rekey/rotation"
	"github.com/rekey-go/rekey/rotation/apikey"
	"github.com/rekey-go/rekey/rotation/keyset"
)

func known(version string, state rotation.State, labels ...string) Known {
	return Known{VersionID: version, Labels: labels, Target: state}
}

// TestASecretIsJudgedByWhatStillWorks has v2 current and v1 previous.
func TestASecretIsJudgedByWhatStillWorks(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		strategy string
		function string
		known    []Known
		risk     Risk
		rotates  bool
		revoked  string
		byHand   bool
	}{
		"it was refused":                             {rotation.NameSingleUser, "f", nil, Refused, false, "", false},
		"it got the current version":                 {rotation.NameSingleUser, "f", []Known{known("v2", rotation.StateAccepted, "AWSCURRENT")}, Live, true, "v2", false},
		"it got one of which nothing is known":       {rotation.NameSingleUser, "f", []Known{known("", rotation.StateUnknown)}, Live, true, "v2", false},
		"it got the pending one":                     {rotation.NameSingleUser, "f", []Known{known("v3", rotation.StateAccepted, "AWSPENDING")}, Live, true, "v3 v2", false},
		"it got the one before, which works":         {rotation.NameAlternatingUsers, "f", []Known{known("v1", rotation.StateAccepted, "AWSPREVIOUS")}, Old, false, "v1", false},
		"it got the one before, and nobody can tell": {rotation.NameAlternatingUsers, "f", []Known{known("v1", rotation.StateUnknown, "AWSPREVIOUS")}, Old, false, "v1", false},
		"it got the one before, which is refused":    {rotation.NameAlternatingUsers, "f", []Known{known("v1", rotation.StateRefused, "AWSPREVIOUS")}, Dead, false, "", false},
		"it got both":                                {rotation.NameAlternatingUsers, "f", []Known{known("v1", rotation.StateAccepted, "AWSPREVIOUS"), known("v2", rotation.StateAccepted, "AWSCURRENT")}, Live, true, "v1 v2", false},
		"it got the key set before":                  {keyset.Name, "f", []Known{known("v1", rotation.StateNoTarget, "AWSPREVIOUS")}, Live, true, "v1 v2", false},
		"it got a key set of long ago":               {keyset.Name, "f", []Known{known("v0", rotation.StateNoTarget)}, Live, true, "v2", false},
		"nothing rotates it":                         {"", "", []Known{known("v2", rotation.StateUnknown, "AWSCURRENT")}, Live, true, "v2", true},
		"it got an old one, and nothing rotates it":  {"", "", []Known{known("v1", rotation.StateUnknown)}, Old, false, "v1", true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := Secret{Touched: audit.Touched{Name: "db", Reads: len(tt.known)}, Known: tt.known, Strategy: tt.strategy, Function: tt.function, Current: "v2"}
			s.judge()
			if s.Risk != tt.risk || s.rotates() != tt.rotates || (s.ByHand != "") != tt.byHand {
				t.Errorf("risk %v, rotates %v, by hand %q; want %v, %v, %v", s.Risk, s.rotates(), s.ByHand, tt.risk, tt.rotates, tt.byHand)
			}
			if got := strings.Join(s.revoked(), " "); got != tt.revoked {
				t.Errorf("revokes %q, want %q", got, tt.revoked)
			}
			if steps := s.steps(); (len(steps) > 0) != (s.Risk > Dead && !tt.byHand) {
				t.Errorf("the steps are %q", steps)
			}
		})
	}
}

func TestTheKindIsToldByNameAndStrategy(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		name, strategy, tag string
		want                Kind
	}{
		"a superuser's login":            {"dev-database-superuser", rotation.NameSingleUser, "", Superuser},
		"a key that makes keys":          {"dev-provider-admin", "", "", ProviderAdmin},
		"a database login":               {"orders", rotation.NameAlternatingUsers, "", Database},
		"one that nothing rotates":       {"dev-database-credentials", "", "", Database},
		"a signing key":                  {"dev-jwt", keyset.Name, "", SigningKey},
		"a signing key by its tag":       {"dev-jwt", "", keyset.Name, SigningKey},
		"a provider's key":               {"stripe", apikey.Name, "", APIKey},
		"something of which all is open": {"misc", "", "", Other},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			about := &secretsmanager.DescribeSecretOutput{Name: &tt.name}
			if tt.tag != "" {
				about.Tags = []types.Tag{{Key: new("rekey:strategy"), Value: &tt.tag}}
			}
			if got := kindOf(about, tt.strategy); got != tt.want {
				t.Errorf("kindOf(%q, %q) = %q, want %q", tt.name, tt.strategy, got, tt.want)
			}
		})
	}
}

func TestAccessIsTakenAwayByWhatThePrincipalIs(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	tests := map[string]struct {
		who   string
		match audit.Match
		want  []string
	}{
		"a role": {"s", audit.Match{By: "session", Identity: "arn:aws:iam::111122223333:role/path/build", Type: "AssumedRole"}, []string{
			`aws iam put-role-policy --role-name 'build' --policy-name AWSRevokeOlderSessions --policy-document '{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":["*"],"Resource":["*"],"Condition":{"DateLessThan":{"aws:TokenIssueTime":"2026-03-02T12:00:00.000Z"}}}]}'`,
		}},
		"a user by its key": {"AKIA1", audit.Match{By: "access key", Identity: "arn:aws:iam::111122223333:user/ana", Type: "IAMUser"}, []string{
			`aws iam update-access-key --user-name 'ana' --access-key-id 'AKIA1' --status Inactive`,
			`aws iam put-user-policy --user-name 'ana' --policy-name RekeyContain --policy-document '{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":["*"],"Resource":["*"]}]}'`,
		}},
		"the root user":          {"x", audit.Match{By: "user", Identity: "arn:aws:iam::111122223333:root", Type: "Root"}, []string{`aws iam get-account-summary --query SummaryMap.AccountAccessKeysPresent`}},
		"who writes for a shell": {"'; rm x", audit.Match{By: "session", Identity: "unknown"}, []string{`aws sts get-access-key-info --access-key-id ''\''; rm x'`}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, m := range cut(&audit.Trace{Principal: tt.who, Matches: []audit.Match{tt.match, tt.match}}, now) {
				got = append(got, m.Command)
				if len(m.Policy) > 0 && !json.Valid(m.Policy) {
					t.Errorf("the policy is %s", m.Policy)
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(tt.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
}

func TestAnIncidentIsOneRunsAtATime(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "incident")
	if err := Begin(dir, "", &Plan{Principal: "thief", Secrets: []Secret{{Risk: Live}}}); err != nil {
		t.Fatal(err)
	}
	in, err := Open(dir, "", "thief")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, "", "thief"); !errors.Is(err, ErrBusy) {
		t.Errorf("a second run: %v, want ErrBusy", err)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, "", "other"); !errors.Is(err, ErrOther) {
		t.Errorf("about another principal: %v, want ErrOther", err)
	}
	again, err := Open(dir, "", "thief")
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if again.token("arn") != in.token("arn") || again.token("arn") == again.token("arn2") || len(again.token("arn")) != 36 {
		t.Errorf("the token %q is not the secret's own", again.token("arn"))
	}
	if again.state.Secrets[0].Risk != Live {
		t.Errorf("the risk is %v after it was kept", again.state.Secrets[0].Risk)
	}
	for _, name := range []string{stateFile, ownKeyFile, EvidenceFile} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v; want one for its owner only", name, info.Mode(), err)
		}
	}
	if err := again.close(); err != nil {
		t.Fatal(err)
	}
	again.Close()
	if _, err := Open(dir, "", "thief"); !errors.Is(err, evidence.ErrClosed) {
		t.Errorf("after its end: %v, want ErrClosed", err)
	}
	if _, err := os.Stat(filepath.Join(dir, ownKeyFile)); err == nil {
		t.Error("the key that was made for it is there after its end")
	}
}
