package audit_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rekey-go/rekey/audit"
)

// A seen is what a test looks at of a finding.
type seen struct {
	Severity, Kind, Principal string
	Events                    int // with those that are not listed
	Next                      string
}

// next is the beginning of a command, up to its first argument.
func next(command string) string {
	words := strings.Fields(command)
	for i, w := range words {
		if strings.HasPrefix(w, "-") || strings.HasPrefix(w, "arn:") || strings.HasPrefix(w, "/") {
			return strings.Join(words[:i], " ")
		}
	}
	return command
}

func seenOf(r *audit.Report, kind string) []seen {
	var out []seen
	for _, f := range r.Findings {
		if f.Kind == kind {
			who := f.Principal[strings.LastIndexByte(f.Principal, '/')+1:]
			out = append(out, seen{f.Severity, f.Kind, who, len(f.Events) + f.MoreEvents, next(f.Next)})
		}
	}
	return out
}

const (
	lookup  = "aws cloudtrail lookup-events"
	contain = "rekey contain"
	kmsKey  = "arn:aws:kms:eu-west-1:111122223333:key/1111-2222"
)

// identity is the members of a record with something else in its identity.
func identity(members m) m {
	id := m{
		"type": "AssumedRole", "accountId": account, "principalId": "AROA:app",
		"sessionContext": m{"sessionIssuer": m{"arn": roleARN("app")}},
	}
	maps.Copy(id, members)
	return m{"userIdentity": id, "requestParameters": m{"secretId": db}}
}

func TestFindings(t *testing.T) {
	t.Parallel()
	days := func(n int) time.Time { return noon.AddDate(0, 0, n) }
	read := func(l *trailOf, members m) { l.add(0, "app", "GetSecretValue", members) }
	state := func(s audit.State) audit.Options {
		s.ARN, s.Name = db, "db"
		if s.Created.IsZero() {
			s.Created = days(-400)
		}
		return audit.Options{Inventory: []audit.State{s}}
	}
	tests := map[string]struct {
		kind    string
		records func(l *trailOf)
		opts    audit.Options
		want    []seen
	}{
		"the root user reads": {audit.KindRoot, func(l *trailOf) {
			read(l, m{"userIdentity": m{"type": "Root", "arn": "arn:aws:iam::111122223333:root", "accountId": account}, "requestParameters": m{"secretId": db}})
		}, audit.Options{}, []seen{{"high", "root", "arn:aws:iam::111122223333:root", 1, lookup}}},
		"another account reads": {audit.KindCrossAccount, func(l *trailOf) {
			read(l, identity(m{"accountId": "999988887777"}))
		}, audit.Options{}, []seen{{"medium", "cross-account", "app", 1, "aws secretsmanager get-resource-policy"}}},
		"a person reads in the console": {audit.KindConsoleRead, func(l *trailOf) {
			members := identity(nil)
			members["sessionCredentialFromConsole"] = "true"
			read(l, members)
		}, audit.Options{}, []seen{{"low", "console-read", "app", 1, lookup}}},
		"a long-lived key reads": {audit.KindLongLivedKey, func(l *trailOf) {
			for range 12 {
				read(l, m{"userIdentity": m{"type": "IAMUser", "arn": "arn:aws:iam::111122223333:user/ci", "accountId": account, "accessKeyId": "AKIAEXAMPLE"}, "requestParameters": m{"secretId": db}})
			}
		}, audit.Options{}, []seen{{"low", "long-lived-key", "ci", 12, "aws iam list-access-keys"}}},
		"a temporary key reads": {audit.KindLongLivedKey, func(l *trailOf) { read(l, identity(m{"accessKeyId": "ASIAEXAMPLE"})) }, audit.Options{}, nil},
		"credentials of IMDSv1 read": {audit.KindIMDSv1, func(l *trailOf) {
			read(l, identity(m{"sessionContext": m{"ec2RoleDelivery": "1.0", "sessionIssuer": m{"arn": roleARN("app")}}}))
		}, audit.Options{}, []seen{{"medium", "imdsv1", "app", 1, "aws ec2 describe-instances"}}},
		"credentials of IMDSv2 read": {audit.KindIMDSv1, func(l *trailOf) {
			read(l, identity(m{"sessionContext": m{"ec2RoleDelivery": "2.0", "sessionIssuer": m{"arn": roleARN("app")}}}))
		}, audit.Options{}, nil},
		"one reads without the endpoint of the others": {audit.KindNoEndpoint, func(l *trailOf) {
			l.add(0, "inside", "GetSecretValue", m{"requestParameters": m{"secretId": db}, "vpcEndpointId": "vpce-1", "sourceIPAddress": "10.0.0.1"})
			l.add(0, "outside", "GetSecretValue", m{"requestParameters": m{"secretId": db}, "sourceIPAddress": "203.0.113.9"})
			l.add(0, "backup", "GetSecretValue", m{"requestParameters": m{"secretId": db}, "sourceIPAddress": "backup.amazonaws.com"})
		}, audit.Options{}, []seen{{"low", "no-endpoint", "outside", 1, "aws secretsmanager describe-secret"}}},
		"nobody uses an endpoint": {audit.KindNoEndpoint, func(l *trailOf) {
			l.add(0, "app", "GetSecretValue", m{"requestParameters": m{"secretId": db}, "sourceIPAddress": "203.0.113.9"})
		}, audit.Options{}, nil},
		"a list, and then what is on it": {audit.KindListThenGet, func(l *trailOf) {
			l.add(0, "app", "ListSecrets", m{"requestParameters": m{}})
			l.add(600, "app", "ListSecrets", m{"requestParameters": m{}})
			for i := range 5 {
				l.add(1200+i, "app", "GetSecretValue", m{"requestParameters": m{"secretId": fmt.Sprint("s", i)}})
			}
		}, audit.Options{}, []seen{{"medium", "list-then-get", "app", 6, lookup}}},
		"a list, and what is on it a while after": {audit.KindListThenGet, func(l *trailOf) {
			l.add(0, "app", "ListSecrets", m{"requestParameters": m{}})
			for i := range 5 {
				l.add(897+i, "app", "GetSecretValue", m{"requestParameters": m{"secretId": fmt.Sprint("s", i)}})
			}
		}, audit.Options{}, nil},
		"reads in three Regions": {audit.KindManyRegions, func(l *trailOf) {
			for i, r := range []string{"eu-west-1", "us-east-1", "ap-south-1"} {
				l.add(i*60, "app", "BatchGetSecretValue", m{"awsRegion": r, "requestParameters": m{"filters": []m{{"key": "name", "values": []string{"a"}}}}})
			}
		}, audit.Options{}, []seen{{"medium", "many-regions", "app", 3, lookup}}},
		"a batch of everything": {audit.KindBatchCatchAll, func(l *trailOf) {
			l.add(0, "app", "BatchGetSecretValue", m{"requestParameters": m{"filters": []m{{"key": "tag-key", "values": []string{"!none"}}}}})
			l.add(0, "fine", "BatchGetSecretValue", m{"requestParameters": m{"filters": []m{{"key": "tag-key", "values": []string{"some"}}}}})
		}, audit.Options{}, []seen{{"high", "batch-catch-all", "app", 1, contain}}},
		"a decoy is touched, with and without success": {audit.KindDecoy, func(l *trailOf) {
			l.add(0, "app", "DescribeSecret", m{"requestParameters": m{"secretId": db}})
			l.add(0, "app", "GetSecretValue", m{"errorCode": "AccessDenied", "errorMessage": "not authorized to perform: secretsmanager:GetSecretValue on resource: " + db + " because"})
		}, audit.Options{Decoys: []string{"db"}}, []seen{{"high", "decoy", "app", 2, contain}}},
		"a secret with a decoy's tag": {
			audit.KindDecoy, func(l *trailOf) { l.read(0, "app", "", nil) },
			state(audit.State{Tags: map[string]string{"rekey:decoy": ""}}),
			[]seen{{"high", "decoy", "app", 1, contain}},
		},
		"a rotation fails and names its function": {audit.KindRotationFailed, func(l *trailOf) {
			l.add(0, "", "RotationFailed", m{
				"eventType": "AwsServiceEvent", "additionalEventData": m{"SecretId": db}, "userIdentity": m{"accountId": account, "invokedBy": "secretsmanager.amazonaws.com"},
				"errorMessage": "Error when executing lambda arn:aws:lambda:eu-west-1:111122223333:function:rot during setSecret step",
			})
		}, audit.Options{}, []seen{{"high", "rotation-failed", "", 1, "aws logs tail"}}},
		"a rotation that does not end": {audit.KindRotationStuck, func(l *trailOf) {
			l.add(0, "", "RotationStarted", m{"additionalEventData": m{"SecretId": db}, "requestID": "Rotation-" + db + "-" + v2})
		}, audit.Options{Now: noon.Add(2 * time.Hour)}, []seen{{"high", "rotation-stuck", "", 1, "rekey doctor"}}},
		"a rotation that has just begun": {audit.KindRotationStuck, func(l *trailOf) {
			l.add(0, "", "RotationStarted", m{"additionalEventData": m{"SecretId": db}, "requestID": "Rotation-" + db + "-" + v2})
		}, audit.Options{Now: noon.Add(time.Hour)}, nil},
		"AWSPENDING that was left": {
			audit.KindRotationStuck, func(*trailOf) {},
			state(audit.State{Versions: map[string][]string{v1: {"AWSCURRENT"}, v2: {"AWSPENDING"}}}),
			[]seen{{"medium", "rotation-stuck", "", 0, "rekey doctor"}},
		},
		"AWSPENDING on the current version": {
			audit.KindRotationStuck, func(*trailOf) {},
			state(audit.State{Versions: map[string][]string{v1: {"AWSCURRENT", "AWSPENDING"}}}), nil,
		},
		"a rotation that is overdue": {
			audit.KindRotationOverdue, func(*trailOf) {},
			state(audit.State{Rotation: true, Next: days(-3)}),
			[]seen{{"high", "rotation-overdue", "", 0, "rekey rotate"}},
		},
		"a rotation within its day": {audit.KindRotationOverdue, func(*trailOf) {}, state(audit.State{Rotation: true, Next: noon.Add(-20 * time.Hour)}), nil},
		"a secret that has never rotated": {
			audit.KindNeverRotated, func(*trailOf) {},
			state(audit.State{}),
			[]seen{{"low", "never-rotated", "", 0, "aws secretsmanager describe-secret"}},
		},
		"a new secret that has not rotated yet": {audit.KindNeverRotated, func(*trailOf) {}, state(audit.State{Created: days(-89)}), nil},
		"a secret that nobody has used": {
			audit.KindUnused, func(*trailOf) {},
			state(audit.State{Accessed: days(-91)}),
			[]seen{{"low", "unused", "", 0, "aws secretsmanager delete-secret"}},
		},
		"one that the records show to be used": {audit.KindUnused, func(l *trailOf) { l.read(0, "app", "", nil) }, state(audit.State{Accessed: days(-91)}), nil},
		"a replica that nobody has used":       {audit.KindUnused, func(*trailOf) {}, state(audit.State{Primary: "us-east-1"}), nil},
		"a deletion that is due soon": {audit.KindDeletionDue, func(l *trailOf) {
			l.add(0, "ops", "DeleteSecret", m{"requestParameters": m{"secretId": db, "recoveryWindowInDays": 7}, "responseElements": m{"aRN": db, "name": "db"}})
		}, audit.Options{}, []seen{{"medium", "deletion-due", "ops", 1, "aws secretsmanager restore-secret"}}},
		"a deletion without a window": {audit.KindForcedDeletion, func(l *trailOf) {
			l.add(0, "ops", "DeleteSecret", m{"requestParameters": m{"secretId": db, "forceDeleteWithoutRecovery": true}, "responseElements": m{"aRN": db, "name": "db"}})
		}, audit.Options{}, []seen{{"medium", "forced-deletion", "ops", 1, "aws secretsmanager describe-secret"}}},
		"reads after a deletion, the refused ones as well": {audit.KindReadAfterDeletion, func(l *trailOf) {
			l.add(0, "ops", "DeleteSecret", m{"requestParameters": m{"secretId": db}, "responseElements": m{"aRN": db, "name": "db"}})
			l.add(1, "app", "GetSecretValue", m{"errorCode": "InvalidRequestException", "requestParameters": m{"secretId": db}})
			l.add(2, "app", "GetSecretValue", m{"errorCode": "AccessDenied", "requestParameters": m{"secretId": db}})
		}, audit.Options{}, []seen{{"high", "read-after-deletion", "app", 2, "aws secretsmanager restore-secret"}}},
		"a refusal without parameters": {audit.KindDenied, func(l *trailOf) {
			l.add(0, "app", "GetSecretValue", m{"errorCode": "AccessDenied", "requestParameters": nil, "errorMessage": "not authorized to perform: secretsmanager:GetSecretValue on resource: " + db + " because"})
		}, audit.Options{}, []seen{{"medium", "denied", "app", 1, "aws iam simulate-principal-policy"}}},
		"the key of a secret is disabled": {audit.KindChange, func(l *trailOf) {
			l.read(0, "app", "", nil)
			l.add(0, "app", "Decrypt", m{
				"eventSource": "kms.amazonaws.com", "resources": []m{{"ARN": kmsKey}}, "userAgent": "secretsmanager.amazonaws.com",
				"requestParameters": m{"encryptionContext": m{"SecretARN": db, "SecretVersionId": v1}},
			})
			l.add(1, "ops", "DisableKey", m{"eventSource": "kms.amazonaws.com", "requestParameters": m{"keyId": "1111-2222"}})
			l.add(2, "ops", "DisableKey", m{"eventSource": "kms.amazonaws.com", "requestParameters": m{"keyId": "another"}})
		}, audit.Options{}, []seen{{"high", "change", "ops", 1, "aws secretsmanager describe-secret"}}},
		"a resource policy is put": {audit.KindChange, func(l *trailOf) {
			l.add(0, "ops", "PutResourcePolicy", m{"requestParameters": m{"secretId": db}})
		}, audit.Options{}, []seen{{"medium", "change", "ops", 1, "aws secretsmanager get-resource-policy"}}},
		"rotation is cancelled": {audit.KindChange, func(l *trailOf) {
			l.add(0, "ops", "CancelRotateSecret", m{"requestParameters": m{"secretId": db}})
		}, audit.Options{}, []seen{{"medium", "change", "ops", 1, "aws secretsmanager describe-secret"}}},
		"replication is refused": {audit.KindChange, func(l *trailOf) {
			l.add(0, "ops", "ReplicateSecretToRegions", m{"errorCode": "AccessDeniedException", "requestParameters": m{"secretId": db, "addReplicaRegions": []m{{"region": "us-east-1"}}}})
		}, audit.Options{}, []seen{{"low", "change", "ops", 1, "aws secretsmanager describe-secret"}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var l trailOf
			tt.records(&l)
			if diff := cmp.Diff(tt.want, seenOf(report(t, l.records, tt.opts), tt.kind)); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEvidenceIsTheLatestEvents(t *testing.T) {
	t.Parallel()
	var l trailOf
	for i := range 15 {
		l.add(i, "app", "GetSecretValue", m{"errorCode": "AccessDenied", "requestParameters": m{"secretId": db}, "eventID": fmt.Sprintf("odd %d", i)})
	}
	r := report(t, l.records, audit.Options{})
	i := slices.IndexFunc(r.Findings, func(f audit.Finding) bool { return f.Kind == audit.KindDenied })
	want := []string{"odd 5", "odd 6", "odd 7", "odd 8", "odd 9", "odd 10", "odd 11", "odd 12", "odd 13", "odd 14"}
	if diff := cmp.Diff(want, r.Findings[i].Events); diff != "" || r.Findings[i].MoreEvents != 5 {
		t.Errorf("%d more events, want 5; events (-want +got):\n%s", r.Findings[i].MoreEvents, diff)
	}
}

func TestCommandsQuoteWhatRecordsSay(t *testing.T) {
	t.Parallel()
	var l trailOf
	l.add(0, "app", "GetSecretValue", m{"errorCode": "AccessDenied", "requestParameters": m{"secretId": "a'; rm -rf / #"}, "userIdentity": m{"type": "IAMUser"}})
	for _, f := range report(t, l.records, audit.Options{}).Findings {
		if want := `aws secretsmanager get-resource-policy --secret-id 'a'\''; rm -rf / #'`; f.Next != want {
			t.Errorf("next: %s, want %s", f.Next, want)
		}
	}
}

func TestLabelsExplainAndHideNothing(t *testing.T) {
	t.Parallel()
	var l trailOf
	for i := range 20 {
		l.add(i, "ci", "GetSecretValue", m{"requestParameters": m{"secretId": fmt.Sprint("s", i)}, "userAgent": "APN/1.0 HashiCorp/1.0 Terraform/1.1.2"})
	}
	for _, f := range report(t, l.records, audit.Options{}).Findings {
		if f.Kind == audit.KindBulkRead && f.Severity == audit.High && slices.Equal(f.Labels, []string{"terraform"}) {
			return
		}
	}
	t.Error("bulk reads of a known tool are not reported with its label")
}
