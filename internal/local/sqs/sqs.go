// Package sqs is Amazon SQS on the engine: standard queues with long polling,
// delays, visibility timeouts and dead letter queues.
//
// # What holds
//
// A message is offered to a receiver that waits for it as soon as it is sent.
// It is in the store when SendMessage answers, and out of it when
// DeleteMessage does, so that a killed engine delivers every message that was
// accepted and not deleted: at least once, as AWS promises. How often a
// message was received, and its receipt handles, end with the process.
//
// Delays, visibility timeouts and retention follow the engine's clock. A long
// poll waits in real time, as the process that polls does.
//
// A receipt handle belongs to one receive. With an older handle DeleteMessage
// succeeds and deletes nothing, so that a slow consumer cannot delete what
// another one has received meanwhile.
//
// # What is not here
//
// FIFO queues, which are refused by name, queue policies as a guard (they are
// kept and returned), and message move tasks.
package sqs

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/rekey-go/rekey/internal/local/clock"
	"github.com/rekey-go/rekey/internal/local/store"
	"github.com/rekey-go/rekey/internal/local/wire"
)

// Options configure a [Service].
type Options struct {
	Account, Region string
	Clock           *clock.Clock
	// Store keeps queues and messages. Nil keeps nothing.
	Store *store.Store
	// Endpoint is the front of queue URLs. If empty, it is AWS's own.
	Endpoint string
	// Logger gets what cannot be told to a caller, such as a message that
	// could not be moved. If nil, it is not logged.
	Logger *slog.Logger
}

// A Service is SQS of one account and region. It is safe for concurrent use.
type Service struct {
	opts Options

	mu     sync.Mutex
	queues map[string]*queue // :: name -> queue
}

// A queue is a queue with its messages.
type queue struct {
	record   queueRecord
	messages map[string]*message // :: id -> message
	// visible are the messages to receive, in the order in which they became
	// so. Those that were deleted meanwhile are still among them.
	visible []*message
	// arrived is closed, and replaced, when a message becomes visible and
	// when the queue is deleted.
	arrived chan struct{}
	purged  time.Time // when it last was
}

// queueRecord is what the store keeps of a queue. Its maps are replaced, never
// changed.
type queueRecord struct {
	Name              string
	Attributes        map[string]string // those that can be set
	Tags              map[string]string
	Created, Modified time.Time
}

const (
	queueTable   = "sqs.queues"
	messageTable = "sqs.messages"
)

// New returns the service with what the store holds.
func New(opts Options) (*Service, error) {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Endpoint == "" {
		opts.Endpoint = "https://sqs." + opts.Region + ".amazonaws.com"
	}
	s := &Service{opts: opts, queues: make(map[string]*queue)}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.loadLocked(); err != nil {
		return nil, fmt.Errorf("loading queues: %w", err)
	}
	return s, nil
}

func newQueue(record queueRecord) *queue {
	return &queue{record: record, messages: make(map[string]*message), arrived: make(chan struct{})}
}

func (s *Service) loadLocked() error {
	err := store.Each(s.opts.Store.Table(queueTable), func(_ string, record queueRecord) error {
		s.queues[record.Name] = newQueue(record)
		return nil
	})
	if err != nil {
		return err
	}
	return store.Each(s.opts.Store.Table(messageTable), func(_ string, record messageRecord) error {
		if q, ok := s.queues[record.Queue]; ok {
			s.addLocked(q, &message{messageRecord: record})
		}
		return nil
	})
}

func (s *Service) arn(name string) string {
	return "arn:aws:sqs:" + s.opts.Region + ":" + s.opts.Account + ":" + name
}

func (s *Service) url(name string) string {
	return strings.TrimSuffix(s.opts.Endpoint, "/") + "/" + s.opts.Account + "/" + name
}

// queueLocked finds a queue by its URL or ARN, both of which end with its
// name.
func (s *Service) queueLocked(urlOrARN string) (*queue, error) {
	q, ok := s.queues[nameOf(urlOrARN)]
	if !ok {
		return nil, errNoQueue()
	}
	return q, nil
}

// nameOf is a queue's name in its URL or ARN.
func nameOf(urlOrARN string) string { return urlOrARN[strings.LastIndexAny(urlOrARN, "/:")+1:] }

// calledLocked finds the queue of a call and notes it in the call.
func (s *Service) calledLocked(c *wire.Call, url string) (*queue, error) {
	q, err := s.queueLocked(url)
	if err == nil {
		c.Resources = append(c.Resources, wire.Resource{
			ARN: s.arn(q.record.Name), Type: "AWS::SQS::Queue", AccountID: s.opts.Account,
		})
	}
	return q, err
}

// refusal makes an error of SQS: its body spells message small, and its code
// in the older Query protocol goes beside it.
func refusal(code, queryCode, format string, args ...any) *wire.Error {
	e := wire.Unmodelled(code, format, args...)
	e.QueryCode = queryCode
	return e
}

// queryPrefix begins most of the codes in the Query protocol.
const queryPrefix = "AWS.SimpleQueueService."

func errNoQueue() *wire.Error {
	return refusal("QueueDoesNotExist", queryPrefix+"NonExistentQueue", "The specified queue does not exist.")
}

func invalidParameter(format string, args ...any) *wire.Error {
	return refusal("InvalidParameterValueException", "InvalidParameterValue", format, args...)
}

func missingParameter(name string) *wire.Error {
	return refusal("MissingRequiredParameterException", "MissingParameter", "The request must contain the parameter %s.", name)
}
