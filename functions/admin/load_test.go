package admin_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strconv"
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

// clients is how many make calls at the same time.
const clients = 8

// measure makes calls from all clients at once, and reports the rate and the
// times within which half of them, and 99 of 100, were answered; and what a call
// took of processor time, by this process and others.
func measure(b *testing.B, others func() []int, call func(i int) int) {
	b.Helper()
	measureAt(b, 0, others, call)
}

// measureAt is measure of calls that come at a rate, a second, whether or not
// those before are answered: one that waits for them counts from when it was
// due. At a rate of zero each client makes a call when its last is answered.
func measureAt(b *testing.B, rate int, others func() []int, call func(i int) int) {
	b.Helper()
	took := make([][]time.Duration, clients)
	var number atomic.Int64
	var wg sync.WaitGroup
	done := processorTime(b, others)
	b.ResetTimer()
	start := time.Now()
	for c := range clients {
		wg.Go(func() {
			for {
				i := int(number.Add(1))
				if i > b.N {
					return
				}
				began := time.Now()
				if rate > 0 {
					began = start.Add(time.Duration(i) * time.Second / time.Duration(rate))
					time.Sleep(time.Until(began))
				}
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
	done()
	all := slices.Concat(took...)
	slices.Sort(all)
	if len(all) > 0 {
		b.ReportMetric(float64(len(all))/b.Elapsed().Seconds(), "req/s")
		b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, "p50-ms")
		b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1000, "p99-ms")
	}
}

// none are the processes beside this one.
func none() []int { return nil }

// processorTime reports what this process, and others, spend on a call in
// processor time from now until done is called.
func processorTime(b *testing.B, others func() []int) (done func()) {
	b.Helper()
	spent := func() (sum time.Duration) {
		for _, pid := range append(others(), os.Getpid()) {
			sum += spentBy(b, pid)
		}
		return sum
	}
	before := spent()
	return func() { b.ReportMetric(float64((spent()-before).Microseconds())/1000/float64(b.N), "cpu-ms/req") }
}

// spentBy is the processor time that a process has spent; zero where the system
// does not say.
func spentBy(b *testing.B, pid int) time.Duration {
	b.Helper()
	const user, system, tick = 11, 12, 10 * time.Millisecond // of what follows the name of the program
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(after)
	ticks := 0
	for _, i := range []int{user, system} {
		n, err := strconv.Atoi(fields[i])
		if err != nil {
			b.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * tick
}

// call makes a call, and returns its status.
func (s *system) call(b *testing.B, method, path, body string) int {
	return s.callAt(b, s.url, token, method, path, body)
}

// callAt makes a call of an API with a token, and returns its status.
func (s *system) callAt(b *testing.B, at, bearer, method, path, body string) int {
	r, err := http.NewRequestWithContext(b.Context(), method, at+path, strings.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+bearer)
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
		measure(b, none, func(i int) int { return s.call(b, "GET", fmt.Sprintf("/admin/secrets/load/%d", i%100), "") })
	})
	b.Run("read each of 5000 secrets once", func(b *testing.B) {
		s := loaded(b, 5_000)
		measure(b, none, func(i int) int { return s.call(b, "GET", fmt.Sprintf("/admin/secrets/load/%d", i%5_000), "") })
	})
	b.Run("store", func(b *testing.B) {
		s := loaded(b, 1000)
		measure(b, none, func(i int) int {
			return s.call(b, "POST", "/admin/secrets", fmt.Sprintf(`{"secretName":"load/%d","secretValue":"value %d"}`, i%1000, i))
		})
	})
	for name, rate := range map[string]int{"mix": 0, "mix of 2000 a second": 2000} {
		b.Run(name, func(b *testing.B) {
			s := loaded(b, 1000)
			measureAt(b, rate, none, func(i int) int {
				method, path, body := mix(i)
				return s.call(b, method, path, body)
			})
		})
	}
}

// mix is what operators ask for, by the number of the call: of twenty calls
// fourteen look at a secret and three at its rotation, two store a value, and one
// lists a page of them.
func mix(i int) (method, path, body string) {
	const secrets = 1000
	n := (i*7919 + i/20) % secrets // each of them comes to each kind of call
	switch i % 20 {
	case 0:
		return "GET", "/admin/secrets?limit=50&prefix=load/", ""
	case 1, 11:
		return "POST", "/admin/secrets", fmt.Sprintf(`{"secretName":"load/%d","secretValue":"value %d"}`, n, i)
	case 2, 8, 14:
		return "GET", fmt.Sprintf("/admin/secrets/load/%d/rotation", n), ""
	default:
		return "GET", fmt.Sprintf("/admin/secrets/load/%d", n), ""
	}
}

// BenchmarkSystem makes the calls of operators as they come to `rekey up`: over
// HTTP to the engine's HTTP API, which invokes the function as Lambda does, in
// processes of its own with their own role and rates; those who call are
// sixteen, with a token each. Processor time is that of all: clients, engine and
// functions.
func BenchmarkSystem(b *testing.B) {
	s := loaded(b, 1000)
	const operators = 16
	var held admin.Tokens
	bearer := func(i int) string { return fmt.Sprintf("the-token-of-operator-%d", i%operators) }
	for i := range operators {
		held.Tokens = append(held.Tokens, admin.NewToken(fmt.Sprint(i), bearer(i)))
	}
	value, err := json.Marshal(held)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := s.operator.PutSecretValue(b.Context(), &secretsmanager.PutSecretValueInput{
		SecretId: aws.String("dev-admin-tokens"), SecretString: aws.String(string(value)),
	}); err != nil {
		b.Fatal(err)
	}
	call := func(i int) int {
		method, path, body := mix(i)
		return s.callAt(b, s.engine.APIURL(), bearer(i), method, path, body)
	}
	var starting sync.WaitGroup
	for i := range clients {
		starting.Go(func() { call(i) })
	}
	starting.Wait()
	measure(b, func() (pids []int) {
		for _, e := range s.engine.Lambda.Environments(s.engine.Function("Admin")) {
			pids = append(pids, e.PID)
		}
		return pids
	}, call)
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
