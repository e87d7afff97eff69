package main

import (
	"context"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rekey-go/rekey"
	"github.com/rekey-go/rekey/internal/deploy"
	"github.com/rekey-go/rekey/internal/stack"
)

// BenchmarkColdStart tells how long each function takes from the start of its
// process to its first answer over the Lambda Runtime API. The bootstraps are
// built as they are deployed, but for this machine; each is given an empty
// event, and the engine as AWS.
func BenchmarkColdStart(b *testing.B) {
	s, err := stack.Start(b.Context(), stack.Options{
		Template: rekey.Template, TemplateFile: "template.yaml", NoDatabase: true, Logs: io.Discard, Command: commandFor,
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close(context.Background()) })
	for _, name := range slices.Sorted(maps.Keys(functions)) {
		b.Run(name, func(b *testing.B) {
			program := filepath.Join(b.TempDir(), "bootstrap")
			build := exec.CommandContext(b.Context(), "go", slices.Concat([]string{"build"}, deploy.BuildFlags(), []string{"-o", program, "./functions/" + name + "/bootstrap"})...)
			build.Dir, build.Env = "../..", append(os.Environ(), "CGO_ENABLED=0")
			if out, err := build.CombinedOutput(); err != nil {
				b.Fatalf("building %s: %v\n%s", name, err, out)
			}
			var took []time.Duration
			for b.Loop() {
				took = append(took, coldStart(b, program, name, s.Engine.Endpoint()))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(took[0].Microseconds())/1000, "min-ms")
			b.ReportMetric(0, "ns/op") // the processes' ends are in it
		})
	}
}

// coldStart starts a function and waits for its first answer, whatever it is.
func coldStart(b *testing.B, program, name, endpoint string) time.Duration {
	b.Helper()
	answered := make(chan struct{}, 1)
	invocations := make(chan struct{}, 1)
	invocations <- struct{}{}
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/next") {
			w.WriteHeader(http.StatusAccepted)
			answered <- struct{}{}
			return
		}
		select {
		case <-invocations:
			w.Header().Set("Lambda-Runtime-Aws-Request-Id", "1")
			w.Header().Set("Lambda-Runtime-Deadline-Ms", "9999999999999")
			_, _ = io.WriteString(w, "{}")
		case <-r.Context().Done():
		}
	}))
	defer api.Close()
	cmd := exec.CommandContext(b.Context(), program)
	cmd.Env = []string{
		"AWS_LAMBDA_RUNTIME_API=" + strings.TrimPrefix(api.URL, "http://"), "AWS_LAMBDA_FUNCTION_NAME=dev-" + name,
		"AWS_REGION=us-east-1", "AWS_ACCESS_KEY_ID=operator", "AWS_SECRET_ACCESS_KEY=operator", "AWS_ENDPOINT_URL=" + endpoint,
		"REKEY_STAGE=dev", "REKEY_BUS=dev-rekey", "REKEY_BULLETIN=dev-rekey-bulletin", "REKEY_ADMIN_TOKENS=dev-admin-tokens",
		"REKEY_SUPERUSER=dev-database-superuser", "REKEY_PROVIDERS=sendgrid stripe", "REKEY_PROVIDER_ADMIN=dev-provider-admin",
		"REKEY_RETIRE_QUEUE=" + endpoint + "/123456789012/dev-rekey-retire",
	}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	select {
	case <-answered:
	case <-time.After(10 * time.Second):
		b.Errorf("%s has not answered after ten seconds", name)
	}
	took := time.Since(began)
	_ = cmd.Process.Kill()
	_ = cmd.Wait() // killed
	return took
}
