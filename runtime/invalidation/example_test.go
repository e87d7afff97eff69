package invalidation_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os/signal"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/rekey-go/rekey/runtime/invalidation"
	"github.com/rekey-go/rekey/runtime/secrets"
)

// A Lambda function follows rotations by a wrapper around its handler.
func ExampleHandler() {
	api := &store{current: "v1"} // in a function: secrets.FromEnv(cfg, os.Getenv)
	client := secrets.New(api, func(o *secrets.Options) { o.Stage = "dev" })

	type order struct{ Item string }
	handle := func(ctx context.Context, o order) (string, error) {
		login, err := client.String(ctx, "db")
		return o.Item + " with " + login, err
	}
	h := invalidation.Handler(client, handle, func(o *invalidation.HandlerOptions) { o.Strict = true })
	// lambda.Start(h)

	invoke := func(payload string) {
		answer, err := h.Invoke(context.Background(), []byte(payload))
		fmt.Println(string(answer), err)
	}
	invoke(`{"Item":"tea"}`)
	api.set("v2", nil)
	invoke(ours) // the event of the rotation, which handle does not see
	invoke(`{"Item":"tea"}`)
	// Output:
	// "tea with v1" <nil>
	// null <nil>
	// "tea with v2" <nil>
}

// A process that runs for long, as in ECS, has a queue of its own until it is
// told to end.
func ExampleSubscribe() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	engine, cfg := startAWS(ctx) // in a service: config.LoadDefaultConfig(ctx)
	defer func() { _ = engine.Close(context.WithoutCancel(ctx)) }()
	client := secrets.New(secretsmanager.NewFromConfig(cfg), func(o *secrets.Options) { o.Stage = "dev" })

	ready, done := make(chan struct{}), make(chan error)
	go func() {
		done <- invalidation.Subscribe(ctx, cfg, "dev-rekey", client, func(o *invalidation.SubscribeOptions) {
			o.Subscribed = func(string) { close(ready) }
		})
	}()
	<-ready
	changed := make(chan struct{})
	client.OnChange("db", func(_, _ *secrets.Secret) { close(changed) })
	fmt.Println(client.String(ctx, "db"))
	rotateAndTell(ctx, "second-value", secretsmanager.NewFromConfig(cfg), eventbridge.NewFromConfig(cfg))
	<-changed
	fmt.Println(client.String(ctx, "db"))

	stop() // SIGTERM
	fmt.Println(<-done)
	// Output:
	// first-value <nil>
	// second-value <nil>
	// <nil>
}

// A plain server needs no queue: the client looks at the bulletin every few
// seconds, one read for all of its secrets.
func Example_server() {
	api := &store{current: "v1"}
	client := secrets.New(api, func(o *secrets.Options) {
		o.Stage, o.Bulletin = "dev", board{api} // in a server: secrets.FromEnv, and REKEY_BULLETIN
		o.CheckInterval, o.Lease = 5*time.Millisecond, time.Minute
		o.Logger = slog.New(slog.DiscardHandler)
	})
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go client.Run(ctx)
	changed := make(chan struct{})
	client.OnChange("db", func(_, _ *secrets.Secret) { close(changed) })

	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		login, err := client.String(r.Context(), "db")
		if err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "served with "+login+"\n")
	}))
	defer server.Close()
	get := func() {
		res, err := http.Get(server.URL)
		if err != nil {
			fmt.Println(err)
			return
		}
		defer func() { _ = res.Body.Close() }()
		body, _ := io.ReadAll(res.Body)
		fmt.Print(string(body))
	}
	get()
	api.set("v2", nil)
	<-changed
	get()
	fmt.Println(client.Close(ctx)) // gives up its leases, so that nobody waits for it
	// Output:
	// served with v1
	// served with v2
	// <nil>
}
