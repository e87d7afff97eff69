package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

// DefaultPort is the port of AWS's agent and extension.
const DefaultPort = 2773

const (
	// headTime and headBytes bound a request's head: it bears a session token
	// of some 2 KiB and an ARN.
	headTime  = 5 * time.Second
	headBytes = 16 << 10
	// answerTime bounds a request as a whole; AWS's agent gives it 61 seconds.
	answerTime = 61 * time.Second
	idleTime   = 2 * time.Minute
	// endTime is for how long requests may go on when the agent ends.
	endTime = 2 * time.Second
)

// Serve serves a listener until ctx ends, and returns nil then. It closes the
// listener.
func (a *Agent) Serve(ctx context.Context, l net.Listener) error {
	if len(a.token) == 0 {
		return errors.Join(ErrNoToken, l.Close())
	}
	server := &http.Server{
		Handler: a, ConnState: a.count, ErrorLog: slog.NewLogLogger(a.log.Handler(), slog.LevelWarn),
		ReadHeaderTimeout: headTime, MaxHeaderBytes: headBytes, WriteTimeout: answerTime, IdleTimeout: idleTime,
	}
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
		defer cancel()
		if server.Shutdown(ending) != nil {
			_ = server.Close() // what is still going on is given up
		}
	})
	err := server.Serve(l)
	if stop() { // it did not end because of ctx
		return fmt.Errorf("serving secrets: %w", err)
	}
	<-ended
	return nil
}

// count keeps the number of open connections.
func (a *Agent) count(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		a.open.Add(1)
	case http.StateClosed, http.StateHijacked:
		a.open.Add(-1)
	default:
	}
}

// Token finds the token as AWS's agent does: in the first that is set of the
// variables AWS_TOKEN, AWS_SESSION_TOKEN and AWS_CONTAINER_AUTHORIZATION_TOKEN.
// A variable that begins with file:// names the file that has it, such as
// AWS_TOKEN=file:///var/run/awssmatoken.
func Token(getenv func(string) string) (string, error) {
	for _, name := range []string{"AWS_TOKEN", "AWS_SESSION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN"} {
		value := getenv(name)
		if value == "" {
			continue
		}
		path, isFile := strings.CutPrefix(value, "file://")
		if !isFile {
			return value, nil
		}
		token, err := TokenFile(path)
		if err != nil {
			return "", fmt.Errorf("%s: %w", name, err)
		}
		return token, nil
	}
	return "", ErrNoToken
}

// TokenFile reads the token of a file, without the space around it.
func TokenFile(path string) (string, error) {
	data, err := os.ReadFile(path) //nolint:gosec // the operator's own file.
	if err != nil {
		return "", fmt.Errorf("reading the token: %w", err)
	}
	token := strings.TrimSpace(string(data))
	if token == "" {
		return "", fmt.Errorf("reading the token: the file %s is empty", path)
	}
	return token, nil
}

// ErrNoToken means that there is no token, without which an agent would serve
// whoever reaches it.
var ErrNoToken = errors.New("no token is set in AWS_TOKEN, AWS_SESSION_TOKEN or AWS_CONTAINER_AUTHORIZATION_TOKEN")
