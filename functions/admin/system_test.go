package admin_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/rekey-go/rekey"
	"github.com/rekey-go/rekey/functions/admin"
	"github.com/rekey-go/rekey/functions/internal/functiontest"
	"github.com/rekey-go/rekey/functions/invalidate"
	"github.com/rekey-go/rekey/functions/keyrotator"
	"github.com/rekey-go/rekey/internal/local"
	"github.com/rekey-go/rekey/runtime/bulletin"
)

// TestMain lets the engine run this test binary as four of the functions; the
// others do nothing.
func TestMain(m *testing.M) {
	functiontest.Main(m, func(codeURI string, cfg aws.Config) (lambda.Handler, error) {
		switch {
		case strings.Contains(codeURI, "admin"):
			return admin.New(cfg, os.Getenv)
		case strings.Contains(codeURI, "keyrotator") && !strings.Contains(codeURI, "apikeyrotator"):
			return keyrotator.New(cfg, os.Getenv)
		case strings.Contains(codeURI, "invalidate"):
			return invalidate.New(cfg, os.Getenv)
		case strings.Contains(codeURI, "dbrotator"):
			return lambda.NewHandler(func(context.Context, json.RawMessage) (any, error) {
				return nil, errors.New("the database is away")
			}), nil
		}
		return nil, nil
	})
}

const (
	token  = "the-token-of-an-operator"
	signed = "jwt-configuration" // rotated by a function that is there
	plain  = "provider-admin"    // not rotated
	broken = "database-credentials"
)

// A system is the engine with the template, and the admin API beside it with the
// rights of its role and no others.
type system struct {
	*contract
	engine   *local.Engine
	operator *secretsmanager.Client // may do everything
	api      *admin.Handler
	url      string
	client   *http.Client
	log      *functiontest.Log
	calls    *faults
}

// start starts a system. Edit may change what the API is made with.
func start(t testing.TB, edit ...func(*admin.Options)) *system {
	t.Helper()
	return startFrom(t, rekey.Template, edit...)
}

// startFrom starts a system of a template.
func startFrom(t testing.TB, template []byte, edit ...func(*admin.Options)) *system {
	t.Helper()
	s := &system{contract: newContract(t), log: new(functiontest.Log), calls: new(faults)}
	var err error
	s.engine, err = local.Start(t.Context(), local.Options{
		Template: template, TemplateFile: "template.yaml", Logs: s.log,
		Command:         functiontest.Command,
		RotationBackoff: []time.Duration{time.Hour},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.engine.Close(context.Background()); err != nil {
			t.Errorf("closing the engine: %v", err)
		}
	})
	s.operator = secretsmanager.NewFromConfig(s.config("operator"))
	own := s.engine.CredentialsOf("Admin")
	cfg := s.config("")
	cfg.Credentials = credentials.NewStaticCredentialsProvider(own.AccessKeyID, own.SecretAccessKey, own.SessionToken)
	cfg.HTTPClient, cfg.RetryMaxAttempts = &http.Client{Transport: s.calls}, 1
	opts := admin.Options{
		KMSKey: "arn:aws:kms:us-east-1:123456789012:key/Key",
		Tokens: tokens{admin.NewToken("operator", token)}, Logger: slog.New(slog.NewJSONHandler(s.log, nil)),
		Board: bulletin.New(dynamodb.NewFromConfig(cfg), "dev-rekey-bulletin"), Trail: cloudtrail.NewFromConfig(cfg), TrailPerSecond: -1,
		CallsPerSecond: 10_000,
	}
	for _, fn := range edit {
		fn(&opts)
	}
	s.api = admin.NewHandler(secretsmanager.NewFromConfig(cfg), opts)
	if _, measured := t.(*testing.B); !measured {
		s.api.Wait()
	}
	server := httptest.NewServer(s.api)
	t.Cleanup(server.Close)
	s.url, s.client = server.URL, &http.Client{Transport: s.contract}
	return s
}

func (s *system) config(key string) aws.Config {
	return aws.Config{
		Region: local.Region, BaseEndpoint: aws.String(s.engine.Endpoint()), Credentials: credentials.NewStaticCredentialsProvider(key, key, ""),
	}
}

// tokens are the tokens that the API takes.
type tokens []admin.Token

// Tokens returns them.
func (s tokens) Tokens(context.Context) ([]admin.Token, error) { return s, nil }

// faults are the API's way to AWS. One call may be made to fail.
type faults struct {
	mu   sync.Mutex
	made []string // the targets of all calls
	fail int      // the number of the call that fails; none if zero
	how  func(*http.Request) (*http.Response, error)
}

// RoundTrip passes on, or fails.
func (f *faults) RoundTrip(r *http.Request) (*http.Response, error) {
	f.mu.Lock()
	f.made = append(f.made, r.Header.Get("X-Amz-Target"))
	fail := f.fail > 0 && len(f.made) == f.fail
	f.mu.Unlock()
	if fail {
		return f.how(r)
	}
	return many.RoundTrip(r)
}

// many keeps connections for many callers. It is not the default transport, whose
// connections every httptest.Server closes when it ends.
var many = &http.Transport{MaxIdleConnsPerHost: 64}

// arm has the call of a number fail, counted from now; none if it is zero.
func (f *faults) arm(n int, how func(*http.Request) (*http.Response, error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.made, f.fail, f.how = nil, n, how
}

func (f *faults) targets() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string{}, f.made...)
}

// A result is an answer.
type result struct {
	status int
	body   string
	header http.Header
}

func (r result) decode(t testing.TB, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(r.body), into); err != nil {
		t.Fatalf("answer %d %s: %v", r.status, r.body, err)
	}
}

// do calls the API with a header for each pair of texts.
func (s *system) do(t testing.TB, method, path, body string, headers ...string) result {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	res, err := s.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return result{res.StatusCode, strings.TrimSpace(string(text)), res.Header}
}

// must calls the API, and wants a status.
func (s *system) must(t testing.TB, status int, method, path, body string, headers ...string) result {
	t.Helper()
	r := s.do(t, method, path, body, headers...)
	if r.status != status {
		t.Fatalf("%s %s: %d %s, want %d\n%s", method, path, r.status, r.body, status, s.logged(r))
	}
	return r
}

// logged are the lines of the log about a call.
func (s *system) logged(r result) string {
	var lines []string
	for line := range strings.Lines(s.log.String()) {
		if strings.Contains(line, r.header.Get("X-Request-Id")) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

// value is the value of a version, as an operator reads it.
func (s *system) value(t testing.TB, name, label string) string {
	t.Helper()
	out, err := s.operator.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("dev-" + name), VersionStage: &label})
	if err != nil {
		t.Fatal(err)
	}
	return aws.ToString(out.SecretString)
}

func (s *system) describe(t testing.TB, name string) *secretsmanager.DescribeSecretOutput {
	t.Helper()
	out, err := s.operator.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: aws.String("dev-" + name)})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
