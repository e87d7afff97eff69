package local_test

import (
	"context"
	"net"
	"net/http"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/rekey-go/rekey/internal/local"
)

// BenchmarkGetSecretValueBesideMoto measures the same reads by the SDK at the
// engine and at moto_server, and reports how many times faster the engine is.
func BenchmarkGetSecretValueBesideMoto(b *testing.B) {
	e := start(b, local.Options{})
	engine := reader(b, configFor(e))
	cfg := configFor(e)
	cfg.BaseEndpoint = aws.String(startMoto(b))
	moto := reader(b, cfg)

	const reads = 400
	began := time.Now()
	concurrently(b, reads, moto)
	atMoto := reads / time.Since(began).Seconds()

	b.ResetTimer()
	concurrently(b, b.N, engine)
	atEngine := float64(b.N) / b.Elapsed().Seconds()
	b.ReportMetric(atMoto, "moto-reads/s")
	b.ReportMetric(atEngine, "reads/s")
	b.ReportMetric(atEngine/atMoto, "times-moto")
}

// reader makes a secret and returns what reads it.
func reader(b *testing.B, cfg aws.Config) func(context.Context) error {
	b.Helper()
	client := secretsmanager.NewFromConfig(cfg)
	name := aws.String("beside-moto")
	if _, err := client.CreateSecret(b.Context(), &secretsmanager.CreateSecretInput{Name: name, SecretString: aws.String("value")}); err != nil {
		b.Fatal(err)
	}
	return func(ctx context.Context) error {
		_, err := client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: name})
		return err
	}
}

// concurrently does something n times, by four callers.
func concurrently(b *testing.B, n int, do func(context.Context) error) {
	b.Helper()
	var callers sync.WaitGroup
	for first := range 4 {
		callers.Go(func() {
			for i := first; i < n; i += 4 {
				if err := do(b.Context()); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	callers.Wait()
}

// startMoto starts moto_server and returns its URL. Where there is none the
// benchmark is skipped, with a word.
func startMoto(b *testing.B) string {
	b.Helper()
	path, err := exec.LookPath("moto_server")
	if err != nil {
		b.Skip("NOT COMPARED: there is no moto_server on the PATH (pip install 'moto[server]')")
	}
	listener, err := new(net.ListenConfig).Listen(b.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	if err := listener.Close(); err != nil {
		b.Fatal(err)
	}
	cmd := exec.CommandContext(b.Context(), path, "-H", "127.0.0.1", "-p", port)
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	url := "http://127.0.0.1:" + port
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for range 600 {
		<-look.C
		req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, url+"/moto-api/", nil)
		if err != nil {
			b.Fatal(err)
		}
		if res, err := http.DefaultClient.Do(req); err == nil {
			_ = res.Body.Close()
			return url
		}
	}
	b.Fatal("moto_server on port " + strconv.Quote(port) + " does not answer")
	return ""
}
