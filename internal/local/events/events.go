// Package events is Amazon EventBridge on the engine: event buses, rules,
// schedules, and the delivery of events to targets.
//
// # From event to target
//
// [Service.Publish] and PutEvents put an event on a bus and return at once.
// Each target of each rule whose pattern matches gets the event in a goroutine
// of its own, so that a slow target delays neither the publisher nor the other
// targets. As on AWS there is no order between events.
//
// A target is a Lambda function, which is invoked asynchronously, an SQS
// queue, or another event bus. What it gets is the event, or what the target's
// Input, InputPath or InputTransformer make of it.
//
// # When a delivery fails
//
// It is tried again with growing pauses, by default for 24 hours and at most
// 185 times. What could not be delivered goes to the target's dead letter
// queue, with attributes that say why. A target that does not exist, or an
// input that is no JSON, is not tried again.
//
// Buses, rules and targets are kept in the store. Deliveries under way are
// not: they end with the process.
//
// # What is not here
//
// Archives, replays, pipes, partner sources, API destinations and global
// endpoints: the front door refuses their operations by name. A rule reaches
// every function and queue: their resource policies are not asked.
package events

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/rekey-go/rekey/internal/local/clock"
	"github.com/rekey-go/rekey/internal/local/events/pattern"
	"github.com/rekey-go/rekey/internal/local/store"
)

// defaultBus is the name of the bus that every account has, and on which AWS's
// own services publish.
const defaultBus = "default"

// A Lambda invokes functions. An error that is a [*wire.Error] with the code
// ResourceNotFoundException or AccessDeniedException is final; any other is a
// reason to try again.
type Lambda interface {
	InvokeAsync(functionARN string, payload []byte) error
}

// Queues take messages, whose attributes are strings and ints. Its errors are
// judged as those of [Lambda]; QueueDoesNotExist is final too.
type Queues interface {
	Deliver(queueARN, body string, attributes map[string]any) error
}

// Options configure a [Service].
type Options struct {
	Account, Region string
	Clock           *clock.Clock
	// Store keeps buses, rules and targets. Nil keeps nothing.
	Store  *store.Store
	Lambda Lambda
	Queues Queues
	// Permit asks the policy of a target, a function or a queue, whether a
	// rule may reach it. Its error is final, a [*wire.Error] with the code
	// AccessDeniedException. If nil, every rule may.
	Permit func(ruleARN, targetARN string) error
	// Logger gets what cannot be told to a caller, such as a dead letter that
	// has no queue. If nil, it is not logged.
	Logger *slog.Logger
}

// A Service is EventBridge of one account and region. It is safe for
// concurrent use.
type Service struct {
	opts       Options
	deliveries sync.WaitGroup

	mu     sync.RWMutex
	closed bool
	buses  map[string]*bus // :: name -> bus
}

// A bus is an event bus with its rules.
type bus struct {
	busRecord
	rules map[string]*rule // :: name -> rule
}

// busRecord is what the store keeps of a bus.
type busRecord struct {
	Name, Description string
	Tags              map[string]string
	Created, Modified time.Time
}

// A rule is a rule in force.
type rule struct {
	ruleRecord
	pattern *pattern.Pattern // nil for a rule that has only a schedule
	timer   *clock.Timer     // for the next time of its schedule
}

// ruleRecord is what the store keeps of a rule. Its slices and maps are
// replaced, never changed, so that readers may hold on to them.
type ruleRecord struct {
	Rule    Rule
	Tags    map[string]string
	Targets []Target
}

const (
	busTable  = "events.buses"
	ruleTable = "events.rules"
)

// New returns the service with what the store holds. Schedules run from then
// on.
func New(opts Options) (*Service, error) {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	now := opts.Clock.Now()
	s := &Service{opts: opts, buses: map[string]*bus{
		defaultBus: newBus(busRecord{Name: defaultBus, Created: now, Modified: now}),
	}}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.loadLocked(); err != nil {
		return nil, fmt.Errorf("loading event buses: %w", err)
	}
	return s, nil
}

func newBus(record busRecord) *bus {
	return &bus{busRecord: record, rules: make(map[string]*rule)}
}

func (s *Service) loadLocked() error {
	err := store.Each(s.opts.Store.Table(busTable), func(_ string, record busRecord) error {
		s.buses[record.Name] = newBus(record)
		return nil
	})
	if err != nil {
		return err
	}
	return store.Each(s.opts.Store.Table(ruleTable), func(_ string, record ruleRecord) error {
		b, ok := s.buses[record.Rule.EventBusName]
		if !ok {
			return nil
		}
		r, err := newRule(record)
		if err != nil {
			return err
		}
		b.rules[record.Rule.Name] = r
		return s.scheduleLocked(r)
	})
}

// Close stops the schedules and waits for the deliveries that are running.
// Those that wait to be tried again are dropped.
func (s *Service) Close() {
	s.mu.Lock()
	s.closed = true
	for _, b := range s.buses {
		for _, r := range b.rules {
			r.stop()
		}
	}
	s.mu.Unlock()
	s.deliveries.Wait()
}

// PublishRead puts the record of a call that only reads on the default bus. It
// reaches the rules in the state ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS
// alone, and costs next to nothing where there is none.
func (s *Service) PublishRead(source, detailType string, resources []string, detail any) {
	s.mu.RLock()
	wanted := false
	for _, r := range s.buses[defaultBus].rules {
		wanted = wanted || r.Rule.State == stateTrail
	}
	s.mu.RUnlock()
	if wanted {
		s.publish(source, detailType, resources, detail, true)
	}
}

// Publish puts an event of AWS's own on the default bus. The detail must be
// something that is a JSON object.
func (s *Service) Publish(source, detailType string, resources []string, detail any) {
	s.publish(source, detailType, resources, detail, false)
}

func (s *Service) publish(source, detailType string, resources []string, detail any, read bool) {
	data, err := json.Marshal(detail)
	if err != nil {
		// The encoder's text could quote the detail.
		s.opts.Logger.Error("event dropped: its detail cannot be encoded", "source", source, "detail_type", detailType)
		return
	}
	e := s.newEvent(envelope{Source: source, DetailType: detailType, Resources: resources, Detail: data})
	e.read = read
	s.route(defaultBus, e, 0)
}

func (s *Service) arn(resource string) string {
	return "arn:aws:events:" + s.opts.Region + ":" + s.opts.Account + ":" + resource
}

func (s *Service) busARN(name string) string { return s.arn("event-bus/" + name) }
