package cloudformation

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/rekey-go/rekey/internal/local/wire"
)

// A changeSet is what a new template would change of a stack.
type changeSet struct {
	id, name, kind string // kind is CREATE, UPDATE or IMPORT
	status, reason string
	execution      string
	created        time.Time
	definition     Definition
	told           []Parameter
	capabilities   []string
	tags           []tag
	changes        []change
	description    string
}

// The execution statuses of change sets.
const (
	available   = "AVAILABLE"
	unavailable = "UNAVAILABLE"
	executed    = "EXECUTE_COMPLETE"
)

// A change is what a change set does to one resource.
type change struct {
	action, logicalID, physicalID, kind string
	replacement                         string   // of a Modify: True or False
	properties                          []string // that differ
	recreate                            map[string]bool
	policy                              string // of a Remove, Retain or Delete
}

func (s *Service) createChangeSet(f form) (any, error) {
	name, kind := f["ChangeSetName"], f["ChangeSetType"]
	if f["StackName"] == "" || name == "" {
		return nil, invalid("StackName and ChangeSetName are required")
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
	if slices.ContainsFunc(st.changeSets, func(other *changeSet) bool { return other.name == name }) {
		return nil, wire.Unmodelled("AlreadyExistsException", "ChangeSet %s already exists", name)
	}
	cs.definition.StackName, cs.definition.StackID = st.name, st.id
	s.compare(cs, st)
	st.changeSets = append(st.changeSets, cs)
	return struct {
		ID      string `xml:"Id"`
		StackID string `xml:"StackId"`
	}{cs.id, st.id}, nil
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
		return nil, invalid("Stack:%s is in %s state and can not be updated.", st.id, st.status)
	case strings.HasPrefix(st.status, "ROLLBACK") || strings.HasPrefix(st.status, "DELETE"):
		return nil, invalid("Stack:%s is in %s state and can not be updated.", st.id, st.status)
	case kind == "CREATE" && st.status != reviewing:
		return nil, wire.Unmodelled("AlreadyExistsException", "Stack [%s] already exists and cannot be created again with the changeSet [%s].", st.name, name)
	case kind != "CREATE" && kind != "IMPORT" && st.status == reviewing:
		return nil, invalid("Stack:%s is in %s state and can not be updated.", st.id, st.status)
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
		name: f["ChangeSetName"], kind: f["ChangeSetType"], id: s.arn("changeSet/" + f["ChangeSetName"] + "/" + wire.NewID()),
		created: s.opts.Now(), definition: Definition{Body: body, Parameters: given, Imports: imports},
		capabilities: f.texts("Capabilities"), description: f["Description"],
	}
	if cs.kind == "" {
		cs.kind = "UPDATE"
	}
	if (cs.kind == "IMPORT") != (len(imports) > 0) {
		return nil, invalid("ResourcesToImport is for change sets of type IMPORT, and they have to have it")
	}
	for _, t := range f.list("Tags") {
		cs.tags = append(cs.tags, tag{t["Key"], t["Value"]})
	}
	return cs, capable(body, cs.capabilities)
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
	cs.status, cs.execution = "CREATE"+complete, available
	fail := func(reason string) { cs.status, cs.execution, cs.reason = failed[1:], unavailable, reason }
	var err error
	if cs.told, err = s.parameters(cs.definition); err != nil {
		fail(err.Error())
		return
	}
	next, err := s.opts.Provider.Deployment(cs.definition, st.deployment)
	if err != nil {
		fail(err.Error())
		return
	}
	defer next.Discard()
	cs.changes = changesOf(cs, next, st)
	if len(cs.changes) == 0 && cs.kind != "CREATE" {
		fail("The submitted information didn't contain changes. Submit different information to create a change set.")
	}
	if cs.kind == "IMPORT" && slices.ContainsFunc(cs.changes, func(c change) bool { return c.action != "Import" }) {
		fail("You have modified resources in your template that are not in the list of resources to import: " + cs.changes[0].logicalID)
	}
}

func changesOf(cs *changeSet, next Deployment, st *stack) []change {
	var all []change
	there := map[string]bool{}
	for _, r := range next.Resources() {
		there[r.LogicalID] = true
		c := change{action: "Add", logicalID: r.LogicalID, kind: r.kind(), policy: r.DeletionPolicy}
		before := st.resources[r.LogicalID]
		switch _, imported := cs.definition.Imports[r.LogicalID]; {
		case imported:
			c.action, c.physicalID = "Import", cs.definition.Imports[r.LogicalID]
		case before != nil && before.kind == r.kind() && st.deployment != nil:
			if !c.modify(r, next.Properties(r.LogicalID), st.deployment.Made(r.LogicalID)) {
				continue
			}
			c.physicalID = before.physicalID
		}
		all = append(all, c)
	}
	for _, r := range st.listed() {
		if !there[r.logicalID] {
			all = append(all, change{action: "Remove", logicalID: r.logicalID, physicalID: r.physicalID, kind: r.kind, policy: r.policy})
		}
	}
	return all
}

// modify says how the properties of a resource differ, and whether they do.
func (c *change) modify(r Resource, next, before map[string]string) bool {
	c.action, c.replacement, c.recreate = "Modify", "False", map[string]bool{}
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
		c.properties = append(c.properties, name)
		if slices.Contains(replacing[r.Type], name) {
			c.recreate[name], c.replacement = true, "True"
		}
	}
	return len(c.properties) > 0
}

// changeSetLocked finds a change set by its id, or by its name and its stack's.
func (s *Service) changeSetLocked(f form) (*stack, *changeSet, error) {
	name, of := f["ChangeSetName"], f["StackName"]
	for _, st := range slices.Backward(s.stacks) {
		for _, cs := range st.changeSets {
			if cs.id == name || cs.name == name && (st.id == of || st.name == of && st.live()) {
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
	st.changeSets = slices.DeleteFunc(st.changeSets, func(other *changeSet) bool { return other == cs })
	return struct{}{}, nil
}

func (s *Service) executeChangeSet(f form) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, cs, err := s.changeSetLocked(f)
	switch {
	case err != nil:
		return nil, err
	case cs.execution != available:
		return nil, wire.Unmodelled("InvalidChangeSetStatus", "ChangeSet [%s] cannot be executed in its current status of [%s]", cs.id, cs.status)
	case st.busy():
		return nil, invalid("Stack:%s is in %s state and can not be updated.", st.id, st.status)
	}
	cs.execution = "EXECUTE_IN_PROGRESS"
	st.token = f["ClientRequestToken"]
	st.updated = s.opts.Now()
	run := &operation{Service: s, stack: st, definition: cs.definition, verb: cs.kind, before: st.deployment}
	if cs.kind != "IMPORT" && run.before == nil {
		run.verb = "CREATE"
	}
	s.stateLocked(st, run.verb+inProgress, userInitiated)
	err = s.beginLocked(func() {
		run.execute()
		s.mu.Lock()
		defer s.mu.Unlock()
		cs.execution = executed
		if !strings.HasSuffix(st.status, complete) || strings.Contains(st.status, "ROLLBACK") {
			cs.execution = "EXECUTE" + failed
		} else {
			st.capabilities, st.tags = cs.capabilities, cs.tags
		}
		st.changeSets = nil // the others are of a stack that is no more
	})
	if err != nil {
		return nil, fmt.Errorf("executing change set %s: %w", cs.name, err)
	}
	return struct{}{}, nil
}
