package dbrotator_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/rekey-go/rekey/internal/local/clock"
	"github.com/rekey-go/rekey/internal/local/events"
	"github.com/rekey-go/rekey/internal/local/iam"
	"github.com/rekey-go/rekey/internal/local/lambda"
	engine "github.com/rekey-go/rekey/internal/local/secretsmanager"
	"github.com/rekey-go/rekey/internal/local/wire"
)

// A cloud is AWS with functions that run as processes of their own, as Lambda
// runs them.
type cloud struct {
	*secretsmanager.Client
	runner *lambda.Service
}

type cloudOptions struct {
	queues  events.Queues                        // get what is announced on the bus
	between func(http.Handler) http.Handler      // stands between the functions and AWS
	invoker func(*lambda.Service) engine.Invoker // invokes the functions; if nil, Lambda does
	trail   engine.Trail
}

func newCloud(tb testing.TB, opts cloudOptions) *cloud {
	tb.Helper()
	ticking, keys := clock.New(), iam.NewKeys(account)
	bus, err := events.New(events.Options{Account: account, Region: region, Clock: ticking, Queues: opts.queues})
	must(tb, err)
	listen(tb, bus)

	functions := httptest.NewUnstartedServer(nil)
	c := &cloud{}
	c.runner = lambda.New(lambda.Options{
		Account: account, Region: region, Clock: ticking, Keys: keys, Endpoint: "http://" + functions.Listener.Addr().String(), Logs: io.Discard,
	})
	var invoker engine.Invoker = c.runner
	if opts.invoker != nil {
		invoker = opts.invoker(c.runner)
	}
	secrets, err := engine.New(engine.Options{
		Account: account, Region: region, Clock: ticking, Invoker: invoker, Publisher: bus, Trail: opts.trail,
		RetryBackoff: []time.Duration{time.Millisecond, time.Millisecond, time.Millisecond},
	})
	must(tb, err)
	front := wire.NewFront(wire.FrontOptions{Region: region, Account: account, Now: ticking.Now, Identify: keys.Lookup}, secrets.Wire(), bus.Wire())
	functions.Config.Handler = opts.between(front)
	functions.Start()
	operators := httptest.NewServer(front)
	tb.Cleanup(func() {
		secrets.Close()
		_ = c.runner.Close(context.WithoutCancel(tb.Context()))
		bus.Close()
		operators.Close()
		functions.Close()
	})
	c.Client = secretsmanager.NewFromConfig(awsConfig(operators.URL))
	return c
}
