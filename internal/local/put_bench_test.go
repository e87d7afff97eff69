package local_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/rekey-go/rekey/internal/local"
)

// BenchmarkPutSecretValue measures writes by the SDK over the wire, of one
// client and of several, each to a secret of its own: in memory, and with a
// state folder, where each is synced before it is acknowledged.
func BenchmarkPutSecretValue(b *testing.B) {
	for _, state := range []string{"memory", "state"} {
		for _, clients := range []int{1, 16} {
			b.Run(fmt.Sprintf("%s/clients=%d", state, clients), func(b *testing.B) {
				opts := local.Options{}
				if state == "state" {
					opts.StateDir = b.TempDir()
				}
				putBy(b, secretsmanager.NewFromConfig(configFor(start(b, opts))), clients)
			})
		}
	}
}

func putBy(b *testing.B, client *secretsmanager.Client, clients int) {
	b.Helper()
	for c := range clients {
		if _, err := client.CreateSecret(b.Context(), &secretsmanager.CreateSecretInput{Name: new(fmt.Sprint("s-", c)), SecretString: aws.String("first")}); err != nil {
			b.Fatal(err)
		}
	}
	var all sync.WaitGroup
	b.ResetTimer()
	for c := range clients {
		all.Go(func() {
			for n := c; n < b.N; n += clients {
				_, err := client.PutSecretValue(b.Context(), &secretsmanager.PutSecretValueInput{SecretId: new(fmt.Sprint("s-", c)), SecretString: new(fmt.Sprint("value-", n))})
				if err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "writes/s")
}
