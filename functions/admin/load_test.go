package admin_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/rekey-go/rekey"
	"github.com/rekey-go/rekey/functions/admin"
	"github.com/rekey-go/rekey/runtime/bulletin"
)

// loaded starts a system with secrets, for benchmarks. Nobody hears of what is
// stored: a function that is invoked for each is not what is measured.
func loaded(b *testing.B, secrets int) *system {
	b.Helper()
	silent := bytes.ReplaceAll(rekey.Template, []byte("labelUpdated: [AWSCURRENT]"), []byte("labelUpdated: [NONE]"))
	s := startFrom(b, silent, func(o *admin.Options) {
		o.CallsPerSecond, o.Logger = 1_000_000, slog.New(slog.NewJSONHandler(io.Discard, nil))
	})
	s.client.Transport = many
	var wg sync.WaitGroup
	next := make(chan int)
	for range 8 {
		wg.Go(func() {
			for i := range next {
				_, err := s.operator.CreateSecret(b.Context(), &secretsmanager.CreateSecretInput{
					Name: aws.String(fmt.Sprintf("dev-load/%d", i)), Description: aws.String("One of many"), SecretString: aws.String("first"),
				})
				if err != nil {
					b.Error(err)
				}
			}
		})
	}
	for i := range secrets {
		next <- i
	}
	close(next)
	wg.Wait()
	return s
}

// measure makes calls from eight clients at once, and reports the rate and the
// slowest of a hundred.
func measure(b *testing.B, call func(i int) int) {
	b.Helper()
	const clients = 8
	took := make([][]time.Duration, clients)
	var number atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for c := range clients {
		wg.Go(func() {
			for {
				i := int(number.Add(1))
				if i > b.N {
					return
				}
				began := time.Now()
				if status := call(i); status != http.StatusOK {
					b.Errorf("call %d: status %d", i, status)
					return
				}
				took[c] = append(took[c], time.Since(began))
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	all := slices.Concat(took...)
	slices.Sort(all)
	if len(all) > 0 {
		b.ReportMetric(float64(len(all))/b.Elapsed().Seconds(), "req/s")
		b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1000, "p99-ms")
	}
}

// call makes a call, and returns its status.
func (s *system) call(b *testing.B, method, path, body string) int {
	r, err := http.NewRequestWithContext(b.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	res, err := s.client.Do(r)
	if err != nil {
		b.Error(err)
		return 0
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode
}

// BenchmarkAPI calls the API over HTTP, and the API the engine, all on one
// machine: what is measured is the three together.
func BenchmarkAPI(b *testing.B) {
	b.Run("read one of 100 secrets", func(b *testing.B) {
		s := loaded(b, 100)
		measure(b, func(i int) int { return s.call(b, "GET", fmt.Sprintf("/admin/secrets/load/%d", i%100), "") })
	})
	b.Run("read each of 5000 secrets once", func(b *testing.B) {
		s := loaded(b, 5_000)
		measure(b, func(i int) int { return s.call(b, "GET", fmt.Sprintf("/admin/secrets/load/%d", i%5_000), "") })
	})
	b.Run("store", func(b *testing.B) {
		s := loaded(b, 1000)
		measure(b, func(i int) int {
			return s.call(b, "POST", "/admin/secrets", fmt.Sprintf(`{"secretName":"load/%d","secretValue":"value %d"}`, i%1000, i))
		})
	})
}

// BenchmarkList lists 5,000 secrets with two consumers each, read anew, and
// again from what is kept.
func BenchmarkList(b *testing.B) {
	const secrets = 5000
	s := loaded(b, secrets)
	board := bulletin.New(dynamodb.NewFromConfig(s.config("operator")), "dev-rekey-bulletin")
	pages := secretsmanager.NewListSecretsPaginator(s.operator, &secretsmanager.ListSecretsInput{MaxResults: aws.Int32(100)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		var leases []bulletin.Lease
		for _, e := range page.SecretList {
			for version := range e.SecretVersionsToStages {
				for _, consumer := range []string{"shop-7f3c", "billing-19ab"} {
					leases = append(leases, bulletin.Lease{SecretARN: *e.ARN, Consumer: consumer, VersionID: version, Since: time.Now(), Expires: time.Now().Add(time.Hour)})
				}
			}
		}
		if err := board.Renew(b.Context(), leases...); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("anew", func(b *testing.B) {
		for b.Loop() {
			s.api.Forget()
			if status := s.call(b, "GET", "/admin/secrets?limit=5000", ""); status != http.StatusOK {
				b.Fatal(status)
			}
		}
	})
	b.Run("kept", func(b *testing.B) {
		for b.Loop() {
			if status := s.call(b, "GET", "/admin/secrets?limit=5000", ""); status != http.StatusOK {
				b.Fatal(status)
			}
		}
	})
}
