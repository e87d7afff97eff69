// Package local is the embedded engine: it makes of a SAM template a running
// system in one process, on the loopback interface.
//
// Everything in it is reached as on AWS. The services answer their real wire
// protocols on one port, told apart as AWS tells them apart, so that the SDKs
// and the aws CLI work unchanged with AWS_ENDPOINT_URL. Functions are child
// processes that speak the Lambda Runtime API and call back on that port, each
// with credentials of its own role. The HTTP API listens on a second port.
//
//	aws CLI, SDK --+
//	               v           +--> secretsmanager --steps--> lambda
//	functions --> front door --+--> events ------------------> lambda, sqs
//	               |           +--> cloudformation --> resources of all
//	               |           +--> sqs, dynamodb, s3, lambda, sts
//	               +-- every call --> cloudtrail
//
// [Start] goes through the template's resources in the order in which they
// refer to each other, makes each on its service, and only then opens the
// ports: who can connect finds all of it there.
//
// The engine never talks to AWS and needs no credentials. With a state folder
// it survives a restart, encrypted at rest; without one it keeps everything
// in memory.
//
// # What is where
//
// Each service is a package of its own. This one joins them:
//
//   - A deployment makes the resources of a template, type by type, as the table in
//     provision.go has them. For stacks.go it does so on behalf of CloudFormation.
//   - authorize.go judges every call. What a call asks of IAM is in requests.go and
//     its like, with which condition keys in conditionkeys.go, and what a stack's
//     resources ask in stackrights.go. The ledger counts what each statement has
//     allowed; policyreport.go tells of it, and remedy.go how to mend a refusal.
//   - control.go has the endpoints that AWS has not: the clock and the policies.
package local

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"time"

	"github.com/rekey-go/rekey/internal/local/clock"
	"github.com/rekey-go/rekey/internal/local/cloudformation"
	"github.com/rekey-go/rekey/internal/local/cloudtrail"
	"github.com/rekey-go/rekey/internal/local/dynamodb"
	"github.com/rekey-go/rekey/internal/local/events"
	"github.com/rekey-go/rekey/internal/local/iam"
	"github.com/rekey-go/rekey/internal/local/lambda"
	"github.com/rekey-go/rekey/internal/local/s3"
	"github.com/rekey-go/rekey/internal/local/secretsmanager"
	"github.com/rekey-go/rekey/internal/local/sqs"
	"github.com/rekey-go/rekey/internal/local/store"
	"github.com/rekey-go/rekey/internal/local/sts"
	"github.com/rekey-go/rekey/internal/local/template"
	"github.com/rekey-go/rekey/internal/local/wire"
)

// The account and region that the engine is.
const (
	Account = "123456789012"
	Region  = "us-east-1"
)

// Options configure [Start].
type Options struct {
	// Template is a SAM or CloudFormation template, and TemplateFile its name
	// for errors.
	Template     []byte
	TemplateFile string
	// Parameters of the template; Defaults, where the template has such a
	// parameter, and else its own defaults stand for those left out.
	Parameters, Defaults map[string]string
	// StackName is the template's as a stack of CloudFormation. If empty, it is
	// "rekey".
	StackName string
	// Port is that of the AWS endpoint and APIPort that of the HTTP API, on
	// 127.0.0.1. Zero takes a free one.
	Port, APIPort int
	// StateDir keeps the state over restarts, the clock's too. If empty,
	// nothing is kept.
	StateDir string
	// Passphrase is that of [store.Options].
	Passphrase string
	// TrailDelay is how old an event is before LookupEvents tells of it. On
	// AWS that is minutes; zero tells at once.
	TrailDelay time.Duration
	// Command says how the function whose CodeUri is given is started. An
	// error refuses the template.
	Command func(codeURI string) ([]string, error)
	// RotationBackoff are the pauses between the tries of a rotation whose
	// step failed. If nil, the service's own.
	RotationBackoff []time.Duration
	// NoIAM lets everyone do everything, whatever the policies say. What they
	// would have refused is in [Engine.Policies] all the same.
	NoIAM bool
	// Logs gets what the functions print, a line at a time. If nil, it is
	// thrown away.
	Logs io.Writer
	// Logger gets what the engine has to say. If nil, it is silent.
	Logger *slog.Logger
}

// An Engine is a running system.
type Engine struct {
	opts  Options
	clock *clock.Clock
	store *store.Store

	Secrets *secretsmanager.Service
	Events  *events.Service
	Queues  *sqs.Service
	Tables  *dynamodb.Service
	Lambda  *lambda.Service
	Trail   *cloudtrail.Service
	Objects *s3.Service
	Stacks  *cloudformation.Service

	aws    net.Listener
	server *http.Server // of aws
	keys   *iam.Keys
	access *access
	main   *deployment // the template of Start
	api    *apiServer  // its HTTP API
	// deployed are all deployments, by which ARNs are named.
	deployed index[*deployment, bool]
}

// Start makes the system that the template describes. The error is a
// [*template.Error] where the template is at fault. The context is for the
// start only; [Engine.Close] ends the engine.
func Start(ctx context.Context, opts Options) (*Engine, error) {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Logs == nil {
		opts.Logs = io.Discard
	}
	opts.StackName = cmp.Or(opts.StackName, "rekey")
	e := &Engine{opts: opts}
	var err error
	if e.access, err = newAccess(opts.NoIAM); err != nil {
		return nil, err
	}
	e.main, err = e.newDeployment(opts.TemplateFile, opts.Template, template.Inputs{Parameters: opts.Parameters, Defaults: opts.Defaults, StackName: e.opts.StackName})
	if err != nil {
		return nil, err
	}
	e.deployed.set(e.main, true)
	for _, step := range []func(context.Context) error{e.listen, e.openState, e.open, e.provision} {
		if err := step(ctx); err != nil {
			return nil, errors.Join(err, e.Close(context.WithoutCancel(ctx)))
		}
	}
	e.serve()
	return e, nil
}

// listen takes the ports; requests wait until the system is made.
func (e *Engine) listen(ctx context.Context) (err error) {
	var lc net.ListenConfig
	if e.aws, err = lc.Listen(ctx, "tcp", loopback(e.opts.Port)); err != nil {
		return fmt.Errorf("taking the port of the AWS endpoint: %w", err)
	}
	e.api, err = newAPIServer(ctx, e.opts.APIPort)
	e.main.api = e.api
	return err
}

// provision makes what the template has.
func (e *Engine) provision(context.Context) error {
	if err := e.main.provision(); err != nil {
		return err
	}
	if err := e.adoptMain(); err != nil {
		return err
	}
	return e.Stacks.Resume()
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// openState opens what outlives a restart, and sets the clock by it.
func (e *Engine) openState(context.Context) (err error) {
	if e.opts.StateDir != "" {
		if e.store, err = store.Open(e.opts.StateDir, func(o *store.Options) { o.Passphrase = e.opts.Passphrase }); err != nil {
			return err
		}
	}
	return e.restoreClock()
}

// open makes the services with what they kept.
func (e *Engine) open(context.Context) (err error) {
	trailDir := ""
	if e.opts.StateDir != "" {
		trailDir = filepath.Join(e.opts.StateDir, "trail")
	}
	e.keys = iam.NewKeys(Account)
	e.Trail, err = cloudtrail.New(cloudtrail.Options{
		Account: Account, Region: Region, Clock: e.clock, Dir: trailDir, Store: e.store,
		Publisher: onBus{e}, Buckets: trailBuckets{e}, Delay: e.opts.TrailDelay, Logger: e.opts.Logger,
	})
	if err != nil {
		return err
	}
	e.Queues, err = sqs.New(sqs.Options{
		Account: Account, Region: Region, Clock: e.clock, Store: e.store, Endpoint: e.Endpoint(), Logger: e.opts.Logger,
	})
	if err != nil {
		return err
	}
	e.Tables, err = dynamodb.New(dynamodb.Options{Account: Account, Region: Region, Clock: e.clock, Store: e.store})
	if err != nil {
		return err
	}
	e.Lambda = lambda.New(lambda.Options{
		Account: Account, Region: Region, Clock: e.clock, Keys: e.keys,
		Endpoint: e.Endpoint(), Queues: e.Queues, Logs: e.opts.Logs, Logger: e.opts.Logger,
	})
	e.Events, err = events.New(events.Options{
		Account: Account, Region: Region, Clock: e.clock, Store: e.store, Lambda: e.Lambda, Queues: e.Queues,
		Permit: e.permit, Logger: e.opts.Logger,
	})
	if err != nil {
		return err
	}
	e.Secrets, err = secretsmanager.New(secretsmanager.Options{
		Account: Account, Region: Region, Clock: e.clock, Store: e.store, Invoker: e.Lambda,
		Publisher: e.Events, Trail: e.Trail, Access: callerAccess{e}, RetryBackoff: e.opts.RotationBackoff, Logger: e.opts.Logger,
	})
	if err != nil {
		return err
	}
	if e.Objects, err = s3.New(e.clock.Now, e.store); err != nil {
		return err
	}
	e.Stacks, err = cloudformation.New(cloudformation.Options{
		Account: Account, Region: Region, Now: e.clock.Now, Provider: provider{e}, Store: e.store, Logger: e.opts.Logger,
	})
	if err != nil {
		return err
	}
	e.front()
	return nil
}

// front is the door to all services.
func (e *Engine) front() {
	objects := e.Objects.Wire()
	opts := wire.FrontOptions{
		Region: Region, Account: Account, Now: e.clock.Now, Identify: e.keys.Lookup,
		Authorize: e.authorize, Objects: &objects, Recorder: e.Trail, Logger: e.opts.Logger,
	}
	front := wire.NewFront(opts, e.Secrets.Wire(), e.Events.Wire(), e.Queues.Wire(), e.Tables.Wire(), e.Lambda.Wire(), e.Trail.Wire(), e.Stacks.Wire(), sts.Wire())
	e.server = newServer(e.withControl(front))
}

// onBus publishes on the default bus, which is made after the trail.
type onBus struct{ engine *Engine }

// Publish passes on.
func (b onBus) Publish(source, detailType string, resources []string, detail any) {
	b.engine.Events.Publish(source, detailType, resources, detail)
}

// PublishRead passes on.
func (b onBus) PublishRead(source, detailType string, resources []string, detail any) {
	b.engine.Events.PublishRead(source, detailType, resources, detail)
}

func newServer(h http.Handler) *http.Server {
	return &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
}

// serve opens the ports.
func (e *Engine) serve() {
	go func() { _ = e.server.Serve(e.aws) }() // it ends with ErrServerClosed
	go e.api.serve()
}

// Endpoint is the URL of the AWS services, for AWS_ENDPOINT_URL.
func (e *Engine) Endpoint() string { return "http://" + e.aws.Addr().String() }

// APIURL is the URL of the HTTP API.
func (e *Engine) APIURL() string { return e.api.url() }

// Clock is the engine's time.
func (e *Engine) Clock() *clock.Clock { return e.clock }

// Warnings say what of the template has no effect here.
func (e *Engine) Warnings() []string { return e.main.warnings }

// Function returns the ARN of the function with a logical id of the template,
// or an empty string.
func (e *Engine) Function(id string) string { return e.main.functions[id] }

// Parameter returns the value of a parameter of the template.
func (e *Engine) Parameter(name string) string { return e.main.plan.Parameter(name) }

// Outputs are the template's.
func (e *Engine) Outputs() (map[string]string, error) { return e.main.plan.Outputs() }

// closeWait is how long open requests may take when the engine ends.
const closeWait = time.Second

// Close ends everything: ports, rotations, functions, and then the state. No
// process that the engine started is left when it returns.
func (e *Engine) Close(ctx context.Context) error {
	var errs []error
	if e.server != nil {
		shutdown, cancel := context.WithTimeout(ctx, closeWait)
		defer cancel()
		if err := e.server.Shutdown(shutdown); err != nil {
			errs = append(errs, e.server.Close())
		}
	}
	if e.aws != nil {
		_ = e.aws.Close() // a server that served has closed it
	}
	if e.Stacks != nil {
		e.Stacks.Close()
	}
	for d := range e.deployed.each {
		if d.api != nil {
			errs = append(errs, d.api.close(ctx))
		}
	}
	if e.Secrets != nil {
		e.Secrets.Close()
	}
	if e.Lambda != nil {
		errs = append(errs, e.Lambda.Close(ctx))
	}
	if e.Trail != nil {
		errs = append(errs, e.Trail.Close()) // the last records go on the bus
	}
	if e.Events != nil {
		e.Events.Close()
	}
	return errors.Join(append(errs, e.store.Close())...)
}
