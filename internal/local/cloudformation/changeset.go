package cloudformation

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/rekey-go/rekey/internal/local/wire"
)

// A changeSet is what a new template would change of a stack.
type changeSet struct {
	ID, Name, Kind string // kind is CREATE, UPDATE or IMPORT
	Status, Reason string
	Execution      string
	Created        time.Time
	Definition     Definition
	told           []Parameter
	Capabilities   []string
	Tags           []tag
	Changes        []change
	Description    string
	RoleARN        string
}

// The execution statuses of change sets.
const (
	available   = "AVAILABLE"
	unavailable = "UNAVAILABLE"
)

const noChanges = "The submitted information didn't contain changes. Submit different information to create a change set."

// A change is what a change set does to one resource.
type change struct {
	Action, LogicalID, PhysicalID, Kind string
	Replacement                         string   // of a Modify: True or False
	Properties                          []string // that differ
	Recreate                            map[string]bool
	Policy                              string // of a Remove, Retain or Delete
}

func (s *Service) createChangeSet(f form) (any, error) {
	name, kind := f["ChangeSetName"], f["ChangeSetType"]
	if err := f.name("StackName", "stackName", nameOrARNPattern); err != nil {
		return nil, err
	}
	if err := f.name("ChangeSetName", "changeSetName", namePattern); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.subjectLocked(f["StackName"], kind)
	if err != nil {
		return nil, err
	}
	cs, err := s.readChangeSetLocked(f, st)
	if err != nil {
		return nil, err
	}
	if st == nil {
		st = s.newStackLocked(f["StackName"])
		s.stateLocked(st, reviewing, userInitiated)
	}
	if slices.ContainsFunc(st.ChangeSets, func(other *changeSet) bool { return other.Name == name }) {
		return nil, wire.Unmodelled("AlreadyExistsException", "ChangeSet %s already exists", name)
	}
	cs.Definition.StackName, cs.Definition.StackID = st.Name, st.ID
	s.compare(cs, st)
	st.ChangeSets = append(st.ChangeSets, cs)
	return struct {
		ID      string `xml:"Id"`
		StackID string `xml:"StackId"`
	}{cs.ID, st.ID}, s.keepLocked(st)()
}

// subjectLocked is the stack that a change set is for, nil for a new one.
func (s *Service) subjectLocked(name, kind string) (*stack, error) {
	st, err := s.findLocked(name)
	switch {
	case err != nil && (kind == "CREATE" || kind == "IMPORT"):
		return nil, nil
	case err != nil:
		return nil, err
	case st.busy():
		return nil, invalid("Stack:%s is in %s state and can not be updated.", st.ID, st.Status)
	case strings.HasPrefix(st.Status, "ROLLBACK") || strings.HasPrefix(st.Status, "DELETE") || st.Status == "CREATE"+failed:
		return nil, invalid("Stack:%s is in %s state and can not be updated.", st.ID, st.Status)
	case kind == "CREATE" && st.Status != reviewing:
		return nil, wire.Unmodelled("AlreadyExistsException", "Stack [%s] already exists and cannot be created again with the changeSet [%s].", st.Name, name)
	case kind != "CREATE" && kind != "IMPORT" && st.Status == reviewing:
		return nil, invalid("Stack:%s is in %s state and can not be updated.", st.ID, st.Status)
	}
	return st, nil
}

// readChangeSetLocked reads the input of CreateChangeSet.
func (s *Service) readChangeSetLocked(f form, st *stack) (*changeSet, error) {
	body, err := s.template(f, st)
	if err != nil {
		return nil, err
	}
	given, previous := map[string]string{}, []string(nil)
	for _, p := range f.list("Parameters") {
		if p["UsePreviousValue"] == "true" {
			previous = append(previous, p["ParameterKey"])
			continue
		}
		given[p["ParameterKey"]] = p["ParameterValue"]
	}
	if st != nil {
		given = st.withPrevious(given, previous)
	}
	imports := map[string]string{}
	for _, r := range f.list("ResourcesToImport") {
		for key, value := range r {
			if strings.HasPrefix(key, "ResourceIdentifier.") && strings.HasSuffix(key, ".value") {
				imports[r["LogicalResourceId"]] = value
			}
		}
	}
	cs := &changeSet{
		Name: f["ChangeSetName"], Kind: f["ChangeSetType"], ID: s.arn("changeSet/" + f["ChangeSetName"] + "/" + wire.NewID()),
		Created: s.opts.Now(), Definition: Definition{Body: body, Parameters: given, Imports: imports},
		Capabilities: f.texts("Capabilities"), Description: f["Description"], RoleARN: f["RoleARN"],
	}
	if cs.Kind == "" {
		cs.Kind = "UPDATE"
	}
	if (cs.Kind == "IMPORT") != (len(imports) > 0) {
		return nil, invalid("ResourcesToImport is for change sets of type IMPORT, and they have to have it")
	}
	if cs.Tags = f.tags(); st != nil && !f.has("Tags") {
		cs.Tags = st.Tags // they stay
	}
	if cs.RoleARN != "" {
		if _, err := s.opts.Provider.Assume(cs.RoleARN); err != nil {
			return nil, err
		}
	}
	return cs, capable(body, cs.Capabilities)
}

// tags are those that a call gives, by their keys.
func (f form) tags() []tag {
	var all []tag
	for _, t := range f.list("Tags") {
		all = append(all, tag{t["Key"], t["Value"]})
	}
	slices.SortFunc(all, func(a, b tag) int { return strings.Compare(a.Key, b.Key) })
	return all
}

// capable refuses a template that needs capabilities that were not given.
func capable(body []byte, given []string) error {
	text := string(body)
	if strings.Contains(text, "AWS::Serverless") && !slices.Contains(given, "CAPABILITY_AUTO_EXPAND") {
		return wire.Unmodelled("InsufficientCapabilitiesException", "Requires capabilities : [CAPABILITY_AUTO_EXPAND]")
	}
	iam := strings.Contains(text, "AWS::Serverless::Function") || strings.Contains(text, "AWS::IAM::")
	if iam && !slices.Contains(given, "CAPABILITY_IAM") && !slices.Contains(given, "CAPABILITY_NAMED_IAM") {
		return wire.Unmodelled("InsufficientCapabilitiesException", "Requires capabilities : [CAPABILITY_IAM]")
	}
	return nil
}

// compare finds out what a change set changes. What is wrong with its template
// is the change set's own failure, as on AWS.
func (s *Service) compare(cs *changeSet, st *stack) {
	cs.Status, cs.Execution = "CREATE"+complete, available
	fail := func(reason string) { cs.Status, cs.Execution, cs.Reason = failed[1:], unavailable, reason }
	var err error
	if cs.told, err = s.parameters(cs.Definition); err != nil {
		fail(err.Error())
		return
	}
	next, err := s.opts.Provider.Deployment(cs.Definition, st.deployment)
	if err != nil {
		fail(err.Error())
		return
	}
	defer next.Discard()
	cs.Changes = changesOf(cs, next, st)
	if len(cs.Changes) == 0 && cs.Kind != "CREATE" {
		fail(noChanges)
	}
	if cs.Kind == "IMPORT" && slices.ContainsFunc(cs.Changes, func(c change) bool { return c.Action != "Import" }) {
		fail("You have modified resources in your template that are not in the list of resources to import: " + cs.Changes[0].LogicalID)
	}
}

func changesOf(cs *changeSet, next Deployment, st *stack) []change {
	var all []change
	there := map[string]bool{}
	for _, r := range next.Resources() {
		there[r.LogicalID] = true
		c := change{Action: "Add", LogicalID: r.LogicalID, Kind: r.kind(), Policy: r.DeletionPolicy}
		before := st.Resources[r.LogicalID]
		switch _, imported := cs.Definition.Imports[r.LogicalID]; {
		case imported:
			c.Action, c.PhysicalID = "Import", cs.Definition.Imports[r.LogicalID]
		case before != nil && before.Kind == r.kind() && st.deployment != nil:
			if !c.modify(r, next.Properties(r.LogicalID), st.deployment.Made(r.LogicalID)) {
				continue
			}
			c.PhysicalID = before.PhysicalID
		}
		all = append(all, c)
	}
	for _, r := range st.listed() {
		if !there[r.LogicalID] {
			all = append(all, change{Action: "Remove", LogicalID: r.LogicalID, PhysicalID: r.PhysicalID, Kind: r.Kind, Policy: r.Policy})
		}
	}
	return all
}

// modify says how the properties of a resource differ, and whether they do.
func (c *change) modify(r Resource, next, before map[string]string) bool {
	c.Action, c.Replacement, c.Recreate = "Modify", "False", map[string]bool{}
	names := slices.Sorted(maps.Keys(next))
	for name := range before {
		if _, ok := next[name]; !ok {
			names = append(names, name)
		}
	}
	for _, name := range names {
		if next[name] == before[name] {
			continue
		}
		c.Properties = append(c.Properties, name)
		if slices.Contains(replacing[r.Type], name) {
			c.Recreate[name], c.Replacement = true, "True"
		}
	}
	return len(c.Properties) > 0
}

// changeSetLocked finds a change set by its id, or by its name and its stack's.
func (s *Service) changeSetLocked(f form) (*stack, *changeSet, error) {
	name, of := f["ChangeSetName"], f["StackName"]
	for _, st := range slices.Backward(s.stacks) {
		for _, cs := range st.ChangeSets {
			if cs.ID == name || cs.Name == name && (st.ID == of || st.Name == of && st.live()) {
				return st, cs, nil
			}
		}
	}
	e := wire.Unmodelled("ChangeSetNotFound", "ChangeSet [%s] does not exist", name)
	e.Status = 404
	return nil, nil, e
}

func (s *Service) deleteChangeSet(f form) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, cs, err := s.changeSetLocked(f)
	if err != nil {
		return struct{}{}, nil // as AWS does
	}
	st.ChangeSets = slices.DeleteFunc(st.ChangeSets, func(other *changeSet) bool { return other == cs })
	return struct{}{}, s.keepLocked(st)()
}

func (s *Service) executeChangeSet(by wire.Principal, f form) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, cs, err := s.changeSetLocked(f)
	switch {
	case err != nil:
		return nil, err
	case cs.Execution != available:
		return nil, wire.Unmodelled("InvalidChangeSetStatus", "ChangeSet [%s] cannot be executed in its current status of [%s]", cs.ID, cs.Status)
	case st.busy():
		return nil, invalid("Stack:%s is in %s state and can not be updated.", st.ID, st.Status)
	}
	if by, err = s.actorLocked(by, st, cs.RoleARN); err != nil {
		return nil, err
	}
	st.Token = f["ClientRequestToken"]
	verb := cs.Kind
	if verb != "IMPORT" && st.deployment == nil {
		verb = "CREATE"
	}
	cs.Execution = "EXECUTE_IN_PROGRESS"
	st.Updated = s.opts.Now()
	return struct{}{}, s.startLocked(st, pending{Verb: verb, Definition: cs.Definition, Capabilities: cs.Capabilities, Tags: cs.Tags, By: by})
}

// actorLocked is with whose rights a stack is changed: those of the role that is
// given, and from then on is the stack's, or of the caller.
func (s *Service) actorLocked(by wire.Principal, st *stack, roleARN string) (wire.Principal, error) {
	if roleARN != "" {
		st.RoleARN = roleARN
	}
	if st.RoleARN == "" {
		return by, nil
	}
	return s.opts.Provider.Assume(st.RoleARN)
}
