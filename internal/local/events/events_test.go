package events_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/smithy-go"

	"github.com/rekey-go/rekey/internal/local/clock"
	"github.com/rekey-go/rekey/internal/local/events"
	"github.com/rekey-go/rekey/internal/local/sqs"
	"github.com/rekey-go/rekey/internal/local/store"
	"github.com/rekey-go/rekey/internal/local/wire"
)

const (
	account  = "123456789012"
	region   = "us-east-1"
	function = "arn:aws:lambda:us-east-1:123456789012:function:dev-invalidate"
	// patience is how long a test waits for what comes at once. It is long, for
	// machines under load, and waited out only by a test that fails.
	patience = 2 * time.Minute
)

// A lambda takes events, or refuses them with an error.
type lambda struct {
	got    chan string
	refuse func() error
}

func (l *lambda) InvokeAsync(_ string, payload []byte) error {
	if l.refuse != nil {
		if err := l.refuse(); err != nil {
			return err
		}
	}
	l.got <- string(payload)
	return nil
}

// An engine is the service behind the front door, with a client, real queues
// and a clock that stands still.
type engine struct {
	*sdk.Client
	service *events.Service
	lambda  *lambda
	queues  *sqs.Service
	clock   *clock.Clock
}

func start(t *testing.T, kept *store.Store) engine {
	t.Helper()
	e := services(t, kept)
	server := httptest.NewServer(wire.NewFront(wire.FrontOptions{
		Account: account, Region: region, Now: e.clock.Now,
	}, e.service.Wire()))
	t.Cleanup(server.Close)
	e.Client = sdk.New(sdk.Options{
		BaseEndpoint: new(server.URL),
		Region:       region,
		HTTPClient:   server.Client(),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "operator", SecretAccessKey: "none"}, nil
		}),
	})
	return e
}

// services is the engine without front door and client.
func services(t *testing.T, kept *store.Store) engine {
	t.Helper()
	c := clock.New()
	c.Freeze()
	queues, err := sqs.New(sqs.Options{Account: account, Region: region, Clock: c})
	if err != nil {
		t.Fatal(err)
	}
	l := &lambda{got: make(chan string, 100)}
	s, err := events.New(events.Options{Account: account, Region: region, Clock: c, Store: kept, Lambda: l, Queues: queues})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return engine{service: s, lambda: l, queues: queues, clock: c}
}

// rule makes a rule with targets on a bus.
func (e engine) rule(t *testing.T, bus, name, pattern string, targets ...types.Target) {
	t.Helper()
	if _, err := e.PutRule(t.Context(), &sdk.PutRuleInput{EventBusName: &bus, Name: &name, EventPattern: &pattern}); err != nil {
		t.Fatal(err)
	}
	if len(targets) > 0 {
		e.targets(t, bus, name, targets...)
	}
}

func (e engine) targets(t *testing.T, bus, rule string, targets ...types.Target) {
	t.Helper()
	if _, err := e.PutTargets(t.Context(), &sdk.PutTargetsInput{EventBusName: &bus, Rule: &rule, Targets: targets}); err != nil {
		t.Fatal(err)
	}
}

// queue makes a queue and returns its ARN.
func (e engine) queue(t *testing.T, name string) string {
	t.Helper()
	arn, _, err := e.queues.Provision(sqs.Queue{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	return arn
}

// received waits for the next message of a queue.
func (e engine) received(t *testing.T, arn string) sqs.Message {
	t.Helper()
	got, err := e.queues.Receive(t.Context(), arn, 1, patience)
	if err != nil || len(got) == 0 {
		t.Fatalf("receiving from %s: %d messages, error %v", arn, len(got), err)
	}
	return got[0]
}

// invoked waits for the next event of the function.
func (e engine) invoked(t *testing.T) string {
	t.Helper()
	select {
	case payload := <-e.lambda.got:
		return payload
	case <-time.After(patience):
		t.Fatal("the function was not invoked")
		return ""
	}
}

// put publishes an event of source "rekey" and wants it to be accepted.
func (e engine) put(t *testing.T, bus, detailType, detail string) {
	t.Helper()
	out, err := e.PutEvents(t.Context(), &sdk.PutEventsInput{Entries: []types.PutEventsRequestEntry{{
		EventBusName: &bus, Source: new("rekey"), DetailType: &detailType, Detail: &detail,
		Resources: []string{"arn:aws:secretsmanager:us-east-1:123456789012:secret:db-a1b2c3"},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	if out.FailedEntryCount != 0 {
		t.Fatalf("event refused: %s", *out.Entries[0].ErrorMessage)
	}
}

func (e engine) advance(t *testing.T, d time.Duration) {
	t.Helper()
	if err := e.clock.Advance(t.Context(), d); err != nil {
		t.Fatal(err)
	}
}

func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	refused, ok := errors.AsType[smithy.APIError](err)
	if !ok || refused.ErrorCode() != code {
		t.Errorf("got error %v, want code %s", err, code)
	}
}
