package audit_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rekey-go/rekey/audit"
)

func TestTheNearestDecryptIsTheReads(t *testing.T) {
	t.Parallel()
	var l trailOf
	l.decrypt(0, "app", "two before")
	l.decrypt(3, "app", "one after")
	l.read(2, "app", "", nil)
	l.decrypt(4, "app", "two after")
	a := only(t, report(t, l.records, audit.Options{})).Accesses[0]
	if len(a.Versions) != 1 || a.Versions[0].VersionID != "one after" {
		t.Errorf("versions: %+v, want that of the nearest decrypt", a.Versions)
	}
}

// TestTheBetterRecordOfAnEventCounts delivers two records of one event both
// ways round.
func TestTheBetterRecordOfAnEventCounts(t *testing.T) {
	t.Parallel()
	get := func(members m) m {
		members["requestParameters"] = m{"secretId": db}
		return members
	}
	tests := map[string]struct {
		worse, better m
		want          audit.Coverage
	}{
		"a correction takes the place of what it corrects": {
			get(m{"eventID": "event-z", "sourceIPAddress": "10.0.0.1"}),
			get(m{"eventID": "event-a", "sourceIPAddress": "better", "addendum": m{"reason": "UPDATED_DATA", "originalEventID": "event-z"}}),
			audit.Coverage{Events: 1, Replaced: 1},
		},
		"the caller's side of a shared event knows who called": {
			get(m{
				"eventID": "event-1", "sharedEventID": "s", "sourceIPAddress": "10.0.0.1",
				"userIdentity": m{"type": "AWSAccount", "accountId": "999988887777", "principalId": "AROA:x"},
			}),
			get(m{
				"eventID": "event-2", "sharedEventID": "s", "sourceIPAddress": "better", "recipientAccountId": "999988887777",
				"userIdentity": m{"type": "AssumedRole", "accountId": "999988887777", "sessionContext": m{"sessionIssuer": m{"arn": "arn:aws:iam::999988887777:role/app"}}},
			}),
			audit.Coverage{Events: 1, Duplicates: 1},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, order := range [][2]m{{tt.worse, tt.better}, {tt.better, tt.worse}} {
				var l trailOf
				l.add(0, "app", "GetSecretValue", order[0])
				l.add(0, "app", "GetSecretValue", order[1])
				r := report(t, l.records, audit.Options{})
				s := only(t, r)
				if s.Reads != 1 || len(s.Accesses) != 1 || s.Accesses[0].IPs[0] != "better" {
					t.Errorf("accesses: %+v, want the one of the better record", s.Accesses)
				}
				got := audit.Coverage{Events: r.Coverage.Events, Duplicates: r.Coverage.Duplicates, Replaced: r.Coverage.Replaced}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("coverage (-want +got):\n%s", diff)
				}
			}
		})
	}
}

// TestARecordJoinsTwoFacts has the two sides of a shared event arrive apart,
// and a record that shows them to be one after both.
func TestARecordJoinsTwoFacts(t *testing.T) {
	t.Parallel()
	var l trailOf
	get := m{"requestParameters": m{"secretId": db}}
	l.add(0, "app", "GetSecretValue", m{"eventID": "theirs", "sharedEventID": "s", "requestParameters": get["requestParameters"]})
	l.add(0, "app", "GetSecretValue", m{"eventID": "correction", "addendum": m{"originalEventID": "ours"}, "requestParameters": get["requestParameters"]})
	l.add(0, "app", "GetSecretValue", m{"eventID": "ours", "sharedEventID": "s", "requestParameters": get["requestParameters"]})
	r := report(t, l.records, audit.Options{})
	if reads := only(t, r).Reads; reads != 1 || r.Coverage.Events != 1 {
		t.Errorf("%d reads in %d events, want 1 in 1", reads, r.Coverage.Events)
	}
}

func TestTheBeginningOfAnARNIsNoSecretOfItsOwn(t *testing.T) {
	t.Parallel()
	const whole = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:my-secret-prod12-AbC123"
	for _, order := range [][]string{{whole, whole[:len(whole)-7]}, {whole[:len(whole)-7], whole}} {
		var l trailOf
		for i, id := range order {
			l.add(i, "app", "GetSecretValue", m{"requestParameters": m{"secretId": id}})
		}
		if s := only(t, report(t, l.records, audit.Options{})); s.ARN != whole || s.Reads != 2 {
			t.Errorf("%q: %s has %d reads, want %s with 2", order, s.ARN, s.Reads, whole)
		}
	}
}

func TestAnOldSecretDoesNotTakeItsNameBack(t *testing.T) {
	t.Parallel()
	const other = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:db-XyZ789"
	var l trailOf
	l.add(0, "ops", "CreateSecret", m{"requestParameters": m{"name": "db"}, "responseElements": m{"arn": other, "name": "db"}})
	l.add(5, "", "EndSecretVersionDelete", m{"eventType": "AwsServiceEvent", "additionalEventData": m{"ARN": db, "Name": "db"}})
	l.add(6, "app", "GetSecretValue", m{"requestParameters": m{"secretId": db}, "errorCode": "ResourceNotFoundException"})
	l.add(9, "app", "GetSecretValue", m{"requestParameters": m{"secretId": "db"}})
	for _, s := range report(t, l.records, audit.Options{}).Secrets {
		if want := map[string]int{other: 1, db: 0}[s.ARN]; s.Reads != want {
			t.Errorf("%s: %d reads, want %d", s.ARN, s.Reads, want)
		}
	}
}

func TestADeletionTellsWhoWasRefused(t *testing.T) {
	t.Parallel()
	var l trailOf
	l.add(0, "ops", "DeleteSecret", m{"requestParameters": m{"secretId": db}, "responseElements": m{"aRN": db, "name": "db"}})
	l.add(1, "a", "GetSecretValue", m{"errorCode": "InvalidRequestException", "requestParameters": m{"secretId": db}})
	l.add(2, "b", "GetSecretValue", m{"errorCode": "AccessDenied", "requestParameters": m{"secretId": db}})
	d := only(t, report(t, l.records, audit.Options{})).Deletions[0]
	if d.Attempts != 2 || d.Refused != 1 || len(d.Principals) != 2 || d.MorePrincipals != 0 {
		t.Errorf("deletion: %+v, want two attempts of two principals, one refused", d)
	}
}
