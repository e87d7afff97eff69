package secretsmanager_test

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rekey-go/rekey/internal/local/clock"
	"github.com/rekey-go/rekey/internal/local/secretsmanager"
	"github.com/rekey-go/rekey/internal/local/store"
	"github.com/rekey-go/rekey/internal/local/wire"
)

// BenchmarkGetSecretValue reads in the process, without HTTP.
func BenchmarkGetSecretValue(b *testing.B) {
	s := newBench(b, withStore(b))
	history(b, s)
	get := s.service.Wire().Operations["GetSecretValue"]
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			out, err := get.Handle(b.Context(), &wire.Call{Operation: "GetSecretValue", Input: json.RawMessage(`{"SecretId":"db"}`)})
			if err != nil {
				b.Error(err)
				return
			}
			if _, err := json.Marshal(out); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// A bare service is one with a rotation function in its own process, and
// nothing around it.
type bare struct {
	*secretsmanager.Service
	clock      *clock.Clock
	operations map[string]wire.Operation
	current    sync.Map // secret to the version that was promoted last
	rotations  atomic.Int64
	rotated    chan struct{} // gets one for each RotationSucceeded, if there
}

func newBare(b *testing.B, st *store.Store) *bare {
	b.Helper()
	s := &bare{clock: clock.New()}
	s.clock.Freeze()
	if err := s.clock.Advance(b.Context(), begin().Sub(s.clock.Now())); err != nil {
		b.Fatal(err)
	}
	service, err := secretsmanager.New(secretsmanager.Options{Account: account, Region: region, Clock: s.clock, Store: st, Invoker: s, Trail: s})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(service.Close)
	s.Service, s.operations = service, service.Wire().Operations
	return s
}

// call makes a call as the front door does.
func (s *bare) call(ctx context.Context, operation, format string, args ...any) error {
	_, err := s.operations[operation].Handle(ctx, &wire.Call{Operation: operation, Input: fmt.Appendf(nil, format, args...)})
	return err
}

// Allows lets every function be invoked.
func (s *bare) Allows(string, string, string) bool { return true }

// Invoke is a rotation function that stores a value and promotes it, and does
// nothing beside that.
func (s *bare) Invoke(ctx context.Context, _ string, payload []byte) (result []byte, functionError string, err error) {
	var e struct{ Step, SecretId, ClientRequestToken string }
	if err := json.Unmarshal(payload, &e); err != nil {
		return nil, "", err
	}
	switch e.Step {
	case "createSecret":
		err = s.call(ctx, "PutSecretValue", `{"SecretId":%q,"ClientRequestToken":%q,"SecretString":"value","VersionStages":["AWSPENDING"]}`, e.SecretId, e.ClientRequestToken)
	case "finishSecret":
		from, there := s.current.Swap(e.SecretId, e.ClientRequestToken)
		if !there {
			from = tokenA
		}
		err = s.call(ctx, "UpdateSecretVersionStage", `{"SecretId":%q,"VersionStage":"AWSCURRENT","MoveToVersionId":%q,"RemoveFromVersionId":%q}`, e.SecretId, e.ClientRequestToken, from)
	}
	return nil, "", err
}

// ServiceEvent counts the rotations that succeeded.
func (s *bare) ServiceEvent(e wire.ServiceEvent) {
	if e.EventName == "RotationSucceeded" {
		s.rotations.Add(1)
		if s.rotated != nil {
			s.rotated <- struct{}{}
		}
	}
}

// BenchmarkRotateSecret rotates from the call to the end of the rotation, with
// a store.
func BenchmarkRotateSecret(b *testing.B) {
	for name, kept := range map[string]bool{"in memory": false, "stored": true} {
		b.Run(name, func(b *testing.B) {
			s := newBare(b, openStore(b, kept))
			s.rotated = make(chan struct{}, 1)
			const secrets = 200 // so that few have more versions than a secret keeps
			for i := range secrets {
				if err := s.call(b.Context(), "CreateSecret", `{"Name":"s%d","ClientRequestToken":%q,"SecretString":"first"}`, i, tokenA); err != nil {
					b.Fatal(err)
				}
			}
			n := 0
			for b.Loop() {
				n++
				if err := s.call(b.Context(), "RotateSecret", `{"SecretId":"s%d","ClientRequestToken":"%036d","RotationLambdaARN":%q}`, n%secrets, n, rotator); err != nil {
					b.Fatal(err)
				}
				<-s.rotated
			}
		})
	}
}

func openStore(b *testing.B, kept bool) *store.Store {
	b.Helper()
	if !kept {
		return nil
	}
	s, err := store.Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	return s
}

// BenchmarkYearOfSchedules advances 365 days over 1,000 secrets that are
// rotated daily: 365,000 rotations.
func BenchmarkYearOfSchedules(b *testing.B) {
	const secrets, days = 1000, 365
	for b.Loop() {
		b.StopTimer()
		s := newBare(b, nil)
		for i := range secrets {
			if err := s.call(b.Context(), "CreateSecret", `{"Name":"s%d","ClientRequestToken":%q,"SecretString":"first"}`, i, tokenA); err != nil {
				b.Fatal(err)
			}
			if err := s.ConfigureRotation(fmt.Sprintf("s%d", i), secretsmanager.Rotation{LambdaARN: rotator, ScheduleExpression: "rate(1 day)"}); err != nil {
				b.Fatal(err)
			}
		}
		b.StartTimer()
		if err := s.clock.Advance(b.Context(), days*24*time.Hour); err != nil {
			b.Fatal(err)
		}
		if got := s.rotations.Load(); got < secrets*(days-1) {
			b.Fatalf("%d rotations, want %d", got, secrets*days)
		}
	}
	b.ReportMetric(float64(secrets*days*b.N)/b.Elapsed().Seconds(), "rotations/s")
}

// BenchmarkMemory makes 10,000 secrets with 100 versions each.
func BenchmarkMemory(b *testing.B) {
	const secrets, versions = 10_000, 100
	for b.Loop() {
		before := heap()
		s := newBare(b, nil)
		for i := range secrets {
			if err := s.call(b.Context(), "CreateSecret", `{"Name":"team-%d/service/database","ClientRequestToken":"%036d"}`, i, 0); err != nil {
				b.Fatal(err)
			}
			for v := range versions {
				if err := s.call(b.Context(), "PutSecretValue", `{"SecretId":"team-%d/service/database","ClientRequestToken":"%018d%018d","SecretString":"{\"username\":\"app\",\"password\":\"%032d\",\"host\":\"db.internal\",\"port\":5432}"}`, i, i, v, i*versions+v); err != nil {
					b.Fatal(err)
				}
			}
		}
		used := heap() - before
		b.ReportMetric(float64(used)/(secrets*versions), "B/version")
		b.ReportMetric(float64(used)/(1<<20), "MiB")
		runtime.KeepAlive(s)
	}
}

// heap is how much memory is in use after a collection.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkStart starts on a folder that holds 10,000 secrets.
func BenchmarkStart(b *testing.B) {
	const secrets = 10_000
	dir := b.TempDir()
	fill(b, dir, secrets)
	for b.Loop() {
		st, err := store.Open(dir)
		if err != nil {
			b.Fatal(err)
		}
		s, err := secretsmanager.New(secretsmanager.Options{Account: account, Region: region, Clock: clock.New(), Store: st})
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		s.Close()
		if err := st.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// fill stores secrets with two versions each.
func fill(b *testing.B, dir string, secrets int) {
	b.Helper()
	st, err := store.Open(dir)
	if err != nil {
		b.Fatal(err)
	}
	s := newBare(b, st)
	next := make(chan int)
	errs := make(chan error, 64)
	for range cap(errs) { // writes at the same time share a commit
		go func() {
			var err error
			for i := range next {
				if err == nil {
					err = s.call(b.Context(), "CreateSecret", `{"Name":"s%d","ClientRequestToken":%q,"SecretString":"first"}`, i, tokenA)
				}
				if err == nil {
					err = s.call(b.Context(), "PutSecretValue", `{"SecretId":"s%d","ClientRequestToken":%q,"SecretString":"second"}`, i, tokenB)
				}
			}
			errs <- err
		}()
	}
	for i := range secrets {
		next <- i
	}
	close(next)
	for range cap(errs) {
		if err := <-errs; err != nil {
			b.Fatal(err)
		}
	}
	s.Close()
	if err := st.Close(); err != nil {
		b.Fatal(err)
	}
}
