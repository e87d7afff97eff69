package events

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/rekey-go/rekey/internal/local/wire"
)

const (
	defaultRetries = 185
	defaultAge     = 24 * time.Hour
	firstPause     = time.Second
	longestPause   = 10 * time.Minute
	// maxHops ends an event that goes from bus to bus in a circle. AWS lets it
	// go on and bills it.
	maxHops = 10
)

// errHops means that an event has passed too many buses.
var errHops = errors.New("event passed too many buses")

// A delivery is one event on its way to one target.
type delivery struct {
	event    *event
	target   Target
	ruleARN  string
	ruleName string
	hops     int // how many buses the event has passed before
	retries  int
}

// route starts the delivery of an event to the targets of a bus's rules.
func (s *Service) route(busName string, e *event, hops int) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	b, ok := s.buses[busName]
	if !ok {
		return
	}
	for _, r := range b.rules {
		if r.takes(e) {
			s.startLocked(r, e, hops)
		}
	}
}

// startLocked starts the delivery of an event to a rule's targets. The caller
// holds the lock, for reading at least, so that Close waits for them all.
func (s *Service) startLocked(r *rule, e *event, hops int) {
	if s.closed {
		return
	}
	for _, target := range r.Targets {
		d := &delivery{event: e, target: target, ruleARN: r.Rule.ARN, ruleName: r.Rule.Name, hops: hops}
		done := s.opts.Clock.Busy()
		s.deliveries.Go(func() {
			defer done()
			s.deliver(d)
		})
	}
}

// deliver makes one try.
func (s *Service) deliver(d *delivery) {
	err := s.send(d)
	if err == nil {
		return
	}
	failure := failureOf(err)
	exhausted := ""
	pause := d.pause()
	switch {
	case failure.final:
	case d.retries >= d.target.retries():
		exhausted = "MaximumRetryAttempts"
	case s.opts.Clock.Now().Add(pause).Sub(d.event.ingested) > d.target.age():
		exhausted = "MaximumEventAgeInSeconds"
	default:
		d.retries++
		s.opts.Clock.AfterFunc(pause, func() { s.retry(d) })
		return
	}
	s.bury(d, failure, exhausted)
}

// retry delivers again, unless the service was closed meanwhile.
func (s *Service) retry(d *delivery) {
	s.mu.RLock()
	if s.closed {
		s.mu.RUnlock()
		return
	}
	s.deliveries.Add(1)
	s.mu.RUnlock()
	defer s.deliveries.Done()
	s.deliver(d)
}

// pause doubles with each retry, less up to a quarter, so that events that
// failed together do not come back together.
func (d *delivery) pause() time.Duration {
	pause := longestPause
	if d.retries < 10 {
		pause = min(pause, firstPause<<d.retries)
	}
	return pause - rand.N(pause/4) //nolint:gosec // jitter needs no secrecy.
}

// send hands the event to the target.
func (s *Service) send(d *delivery) error {
	payload, err := d.payload()
	if err != nil {
		return err
	}
	if err := s.permit(d.ruleARN, d.target.ARN); err != nil {
		return err
	}
	switch d.target.service() {
	case "lambda":
		return s.opts.Lambda.InvokeAsync(d.target.ARN, payload)
	case "sqs":
		return s.opts.Queues.Deliver(d.target.ARN, string(payload), nil)
	default: // PutTargets lets nothing else in but a bus.
		if d.hops >= maxHops {
			return errHops
		}
		s.route(busName(d.target.ARN), d.event, d.hops+1)
		return nil
	}
}

func (s *Service) permit(ruleARN, targetARN string) error {
	if s.opts.Permit == nil {
		return nil
	}
	return s.opts.Permit(ruleARN, targetARN)
}

// bury sends the event to the target's dead letter queue.
func (s *Service) bury(d *delivery, f failure, exhausted string) {
	log := s.opts.Logger.With("rule", d.ruleName, "target", d.target.ARN, "code", f.code, "retries", d.retries)
	if d.target.DeadLetterConfig == nil {
		log.Warn("event dropped: target has no dead letter queue")
		return
	}
	attributes := map[string]any{
		"RULE_ARN":       d.ruleARN,
		"TARGET_ARN":     d.target.ARN,
		"ERROR_CODE":     f.code,
		"ERROR_MESSAGE":  f.message,
		"RETRY_ATTEMPTS": strconv.Itoa(d.retries),
	}
	if exhausted != "" {
		attributes["EXHAUSTED_RETRY_CONDITION"] = exhausted
	}
	queue := d.target.DeadLetterConfig.ARN
	err := s.permit(d.ruleARN, queue)
	if err == nil {
		err = s.opts.Queues.Deliver(queue, string(d.event.text), attributes)
	}
	if err != nil {
		log.Error("event dropped: dead letter queue refused it", "error", err)
	}
}

// A failure is why a delivery failed, in the words of a dead letter.
type failure struct {
	code, message string
	final         bool // trying again cannot help
}

func failureOf(err error) failure {
	if errors.Is(err, errInput) {
		return failure{code: "INVALID_JSON", message: err.Error(), final: true}
	}
	if errors.Is(err, errHops) {
		return failure{code: "THIRD_ACCOUNT_HOP_DETECTED", message: err.Error(), final: true}
	}
	refusal, ok := errors.AsType[*wire.Error](err)
	if !ok {
		return failure{code: "ERROR_FROM_TARGET", message: err.Error()}
	}
	f := failure{code: "ERROR_FROM_TARGET", message: refusal.Message}
	switch refusal.Code {
	case "ResourceNotFoundException", "QueueDoesNotExist":
		f.code, f.final = "NO_RESOURCE", true
	case "AccessDeniedException", "AccessDenied":
		f.code, f.final = "NO_PERMISSIONS", true
	case "TooManyRequestsException", "ThrottlingException":
		f.code = "THROTTLING"
	}
	return f
}

// service is the third part of the target's ARN.
func (t Target) service() string {
	parts := strings.SplitN(t.ARN, ":", 6)
	if len(parts) < 6 || parts[0] != "arn" {
		return ""
	}
	return parts[2]
}

func (t Target) retries() int {
	if t.RetryPolicy == nil || t.RetryPolicy.MaximumRetryAttempts == nil {
		return defaultRetries
	}
	return *t.RetryPolicy.MaximumRetryAttempts
}

func (t Target) age() time.Duration {
	if t.RetryPolicy == nil || t.RetryPolicy.MaximumEventAgeInSeconds == nil {
		return defaultAge
	}
	return time.Duration(*t.RetryPolicy.MaximumEventAgeInSeconds) * time.Second
}

// payload is what the target gets.
func (d *delivery) payload() ([]byte, error) {
	t := &d.target
	switch {
	case t.Input != "":
		return []byte(t.Input), nil
	case t.InputPath != "":
		found, ok := lookup(d.event.text, t.InputPath)
		if !ok {
			return nil, fmt.Errorf("%w: nothing at the path %s", errInput, t.InputPath)
		}
		return found, nil
	case t.InputTransformer != nil:
		return d.transform(t.InputTransformer)
	default:
		return d.event.text, nil
	}
}
