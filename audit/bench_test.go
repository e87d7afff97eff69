package audit_test

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/rekey-go/rekey/audit"
)

// A load is a source of records that are made as they are asked for: the n-th
// by principals, secrets and kinds in turn.
type load struct {
	records, principals, secrets int
	// record writes the n-th one's own members.
	record func(n int, secret string) string
	// end is called when all were taken.
	end func()
}

func (l load) Records(context.Context) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		for n := range l.records {
			// The multipliers are prime: principals and secrets meet in ever new pairs.
			who, what := n*7919%l.principals, n*104729%l.secrets
			secret := fmt.Sprintf("arn:aws:secretsmanager:eu-west-1:111122223333:secret:s-%d-AbC%03d", what, what%1000)
			raw := fmt.Sprintf(`{"eventVersion":"1.11","userIdentity":{"type":"AssumedRole","principalId":"AROA%[1]d:i-%[1]d","accountId":"111122223333",`+
				`"accessKeyId":"ASIAEXAMPLE","sessionContext":{"sessionIssuer":{"type":"Role","arn":"arn:aws:iam::111122223333:role/r-%[1]d"},"attributes":{"mfaAuthenticated":"false"}}},`+
				`"eventTime":"2026-03-%02[2]dT%02[3]d:%02[4]d:%02[5]dZ","awsRegion":"eu-west-1","sourceIPAddress":"10.%[6]d.0.1","userAgent":"aws-sdk-go-v2/1.47.8 os/linux",`+
				`"requestID":"r","eventID":"00000000-0000-4000-8000-%012[7]d","recipientAccountId":"111122223333",%[8]s}`,
				who, 1+n/40000%28, n/3600%24, n/60%60, n%60, who%200, n, l.record(n, secret))
			if !yield(json.RawMessage(raw), nil) {
				return
			}
		}
		l.end()
	}
}

func readOf(_ int, secret string) string {
	return `"eventSource":"secretsmanager.amazonaws.com","eventName":"GetSecretValue","requestParameters":{"secretId":"` + secret + `"}`
}

// mixOf is what a day has: reads, their decrypts, a few writes and refusals.
func mixOf(n int, secret string) string {
	switch n % 10 {
	case 0, 1, 2, 3:
		return `"eventSource":"kms.amazonaws.com","eventName":"Decrypt","requestParameters":{"encryptionContext":{"SecretARN":"` + secret +
			`","SecretVersionId":"00000000-0000-4000-8000-000000000001"}},"vpcEndpointId":"secretsmanager.amazonaws.com"`
	case 4:
		return `"eventSource":"secretsmanager.amazonaws.com","eventName":"GetSecretValue","errorCode":"AccessDenied","errorMessage":"not authorized to perform: x on resource: ` + secret + ` because"`
	case 5:
		return `"eventSource":"secretsmanager.amazonaws.com","eventName":"PutSecretValue","requestParameters":{"secretId":"` + secret +
			fmt.Sprintf(`","clientRequestToken":"%d"}`, n)
	}
	return readOf(n, secret)
}

// rotationOf is a secret that is rotated, updated, deleted and restored all the
// time: what would show a step that goes back over what came before.
func rotationOf(n int, secret string) string {
	name := []string{"RotateSecret", "RotationStarted", "RotationSucceeded", "UpdateSecret", "DeleteSecret", "GetSecretValue", "RestoreSecret", "CreateSecret"}[n%8]
	return fmt.Sprintf(`"eventSource":"secretsmanager.amazonaws.com","eventName":%q,"requestParameters":{"secretId":%q,"clientRequestToken":"t%d"},`+
		`"additionalEventData":{"SecretId":%q},"responseElements":{"arn":%q}`, name, secret, n/8, secret, secret)
}

// BenchmarkSummarize shows that a record costs the same however many principals
// and secrets there are, and however they meet. Each op is one record; keptB is
// what is kept of it until the report is made, and reportB the report's share.
func BenchmarkSummarize(b *testing.B) {
	const records = 200_000
	for _, bench := range []struct {
		name string
		load load
	}{
		{"mix of 100 principals and 100 secrets", load{records, 100, 100, mixOf, nil}},
		{"mix of 10000 principals and 10000 secrets", load{records, 10_000, 10_000, mixOf, nil}},
		{"mix of 100000 principals and 100000 secrets", load{records, 100_000, 100_000, mixOf, nil}},
		{"100000 principals read one secret", load{records, 100_000, 1, readOf, nil}},
		{"one principal reads 100000 secrets", load{records, 1, 100_000, readOf, nil}},
		{"one secret is rotated all the time", load{records, 1, 1, rotationOf, nil}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			for n := 0; n < b.N; n += records {
				before, began := heap(), cpuTime()
				bench.load.end = func() { b.ReportMetric(float64(heap()-before)/records, "keptB/event") }
				r, err := audit.Summarize(b.Context(), bench.load, audit.Options{})
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64((cpuTime()-began).Nanoseconds())/records, "cpu-ns/record")
				b.ReportMetric(float64(heap()-before)/records, "reportB/event")
				if got := r.Coverage.Events; got != records {
					b.Fatalf("%d events, want %d", got, records)
				}
			}
		})
	}
}

// cpuTime is what this process has used of the processors: other processes do
// not show in it.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
