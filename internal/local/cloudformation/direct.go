package cloudformation

import (
	"maps"
	"slices"
	"strings"

	"github.com/rekey-go/rekey/internal/local/wire"
)

// What becomes of a stack whose creation fails, beside going back, which is
// what it does by default.
const (
	onFailureDelete  = "DELETE"
	onFailureNothing = "DO_NOTHING"
)

// createStack makes a stack without a change set to look at, as Terraform's
// provider and older tools do.
func (s *Service) createStack(by wire.Principal, f form) (any, error) {
	name := f["StackName"]
	if err := f.name("StackName", "stackName", namePattern); err != nil {
		return nil, err
	}
	onFailure, err := f.onFailure()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if st, err := s.findLocked(name); err == nil {
		if st.repeated(f) {
			return stackID{st.ID}, nil
		}
		return nil, wire.Unmodelled("AlreadyExistsException", "Stack [%s] already exists", name)
	}
	cs, err := s.directLocked(f, "CREATE", &stack{Name: name})
	if err != nil {
		return nil, err
	}
	st := s.newStackLocked(name)
	st.DisableRollback = onFailure == onFailureNothing
	return s.goLocked(by, f, st, cs, onFailure)
}

// updateStack changes a stack likewise.
func (s *Service) updateStack(by wire.Principal, f form) (any, error) {
	if err := f.lacks("DisableRollback"); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.findLocked(f["StackName"])
	switch {
	case err != nil || !st.live():
		return nil, invalid("Stack [%s] does not exist", f["StackName"])
	case st.repeated(f):
		return stackID{st.ID}, nil
	}
	if st, err = s.subjectLocked(f["StackName"], "UPDATE"); err != nil {
		return nil, err
	}
	cs, err := s.directLocked(f, "UPDATE", st)
	if err != nil {
		return nil, err
	}
	if len(cs.Changes) == 0 && slices.Equal(cs.Tags, st.Tags) {
		return nil, invalid("No updates are to be performed.")
	}
	st.Updated = s.opts.Now()
	return s.goLocked(by, f, st, cs, "")
}

// directLocked is a change set that nobody looks at: what is wrong with the
// template is the call's failure.
func (s *Service) directLocked(f form, kind string, st *stack) (*changeSet, error) {
	if err := f.lacks("StackPolicyBody", "StackPolicyURL", "EnableTerminationProtection", "RollbackConfiguration.RollbackTriggers.member.1.Arn"); err != nil {
		return nil, err
	}
	given := maps.Clone(f)
	given["ChangeSetType"] = kind
	cs, err := s.readChangeSetLocked(given, st)
	if err != nil {
		return nil, err
	}
	cs.Definition.StackName, cs.Definition.StackID = st.Name, st.ID
	s.compare(cs, st)
	if cs.Execution == unavailable && cs.Reason != noChanges {
		return nil, invalid("%s", cs.Reason)
	}
	return cs, nil
}

// goLocked begins what a change set says.
func (s *Service) goLocked(by wire.Principal, f form, st *stack, cs *changeSet, onFailure string) (any, error) {
	by, err := s.actorLocked(by, st, cs.RoleARN)
	if err != nil {
		return nil, err
	}
	st.Token = f["ClientRequestToken"]
	st.tell(f)
	cs.Definition.StackName, cs.Definition.StackID = st.Name, st.ID
	return stackID{st.ID}, s.startLocked(st, pending{
		Verb: cs.Kind, Definition: cs.Definition, Capabilities: cs.Capabilities, Tags: cs.Tags, OnFailure: onFailure, By: by,
	})
}

// A stackID is the answer to both.
type stackID struct {
	StackID string `xml:"StackId"`
}

// repeated reports whether a call is that which began the stack's last
// operation, sent again.
func (s *stack) repeated(f form) bool {
	return s.Token != "" && s.Token == f["ClientRequestToken"]
}

// tell takes what a call says of a stack that the engine only tells again.
func (s *stack) tell(f form) {
	if topics := f.texts("NotificationARNs"); topics != nil || f.has("NotificationARNs") {
		s.NotificationARNs = topics
	}
	if minutes, ok := f["TimeoutInMinutes"]; ok {
		s.TimeoutInMinutes = minutes
	}
}

// onFailure is what a call of CreateStack says of failures.
func (f form) onFailure() (string, error) {
	given, off := f["OnFailure"], f["DisableRollback"]
	switch {
	case given != "" && off != "":
		return "", invalid("You can specify either DisableRollback or OnFailure, but not both.")
	case off == "true":
		return onFailureNothing, nil
	case given == "" || given == "ROLLBACK":
		return "", nil
	case given == onFailureDelete || given == onFailureNothing:
		return given, nil
	default:
		return "", invalid("1 validation error detected: Value '%s' at 'onFailure' failed to satisfy constraint: Member must satisfy enum value set: [DELETE, DO_NOTHING, ROLLBACK]", given)
	}
}

// lacks refuses members that ask for what the engine does not have.
func (f form) lacks(names ...string) error {
	for _, name := range names {
		if value := f[name]; value != "" && value != "false" {
			asked, _, _ := strings.Cut(name, ".")
			return invalid("the embedded engine does not have %s of stacks", asked)
		}
	}
	return nil
}

// has reports whether a list was given, an empty one too.
func (f form) has(list string) bool {
	_, empty := f[list]
	return empty || len(f.list(list)) > 0
}
