package local_test

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/rekey-go/rekey"
	"github.com/rekey-go/rekey/internal/local"
)

// BenchmarkStart measures how long the engine takes to be ready, with all that
// the template defines: that of these tests, and the system's own.
func BenchmarkStart(b *testing.B) {
	for name, text := range map[string][]byte{"small": []byte(system), "whole": rekey.Template} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				e, err := local.Start(b.Context(), local.Options{
					Template: text, TemplateFile: "t.yaml", Command: func(string) ([]string, error) { return command("echo") },
				})
				if err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				if err := e.Close(b.Context()); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
			b.ReportMetric(residentMiB(b), "MiB-resident")
		})
	}
}

// residentMiB is the memory that this process has in use.
func residentMiB(b *testing.B) float64 {
	b.Helper()
	if runtime.GOOS != "linux" {
		return 0
	}
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				b.Fatal(err)
			}
			return float64(kib) / 1024
		}
	}
	return 0
}

// BenchmarkGetSecretValue measures reads by the SDK, over the wire.
func BenchmarkGetSecretValue(b *testing.B) {
	e := start(b, local.Options{})
	client := secretsmanager.NewFromConfig(configFor(e))
	if _, err := client.PutSecretValue(b.Context(), &secretsmanager.PutSecretValueInput{SecretId: aws.String("dev-key"), SecretString: aws.String("value")}); err != nil {
		b.Fatal(err)
	}
	var failed atomic.Int64
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := client.GetSecretValue(b.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("dev-key")}); err != nil {
				failed.Add(1)
			}
		}
	})
	if failed.Load() > 0 {
		b.Fatalf("%d reads failed", failed.Load())
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "reads/s")
}
