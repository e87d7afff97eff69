// Package rotatortest is AWS for the tests of functions that rotate: Secrets
// Manager, which calls the function for each step, and the bus that it
// announces on, both over the wire.
package rotatortest

import (
	"context"
	"maps"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/rekey-go/rekey/internal/local/clock"
	"github.com/rekey-go/rekey/internal/local/events"
	"github.com/rekey-go/rekey/internal/local/iam"
	engine "github.com/rekey-go/rekey/internal/local/secretsmanager"
	"github.com/rekey-go/rekey/internal/local/wire"
)

const (
	account = "123456789012"
	region  = "us-east-1"
	// patience is how long a step may take on a machine that is busy.
	patience = 20 * time.Second
)

// An AWS is Secrets Manager and a bus, with a function between them.
type AWS struct {
	// Client is the operator's.
	*secretsmanager.Client
	// Config is for clients of the function.
	Config aws.Config
	// Clock is AWS's.
	Clock *clock.Clock
	// Function is what Secrets Manager calls. It is set before the first
	// rotation.
	Function lambda.Handler

	arn   string
	vars  map[string]string
	ended chan error // what each step came to
}

// New starts everything for the function of a name. Vars are its variables,
// beside those that each function of the stage "dev" has.
func New(tb testing.TB, function string, vars map[string]string) *AWS {
	tb.Helper()
	a := &AWS{
		Clock: clock.New(), ended: make(chan error, 64),
		arn: "arn:aws:lambda:" + region + ":" + account + ":function:" + function,
		vars: map[string]string{
			"REKEY_STAGE": "dev", "REKEY_BUS": "dev-rekey", "AWS_LAMBDA_FUNCTION_NAME": function,
		},
	}
	maps.Copy(a.vars, vars)
	bus, err := events.New(events.Options{Account: account, Region: region, Clock: a.Clock})
	must(tb, err)
	secrets, err := engine.New(engine.Options{Account: account, Region: region, Clock: a.Clock, Invoker: a, Publisher: bus})
	must(tb, err)
	_, err = bus.CreateBus("dev-rekey", "", nil)
	must(tb, err)
	front := httptest.NewServer(wire.NewFront(wire.FrontOptions{
		Region: region, Account: account, Now: a.Clock.Now, Identify: iam.NewKeys(account).Lookup,
	}, secrets.Wire(), bus.Wire()))
	tb.Cleanup(func() { secrets.Close(); bus.Close(); front.Close() })
	a.Config = aws.Config{
		Region: region, BaseEndpoint: &front.URL,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "operator", SecretAccessKey: "none"}, nil
		}),
	}
	a.Client = secretsmanager.NewFromConfig(a.Config)
	return a
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// Getenv reads the function's variables.
func (a *AWS) Getenv(name string) string { return a.vars[name] }

// Invoke runs a step in the function.
func (a *AWS) Invoke(ctx context.Context, _ string, payload []byte) (result []byte, functionError string, err error) {
	result, err = a.Function.Invoke(ctx, payload)
	a.ended <- err
	if err != nil {
		return nil, "Unhandled", nil //nolint:nilerr // the function failed, not the invocation.
	}
	return result, "", nil
}

// Allows lets Secrets Manager call the function.
func (*AWS) Allows(string, string, string) bool { return true }

// Create makes a secret. Without a value it is a placeholder.
func (a *AWS) Create(tb testing.TB, name, value string, tags map[string]string) {
	tb.Helper()
	in := &secretsmanager.CreateSecretInput{Name: &name}
	if value != "" {
		in.SecretString = &value
	}
	for key, v := range tags {
		in.Tags = append(in.Tags, types.Tag{Key: &key, Value: &v})
	}
	_, err := a.CreateSecret(tb.Context(), in)
	must(tb, err)
}

// Rotate rotates a secret, and returns what its steps came to.
func (a *AWS) Rotate(tb testing.TB, name string) error {
	tb.Helper()
	_, err := a.RotateSecret(tb.Context(), &secretsmanager.RotateSecretInput{SecretId: &name, RotationLambdaARN: &a.arn})
	must(tb, err)
	return a.Steps(tb)
}

// Steps waits for the four steps of a rotation, or for the first that fails.
func (a *AWS) Steps(tb testing.TB) error {
	tb.Helper()
	for range 4 {
		if err := a.Step(tb); err != nil {
			return err
		}
	}
	return nil
}

// Step waits for the end of a step, and returns what it came to.
func (a *AWS) Step(tb testing.TB) error {
	tb.Helper()
	select {
	case err := <-a.ended:
		return err
	case <-time.After(patience):
		tb.Fatal("a step did not end")
		return nil
	}
}
