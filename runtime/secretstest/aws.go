package secretstest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/rekey-go/rekey/internal/local"
	"github.com/rekey-go/rekey/runtime/bulletin"
	"github.com/rekey-go/rekey/runtime/invalidation"
	"github.com/rekey-go/rekey/runtime/secrets"
)

// Secrets are the secrets of a test: values by logical name. A string is
// stored as it is, a []byte as binary, and anything else as JSON. A nil makes
// a placeholder, which has no value yet.
type Secrets map[string]any

const (
	stage = "dev"
	bus   = stage + "-rekey"
	table = stage + "-rekey-bulletin"
)

// An AWS is an engine with the secrets of one test, in stage "dev". Its
// methods end the test where something goes wrong, so they are for the test's
// own goroutine, and for the function that [Load] is given.
type AWS struct {
	tb     testing.TB
	engine *local.Engine
	wire   *wire // between the clients and the engine

	operator *secretsmanager.Client
	news     *invalidation.Publisher
	board    *bulletin.Bulletin

	mu      sync.Mutex
	clients []*secrets.Client
}

// Start starts an engine with secrets. It ends with the test.
func Start(tb testing.TB, values Secrets) *AWS {
	tb.Helper()
	// The test's context has ended by the time of its clean-up.
	ctx := context.WithoutCancel(tb.Context())
	engine, err := local.Start(ctx, local.Options{TemplateFile: "secretstest", Template: template(values)})
	if err != nil {
		tb.Fatalf("starting the engine: %v", err)
	}
	a := &AWS{tb: tb, engine: engine, wire: newWire()}
	tb.Cleanup(func() {
		a.close(ctx)
		if err := engine.Close(ctx); err != nil {
			tb.Errorf("ending the engine: %v", err)
		}
	})
	cfg := a.config(nil)
	a.operator = secretsmanager.NewFromConfig(cfg)
	a.news = invalidation.NewPublisher(eventbridge.NewFromConfig(cfg), bus)
	a.board = bulletin.New(dynamodb.NewFromConfig(cfg), table)
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if values[name] != nil {
			a.put(name, values[name], "AWSCURRENT")
		}
	}
	return a
}

// template describes the secrets, the bus and the bulletin.
func template(values Secrets) []byte {
	resources := map[string]any{
		"Bus": resource("AWS::Events::EventBus", map[string]any{"Name": bus}),
		"Bulletin": resource("AWS::DynamoDB::Table", map[string]any{
			"TableName": table, "BillingMode": "PAY_PER_REQUEST",
			"AttributeDefinitions": []any{
				map[string]any{"AttributeName": "pk", "AttributeType": "S"},
				map[string]any{"AttributeName": "sk", "AttributeType": "S"},
			},
			"KeySchema": []any{
				map[string]any{"AttributeName": "pk", "KeyType": "HASH"},
				map[string]any{"AttributeName": "sk", "KeyType": "RANGE"},
			},
		}),
	}
	for i, name := range slices.Sorted(maps.Keys(values)) {
		resources[fmt.Sprint("Secret", i)] = resource("AWS::SecretsManager::Secret", map[string]any{"Name": physical(name)})
	}
	text, err := json.Marshal(map[string]any{"Transform": "AWS::Serverless-2016-10-31", "Resources": resources})
	if err != nil {
		panic(err) // it holds nothing but texts
	}
	return text
}

func resource(kind string, properties map[string]any) map[string]any {
	return map[string]any{"Type": kind, "Properties": properties}
}

func physical(name string) string { return stage + "-" + name }

// Endpoint is the URL of the engine, for AWS_ENDPOINT_URL.
func (a *AWS) Endpoint() string { return a.engine.Endpoint() }

// Env is the environment of a program under test, in the form of
// [os.Environ]: where AWS is, and what [secrets.FromEnv] reads.
func (a *AWS) Env() []string {
	return []string{
		"AWS_ENDPOINT_URL=" + a.Endpoint(), "AWS_REGION=" + local.Region,
		"AWS_ACCESS_KEY_ID=secretstest", "AWS_SECRET_ACCESS_KEY=secretstest", "AWS_EC2_METADATA_DISABLED=true",
		"REKEY_STAGE=" + stage, "REKEY_BULLETIN=" + table, "REKEY_BUS=" + bus,
	}
}

// Getenv returns a variable of Env, as [os.Getenv] would in such a program.
func (a *AWS) Getenv(name string) string {
	for _, variable := range a.Env() {
		if value, ok := strings.CutPrefix(variable, name+"="); ok {
			return value
		}
	}
	return ""
}

// Config is for the SDK's clients. They do not repeat calls that failed, so
// that a test of failures need not wait.
func (a *AWS) Config() aws.Config { return a.config(a.wire) }

func (a *AWS) config(client aws.HTTPClient) aws.Config {
	endpoint := a.Endpoint()
	return aws.Config{
		Region: local.Region, BaseEndpoint: &endpoint, HTTPClient: client,
		Retryer: func() aws.Retryer { return aws.NopRetryer{} },
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "secretstest", SecretAccessKey: "secretstest"}, nil
		}),
	}
}

// Client returns a client in stage "dev" that hears of rotations and keeps its
// leases on the bulletin. It is closed with the test.
func (a *AWS) Client(optFns ...func(*secrets.Options)) *secrets.Client {
	a.tb.Helper()
	client, err := secrets.FromEnv(a.Config(), a.Getenv, optFns...)
	if err != nil {
		a.tb.Fatalf("making a client: %v", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.clients = append(a.clients, client)
	return client
}

func (a *AWS) close(ctx context.Context) {
	a.wire.fail(nil)
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, client := range a.clients {
		if err := client.Close(ctx); err != nil {
			a.tb.Errorf("closing a client: %v", err)
		}
	}
}

// Rotate gives a secret a new value, as a rotation does: the value is pending,
// then current, then it is announced. When Rotate returns, the clients of
// [AWS.Client] that had read the secret return the new value. It returns the
// id of the new version.
func (a *AWS) Rotate(name string, value any) (versionID string) {
	a.tb.Helper()
	return a.Stage(name, value).Finish()
}

// RotateUnheard is Rotate with the news lost: no client hears of it, and the
// bulletin does not say so.
func (a *AWS) RotateUnheard(name string, value any) (versionID string) {
	a.tb.Helper()
	r := a.Stage(name, value)
	r.promote()
	return r.news.VersionID
}

// A Rotation is one that stands between its steps: the new value carries
// AWSPENDING.
type Rotation struct {
	aws  *AWS
	news secrets.Rotated
}

// Stage begins a rotation: the value is stored with the label AWSPENDING, and
// AWSCURRENT stays where it is. For a single user's password this is when the
// server takes only the new one.
func (a *AWS) Stage(name string, value any) *Rotation {
	a.tb.Helper()
	before, err := a.operator.DescribeSecret(a.tb.Context(), &secretsmanager.DescribeSecretInput{SecretId: aws.String(physical(name))})
	if err != nil {
		a.tb.Fatalf("rotating %s: %v", name, err)
	}
	r := &Rotation{aws: a, news: secrets.Rotated{SecretARN: *before.ARN, Name: *before.Name, Reason: "rotated"}}
	for id, labels := range before.VersionIdsToStages {
		if slices.Contains(labels, "AWSCURRENT") {
			r.news.PreviousVersionID = id
		}
	}
	if r.news.PreviousVersionID == "" {
		a.tb.Fatalf("rotating %s: it has no value yet; give Start one", name)
	}
	r.news.VersionID = a.put(name, value, "AWSPENDING")
	return r
}

// Finish makes the pending value current, announces it, and returns its
// version id. See [AWS.Rotate].
func (r *Rotation) Finish() (versionID string) {
	a := r.aws
	a.tb.Helper()
	r.promote()
	ctx := a.tb.Context()
	if err := errors.Join(a.announce(ctx, r.news), a.news.Publish(ctx, invalidation.DetailTypeRotated, r.news)); err != nil {
		a.tb.Fatalf("rotating %s: %v", r.news.Name, err)
	}
	a.mu.Lock()
	clients := slices.Clone(a.clients)
	a.mu.Unlock()
	for _, client := range clients {
		// While AWS fails for the clients, they hear of the rotation and
		// cannot read the value: that is what the test wants to see.
		if err := client.Invalidate(ctx, r.news); err != nil && !a.wire.failing() {
			a.tb.Fatalf("telling of the rotation of %s: %v", r.news.Name, err)
		}
	}
	return r.news.VersionID
}

// promote moves the labels.
func (r *Rotation) promote() {
	r.aws.tb.Helper()
	for _, move := range []struct{ label, to, from string }{
		{"AWSCURRENT", r.news.VersionID, r.news.PreviousVersionID},
		{"AWSPENDING", "", r.news.VersionID},
	} {
		_, err := r.aws.operator.UpdateSecretVersionStage(r.aws.tb.Context(), &secretsmanager.UpdateSecretVersionStageInput{
			SecretId: &r.news.SecretARN, VersionStage: &move.label, MoveToVersionId: optional(move.to), RemoveFromVersionId: &move.from,
		})
		if err != nil {
			r.aws.tb.Fatalf("rotating %s: moving %s: %v", r.news.Name, move.label, err)
		}
	}
}

// announce puts a rotation on the bulletin. Only this process writes there.
func (a *AWS) announce(ctx context.Context, news secrets.Rotated) error {
	board, err := a.board.Read(ctx)
	if err != nil {
		return err
	}
	_, err = a.board.Announce(ctx, bulletin.Entry{
		SecretARN: news.SecretARN, Name: news.Name, Reason: news.Reason,
		VersionID: news.VersionID, PreviousVersionID: news.PreviousVersionID,
	}, board.Epoch)
	return err
}

// put stores a value with a label.
func (a *AWS) put(name string, value any, label string) (versionID string) {
	a.tb.Helper()
	in := &secretsmanager.PutSecretValueInput{SecretId: aws.String(physical(name)), VersionStages: []string{label}}
	switch v := value.(type) {
	case string:
		in.SecretString = &v
	case []byte:
		in.SecretBinary = v
	default:
		text, err := json.Marshal(v)
		if err != nil {
			a.tb.Fatalf("storing %s: a %T cannot be written as JSON", name, value) // the error may quote it
		}
		in.SecretString = aws.String(string(text))
	}
	out, err := a.operator.PutSecretValue(a.tb.Context(), in)
	if err != nil {
		a.tb.Fatalf("storing %s: %v", name, err)
	}
	return *out.VersionId
}

func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
