package cloudformation

import (
	"maps"
	"slices"
	"time"
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

// A stack is a stack with its history. Its fields are guarded by the
// service's lock, but for the deployment, which belongs to the operation that
// is under way.
type stack struct {
	id, name, description string
	status, reason        string
	created, updated      time.Time
	deletedAt             time.Time
	body                  []byte
	parameters            map[string]string
	told                  []Parameter // the template's, with their values
	capabilities          []string
	tags                  []tag
	outputs               []Output
	resources             map[string]*resource // :: logical id
	order                 []string             // of resources, as they were first made
	events                []event              // the oldest first
	changeSets            []*changeSet
	deployment            Deployment // nil before the first change set is executed
	token                 string     // of the operation that is under way, or was the last
}

// A resource is one of a stack, as it is told.
type resource struct {
	logicalID, physicalID, kind string
	status, reason              string
	at                          time.Time
	policy                      string // of deletion
}

// An event is something that happened to a stack or a resource of it.
type event struct {
	id, logicalID, physicalID, kind string
	status, reason                  string
	at                              time.Time
	token                           string
}

// live reports whether the stack is found by its name.
func (s *stack) live() bool { return s.status != deleted }

// busy reports whether something is being done to the stack.
func (s *stack) busy() bool {
	return s.status != reviewing && len(s.status) > len(inProgress) && s.status[len(s.status)-len(inProgress):] == inProgress
}

// listed are the resources in their order.
func (s *stack) listed() []*resource {
	all := make([]*resource, 0, len(s.order))
	for _, id := range s.order {
		all = append(all, s.resources[id])
	}
	return all
}

// drop forgets a resource.
func (s *stack) drop(id string) {
	delete(s.resources, id)
	s.order = slices.DeleteFunc(s.order, func(other string) bool { return other == id })
}

// withPrevious are the parameters of a call, where some stay as they are.
func (s *stack) withPrevious(given map[string]string, previous []string) map[string]string {
	all := maps.Clone(given)
	if all == nil {
		all = make(map[string]string)
	}
	for _, name := range previous {
		if value, ok := s.parameters[name]; ok {
			all[name] = value
		}
	}
	return all
}
