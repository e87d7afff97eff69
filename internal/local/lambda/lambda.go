// Package lambda is AWS Lambda on the engine: functions that run as child
// processes and speak the real Lambda Runtime API.
//
// # Environments
//
// An execution environment is one process. It takes one invocation at a time;
// when invocations overlap, more environments are started, and each keeps its
// own memory, as on AWS. That is what makes caches, and their staleness, real
// here. Idle environments are used again, the latest first, and end after some
// minutes. One that runs into the function's timeout is killed.
//
// Each environment has a Runtime API of its own on the loopback interface, and
// credentials of the function's role: what it calls is recorded under its
// name. Of the engine's own environment variables it sees only PATH.
//
// An environment does not outlive the engine: it ends in [Service.Close], and
// on Linux with the engine's process, however that ends.
//
// # Ways in
//
// [Service.Invoke] waits for the answer. [Service.InvokeAsync] returns at
// once; an event whose function fails is tried twice more, and then goes to
// the function's dead letter queue. [Service.MapQueue] has a function invoked
// with the messages of an SQS queue. Events and messages wait for a free
// environment where a function has as many as it may have; a caller of Invoke
// is refused, as on AWS.
//
// # What is not here
//
// Versions and aliases, layers, extensions, response streaming, function URLs,
// provisioned concurrency and memory limits. CreateFunction takes a zip file with
// a bootstrap of its own, and nothing from S3; such a function ends with the
// service, which keeps no state.
package lambda

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rekey-go/rekey/internal/local/clock"
	"github.com/rekey-go/rekey/internal/local/iam"
	"github.com/rekey-go/rekey/internal/local/sqs"
	"github.com/rekey-go/rekey/internal/local/wire"
)

const (
	defaultTimeout = 3 * time.Second
	defaultMemory  = 128
	// accountConcurrency is how many environments all functions may have.
	accountConcurrency = 1000
	maxPayload         = 6 << 20
	maxAsyncPayload    = 1 << 20
	// asyncWorkers is how many events of one function are worked on at once.
	asyncWorkers = 10
)

// NoConcurrency as a reserved concurrency keeps a function from running: every
// invocation is throttled.
const NoConcurrency = -1

// A Function is the configuration of a function.
type Function struct {
	Name    string
	RoleARN string
	// Timeout of an invocation; AWS's default of 3 s if zero.
	Timeout time.Duration
	// MemoryMB is told to the function and not enforced; 128 if zero.
	MemoryMB    int
	Environment map[string]string
	// Command starts an environment: program and arguments.
	Command []string
	// Code is the deployment package of a function that came by
	// CreateFunction, and empty for one of the template.
	Code Code
	// Runtime and Handler are told and have no effect; provided.al2023 and
	// bootstrap if empty.
	Runtime, Handler string
	Description      string
	// Architecture is told and has no effect; this machine's if empty.
	Architecture string
	Tags         map[string]string
	// ReservedConcurrency bounds the number of environments. If zero, the
	// account's limit does; [NoConcurrency] allows none.
	ReservedConcurrency int
	// Extensions live beside the runtime, started in this order.
	Extensions []Extension
	// DeadLetterARN is the queue for events that could not be worked on.
	DeadLetterARN string
}

// Queues are what the service asks of SQS.
type Queues interface {
	Receive(ctx context.Context, queueARN string, maxMessages int, wait time.Duration) ([]sqs.Message, error)
	Delete(queueARN, receiptHandle string) error
	Deliver(queueARN, body string, attributes map[string]any) error
}

// Options configure a [Service].
type Options struct {
	Account, Region string
	Clock           *clock.Clock
	// Keys issues the environments' credentials.
	Keys *iam.Keys
	// Endpoint is the environments' AWS_ENDPOINT_URL.
	Endpoint string
	Queues   Queues
	// AsyncRetry are the pauses before an event is tried again. If nil, they
	// are AWS's: one minute, then two.
	AsyncRetry []time.Duration
	// Logs gets what the functions print, whole lines at a time.
	Logs io.Writer
	// Logger gets what cannot be told to a caller. If nil, it is silent.
	Logger *slog.Logger
}

// A Service is Lambda of one account and region. It is safe for concurrent
// use.
type Service struct {
	opts   Options
	spawns chan spawnRequest
	stop   context.CancelFunc
	ctx    context.Context //nolint:containedctx // the life of the service, which ends in Close.
	work   sync.WaitGroup  // invocations, pollers and waiting events
	output *lineWriter

	mu           sync.Mutex
	closed       bool
	functions    map[string]*function  // :: ARN -> function
	environments map[*environment]bool // of all functions, and of their replaced configurations
	waiters      int                   // who waits for freed
	freed        chan struct{}         // closed, and made anew, when an environment gets free or ends
	mappings     []mapping
	code         string // the folder of unpacked code; empty until there is some
}

// A function is a defined function with its environments. Its fields are
// guarded by the service's lock.
type function struct {
	Function
	arn         string
	modified    time.Time
	permissions []permission
	events      *eventInvokeConfig // nil: as AWS has it by default
	revision    string             // a new one with each change
	// policyRevision is the permissions', likewise.
	policyRevision string
	environments   map[*environment]bool
	idle           []*environment // the latest last
	async          chan struct{}  // one token per event that is worked on
}

// New returns a service without functions.
func New(opts Options) *Service {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Logs == nil {
		opts.Logs = io.Discard
	}
	if opts.AsyncRetry == nil {
		opts.AsyncRetry = []time.Duration{time.Minute, 2 * time.Minute}
	}
	s := &Service{
		opts: opts, spawns: make(chan spawnRequest),
		output: &lineWriter{to: opts.Logs}, functions: make(map[string]*function),
		environments: make(map[*environment]bool), freed: make(chan struct{}),
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	go s.spawner()
	return s
}

// Define makes a function or replaces its configuration, and returns its ARN.
// Environments with the old configuration finish what they do.
func (s *Service) Define(f Function) (arn string, err error) {
	switch {
	case f.Name == "" || len(f.Command) == 0:
		return "", invalidParameter("a function has a name and a command")
	case f.Timeout < 0 || f.Timeout > 15*time.Minute:
		return "", invalidParameter("the timeout of %s is not between 1 and 900 seconds", f.Name)
	}
	if f.Timeout == 0 {
		f.Timeout = defaultTimeout
	}
	if f.Runtime == "" {
		f.Runtime = runtimes[0]
	}
	if f.Handler == "" {
		f.Handler = bootstrap
	}
	if f.MemoryMB == 0 {
		f.MemoryMB = defaultMemory
	}
	arn = "arn:aws:lambda:" + s.opts.Region + ":" + s.opts.Account + ":function:" + f.Name
	s.mu.Lock()
	defer s.mu.Unlock()
	def := &function{
		Function: f, arn: arn, modified: s.opts.Clock.Now(), revision: wire.NewID(),
		environments: make(map[*environment]bool), async: make(chan struct{}, asyncWorkers),
	}
	if old, ok := s.functions[arn]; ok {
		def.permissions, def.policyRevision, def.events = old.permissions, old.policyRevision, old.events
		for _, env := range slices.Clone(old.idle) {
			s.endLocked(env)
		}
	}
	s.functions[arn] = def
	s.wakeLocked()
	return arn, nil
}

// find returns the function with a name or ARN.
func (s *Service) find(nameOrARN string) (*function, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.findLocked(nameOrARN)
}

func (s *Service) findLocked(nameOrARN string) (*function, error) {
	name := nameOrARN
	if scope, rest, ok := strings.Cut(nameOrARN, ":function:"); ok {
		if parts := strings.Split(scope, ":"); len(parts) == 5 && parts[3] != s.opts.Region {
			return nil, notFound("Functions from '%s' are not reachable in this region ('%s')", parts[3], s.opts.Region)
		}
		name = rest
	}
	arn := "arn:aws:lambda:" + s.opts.Region + ":" + s.opts.Account + ":function:" + strings.TrimSuffix(name, ":$LATEST")
	f, ok := s.functions[arn]
	if !ok { // so is one with a qualifier: there are no versions and aliases
		return nil, notFound("Function not found: %s", arn)
	}
	return f, nil
}

// refusal is an answer to what the caller did wrong. Lambda's model spells the
// message of most of its errors without a capital.
func refusal(status int, code, format string, args ...any) *wire.Error {
	e := wire.Unmodelled(code, format, args...)
	e.Status = status
	e.Members = map[string]any{"Type": "User"}
	return e
}

func notFound(format string, args ...any) *wire.Error {
	e := refusal(http.StatusNotFound, "ResourceNotFoundException", format, args...)
	e.Modelled = true // one that has the capital
	return e
}

func invalidParameter(format string, args ...any) *wire.Error {
	return refusal(http.StatusBadRequest, "InvalidParameterValueException", format, args...)
}

func invalidContent(why string) *wire.Error {
	return refusal(http.StatusBadRequest, "InvalidRequestContentException", "Could not parse request body into json: %s", why)
}

func conflict(format string, args ...any) *wire.Error {
	return refusal(http.StatusConflict, "ResourceConflictException", format, args...)
}
