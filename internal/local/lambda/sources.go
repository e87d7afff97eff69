package lambda

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/rekey-go/rekey/internal/local/wire"
)

// A mapping is an event source mapping from a queue to a function. What it says
// does not change: an update puts another in its place.
type mapping struct {
	id, functionARN, queueARN string
	batch                     int
	partial                   bool
	tags                      map[string]string
	modified                  time.Time
	ctx                       context.Context //nolint:containedctx // the life of its pollers.
	stop                      func()          // ends them; nil while the mapping is disabled
}

// MapQueue invokes a function with the messages of a queue, in batches of 1 to
// 10, until stop is called or the service is closed. What it worked on is deleted; the messages
// of a failed batch appear again after the queue's visibility timeout, as on
// AWS. With partial, the function's answer names the messages that failed
// (ReportBatchItemFailures).
func (s *Service) MapQueue(functionARN, queueARN string, batch int, partial bool) (stop func(), err error) {
	f, err := s.find(functionARN)
	if err != nil {
		return nil, err
	}
	m := mapping{id: wire.NewID(), functionARN: f.arn, queueARN: queueARN, batch: batch, partial: partial}
	if err := s.putMapping(m, true); err != nil {
		return nil, err
	}
	return func() { s.unmap(m.id) }, nil
}

// putMapping puts a mapping into force, in the place of the one of its id.
func (s *Service) putMapping(m mapping, enabled bool) error {
	switch {
	case m.batch < 1 || m.batch > maxBatch:
		return invalidParameter("a batch has 1 to %d messages, not %d", maxBatch, m.batch)
	case s.opts.Queues == nil:
		return invalidParameter("there are no queues to map %s to", m.functionARN)
	}
	m.modified, m.ctx, m.stop = s.opts.Clock.Now(), nil, nil
	if enabled {
		m.ctx, m.stop = context.WithCancel(s.ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errClosed
	}
	s.unmapLocked(m.id)
	s.mappings = append(s.mappings, m)
	if enabled {
		for range pollers {
			s.work.Go(func() { s.poll(m) })
		}
	}
	return nil
}

// unmap forgets a mapping and ends its pollers.
func (s *Service) unmap(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unmapLocked(id)
}

func (s *Service) unmapLocked(id string) {
	s.mappings = slices.DeleteFunc(s.mappings, func(m mapping) bool {
		if m.id == id && m.stop != nil {
			m.stop()
		}
		return m.id == id
	})
}

// mappingLocked finds a mapping by its UUID.
func (s *Service) mappingLocked(id string) (mapping, error) {
	i := slices.IndexFunc(s.mappings, func(m mapping) bool { return m.id == id })
	if i < 0 {
		return mapping{}, notFound("The resource you requested does not exist.")
	}
	return s.mappings[i], nil
}

// A mappingOutput is a mapping on the wire.
type mappingOutput struct {
	UUID                           string
	FunctionArn                    string
	EventSourceArn                 string
	EventSourceMappingArn          string
	BatchSize                      int
	MaximumBatchingWindowInSeconds int
	FunctionResponseTypes          []string
	LastModified                   wire.Timestamp
	State                          string
	StateTransitionReason          string
}

const (
	partialFailures = "ReportBatchItemFailures"
	mappingPart     = ":event-source-mapping:"
)

// described is a mapping on the wire. A change is over when it is answered, and the
// answer says that it began, as AWS's does; state is empty for how it is.
func (s *Service) described(m mapping, state string) mappingOutput {
	out := mappingOutput{
		UUID: m.id, FunctionArn: m.functionARN, EventSourceArn: m.queueARN, BatchSize: m.batch,
		EventSourceMappingArn: "arn:aws:lambda:" + s.opts.Region + ":" + s.opts.Account + mappingPart + m.id,
		FunctionResponseTypes: []string{}, LastModified: wire.Timestamp(m.modified), State: state, StateTransitionReason: "USER_INITIATED",
	}
	if m.partial {
		out.FunctionResponseTypes = []string{partialFailures}
	}
	switch {
	case state != "":
	case m.stop == nil:
		out.State = "Disabled"
	default:
		out.State = "Enabled"
	}
	return out
}

func (s *Service) routesOfMappings() []wire.Route {
	const path = "/2015-03-31/event-source-mappings"
	return []wire.Route{
		{Pattern: "GET " + path + "/{$}", Operation: "ListEventSourceMappings20150331", Access: wire.Read, Serve: s.serveMappings},
		{Pattern: "GET " + path, Operation: "ListEventSourceMappings20150331", Access: wire.Read, Serve: s.serveMappings},
		{Pattern: "POST " + path + "/{$}", Operation: "CreateEventSourceMapping20150331", Access: wire.Write, Serve: s.serveCreateMapping},
		{Pattern: "POST " + path, Operation: "CreateEventSourceMapping20150331", Access: wire.Write, Serve: s.serveCreateMapping},
		{Pattern: "GET " + path + "/{uuid}", Operation: "GetEventSourceMapping20150331", Access: wire.Read, Serve: s.serveMapping},
		{Pattern: "PUT " + path + "/{uuid}", Operation: "UpdateEventSourceMapping20150331", Access: wire.Write, Serve: s.serveUpdateMapping},
		{Pattern: "DELETE " + path + "/{uuid}", Operation: "DeleteEventSourceMapping20150331", Access: wire.Write, Serve: s.serveDeleteMapping},
	}
}

// mappingInput is what is said of a mapping; what is nil stays as it is.
type mappingInput struct {
	FunctionName, EventSourceArn string
	Enabled                      *bool
	BatchSize                    *int
	FunctionResponseTypes        *[]string
	Tags                         map[string]string
	// These are refused, unless they ask for nothing.
	MaximumBatchingWindowInSeconds int
	FilterCriteria                 struct{ Filters []json.RawMessage }
	ScalingConfig                  struct{ MaximumConcurrency int }
}

// decodeMapping reads a request. The trail gets all of it.
func decodeMapping(r *http.Request, c *wire.Call) (in mappingInput, err error) {
	if err := decodeInput(r, c, &in); err != nil {
		return in, err
	}
	if in.MaximumBatchingWindowInSeconds > 0 || len(in.FilterCriteria.Filters) > 0 || in.ScalingConfig.MaximumConcurrency > 0 {
		return in, invalidParameter("the engine's event source mappings have no batching window, no filters and no maximum concurrency")
	}
	return in, nil
}

// apply makes of a mapping what is said of it.
func (in *mappingInput) apply(m *mapping) {
	set(&m.batch, in.BatchSize)
	if in.FunctionResponseTypes != nil {
		m.partial = slices.Contains(*in.FunctionResponseTypes, partialFailures)
	}
}

func (s *Service) serveCreateMapping(w http.ResponseWriter, r *http.Request, c *wire.Call) error {
	in, err := decodeMapping(r, c)
	if err != nil {
		return err
	}
	if !strings.HasPrefix(in.EventSourceArn, "arn:aws:sqs:") {
		return invalidParameter("the engine's event sources are SQS queues, given by their ARNs; %q is none", in.EventSourceArn)
	}
	f, err := s.find(in.FunctionName)
	if err != nil {
		return err
	}
	for _, other := range s.mappingsOf(f.arn, in.EventSourceArn) {
		return conflict("An event source mapping with SQS arn (\" %s \") and function (\" %s \") already exists. Please update or delete the existing mapping with UUID %s", in.EventSourceArn, f.Name, other.UUID)
	}
	m := mapping{id: wire.NewID(), functionARN: f.arn, queueARN: in.EventSourceArn, batch: maxBatch, tags: in.Tags}
	in.apply(&m)
	return s.answerMapping(w, m, in.Enabled == nil || *in.Enabled, "Creating")
}

func (s *Service) serveUpdateMapping(w http.ResponseWriter, r *http.Request, c *wire.Call) error {
	in, err := decodeMapping(r, c)
	if err != nil {
		return err
	}
	s.mu.Lock()
	m, err := s.mappingLocked(r.PathValue("uuid"))
	s.mu.Unlock()
	if err != nil {
		return err
	}
	if in.FunctionName != "" {
		f, err := s.find(in.FunctionName)
		if err != nil {
			return err
		}
		m.functionARN = f.arn
	}
	enabled := m.stop != nil
	set(&enabled, in.Enabled)
	in.apply(&m)
	return s.answerMapping(w, m, enabled, "Updating")
}

// answerMapping puts a mapping into force and answers that this began.
func (s *Service) answerMapping(w http.ResponseWriter, m mapping, enabled bool, state string) error {
	if err := s.putMapping(m, enabled); err != nil {
		return err
	}
	m.modified = s.opts.Clock.Now()
	return writeJSON(w, http.StatusAccepted, s.described(m, state))
}

func (s *Service) serveMapping(w http.ResponseWriter, r *http.Request, _ *wire.Call) error {
	s.mu.Lock()
	m, err := s.mappingLocked(r.PathValue("uuid"))
	s.mu.Unlock()
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, s.described(m, ""))
}

func (s *Service) serveDeleteMapping(w http.ResponseWriter, r *http.Request, c *wire.Call) error {
	c.Input, _ = json.Marshal(map[string]string{"UUID": r.PathValue("uuid")}) // a string always encodes
	s.mu.Lock()
	m, err := s.mappingLocked(r.PathValue("uuid"))
	if err == nil {
		s.unmapLocked(m.id)
	}
	s.mu.Unlock()
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusAccepted, s.described(m, "Deleting"))
}

func (s *Service) serveMappings(w http.ResponseWriter, r *http.Request, _ *wire.Call) error {
	query := r.URL.Query()
	return writeJSON(w, http.StatusOK, map[string]any{
		"EventSourceMappings": s.mappingsOf(query.Get("FunctionName"), query.Get("EventSourceArn")),
	})
}

// mappingsOf lists the mappings of a function, a queue, or both; an empty name
// stands for all.
func (s *Service) mappingsOf(functionName, queueARN string) []mappingOutput {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := []mappingOutput{}
	for _, m := range s.mappings {
		if queueARN != "" && queueARN != m.queueARN {
			continue
		}
		if f, err := s.findLocked(functionName); functionName != "" && (err != nil || f.arn != m.functionARN) {
			continue
		}
		all = append(all, s.described(m, ""))
	}
	return all
}
