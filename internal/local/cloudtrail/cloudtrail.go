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
// # The folder
//
// The folder is what the bucket is on AWS, [Bucket] its name in digests:
//
//	undelivered.jsonl
//	AWSLogs/ACCOUNT/CloudTrail/REGION/2026/11/24/ACCOUNT_CloudTrail_REGION_20261124T1005Z_RANDOM.json.gz
//	AWSLogs/ACCOUNT/CloudTrail-Digest/REGION/2026/11/24/ACCOUNT_CloudTrail-Digest_REGION_rekey_REGION_20261124T110000Z.json.gz
//	AWSLogs/ACCOUNT/CloudTrail-Digest/REGION/2026/11/24/ACCOUNT_CloudTrail-Digest_REGION_rekey_REGION_20261124T110000Z.json.gz.sig
//
// Log files are {"Records":[...]} in gzip, delivered every five minutes of the
// clock, or earlier when there are many records. What is in no log file yet
// lies in undelivered.jsonl, a record a line.
//
// # Trails that are made
//
// CreateTrail and StartLogging make trails that deliver the same files to a
// bucket, each with a chain of digests of its own, and the signature in the
// object's metadata. They are in memory, as the engine's buckets are. The policy
// of the bucket has to let CloudTrail write.
//
// # Digests
//
// Every hour of the clock, also when nothing happened, a digest file lists the
// log files that were delivered since the last one, with the SHA-256 of their
// uncompressed content, and the hash and the signature of the digest before it
// (null in the first). It is signed with RSA, PKCS #1 v1.5 over SHA-256, of
//
//	digestEndTime \n bucket/key \n hex(SHA-256 of the uncompressed digest) \n previousDigestSignature
//
// where the last is "null" in the first digest. AWS keeps the signature, in
// hexadecimal, in the metadata x-amz-meta-signature of the object; files have
// none, so that here it is the content of the file beside it, with .sig behind
// its name. ListPublicKeys has the key; digestPublicKeyFingerprint, the MD5 of
// its DER, tells which. So a changed, missing or added log file or digest is
// found by whoever goes through the chain, as "aws cloudtrail validate-logs"
// does. The private key lies sealed in the engine's store. A period is longer
// than an hour where the engine was not running.
//
// # Over a restart
//
// A call is answered when its records are in undelivered.jsonl, so that a kill
// loses none of them. They are not synced there: a power cut may lose what the
// operating system had not written yet. The next start takes them over, each
// once. It refuses to go on with a chain whose latest files were changed.
//
// # Cost
//
// Recording hands the call to a goroutine that encodes it. No record is
// dropped: when records come faster than they are encoded for long, the calls
// wait. LookupEvents and [Service.Flush] answer with everything that was
// recorded before.
package cloudtrail

import (
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/rekey-go/rekey/internal/local/clock"
	"github.com/rekey-go/rekey/internal/local/store"
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
	// digestEvery is how often it delivers a digest.
	digestEvery = time.Hour
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
	// Store keeps the signing key and the end of the chain of digests. With
	// Dir and without Store each start begins a chain of its own.
	Store *store.Store
	// Publisher is told of every management call and service event, as
	// CloudTrail tells EventBridge. If nil, nobody is told.
	Publisher Publisher
	// Buckets is where trails deliver to that are made. If nil, none can be.
	Buckets Buckets
	// Delay is how old a record must be before LookupEvents tells of it. AWS
	// takes minutes; here it is nothing unless it is set.
	Delay time.Duration
	// Logger gets what goes wrong in the background, such as a disk that is
	// full. If nil, it is not logged.
	Logger *slog.Logger
}

// A Publisher puts events on the default bus: PublishRead those of calls that
// only read, which few rules ask for. Both return at once.
type Publisher interface {
	Publish(source, detailType string, resources []string, detail any)
	PublishRead(source, detailType string, resources []string, detail any)
}

// A Service is a trail. It is safe for concurrent use.
type Service struct {
	opts   Options
	queue  chan item
	done   chan struct{} // closed when the trail takes no more records
	ended  chan struct{} // closed when everything is written
	close  sync.Once
	signer signer

	mu   sync.Mutex
	ring ring
	last unpacked
	err  error // what went wrong in the background, until Flush tells
}

var _ wire.Recorder = (*Service)(nil)

// An item is something for the encoder. One of call, event, do, deliver and
// digest is set, or none: then it is a barrier.
type item struct {
	call  *recorded
	event *wire.ServiceEvent
	do    func(*encoder)
	// deliver is the time of a delivery, and digest that of a digest.
	deliver, digest time.Time
	// settled is closed when everything up to here is in the ring and in the
	// journal.
	settled chan struct{}
	rested  func() // lets the clock go on
}

// recorded is what the encoder needs of a call.
type recorded struct {
	call   wire.Call
	op     wire.Operation
	output any
	err    error
}

// New opens the trail. It reads back what its folder has in the background. It
// returns an error that wraps [store.ErrTampered] if the latest files are not
// those that were written.
func New(opts Options) (*Service, error) {
	if opts.Clock == nil {
		opts.Clock = clock.New()
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Service{
		opts:  opts,
		queue: make(chan item, queueSize),
		done:  make(chan struct{}),
		ended: make(chan struct{}),
	}
	enc := &encoder{service: s}
	if opts.Dir != "" {
		if err := os.MkdirAll(opts.Dir, 0o700); err != nil {
			return nil, fmt.Errorf("making the folder of the trail: %w", err)
		}
		if err := enc.openChain(); err != nil {
			return nil, err
		}
	}
	go enc.run()
	return s, nil
}

// Record takes a call and its answer into the trail, and returns when a kill
// cannot lose it any more. The call must not be changed any more.
func (s *Service) Record(c *wire.Call, op wire.Operation, output any, err error) {
	if op.Access != wire.Write {
		output = nil // a read's answer is never in the trail
	}
	s.record(item{call: &recorded{call: *c, op: op, output: output, err: err}})
}

// ServiceEvent takes something that a service did by itself into the trail, as
// [Service.Record] does. An event without a time gets the clock's.
func (s *Service) ServiceEvent(e wire.ServiceEvent) {
	if e.Time.IsZero() {
		e.Time = s.opts.Clock.Now()
	}
	s.record(item{event: &e})
}

func (s *Service) record(it item) {
	it.rested = s.opts.Clock.Busy()
	if s.opts.Dir == "" {
		s.send(it) // there is no journal to wait for
		return
	}
	s.settle(it)
}

// send waits while the queue is full, and drops the item if the trail is
// closed.
func (s *Service) send(it item) {
	select {
	case <-s.done:
	default:
		select {
		case s.queue <- it:
			return
		case <-s.done:
		}
	}
	if it.rested != nil {
		it.rested()
	}
}

// settle sends an item and waits until it was taken.
func (s *Service) settle(it item) {
	it.settled = make(chan struct{})
	s.send(it)
	select {
	case <-it.settled:
	case <-s.ended:
	}
}

// Sync waits until everything that was recorded or fell due before is written,
// and returns the first error since the last Sync or Flush.
func (s *Service) Sync() error {
	s.settle(item{})
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.err
	s.err = nil
	return err
}

// Flush is Sync, and writes everything into a log file, without waiting for
// its time.
func (s *Service) Flush() error {
	s.settle(item{deliver: s.opts.Clock.Now()})
	return s.Sync()
}

// Close flushes and ends the trail. Later records are dropped.
func (s *Service) Close() error {
	err := s.Flush()
	s.close.Do(func() { close(s.done) })
	<-s.ended
	return err
}

// fail notes what went wrong in the background.
func (s *Service) fail(err error) {
	if err == nil {
		return
	}
	s.opts.Logger.Error("writing the trail", "error", err)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
	}
}
