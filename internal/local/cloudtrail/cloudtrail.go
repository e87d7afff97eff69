// Package cloudtrail keeps the engine's audit trail: who called what, when,
// from where, and how it was answered.
//
// Every management call that the front door answered becomes a record in the
// shape in which AWS CloudTrail writes it, refused calls included. What a call
// did on the way has records of its own: the KMS decrypt that tells which
// version of a secret was read, the GetSecretValue of each secret of a batch,
// and what a service did by itself, such as ending a rotation. No record holds
// a secret value.
//
// A [Service] has the latest records in memory, where LookupEvents finds them.
// With a folder it also keeps all of them in files that are named and packed as
// CloudTrail's own in S3, so that whatever reads a trail on AWS reads this one.
//
// # Cost
//
// Recording hands the call to a goroutine that encodes it later. No record is
// dropped: when records come faster than they are encoded for long, the calls
// wait. LookupEvents and [Service.Flush] answer with everything that was
// recorded before.
package cloudtrail

import (
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/rekey-go/rekey/internal/local/clock"
	"github.com/rekey-go/rekey/internal/local/wire"
)

const (
	// keep is how many records stay in memory at least.
	keep = 100_000
	// segmentSize is how many records are packed together: one file, and one
	// unit of unpacking when they are looked up.
	segmentSize = 1000
	// deliverEvery is how often CloudTrail delivers a file, about.
	deliverEvery = 5 * time.Minute
	// retention is how far LookupEvents looks back.
	retention = 90 * 24 * time.Hour
	// queueSize is how many calls may wait to be encoded.
	queueSize = 1024
)

// Options configure a [Service].
type Options struct {
	// Account and Region are those of the engine.
	Account, Region string
	Clock           *clock.Clock
	// Dir is the folder for the log files. What it has from earlier runs is
	// read back. If empty, the trail is kept in memory only.
	Dir string
	// Publisher is told of every management call, as CloudTrail tells
	// EventBridge. If nil, nobody is told.
	Publisher Publisher
	// Delay is how old a record must be before LookupEvents tells of it. AWS
	// takes minutes; here it is nothing unless it is set.
	Delay time.Duration
}

// A Publisher puts events on the default bus: PublishRead those of calls that
// only read, which few rules ask for. Both return at once.
type Publisher interface {
	Publish(source, detailType string, resources []string, detail any)
	PublishRead(source, detailType string, resources []string, detail any)
}

// A Service is a trail. It is safe for concurrent use.
type Service struct {
	opts  Options
	queue chan item
	done  chan struct{} // closed when the trail takes no more records
	ended chan struct{} // closed when everything is written
	close sync.Once

	mu   sync.Mutex
	ring ring
	last unpacked
	err  error // what went wrong in the background, until Flush tells
}

var _ wire.Recorder = (*Service)(nil)

// An item is something for the encoder: a call, an event or a barrier.
type item struct {
	call   *recorded
	event  *wire.ServiceEvent
	passed chan struct{} // closed when everything before it is in the ring
	seal   bool          // whether the barrier also delivers
}

// recorded is what the encoder needs of a call.
type recorded struct {
	call   wire.Call
	op     wire.Operation
	output any
	err    error
}

// New opens the trail and reads back what its folder has, in the background.
func New(opts Options) (*Service, error) {
	if opts.Clock == nil {
		opts.Clock = clock.New()
	}
	if opts.Dir != "" {
		if err := os.MkdirAll(opts.Dir, 0o700); err != nil {
			return nil, fmt.Errorf("making the folder of the trail: %w", err)
		}
	}
	s := &Service{
		opts:  opts,
		queue: make(chan item, queueSize),
		done:  make(chan struct{}),
		ended: make(chan struct{}),
	}
	go s.run()
	return s, nil
}

// Record takes a call and its answer into the trail. The call must not be
// changed any more.
func (s *Service) Record(c *wire.Call, op wire.Operation, output any, err error) {
	if op.Access != wire.Write {
		output = nil // a read's answer is never in the trail
	}
	s.send(item{call: &recorded{call: *c, op: op, output: output, err: err}})
}

// ServiceEvent takes something that a service did by itself into the trail.
// An event without a time gets the clock's.
func (s *Service) ServiceEvent(e wire.ServiceEvent) {
	if e.Time.IsZero() {
		e.Time = s.opts.Clock.Now()
	}
	s.send(item{event: &e})
}

// send waits while the queue is full, and drops the item if the trail is
// closed.
func (s *Service) send(it item) {
	select {
	case <-s.done:
		return
	default:
	}
	select {
	case s.queue <- it:
	case <-s.done:
	}
}

// barrier waits until everything that was recorded before is in the ring.
func (s *Service) barrier(seal bool) {
	passed := make(chan struct{})
	s.send(item{passed: passed, seal: seal})
	select {
	case <-passed:
	case <-s.ended:
	}
}

// Flush writes everything that was recorded before into a log file, without
// waiting for its time. It returns the first error since the last Flush.
func (s *Service) Flush() error {
	s.barrier(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.err
	s.err = nil
	return err
}

// Close flushes and ends the trail. Later records are dropped.
func (s *Service) Close() error {
	err := s.Flush()
	s.close.Do(func() { close(s.done) })
	<-s.ended
	return err
}

func (s *Service) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
	}
}
