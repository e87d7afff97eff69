package audit_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/rekey-go/rekey/audit"
)

// randomTrail has records of every kind that counts differently, close together
// in time, with all their traps: names, ARNs and parts of ARNs, secrets made
// anew, explicit reads, decrypts near and far, refusals, batches, rotations,
// deletions, events shared between accounts, and corrections of both.
func randomTrail(r *rand.Rand) audit.Records {
	const other = "999988887777"
	var l trailOf
	arns := []string{db, db[:len(db)-6] + "ZyX987", "arn:aws:secretsmanager:eu-west-1:111122223333:secret:my-secret-prod12-AbC123"}
	refs := append(slices.Clone(arns), "db", db[:len(db)-7], "my-secret-prod12", arns[2][:len(arns[2])-7], "nobody-made-this")
	pick := func(list []string) string { return list[r.IntN(len(list))] }
	roles, versions := []string{"a", "b", "c"}, []string{v1, v2, "version-3"}
	for range 80 {
		at, role := r.IntN(40), pick(roles)
		members := m{"requestParameters": m{"secretId": pick(refs)}, "sourceIPAddress": fmt.Sprint("10.0.0.", r.IntN(3)), "userAgent": pick([]string{"x/1", "y/2"})}
		switch r.IntN(12) {
		case 0:
			members["requestParameters"] = m{"secretId": pick(refs), "versionId": pick(versions)}
			l.add(at, role, "GetSecretValue", members)
		case 1:
			members["requestParameters"] = m{"secretId": pick(refs), "versionStage": "AWSPREVIOUS"}
			l.add(at, role, "GetSecretValue", members)
		case 2, 3:
			l.add(at, role, "Decrypt", m{"eventSource": "kms.amazonaws.com", "requestParameters": m{
				"encryptionContext": m{"SecretARN": pick(arns), "SecretVersionId": pick(versions)},
			}})
		case 4:
			l.add(at, role, "GetSecretValue", m{"errorCode": "AccessDenied", "errorMessage": "not authorized to perform: x on resource: " + pick(refs) + " because"})
		case 5:
			members["requestParameters"] = m{"secretIdList": []string{pick(refs), pick(refs)}}
			l.add(at, role, "BatchGetSecretValue", members)
		case 6:
			l.add(at, "", pick([]string{"RotationStarted", "RotationSucceeded", "RotationFailed", "RotationAbandoned"}), m{
				"eventType": "AwsServiceEvent", "additionalEventData": m{"SecretId": db}, "requestID": "Rotation-" + db + "-" + pick(versions),
			})
		case 7:
			l.add(at, role, "UpdateSecretVersionStage", m{"requestParameters": m{"secretId": pick(refs), "versionStage": "AWSCURRENT", "moveToVersionId": pick(versions)}})
		case 8:
			arn := pick(arns)
			l.add(at, role, pick([]string{"CreateSecret", "DeleteSecret", "RestoreSecret"}), m{"requestParameters": m{"secretId": pick(refs)}, "responseElements": m{"aRN": arn}})
		case 9: // seen by both accounts, and one side corrected
			shared := fmt.Sprint("shared-", r.IntN(3))
			members["sharedEventID"], members["requestParameters"] = shared, m{"secretId": pick(arns)}
			l.add(at, role, "GetSecretValue", members)
			seen := len(l.records) - 1
			members["recipientAccountId"] = other
			l.add(at, role, "GetSecretValue", members)
			l.add(at+1, role, "GetSecretValue", m{
				"requestParameters": m{"secretId": pick(refs)},
				"addendum":          m{"reason": "UPDATED_DATA", "originalEventID": fmt.Sprint("event-", seen)},
			})
		default:
			l.add(at, role, "GetSecretValue", members)
		}
	}
	return l.records
}

// TestOrderAndRepetitionDoNotMatter shuffles records, and delivers some of them
// again: the report is the same, but for how many were seen again.
func TestOrderAndRepetitionDoNotMatter(t *testing.T) {
	t.Parallel()
	baseline := &audit.Baseline{Version: 1, Secrets: map[string]*audit.Seen{db: {}}}
	opts := audit.Options{
		Now: at(7200), Decoys: []string{"my-secret-prod12"}, BulkSecrets: 2, Baseline: baseline,
		Leases:    []audit.Lease{{SecretARN: db, Consumer: "c", VersionID: v1, Expires: at(9000)}},
		Inventory: []audit.State{{ARN: db, Name: "db", Tags: map[string]string{"a": "b"}}},
	}
	findings := 0
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 1))
		records := randomTrail(r)
		want := report(t, records, opts)
		findings += len(want.Findings)
		again := slices.Clone(records)
		for _, record := range records {
			if r.IntN(3) == 0 {
				again = append(again, record)
			}
		}
		r.Shuffle(len(again), func(i, j int) { again[i], again[j] = again[j], again[i] })
		got := report(t, again, opts)
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(audit.Coverage{}, "Duplicates")); diff != "" {
			t.Fatalf("seed %d (-want +got):\n%.4000s", seed, diff)
		}
		if want.Coverage.Duplicates+len(again)-len(records) != got.Coverage.Duplicates {
			t.Fatalf("seed %d: %d duplicates, want %d", seed, got.Coverage.Duplicates, want.Coverage.Duplicates+len(again)-len(records))
		}
	}
	if findings < 300 {
		t.Errorf("%d findings in all: the trails are too dull to show anything", findings)
	}
}
