package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/spf13/cobra"

	"github.com/rekey-go/rekey/runtime/agent"
	"github.com/rekey-go/rekey/runtime/invalidation"
	"github.com/rekey-go/rekey/runtime/secrets"
)

type agentFlags struct {
	listen    string
	remote    bool
	tokenFile string
	news      newsFlags
	ttl       time.Duration
	readyFile string
}

// newsFlags say how a process that runs for long hears of rotations, beside
// the bulletin.
type newsFlags struct{ queue, bus string }

func (f *newsFlags) define(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.queue, "queue", os.Getenv("REKEY_QUEUE"), "URL of this process's own queue, which gets the events of rotations (default REKEY_QUEUE)")
	cmd.Flags().StringVar(&f.bus, "bus", "", "bus with the events of rotations, such as dev-rekey: this process makes a queue of its own, and removes it at the end")
	cmd.MarkFlagsMutuallyExclusive("queue", "bus")
}

func (a *app) agentCommand() *cobra.Command {
	var f agentFlags
	cmd := &cobra.Command{
		Use:   "agent",
		Short: "Serve secrets on this machine over HTTP, as the AWS Secrets Manager Agent does",
		Long: `Serve secrets on this machine over HTTP to programs in any language, with the
requests and answers of the AWS Secrets Manager Agent:

  curl -H "X-Aws-Parameters-Secrets-Token: $TOKEN" \
    'http://localhost:2773/secretsmanager/get?secretId=NAME'

NAME is the full name, or the ARN: no stage is put before it. With a bulletin
(REKEY_BULLETIN names its table) a rotation is followed within 10 s, with --bus
or --queue (REKEY_QUEUE) at once; without, within --ttl.

The token comes from --token-file, or from AWS_TOKEN, AWS_SESSION_TOKEN or
AWS_CONTAINER_AUTHORIZATION_TOKEN, any of which may be file://PATH.`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.agent(cmd.Context(), f) },
	}
	cmd.Flags().StringVar(&f.listen, "listen", "127.0.0.1:"+strconv.Itoa(agent.DefaultPort), "address to serve, or unix:PATH; port 0 takes a free one")
	cmd.Flags().BoolVar(&f.remote, "remote", false, "allow an address that other machines reach, unencrypted as it is")
	cmd.Flags().StringVar(&f.tokenFile, "token-file", "", "file with the token that requests have to bear")
	f.news.define(cmd)
	cmd.Flags().DurationVar(&f.ttl, "ttl", 0, "how long a value is served before it is read again (default 5m)")
	cmd.Flags().StringVar(&f.readyFile, "ready-file", "", "file that is written once the agent serves, with its address")
	return cmd
}

func (a *app) agent(ctx context.Context, f agentFlags) error {
	token, err := f.token()
	if err != nil {
		return withHint(err, "make one, readable by those who may read the secrets: head -c 32 /dev/urandom | base64 > TOKEN, then --token-file TOKEN")
	}
	cfg, err := a.config(ctx)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(a.stderr, nil))
	client, err := secrets.FromEnv(cfg, os.Getenv, agent.NamesAsGiven, func(o *secrets.Options) { o.TTL, o.Logger = f.ttl, log })
	if err != nil {
		return err
	}
	l, err := f.open(ctx)
	if err != nil {
		return err
	}
	if err := a.announceAgent(f, l.Addr()); err != nil {
		return errors.Join(err, l.Close())
	}
	if f.readyFile != "" {
		defer func() { _ = os.Remove(f.readyFile) }() // it would tell of an agent that is gone
	}
	collectSeldom()
	handler := agent.New(client, token, func(o *agent.Options) { o.AnyHost, o.Logger = f.remote, log })
	return a.serveWhileFollowing(ctx, handler, l, cfg, f.news, client)
}

// collectSeldom has garbage collected a quarter as often as else, for 12 MiB of
// memory. An agent keeps a few values, and makes garbage of thousands of requests
// in a second: it would be collected twenty times in each, which is what the
// slowest of a hundred reads wait for. GOGC has the last word.
func collectSeldom() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
}

// serveWhileFollowing serves until the interrupt, which is the way in which an
// agent is meant to end, and then gives its leases up.
func (a *app) serveWhileFollowing(ctx context.Context, handler *agent.Agent, l net.Listener, cfg aws.Config, news newsFlags, client *secrets.Client) error {
	hearing, stop := context.WithCancel(ctx)
	var background sync.WaitGroup
	background.Go(func() { a.hear(hearing, cfg, news, client) })
	err := handler.Serve(ctx, l)
	stop()
	background.Wait()
	return errors.Join(err, client.Close(context.WithoutCancel(ctx)))
}

// hear follows rotations until ctx ends: by the bulletin, if there is one, and
// by a queue.
func (a *app) hear(ctx context.Context, cfg aws.Config, news newsFlags, client *secrets.Client) {
	var err error
	switch {
	case news.bus != "":
		err = invalidation.Subscribe(ctx, cfg, news.bus, client)
	case news.queue != "":
		err = invalidation.Listen(ctx, sqs.NewFromConfig(cfg), news.queue, client)
	default:
		client.Run(ctx)
	}
	if err != nil {
		a.note("rekey: warning: %v", err)
	}
}

// token is the one that requests have to bear.
func (f agentFlags) token() (string, error) {
	if f.tokenFile == "" {
		return agent.Token(os.Getenv)
	}
	return agent.TokenFile(f.tokenFile)
}

// open opens the listener.
func (f agentFlags) open(ctx context.Context) (net.Listener, error) {
	if path, ok := strings.CutPrefix(f.listen, "unix:"); ok {
		return openSocket(ctx, path)
	}
	host, _, err := net.SplitHostPort(f.listen)
	if err != nil {
		return nil, withHint(fmt.Errorf("--listen %q is no address", f.listen), "write --listen 127.0.0.1:2773, or --listen unix:/run/rekey.sock")
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) && !f.remote {
		return nil, withHint(fmt.Errorf("--listen %s would hand secrets out to other machines, unencrypted", f.listen),
			"listen on 127.0.0.1, or say --remote where only containers that may read them reach the address")
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", f.listen)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, withHint(fmt.Errorf("%s is taken", f.listen), "another agent serves there, or choose another address with --listen")
	}
	return l, withHint(err, "choose an address of this machine with --listen, and a port above 1023")
}

// openSocket opens a socket of the file system for this user alone. One that
// nobody answers at is what an agent left that was killed.
func openSocket(ctx context.Context, path string) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "unix", path)
	if errors.Is(err, syscall.EADDRINUSE) {
		if conn, dialled := new(net.Dialer).DialContext(ctx, "unix", path); dialled == nil {
			return nil, errors.Join(withHint(fmt.Errorf("%s is taken", path), "another agent serves there"), conn.Close())
		}
		if err = os.Remove(path); err == nil {
			l, err = new(net.ListenConfig).Listen(ctx, "unix", path)
		}
	}
	if err != nil {
		return nil, withHint(fmt.Errorf("opening the socket: %w", err), "choose a path in a folder that this user may write to")
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// announceAgent says where the agent serves.
func (a *app) announceAgent(f agentFlags, addr net.Addr) error {
	at := "http://" + addr.String()
	if addr.Network() == "unix" {
		at = "unix:" + addr.String()
	}
	if f.readyFile != "" {
		if err := writeWhole(f.readyFile, []byte(at+"\n")); err != nil {
			return fmt.Errorf("writing the ready file: %w", err)
		}
	}
	a.note("serving secrets at %s; Ctrl-C ends it", at)
	return nil
}
