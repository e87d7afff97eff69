package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/rekey-go/rekey/runtime/secrets"
)

const (
	// checkFirst is for how long a request waits for the bulletin after a thaw.
	checkFirst = 50 * time.Millisecond
	// shutdownTime is less than the two seconds that Lambda gives extensions.
	shutdownTime = 1500 * time.Millisecond
	// maxEvent bounds what is read of an event, of which nothing but the type
	// is of interest.
	maxEvent = 64 << 10
)

// RunExtension runs the agent as an AWS Lambda extension, and returns when the
// execution environment ends. Name is that of the program's file, by which
// Lambda knows it. From the environment it reads
//
//	AWS_LAMBDA_RUNTIME_API                  where Lambda's Extensions API is
//	PARAMETERS_SECRETS_EXTENSION_HTTP_PORT  port to serve, 2773 where empty
//
// and the token as [Token] does, which is the function's session token where
// nothing else is set.
//
// It serves before it registers, so that the function finds it there when it
// starts. Lambda tells it of each invocation; since the environment may have
// been frozen before, it looks at the bulletin then, beside the function, and
// a request that comes meanwhile waits for that, for at most 50 ms.
func RunExtension(ctx context.Context, client *secrets.Client, name string, getenv func(string) string, optFns ...func(*Options)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	e := &extension{client: client, name: name, base: "http://" + getenv("AWS_LAMBDA_RUNTIME_API") + "/2020-01-01/extension/"}
	if getenv("AWS_LAMBDA_RUNTIME_API") == "" {
		return errors.New("AWS_LAMBDA_RUNTIME_API is not set: Lambda starts an extension, nobody else")
	}
	token, err := Token(getenv)
	if err != nil {
		return err
	}
	l, err := listen(ctx, getenv("PARAMETERS_SECRETS_EXTENSION_HTTP_PORT"))
	if err != nil {
		return err
	}
	a := New(client, token, append([]func(*Options){func(o *Options) { o.CheckFirst = checkFirst }}, optFns...)...)
	served := make(chan error, 1)
	go func() {
		served <- a.Serve(ctx, l)
		cancel() // without it there is no use in going on
	}()
	err = e.run(ctx)
	cancel()
	return errors.Join(err, <-served)
}

// listen opens the port on the loopback interface.
func listen(ctx context.Context, port string) (net.Listener, error) {
	if port == "" {
		port = strconv.Itoa(DefaultPort)
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		return nil, fmt.Errorf("opening the extension's port: %w", err)
	}
	return l, nil
}

// An extension speaks Lambda's Extensions API.
type extension struct {
	client *secrets.Client
	name   string
	base   string
	id     string
}

// run registers, and follows the environment's life to its end.
func (e *extension) run(ctx context.Context) error {
	if err := e.register(ctx); err != nil {
		return err
	}
	for {
		event, err := e.next(ctx)
		if err != nil {
			return err
		}
		if event == "SHUTDOWN" {
			ending, cancel := context.WithTimeout(ctx, shutdownTime)
			defer cancel()
			return e.client.Close(ending)
		}
		e.client.Check(ctx) // bounded by the client; Lambda freezes nothing before the next next
	}
}

// register tells Lambda which events the extension is to hear of.
func (e *extension) register(ctx context.Context) error {
	body := []byte(`{"events":["INVOKE","SHUTDOWN"]}`)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.base+"register", bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("registering the extension: %w", err)
	}
	req.Header.Set("Lambda-Extension-Name", e.name)
	answer, err := e.call(req, nil)
	if err != nil {
		return fmt.Errorf("registering the extension %s: %w", e.name, err)
	}
	if e.id = answer.Get("Lambda-Extension-Identifier"); e.id == "" {
		return fmt.Errorf("registering the extension %s: the answer has no identifier", e.name)
	}
	return nil
}

// next waits for the next event, and returns its type.
func (e *extension) next(ctx context.Context) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, e.base+"event/next", http.NoBody)
	if err != nil {
		return "", fmt.Errorf("waiting for an event: %w", err)
	}
	req.Header.Set("Lambda-Extension-Identifier", e.id)
	var event struct {
		EventType string `json:"eventType"`
	}
	if _, err := e.call(req, &event); err != nil {
		return "", fmt.Errorf("waiting for an event: %w", err)
	}
	return event.EventType, nil
}

// call sends a request of the Extensions API. There is no time limit: next
// waits for as long as the environment is frozen.
func (e *extension) call(req *http.Request, into any) (http.Header, error) {
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }() // only read
	data, err := io.ReadAll(io.LimitReader(res.Body, maxEvent))
	switch {
	case err != nil:
		return nil, err
	case res.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("the Extensions API answered %s", res.Status)
	case into == nil:
		return res.Header, nil
	}
	return res.Header, json.Unmarshal(data, into)
}
