package cloudformation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rekey-go/rekey/internal/local/store"
	"github.com/rekey-go/rekey/internal/local/wire"
)

// Options configure a [Service].
type Options struct {
	Account, Region string
	// Now is the engine's clock.
	Now      func() time.Time
	Provider Provider
	// Store keeps the stacks. If nil, they end with the process.
	Store *store.Store
	// Logger gets what goes wrong beside a call. If nil, it is silent.
	Logger *slog.Logger
}

// A Service is CloudFormation of one account and region. It is safe for
// concurrent use.
type Service struct {
	opts Options
	work sync.WaitGroup
	// operating is held by the operation that makes or removes resources: one
	// at a time, over all stacks.
	operating sync.Mutex

	mu     sync.Mutex
	closed bool
	made   int      // :: mu, stacks, the deleted ones too
	stacks []*stack // :: mu, the oldest first, deleted ones too
}

// New returns a service with the stacks that were kept. What they have is not
// made again before [Service.Resume].
func New(opts Options) (*Service, error) {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Service{opts: opts}
	return s, s.load()
}

// Close waits for the operation that is under way.
func (s *Service) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.work.Wait()
}

// Adopt lists a deployment that was made otherwise as a stack: that of the
// engine's own template.
func (s *Service) Adopt(d Definition, deployment Deployment) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.newStackLocked(d.StackName)
	st.own = true
	st.Body, st.Parameters, st.deployment = d.Body, d.Parameters, deployment
	for _, r := range deployment.Resources() {
		s.toldLocked(st, r, "CREATE"+complete, r.Note, deployment.PhysicalID(r.LogicalID))
	}
	var err error
	if st.told, err = deployment.Parameters(); err != nil {
		return err
	}
	if st.outputs, err = deployment.Outputs(); err != nil {
		return err
	}
	s.stateLocked(st, "CREATE"+complete, "")
	return nil
}

// newStackLocked makes a stack without anything.
func (s *Service) newStackLocked(name string) *stack {
	st := &stack{
		Number: s.made,
		Name:   name, ID: s.arn("stack/" + name + "/" + wire.NewID()), Created: s.opts.Now(),
		Status: reviewing, Resources: make(map[string]*resource),
	}
	s.made++
	s.stacks = append(s.stacks, st)
	return st
}

func (s *Service) arn(rest string) string {
	return fmt.Sprintf("arn:aws:cloudformation:%s:%s:%s", s.opts.Region, s.opts.Account, rest)
}

// findLocked finds a stack by its id, or a live one by its name.
func (s *Service) findLocked(nameOrID string) (*stack, error) {
	for _, st := range slices.Backward(s.stacks) {
		if st.ID == nameOrID || st.Name == nameOrID && st.live() {
			return st, nil
		}
	}
	return nil, invalid("Stack with id %s does not exist", nameOrID)
}

// ARN is that of the stack that a call names by itself or by a change set, or
// one that it could get.
func (s *Service) ARN(nameOrID, changeSet string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if st, _, err := s.changeSetLocked(form{"StackName": nameOrID, "ChangeSetName": changeSet}); err == nil {
		return st.ID
	}
	if st, err := s.findLocked(nameOrID); err == nil {
		return st.ID
	}
	if strings.HasPrefix(nameOrID, "arn:") {
		return nameOrID
	}
	return s.arn("stack/" + nameOrID + "/none")
}

// invalid is CloudFormation's refusal of nearly everything.
func invalid(format string, args ...any) *wire.Error {
	return wire.Unmodelled("ValidationError", format, args...)
}

// parameters are those of a template with their values.
func (s *Service) parameters(d Definition) ([]Parameter, error) {
	all, err := s.opts.Provider.Template(d.Body)
	for i := range all {
		all[i].Value = all[i].Default
		if value, ok := d.Parameters[all[i].Name]; ok {
			all[i].Value = value
		}
	}
	return all, err
}

// toldLocked notes what happened to a resource.
func (s *Service) toldLocked(st *stack, r Resource, status, reason, physicalID string) {
	known := st.Resources[r.LogicalID]
	if known == nil {
		known = &resource{LogicalID: r.LogicalID}
		st.Resources[r.LogicalID] = known
		st.Order = append(st.Order, r.LogicalID)
	}
	known.Kind, known.Policy = r.kind(), r.DeletionPolicy
	known.Status, known.Reason, known.At = status, reason, s.opts.Now()
	if physicalID != "" {
		known.PhysicalID = physicalID
	}
	st.Events = append(st.Events, event{
		ID: r.LogicalID + "-" + status + "-" + wire.NewID(), LogicalID: r.LogicalID, PhysicalID: known.PhysicalID, Kind: known.Kind,
		Status: status, Reason: reason, At: known.At, Token: st.Token,
	})
	s.keepLocked(st)
}

func (s *Service) told(st *stack, r Resource, status, reason, physicalID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.toldLocked(st, r, status, reason, physicalID)
}

// stateLocked moves a stack to a status. With the one that ends an operation,
// its change sets are of a stack that is no more.
func (s *Service) stateLocked(st *stack, status, reason string) {
	st.Status, st.Reason = status, reason
	st.Events = append(st.Events, event{
		ID: wire.NewID(), LogicalID: st.Name, PhysicalID: st.ID, Kind: stackType,
		Status: status, Reason: reason, At: s.opts.Now(), Token: st.Token,
	})
	if p := st.Pending; p != nil && !st.busy() {
		if status == p.Verb+complete {
			st.Capabilities, st.Tags = p.Capabilities, p.Tags
		}
		st.Pending, st.ChangeSets = nil, nil
	}
	s.keepLocked(st)
}

func (s *Service) state(st *stack, status, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stateLocked(st, status, reason)
}

// begin runs an operation beside the caller, who holds the lock.
func (s *Service) beginLocked(operate func()) error {
	if s.closed {
		return errors.New("the service is closed")
	}
	s.work.Go(func() {
		s.operating.Lock()
		defer s.operating.Unlock()
		operate()
	})
	return nil
}

// maxBody is how long a template may be, in bytes, in a call itself.
const maxBody = 51200

// template reads the template of a call, given as text or by its URL, or the
// stack's own.
func (s *Service) template(f form, st *stack) ([]byte, error) {
	switch body, url := f["TemplateBody"], f["TemplateURL"]; {
	case len(body) > maxBody:
		return nil, invalid("1 validation error detected: Value at 'templateBody' failed to satisfy constraint: Member must have length less than or equal to %d", maxBody)
	case body != "":
		return []byte(body), nil
	case url != "":
		data, err := s.opts.Provider.Object(url)
		if err != nil {
			return nil, invalid("%v", err)
		}
		return data, nil
	case f["UsePreviousTemplate"] == "true" && st != nil && st.Body != nil:
		return st.Body, nil
	default:
		return nil, invalid("Either Template URL or Template Body must be specified.")
	}
}

// A form is a Query request's members, flattened.
type form map[string]string

// The patterns of names, as AWS quotes them.
const (
	namePattern      = `[a-zA-Z][-a-zA-Z0-9]*`
	nameOrARNPattern = namePattern + `|arn:[-a-zA-Z0-9:/._+]*`
	maxName          = 128
)

// name checks the name of something that is to be made, the member at a path
// such as "stackName".
func (f form) name(member, path, pattern string) error {
	value, given := f[member]
	constraint := ""
	switch {
	case !given:
		return invalid("1 validation error detected: Value null at '%s' failed to satisfy constraint: Member must not be null", path)
	case value == "":
		constraint = "Member must have length greater than or equal to 1"
	case !regexp.MustCompile(`^(` + pattern + `)$`).MatchString(value):
		constraint = "Member must satisfy regular expression pattern: " + pattern
	case len(value) > maxName && !strings.HasPrefix(value, "arn:"):
		constraint = fmt.Sprintf("Member must have length less than or equal to %d", maxName)
	default:
		return nil
	}
	return invalid("1 validation error detected: Value '%s' at '%s' failed to satisfy constraint: %s", value, path, constraint)
}

// list are the entries of a list of structures: "Parameters.member.1.Name".
func (f form) list(name string) []form {
	var all []form
	for i := 1; ; i++ {
		prefix := fmt.Sprintf("%s.member.%d", name, i)
		entry := make(form)
		for key, value := range f {
			if key == prefix {
				entry[""] = value
			} else if rest, ok := strings.CutPrefix(key, prefix+"."); ok {
				entry[rest] = value
			}
		}
		if len(entry) == 0 {
			return all
		}
		all = append(all, entry)
	}
}

// texts are the entries of a list of texts.
func (f form) texts(name string) []string {
	var all []string
	for _, entry := range f.list(name) {
		all = append(all, entry[""])
	}
	return all
}

// A handler answers a call. By is who made it.
type handler func(by wire.Principal, f form) (any, error)

// whoever is a handler for which it does not matter who calls.
func whoever(fn func(f form) (any, error)) handler {
	return func(_ wire.Principal, f form) (any, error) { return fn(f) }
}

func (s *Service) operation(access wire.Access, fn handler) wire.Operation {
	return wire.Operation{Access: access, Redact: []string{"TemplateBody"}, Handle: func(_ context.Context, c *wire.Call) (any, error) {
		var f form
		if err := decode(c.Input, &f); err != nil {
			return nil, err
		}
		out, err := fn(c.Caller, f)
		if err != nil {
			return nil, err
		}
		return answer{operation: c.Operation, result: out, requestID: c.RequestID}, nil
	}}
}
