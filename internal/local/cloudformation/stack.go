package cloudformation

import (
	"maps"
	"slices"
	"time"

	"github.com/rekey-go/rekey/internal/local/wire"
)

// The statuses of stacks and resources that the service tells by their ends.
const (
	inProgress = "_IN_PROGRESS"
	complete   = "_COMPLETE"
	failed     = "_FAILED"

	reviewing     = "REVIEW_IN_PROGRESS"
	deleted       = "DELETE_COMPLETE"
	rolledBack    = "ROLLBACK_COMPLETE"
	cleaning      = "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"
	stackType     = "AWS::CloudFormation::Stack"
	userInitiated = "User Initiated"
)

// A stack is a stack with its history, and what of it is kept. Its fields are
// guarded by the service's lock, but for the deployment, which belongs to the
// operation that is under way.
type stack struct {
	Number                int // in the order in which they were made
	ID, Name, Description string
	Status, Reason        string
	Created, Updated      time.Time
	DeletedAt             time.Time
	Body                  []byte
	Parameters            map[string]string
	told                  []Parameter // the template's, with their values
	Capabilities          []string
	Tags                  []tag
	outputs               []Output
	Resources             map[string]*resource // :: logical id
	Order                 []string             // of resources, as they were first made
	Events                []event              // the oldest first
	ChangeSets            []*changeSet
	deployment            Deployment // nil before the first change set is executed
	// RoleARN is with whose rights it is changed; empty for its callers'.
	RoleARN string
	// These are told again, and have no effect.
	TimeoutInMinutes string
	NotificationARNs []string
	DisableRollback  bool     // of a creation that did not go back, or would not have
	Token            string   // of the operation that is under way, or was the last
	Pending          *pending // the operation that is under way
	own              bool     // made by each start of the engine, and not kept
}

// A pending is an operation that is under way, with all that it takes to begin
// it again.
type pending struct {
	Verb         string // CREATE, UPDATE, IMPORT or DELETE
	Definition   Definition
	Capabilities []string
	Tags         []tag
	Retain       []string // of a deletion
	OnFailure    string   // of a creation; empty goes back
	// By is with whose rights it is done.
	By wire.Principal
	// Body and Parameters are the stack's before.
	Body       []byte
	Parameters map[string]string
}

// A resource is one of a stack, as it is told.
type resource struct {
	LogicalID, PhysicalID, Kind string
	Status, Reason              string
	At                          time.Time
	Policy                      string // of deletion
}

// An event is something that happened to a stack or a resource of it.
type event struct {
	ID, LogicalID, PhysicalID, Kind string
	Status, Reason                  string
	At                              time.Time
	Token                           string
}

// live reports whether the stack is found by its name.
func (s *stack) live() bool { return s.Status != deleted }

// busy reports whether something is being done to the stack.
func (s *stack) busy() bool {
	return s.Status != reviewing && len(s.Status) > len(inProgress) && s.Status[len(s.Status)-len(inProgress):] == inProgress
}

// listed are the resources in their order.
func (s *stack) listed() []*resource {
	all := make([]*resource, 0, len(s.Order))
	for _, id := range s.Order {
		all = append(all, s.Resources[id])
	}
	return all
}

// physicalIDs are those of the resources that are there, or being made.
func (s *stack) physicalIDs() map[string]string {
	ids := make(map[string]string)
	for id, r := range s.Resources {
		if r.Status != deleted {
			ids[id] = r.PhysicalID
		}
	}
	return ids
}

// drop forgets a resource.
func (s *stack) drop(id string) {
	delete(s.Resources, id)
	s.Order = slices.DeleteFunc(s.Order, func(other string) bool { return other == id })
}

// withPrevious are the parameters of a call, where some stay as they are.
func (s *stack) withPrevious(given map[string]string, previous []string) map[string]string {
	all := maps.Clone(given)
	if all == nil {
		all = make(map[string]string)
	}
	for _, name := range previous {
		if value, ok := s.Parameters[name]; ok {
			all[name] = value
		}
	}
	return all
}
