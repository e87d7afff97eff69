package dbrotator_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/rekey-go/rekey/internal/local/lambda"
	engine "github.com/rekey-go/rekey/internal/local/secretsmanager"
	"github.com/rekey-go/rekey/internal/local/wire"
	"github.com/rekey-go/rekey/internal/pgserver"
	"github.com/rekey-go/rekey/internal/pgserver/pgtest"
	"github.com/rekey-go/rekey/rotation"
)

// BenchmarkBesideAWSTemplates rotates logins with Rekey's function and with
// AWS's own template for Python by turns, on the same PostgreSQL and the same
// Secrets Manager, each as a process that Lambda has started. It reports of
// each
//
//	p50-ms, p95-ms  one rotation, from RotateSecret to its end
//	first-ms        the first step after a SIGKILL, with the start of the process
//	calls           of Secrets Manager, for one rotation
//	sessions        of the database, for one rotation
//	refused         logins that the database refused, for one rotation
//	MiB             the most memory that the process had resident
//
// The templates verify TLS against one file of Lambda's own file system, so here
// both go without; rekey-tls is Rekey's function with TLS. The templates are not
// part of this repository: REKEY_AWS_TEMPLATES names the folder of a clone of
// github.com/aws-samples/aws-secrets-manager-rotation-lambdas, and python3 needs
// boto3 and PyGreSQL.
func BenchmarkBesideAWSTemplates(b *testing.B) {
	program := buildBootstrap(b)
	for strategy, template := range map[string]string{
		"single-user":       "SecretsManagerRDSPostgreSQLRotationSingleUser",
		"alternating-users": "SecretsManagerRDSPostgreSQLRotationMultiUser",
	} {
		b.Run(strategy, func(b *testing.B) {
			r := newRace(b)
			racers := []*racer{
				r.enter(b, "rekey", `,"ssl":false`, rekeyFunction(r, program, strategy)),
				r.enter(b, "rekey-tls", "", rekeyFunction(r, program, strategy)),
			}
			if f, err := templateFunction(b, template); err != nil {
				b.Log("NOT COMPARED:", err)
			} else {
				racers = append(racers, r.enter(b, "aws", `,"ssl":false`, f))
			}
			r.run(b, racers)
			for _, c := range racers {
				c.report(b)
			}
			b.ReportMetric(0, "ns/op") // of all of them, which says nothing
		})
	}
}

// A race is AWS and a database, for functions that rotate by turns.
type race struct {
	*cloud
	engine.Invoker
	db    *pgserver.Server
	calls atomic.Int64       // of Secrets Manager, by the functions
	steps chan time.Duration // how long each took
	fault atomic.Value       // what a function that failed has said
	ended chan error         // what each rotation came to
}

func newRace(b *testing.B) *race {
	b.Helper()
	r := &race{
		db:    pgtest.Start(b, pgserver.Options{Plaintext: true, Settings: map[string]string{"log_connections": "on"}}),
		steps: make(chan time.Duration, 64), ended: make(chan error, 1),
	}
	r.cloud = newCloud(b, cloudOptions{
		queues: r, trail: r, between: r.count,
		invoker: func(s *lambda.Service) engine.Invoker { r.Invoker = s; return r },
	})
	return r
}

// count counts the calls of Secrets Manager.
func (r *race) count(to http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if strings.HasPrefix(req.Header.Get("X-Amz-Target"), "secretsmanager.") {
			r.calls.Add(1)
		}
		to.ServeHTTP(w, req)
	})
}

// Invoke runs a step and takes its time.
func (r *race) Invoke(ctx context.Context, arn string, payload []byte) (result []byte, functionError string, err error) {
	began := time.Now()
	result, functionError, err = r.Invoker.Invoke(ctx, arn, payload)
	r.steps <- time.Since(began)
	if functionError != "" {
		r.fault.Store(string(result))
	}
	return result, functionError, err
}

// ServiceEvent hears of the end of a rotation.
func (r *race) ServiceEvent(e wire.ServiceEvent) {
	switch e.EventName {
	case "RotationSucceeded":
		r.ended <- nil
	case "RotationFailed":
		r.ended <- fmt.Errorf("%s: %v", e.ErrorMessage, r.fault.Load())
	}
}

// Deliver takes what is announced on the bus, which nobody needs here.
func (*race) Deliver(string, string, map[string]any) error { return nil }

// A racer is a function, and the secret that it rotates.
type racer struct {
	name, function, secret    string // function and secret are ARNs
	took, first               []time.Duration
	calls, sessions, rejected int
	peak                      float64 // MiB
}

// enter defines a function, and makes a login for it. The members are those of
// the logins' values beyond AWS's usual ones.
func (r *race) enter(b *testing.B, name, members string, f lambda.Function) *racer {
	b.Helper()
	user := strings.ReplaceAll(name, "-", "_")
	pgtest.Exec(b, r.db, "postgres", "CREATE ROLE "+user+" LOGIN PASSWORD 'first'")
	const value = `{"engine":"postgres","host":"127.0.0.1","port":%d,"username":%q,"password":%q,"dbname":"postgres"%s}`
	super := create(b, r.Client, "super-"+name, fmt.Sprintf(value, r.db.Port, r.db.User, r.db.Password, members))
	secret := create(b, r.Client, name, fmt.Sprintf(value, r.db.Port, user, "first", members+`,"masterarn":"`+super+`"`))
	f.Name, f.Timeout = name, 30*time.Second
	arn, err := r.runner.Define(f)
	must(b, err)
	r.runner.AddPermission(arn, "secretsmanager.amazonaws.com", "", "")
	return &racer{name: name, function: arn, secret: secret}
}

// run rotates by turns, and in the end kills the processes.
func (r *race) run(b *testing.B, racers []*racer) {
	b.Helper()
	const warm, kills = 2, 11
	for range warm {
		for _, c := range racers {
			r.rotate(b, c)
		}
	}
	for b.Loop() {
		for _, c := range racers {
			calls := r.calls.Load()
			sessions, rejected := r.logins()
			took, _ := r.rotate(b, c)
			c.took = append(c.took, took)
			c.calls += int(r.calls.Load() - calls)
			s, n := r.logins()
			c.sessions += s - sessions
			c.rejected += n - rejected
		}
	}
	b.StopTimer()
	for _, c := range racers {
		c.peak = peak(b, r.process(b, c))
		r.check(b, c)
	}
	for range kills {
		for _, c := range racers {
			must(b, r.runner.Kill(r.process(b, c)))
			_, first := r.rotate(b, c)
			c.first = append(c.first, first)
		}
	}
}

// rotate rotates the secret of a racer. It returns how long that took, and the
// first step.
func (r *race) rotate(b *testing.B, c *racer) (took, first time.Duration) {
	b.Helper()
	began := time.Now()
	_, err := r.RotateSecret(b.Context(), &secretsmanager.RotateSecretInput{SecretId: &c.secret, RotationLambdaARN: &c.function})
	must(b, err)
	select {
	case err = <-r.ended:
		took = time.Since(began)
	case <-time.After(patience):
		err = errors.New("the rotation did not end")
	}
	if err != nil {
		b.Fatalf("%s: %v", c.name, err)
	}
	first = <-r.steps
	for range 3 {
		<-r.steps
	}
	return took, first
}

// logins is how many sessions the database has begun, and how many logins it
// has refused.
func (r *race) logins() (sessions, rejected int) {
	log := r.db.Log()
	return strings.Count(log, "connection authorized:"), strings.Count(log, "password authentication failed")
}

// process is the one process of a racer.
func (r *race) process(b *testing.B, c *racer) (pid int) {
	b.Helper()
	all := r.runner.Environments(c.function)
	if len(all) != 1 {
		b.Fatalf("%s has %d processes, want one", c.name, len(all))
	}
	return all[0].PID
}

// check uses the current login.
func (r *race) check(b *testing.B, c *racer) {
	b.Helper()
	out, err := r.GetSecretValue(b.Context(), &secretsmanager.GetSecretValueInput{SecretId: &c.secret})
	must(b, err)
	login, err := rotation.ParseCredential(rotation.NewValue(*out.SecretString))
	must(b, err)
	if _, err := pgtest.Login(b, r.db, login.Username, login.Password.Reveal(), "postgres"); err != nil {
		b.Errorf("%s: the current login is refused: %v", c.name, err)
	}
}

func (c *racer) report(b *testing.B) {
	b.Helper()
	milliseconds := func(all []time.Duration, percent int) float64 {
		slices.Sort(all)
		return float64(all[len(all)*percent/100].Microseconds()) / 1000
	}
	rotations := float64(len(c.took))
	for unit, n := range map[string]float64{
		"p50-ms": milliseconds(c.took, 50), "p95-ms": milliseconds(c.took, 95), "first-ms": milliseconds(c.first, 50),
		"calls": float64(c.calls) / rotations, "sessions": float64(c.sessions) / rotations, "refused": float64(c.rejected) / rotations,
		"MiB": c.peak,
	} {
		b.ReportMetric(n, c.name+"-"+unit)
	}
}

// peak is the most memory that a process had resident, in MiB; zero where the
// system does not say.
func peak(b *testing.B, pid int) float64 {
	b.Helper()
	status, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	defer func() { _ = status.Close() }()
	lines := bufio.NewScanner(status)
	for lines.Scan() {
		var kib float64
		if n, _ := fmt.Sscanf(lines.Text(), "VmHWM: %f kB", &kib); n == 1 {
			return kib / 1024
		}
	}
	return 0
}

// buildBootstrap builds the function as it is deployed.
func buildBootstrap(b *testing.B) (program string) {
	b.Helper()
	program = filepath.Join(b.TempDir(), "bootstrap")
	build := exec.CommandContext(b.Context(), "go", "build", "-trimpath", "-tags", "lambda.norpc", "-ldflags", "-s -w", "-o", program, "./bootstrap")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("building the function: %v\n%s", err, out)
	}
	return program
}

func rekeyFunction(r *race, program, strategy string) lambda.Function {
	return lambda.Function{Command: []string{program}, Environment: map[string]string{
		"REKEY_BUS": "dev-rekey", "REKEY_STRATEGY": strategy, "REKEY_ALLOW_PLAINTEXT": "true", "REKEY_DATABASE_CA": r.db.CA,
	}}
}

// runtime is the Lambda runtime for the templates. Its client sends without
// waiting for more to send (TCP_NODELAY), as does boto3's.
const runtime = `
import http.client, importlib, json, os, sys

sys.dont_write_bytecode = True  # the code of a function is read-only
sys.path.insert(0, os.environ["TEMPLATE"])
os.environ["SECRETS_MANAGER_ENDPOINT"] = os.environ["AWS_ENDPOINT_URL"]
handler = importlib.import_module("lambda_function").lambda_handler
api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])

def call(method, path, body=None):
    api.request(method, "/2018-06-01/runtime/invocation/" + path, body)
    answer = api.getresponse()
    return answer.headers, answer.read()

while True:
    headers, event = call("GET", "next")
    path = headers["Lambda-Runtime-Aws-Request-Id"]
    try:
        call("POST", path + "/response", json.dumps(handler(json.loads(event), None)))
    except Exception as e:
        call("POST", path + "/error", json.dumps({"errorType": type(e).__name__, "errorMessage": str(e)}))
`

// templateFunction is a template of AWS's as a function. The error says what is
// missing here.
func templateFunction(b *testing.B, template string) (lambda.Function, error) {
	b.Helper()
	folder := os.Getenv("REKEY_AWS_TEMPLATES")
	if folder == "" {
		return lambda.Function{}, errors.New("REKEY_AWS_TEMPLATES does not name a clone of github.com/aws-samples/aws-secrets-manager-rotation-lambdas")
	}
	folder = filepath.Join(folder, template)
	if _, err := os.Stat(filepath.Join(folder, "lambda_function.py")); err != nil {
		return lambda.Function{}, fmt.Errorf("REKEY_AWS_TEMPLATES: %w", err)
	}
	for _, python := range []string{"python3", "/usr/bin/python3"} {
		if path, err := exec.LookPath(python); err == nil && exec.CommandContext(b.Context(), path, "-c", "import boto3, pgdb").Run() == nil {
			file := filepath.Join(b.TempDir(), "runtime.py")
			must(b, os.WriteFile(file, []byte(runtime), 0o600))
			return lambda.Function{Command: []string{path, file}, Environment: map[string]string{"TEMPLATE": folder}}, nil
		}
	}
	return lambda.Function{}, errors.New("no python3 has boto3 and PyGreSQL (apt-get install python3-boto3 python3-pygresql)")
}
