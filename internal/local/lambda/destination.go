package lambda

import (
	"cmp"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/rekey-go/rekey/internal/local/wire"
)

// maxRetries and the ages are AWS's limits for asynchronous invocations.
const (
	maxRetries     = 2
	minAge, maxAge = 60, 21600 // seconds
)

// eventInvokeConfig says how a function works on events. What is nil is as AWS
// has it by default.
type eventInvokeConfig struct {
	MaximumRetryAttempts     *int               `json:",omitempty"`
	MaximumEventAgeInSeconds *int               `json:",omitempty"`
	DestinationConfig        *destinationConfig `json:",omitempty"`
	modified                 time.Time
}

// destinationConfig says where what came of an event is sent.
type destinationConfig struct {
	OnSuccess, OnFailure destination
}

type destination struct {
	// Destination is the ARN of a queue or function.
	Destination string `json:",omitempty"`
}

func (s *Service) routesOfEventInvoke() []wire.Route {
	const path = " /2019-09-25/functions/{name}/event-invoke-config"
	return []wire.Route{
		{Pattern: "PUT" + path, Operation: "PutFunctionEventInvokeConfig", Access: wire.Write, Serve: s.servePutEventInvoke},
		{Pattern: "POST" + path, Operation: "UpdateFunctionEventInvokeConfig", Access: wire.Write, Serve: s.servePutEventInvoke},
		{Pattern: "GET" + path, Operation: "GetFunctionEventInvokeConfig", Access: wire.Read, Serve: s.serveGetEventInvoke},
		{Pattern: "DELETE" + path, Operation: "DeleteFunctionEventInvokeConfig", Access: wire.Write, Serve: s.serveDeleteEventInvoke},
	}
}

// servePutEventInvoke sets the configuration: the whole of it by PUT, the
// members that are named by POST.
func (s *Service) servePutEventInvoke(w http.ResponseWriter, r *http.Request, c *wire.Call) error {
	var in eventInvokeConfig
	if err := decodeInput(r, c, &in); err != nil {
		return err
	}
	if err := in.check(); err != nil {
		return err
	}
	f, err := s.called(r)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	next := in
	if r.Method == http.MethodPost {
		if f.events == nil {
			return noEventInvoke(f)
		}
		next.MaximumRetryAttempts = cmp.Or(in.MaximumRetryAttempts, f.events.MaximumRetryAttempts)
		next.MaximumEventAgeInSeconds = cmp.Or(in.MaximumEventAgeInSeconds, f.events.MaximumEventAgeInSeconds)
		next.DestinationConfig = cmp.Or(in.DestinationConfig, f.events.DestinationConfig)
	}
	next.modified = s.opts.Clock.Now()
	f.events = &next
	return writeJSON(w, http.StatusOK, f.eventInvoke())
}

func (c *eventInvokeConfig) check() error {
	retries, age := c.MaximumRetryAttempts, c.MaximumEventAgeInSeconds
	switch {
	case retries == nil && age == nil && c.DestinationConfig == nil:
		return invalidParameter("You must specify at least one of error handling or destination setting.")
	case retries != nil && (*retries < 0 || *retries > maxRetries):
		return invalidParameter("Value '%d' at 'maximumRetryAttempts' failed to satisfy constraint: Member must have value between 0 and %d", *retries, maxRetries)
	case age != nil && (*age < minAge || *age > maxAge):
		return invalidParameter("Value '%d' at 'maximumEventAgeInSeconds' failed to satisfy constraint: Member must have value between %d and %d", *age, minAge, maxAge)
	case c.DestinationConfig == nil:
		return nil
	}
	for _, d := range []destination{c.DestinationConfig.OnSuccess, c.DestinationConfig.OnFailure} {
		if arn := d.Destination; arn != "" && !strings.HasPrefix(arn, "arn:aws:sqs:") && !strings.HasPrefix(arn, "arn:aws:lambda:") {
			return invalidParameter("the engine sends what came of an event to SQS queues and functions, not to %s", arn)
		}
	}
	return nil
}

func noEventInvoke(f *function) error {
	return notFound("The function %s:$LATEST doesn't have an EventInvokeConfig", f.arn)
}

// eventInvokeOutput is a configuration on the wire.
type eventInvokeOutput struct {
	eventInvokeConfig
	FunctionArn  string
	LastModified wire.Timestamp
}

func (f *function) eventInvoke() eventInvokeOutput {
	return eventInvokeOutput{*f.events, f.arn + ":$LATEST", wire.Timestamp(f.events.modified)}
}

func (s *Service) serveGetEventInvoke(w http.ResponseWriter, r *http.Request, _ *wire.Call) error {
	f, err := s.called(r)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.events == nil {
		return noEventInvoke(f)
	}
	return writeJSON(w, http.StatusOK, f.eventInvoke())
}

func (s *Service) serveDeleteEventInvoke(w http.ResponseWriter, r *http.Request, c *wire.Call) error {
	c.Input = recorded(nil, r.PathValue("name"))
	f, err := s.called(r)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.events == nil {
		return noEventInvoke(f)
	}
	f.events = nil
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// handling is how a function's events are worked on now.
func (s *Service) handling(f *function) eventInvokeConfig {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.events == nil {
		return eventInvokeConfig{}
	}
	return *f.events
}

// retries are the pauses before the further tries of an event.
func (c eventInvokeConfig) retries(pauses []time.Duration) []time.Duration {
	if c.MaximumRetryAttempts == nil {
		return pauses
	}
	return pauses[:min(len(pauses), *c.MaximumRetryAttempts)]
}

// tooOld reports whether an event of an age is not tried again.
func (c eventInvokeConfig) tooOld(age time.Duration) bool {
	return c.MaximumEventAgeInSeconds != nil && age > time.Duration(*c.MaximumEventAgeInSeconds)*time.Second
}

// The conditions under which something came of an event.
const (
	succeeded        = "Success"
	retriesExhausted = "RetriesExhausted"
	eventAgeExceeded = "EventAgeExceeded"
)

// A result is what came of an event.
type result struct {
	condition string
	tries     int
	out       outcome
	err       error // the function could not be invoked
}

// tell sends a result to the destination for it, if there is one.
func (s *Service) tell(f *function, inv *invocation, r result) {
	to := s.handling(f).DestinationConfig
	if to == nil {
		return
	}
	arn := to.OnFailure.Destination
	if r.condition == succeeded {
		arn = to.OnSuccess.Destination
	}
	if arn == "" {
		return
	}
	record, err := json.Marshal(s.invocationRecord(f, inv, r))
	if err == nil {
		if strings.HasPrefix(arn, "arn:aws:lambda:") {
			err = s.InvokeAsync(arn, record)
		} else {
			err = s.opts.Queues.Deliver(arn, string(record), nil)
		}
	}
	if err != nil {
		s.opts.Logger.Error("the destination refused what came of an event", "function", f.Name, "request", inv.id, "destination", arn, "error", err)
	}
}

// responseContext is how a function answered.
type responseContext struct {
	StatusCode      int    `json:"statusCode"`
	ExecutedVersion string `json:"executedVersion"`
	FunctionError   string `json:"functionError,omitempty"`
}

// invocationRecord is what a destination gets.
func (s *Service) invocationRecord(f *function, inv *invocation, r result) any {
	record := struct {
		Version        string `json:"version"`
		Timestamp      string `json:"timestamp"`
		RequestContext struct {
			RequestID   string `json:"requestId"`
			FunctionARN string `json:"functionArn"`
			Condition   string `json:"condition"`
			Tries       int    `json:"approximateInvokeCount"`
		} `json:"requestContext"`
		RequestPayload  json.RawMessage  `json:"requestPayload"`
		ResponseContext *responseContext `json:"responseContext,omitempty"`
		ResponsePayload json.RawMessage  `json:"responsePayload,omitempty"`
	}{Version: "1.0", Timestamp: s.opts.Clock.Now().UTC().Format("2006-01-02T15:04:05.000Z"), RequestPayload: inv.payload}
	record.RequestContext.RequestID = inv.id
	record.RequestContext.FunctionARN = f.arn + ":$LATEST"
	record.RequestContext.Condition, record.RequestContext.Tries = r.condition, r.tries
	if r.err != nil {
		return record
	}
	record.ResponseContext = &responseContext{http.StatusOK, "$LATEST", r.out.functionError}
	if record.ResponsePayload = r.out.payload; !json.Valid(r.out.payload) {
		record.ResponsePayload, _ = json.Marshal(string(r.out.payload)) // a string always encodes
	}
	return record
}
