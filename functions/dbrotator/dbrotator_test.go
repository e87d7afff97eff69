package dbrotator_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/rekey-go/rekey/functions/dbrotator"
	"github.com/rekey-go/rekey/internal/local/clock"
	"github.com/rekey-go/rekey/internal/local/events"
	"github.com/rekey-go/rekey/internal/local/iam"
	engine "github.com/rekey-go/rekey/internal/local/secretsmanager"
	"github.com/rekey-go/rekey/internal/local/wire"
	"github.com/rekey-go/rekey/internal/pgserver"
	"github.com/rekey-go/rekey/internal/pgserver/pgtest"
	"github.com/rekey-go/rekey/rotation"
	"github.com/rekey-go/rekey/runtime/invalidation"
)

const (
	account  = "123456789012"
	region   = "us-east-1"
	function = "arn:aws:lambda:us-east-1:123456789012:function:dev-dbrotator"
	queue    = "arn:aws:sqs:us-east-1:123456789012:heard"
	patience = time.Minute // waited out only by a test that fails
)

// A bench is AWS and a database, with the function between them.
type bench struct {
	*secretsmanager.Client
	db      *pgserver.Server
	handler lambda.Handler
	getenv  func(string) string // the function's variables
	heard   chan string         // the bodies that reach the queue on the bus
	ended   chan error          // what each step came to

	mu    sync.Mutex
	calls map[string]int // :: operation -> how often the function called it
}

// newBench starts everything, with PostgreSQL. Env are variables of the
// function beside those that it has in the template.
func newBench(tb testing.TB, env map[string]string) *bench {
	tb.Helper()
	db := pgtest.Start(tb, pgserver.Options{})
	vars := map[string]string{
		"REKEY_DATABASE_PORT": fmt.Sprint(db.Port), "REKEY_DATABASE_NAME": "postgres", "REKEY_DATABASE_CA": db.CA,
	}
	maps.Copy(vars, env)
	b := newBenchFor(tb, fmt.Sprintf(`{"engine":"postgres","host":"127.0.0.1","port":%d,"username":%q,"password":%q}`, db.Port, db.User, db.Password), vars)
	b.db = db
	return b
}

// newBenchFor starts all but the database, whose superuser logs in so.
func newBenchFor(tb testing.TB, superuser string, env map[string]string) *bench {
	tb.Helper()
	b := &bench{heard: make(chan string, 16), ended: make(chan error, 64), calls: make(map[string]int)}
	ticking := clock.New()
	bus, err := events.New(events.Options{Account: account, Region: region, Clock: ticking, Queues: b})
	if err != nil {
		tb.Fatal(err)
	}
	secrets, err := engine.New(engine.Options{Account: account, Region: region, Clock: ticking, Invoker: b, Publisher: bus})
	if err != nil {
		tb.Fatal(err)
	}
	front := wire.NewFront(wire.FrontOptions{
		Region: region, Account: account, Now: ticking.Now, Identify: iam.NewKeys(account).Lookup,
	}, secrets.Wire(), bus.Wire())
	operators := httptest.NewServer(front)
	functions := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.count(r.Header.Get("X-Amz-Target"))
		front.ServeHTTP(w, r)
	}))
	tb.Cleanup(func() { secrets.Close(); bus.Close(); operators.Close(); functions.Close() })
	b.Client = secretsmanager.NewFromConfig(awsConfig(operators.URL))
	listen(tb, bus)

	b.create(tb, "dev-database-superuser", superuser, nil)
	vars := map[string]string{
		"REKEY_BUS": "dev-rekey", "REKEY_SUPERUSER": "dev-database-superuser", "AWS_LAMBDA_FUNCTION_NAME": "dev-dbrotator",
	}
	maps.Copy(vars, env)
	b.getenv = func(name string) string { return vars[name] }
	b.handler, err = dbrotator.New(awsConfig(functions.URL), b.getenv)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func awsConfig(url string) aws.Config {
	return aws.Config{
		Region: region, BaseEndpoint: &url,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "operator", SecretAccessKey: "none"}, nil
		}),
	}
}

// listen makes the bus, and a queue on it.
func listen(tb testing.TB, bus *events.Service) {
	tb.Helper()
	if _, err := bus.CreateBus("dev-rekey", "", nil); err != nil {
		tb.Fatal(err)
	}
	if _, err := bus.PutRule(events.Rule{Name: "all", EventBusName: "dev-rekey", EventPattern: `{"source":["rekey"]}`}); err != nil {
		tb.Fatal(err)
	}
	if err := bus.PutTargets("dev-rekey", "all", events.Target{ID: "queue", ARN: queue}); err != nil {
		tb.Fatal(err)
	}
}

// Invoke runs a step in the function.
func (b *bench) Invoke(ctx context.Context, _ string, payload []byte) (result []byte, functionError string, err error) {
	result, err = b.handler.Invoke(ctx, payload)
	b.ended <- err
	if err != nil {
		return nil, "Unhandled", nil //nolint:nilerr // the function failed, not the invocation.
	}
	return result, "", nil
}

// Allows lets Secrets Manager call the function.
func (*bench) Allows(string, string, string) bool { return true }

// Deliver takes what the rule sends.
func (b *bench) Deliver(_, body string, _ map[string]any) error {
	b.heard <- body
	return nil
}

func (b *bench) count(target string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	service, operation, _ := strings.Cut(target, ".")
	if service == "secretsmanager" {
		b.calls[operation]++
	}
}

func (b *bench) create(tb testing.TB, name, value string, tags map[string]string) string {
	tb.Helper()
	list := make([]types.Tag, 0, len(tags))
	for key, v := range tags {
		list = append(list, types.Tag{Key: &key, Value: &v})
	}
	return create(tb, b.Client, name, value, list...)
}

func create(tb testing.TB, client *secretsmanager.Client, name, value string, tags ...types.Tag) (arn string) {
	tb.Helper()
	out, err := client.CreateSecret(tb.Context(), &secretsmanager.CreateSecretInput{Name: &name, SecretString: &value, Tags: tags})
	must(tb, err)
	return *out.ARN
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// rotate rotates a secret and waits for the news.
func (b *bench) rotate(tb testing.TB, arn string) invalidation.Rotated {
	tb.Helper()
	out, err := b.RotateSecret(tb.Context(), &secretsmanager.RotateSecretInput{SecretId: &arn, RotationLambdaARN: new(function)})
	if err != nil {
		tb.Fatal(err)
	}
	for range 4 {
		b.step(tb)
	}
	select {
	case body := <-b.heard:
		changes, ok := invalidation.Parse([]byte(body))
		if !ok || len(changes) != 1 {
			tb.Fatalf("the event cannot be read: %s", body)
		}
		if changes[0].VersionID != *out.VersionId {
			tb.Errorf("the event is of version %s, want %s", changes[0].VersionID, *out.VersionId)
		}
		return changes[0]
	case <-time.After(patience):
		tb.Fatal("no event came")
		panic("unreachable")
	}
}

// step waits for the end of a step.
func (b *bench) step(tb testing.TB) {
	tb.Helper()
	select {
	case err := <-b.ended:
		if err != nil {
			tb.Fatal(err)
		}
	case <-time.After(patience):
		tb.Fatal("a step did not end")
	}
}

// current reads the current login and uses it.
func (b *bench) current(t *testing.T, arn string) (user string) {
	t.Helper()
	out, err := b.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: &arn})
	if err != nil {
		t.Fatal(err)
	}
	c, err := rotation.ParseCredential(rotation.NewValue(*out.SecretString))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pgtest.Login(t, b.db, c.Username, c.Password.Reveal(), "postgres"); err != nil {
		t.Errorf("the current login is refused: %v", err)
	}
	return c.Username
}

func TestSecretsManagerRotatesALogin(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		tags  map[string]string
		users []string
		calls int
	}{
		"of a single user": {map[string]string{"rekey:strategy": "single-user"}, []string{"app", "app", "app"}, 7},
		"alternating":      {map[string]string{"rekey:strategy": "alternating-users"}, []string{"app_clone", "app", "app_clone"}, 8},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, nil)
			pgtest.Exec(t, b.db, "postgres", `CREATE ROLE app LOGIN PASSWORD 'first'`)
			arn := b.create(t, "dev-database-credentials", `{"host":"127.0.0.1","username":"app","password":"first"}`, tt.tags)
			previous := ""
			for _, want := range tt.users {
				clear(b.calls)
				event := b.rotate(t, arn)
				if event.SecretARN != arn || event.Name != "dev-database-credentials" || event.Reason != "rotated" {
					t.Errorf("the event is %+v", event)
				}
				if event.PreviousVersionID == "" || previous != "" && event.PreviousVersionID != previous {
					t.Errorf("the event names %q as the previous version, want %q", event.PreviousVersionID, previous)
				}
				previous = event.VersionID
				if got := b.current(t, arn); got != want {
					t.Errorf("the current user is %s, want %s", got, want)
				}
				total := 0
				for _, n := range b.calls {
					total += n
				}
				if total != tt.calls {
					t.Errorf("%d calls of Secrets Manager, want %d: %v", total, tt.calls, b.calls)
				}
			}
			if strings.Contains(b.db.Log(), "authentication failed") {
				t.Error("a login was refused, which counts against a user where refusals are counted")
			}
		})
	}
}

func TestARehearsalOnlyLogsIn(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	pgtest.Exec(t, b.db, "postgres", `CREATE ROLE app LOGIN PASSWORD 'first'`)
	arn := b.create(t, "dev-database-credentials", `{"host":"127.0.0.1","username":"app","password":"first"}`, nil)
	_, err := b.RotateSecret(t.Context(), &secretsmanager.RotateSecretInput{
		SecretId: &arn, RotationLambdaARN: new(function), RotateImmediately: new(false),
		RotationRules: &types.RotationRulesType{AutomaticallyAfterDays: new(int64(30))},
	})
	if err != nil {
		t.Fatal(err)
	}
	b.step(t)
	if got := b.current(t, arn); got != "app" {
		t.Errorf("the current user is %s", got)
	}
}

func TestTheStrategyIsChosen(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		tag, env, member string
		want             string // the next user, or a part of the error
	}{
		"by the tag":                      {tag: "alternating-users", env: "single-user", want: "app_clone"},
		"else by the function's setting":  {env: "alternating-users", want: "app_clone"},
		"else by the value's superuser":   {member: `,"masterarn":"dev-database-superuser"`, want: "app_clone"},
		"else it is the single user":      {want: `"app"`},
		"and one that is unknown is told": {tag: "weekly", want: "rekey:strategy"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, map[string]string{"REKEY_STRATEGY": tt.env})
			tags := map[string]string{}
			if tt.tag != "" {
				tags["rekey:strategy"] = tt.tag
			}
			pgtest.Exec(t, b.db, "postgres", `CREATE ROLE app LOGIN PASSWORD 'first'`)
			arn := b.create(t, "dev-db", `{"host":"127.0.0.1","username":"app","password":"first"`+tt.member+`}`, tags)
			// A rotation without an engine behind it: the first step alone.
			token := strings.Repeat("t", 32)
			_, err := b.RotateSecret(t.Context(), &secretsmanager.RotateSecretInput{SecretId: &arn, RotationLambdaARN: new(function), ClientRequestToken: &token})
			if err != nil {
				t.Fatal(err)
			}
			if err = <-b.ended; err != nil {
				if !strings.Contains(err.Error(), tt.want) {
					t.Errorf("got %v, want an error about %s", err, tt.want)
				}
				return
			}
			out, err := b.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: &arn, VersionId: &token})
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(*out.SecretString, tt.want) {
				t.Errorf("the next user is not %s", tt.want)
			}
		})
	}
}

func TestAForgedEventIsRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t, map[string]string{"AWS_LAMBDA_FUNCTION_NAME": "dev-other"})
	arn := b.create(t, "dev-db", `{"host":"127.0.0.1","username":"app","password":"first"}`, nil)
	payload, err := json.Marshal(map[string]string{"Step": "setSecret", "SecretId": arn, "ClientRequestToken": "forged"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.handler.Invoke(t.Context(), payload); err == nil || !strings.Contains(err.Error(), rotation.ErrRotationDisabled.Error()) {
		t.Errorf("got %v, want %v", err, rotation.ErrRotationDisabled)
	}
	_, err = b.RotateSecret(t.Context(), &secretsmanager.RotateSecretInput{SecretId: &arn, RotationLambdaARN: new(function)})
	if err != nil {
		t.Fatal(err)
	}
	if err := <-b.ended; err == nil || !strings.Contains(err.Error(), rotation.ErrNotOurs.Error()) {
		t.Errorf("got %v, want %v", err, rotation.ErrNotOurs)
	}
}

func TestASettingThatIsNoneStopsTheFunction(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]string{"REKEY_DATABASE_PORT": "many", "REKEY_DATABASE_CA": "no certificate"} {
		_, err := dbrotator.New(aws.Config{}, func(n string) string {
			if n == name {
				return value
			}
			return ""
		})
		if err == nil {
			t.Errorf("%s=%s was taken", name, value)
		}
	}
}

// BenchmarkRotation is the four steps of one rotation, with TLS, the database
// and the services, all on this machine.
func BenchmarkRotation(b *testing.B) {
	for _, strategy := range []string{"single-user", "alternating-users"} {
		b.Run(strategy, func(b *testing.B) {
			bench := newBench(b, map[string]string{"REKEY_STRATEGY": strategy})
			pgtest.Exec(b, bench.db, "postgres", `CREATE ROLE app LOGIN PASSWORD 'first'`)
			arn := bench.create(b, "dev-database-credentials", `{"host":"127.0.0.1","username":"app","password":"first"}`, nil)
			for b.Loop() {
				bench.rotate(b, arn)
			}
		})
	}
}
