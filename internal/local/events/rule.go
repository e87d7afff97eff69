package events

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/rekey-go/rekey/internal/local/wire"
)

// The states of a rule.
const (
	stateEnabled  = "ENABLED"
	stateDisabled = "DISABLED"
	// stateTrail also matches read-only management events of CloudTrail.
	stateTrail = "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS"
)

const (
	maxName        = 64 // of a rule or target
	maxBusName     = 256
	maxPattern     = 4096
	maxSchedule    = 256
	maxDescription = 512
	maxRules       = 300 // of a bus
	maxPage        = 100
)

// A Rule selects events by a pattern, or makes one by a schedule.
type Rule struct {
	Name string
	// ARN is the service's to fill in.
	ARN string `json:"Arn"`
	// EventBusName is the name or ARN of a bus. Empty is the default bus.
	EventBusName string
	EventPattern string `json:",omitempty"`
	// ScheduleExpression is "rate(5 minutes)" or "cron(0 12 * * ? *)", on the
	// default bus only.
	ScheduleExpression string `json:",omitempty"`
	// State is ENABLED, which empty means too, or DISABLED.
	State       string
	Description string `json:",omitempty"`
	RoleARN     string `json:"RoleArn,omitempty"`
}

func newRule(record ruleRecord) (*rule, error) {
	r := &rule{ruleRecord: record}
	if record.Rule.EventPattern == "" {
		return r, nil
	}
	p, err := compile(record.Rule.EventPattern)
	r.pattern = p
	return r, err
}

func (r *rule) enabled() bool { return r.Rule.State != stateDisabled }

// takes reports whether the rule selects an event.
func (r *rule) takes(e *event) bool {
	if r.pattern == nil || !r.enabled() || e.read && r.Rule.State != stateTrail {
		return false
	}
	return r.pattern.Match(e.fields)
}

// stop ends the rule's schedule.
func (r *rule) stop() {
	if r.timer != nil {
		r.timer.Stop()
		r.timer = nil
	}
}

// key is the rule's key in the store. No name has a line break.
func (r *rule) key() string { return r.Rule.EventBusName + "\n" + r.Rule.Name }

// PutRule makes a rule or replaces one, which keeps its targets and tags. It
// returns the rule's ARN.
func (s *Service) PutRule(spec Rule) (arn string, err error) {
	return s.putRuleTagged(spec, nil)
}

func (s *Service) putRuleTagged(spec Rule, tags map[string]string) (arn string, err error) {
	spec.EventBusName = busName(spec.EventBusName)
	if spec.State == "" {
		spec.State = stateEnabled
	}
	if err := checkRule(spec); err != nil {
		return "", err
	}
	spec.ARN = s.ruleARN(spec.EventBusName, spec.Name)
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.busLocked(spec.EventBusName)
	if err != nil {
		return "", err
	}
	record := ruleRecord{Rule: spec, Tags: tags}
	old, exists := b.rules[spec.Name]
	if exists {
		record.Targets, record.Tags = old.Targets, old.Tags
	} else if len(b.rules) >= maxRules {
		return "", limitExceeded()
	}
	r, err := newRule(record)
	if err != nil {
		return "", err
	}
	return spec.ARN, s.replaceLocked(b, r)
}

// replaceLocked stores a rule and puts it into force.
func (s *Service) replaceLocked(b *bus, r *rule) error {
	if err := s.opts.Store.Table(ruleTable).Put(r.key(), r.ruleRecord); err != nil {
		return err
	}
	if old, ok := b.rules[r.Rule.Name]; ok {
		old.stop()
	}
	b.rules[r.Rule.Name] = r
	return s.scheduleLocked(r)
}

func (s *Service) ruleARN(busName, name string) string {
	if busName == defaultBus {
		return s.arn("rule/" + name)
	}
	return s.arn("rule/" + busName + "/" + name)
}

func checkRule(spec Rule) error {
	var f faults
	f.name(spec.Name, "name", maxName, namePattern)
	f.length(spec.ScheduleExpression, "scheduleExpression", maxSchedule)
	f.length(spec.EventPattern, "eventPattern", maxPattern)
	if spec.State != stateEnabled && spec.State != stateDisabled && spec.State != stateTrail {
		f.add(spec.State, "state", "Member must satisfy enum value set: [%s, %s, %s]", stateEnabled, stateDisabled, stateTrail)
	}
	f.length(spec.Description, "description", maxDescription)
	if err := f.refusal(); err != nil {
		return err
	}
	switch {
	case spec.EventPattern == "" && spec.ScheduleExpression == "":
		return validationf("Parameter(s) EventPattern or ScheduleExpression must be specified.")
	case spec.ScheduleExpression != "" && spec.EventBusName != defaultBus:
		return validationf("ScheduleExpression is supported only on the default event bus.")
	case spec.ScheduleExpression != "":
		return checkSchedule(spec.ScheduleExpression)
	default:
		return nil
	}
}

func limitExceeded() error {
	return wire.Errorf("LimitExceededException", "The requested resource exceeds the maximum number allowed.")
}

// ruleLocked finds a rule.
func (s *Service) ruleLocked(busNameOrARN, name string) (*bus, *rule, error) {
	b, err := s.busLocked(busName(busNameOrARN))
	if err != nil {
		return nil, nil, err
	}
	r, ok := b.rules[name]
	if !ok {
		return nil, nil, wire.Errorf("ResourceNotFoundException", "Rule %s does not exist on EventBus %s.", name, b.Name)
	}
	return b, r, nil
}

// ruleID names a rule on the wire.
type ruleID struct{ Name, EventBusName string }

// tag is a tag on the wire.
type tag struct{ Key, Value string }

type putRuleInput struct {
	Rule
	Tags []tag
}

type putRuleOutput struct {
	RuleARN string `json:"RuleArn"`
}

func (s *Service) putRule(_ context.Context, _ *wire.Call, in *putRuleInput) (*putRuleOutput, error) {
	var f faults
	if f.tags(in.Tags); len(f) > 0 {
		return nil, f.refusal()
	}
	arn, err := s.putRuleTagged(in.Rule, tagMap(in.Tags))
	return &putRuleOutput{RuleARN: arn}, err
}

// ruleDetails is a rule as DescribeRule shows it.
type ruleDetails struct {
	Rule
	CreatedBy string
}

func (s *Service) describeRule(_ context.Context, _ *wire.Call, in *ruleID) (*ruleDetails, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, r, err := s.ruleLocked(in.EventBusName, in.Name)
	if err != nil {
		return nil, err
	}
	return &ruleDetails{Rule: r.Rule, CreatedBy: s.opts.Account}, nil
}

// deleteRule succeeds where there is no such rule, as AWS does.
func (s *Service) deleteRule(_ context.Context, _ *wire.Call, in *ruleID) (*struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.busLocked(busName(in.EventBusName))
	if err != nil {
		return nil, err
	}
	r, ok := b.rules[in.Name]
	switch {
	case !ok:
		return nil, nil
	case len(r.Targets) > 0:
		return nil, validationf("Rule can't be deleted since it has targets.")
	}
	if err := s.opts.Store.Table(ruleTable).Delete(r.key()); err != nil {
		return nil, err
	}
	r.stop()
	delete(b.rules, in.Name)
	return nil, nil
}

// RemoveRule removes a rule with its targets; there need not be one.
func (s *Service) RemoveRule(busNameOrARN, name string) error {
	none := func([]Target) ([]Target, error) { return nil, nil }
	err := s.updateTargets(busNameOrARN, name, none)
	if err == nil {
		_, err = s.deleteRule(context.Background(), nil, &ruleID{EventBusName: busNameOrARN, Name: name})
	}
	if refusal, ok := errors.AsType[*wire.Error](err); ok && refusal.Code == "ResourceNotFoundException" {
		return nil
	}
	return err
}

func (s *Service) enableRule(_ context.Context, _ *wire.Call, in *ruleID) (*struct{}, error) {
	return nil, s.setState(in, stateEnabled)
}

func (s *Service) disableRule(_ context.Context, _ *wire.Call, in *ruleID) (*struct{}, error) {
	return nil, s.setState(in, stateDisabled)
}

func (s *Service) setState(id *ruleID, state string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, r, err := s.ruleLocked(id.EventBusName, id.Name)
	if err != nil {
		return err
	}
	changed := &rule{ruleRecord: r.ruleRecord, pattern: r.pattern}
	changed.Rule.State = state
	return s.replaceLocked(b, changed)
}

type listRulesInput struct {
	NamePrefix, EventBusName, NextToken string
	Limit                               *int
}

type listRulesOutput struct {
	Rules     []Rule
	NextToken string `json:",omitempty"`
}

func (s *Service) listRules(_ context.Context, _ *wire.Call, in *listRulesInput) (*listRulesOutput, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	b, err := s.busLocked(busName(in.EventBusName))
	if err != nil {
		return nil, err
	}
	names, next, err := page(b.rules, in.NamePrefix, in.NextToken, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &listRulesOutput{Rules: []Rule{}, NextToken: next}
	for _, name := range names {
		out.Rules = append(out.Rules, b.rules[name].Rule)
	}
	return out, nil
}

// page returns the names of a map that have the prefix, in order, from behind
// the name that is the token. Without a limit it is AWS's default.
func page[V any](m map[string]V, prefix, token string, most *int) (names []string, next string, err error) {
	limit := maxPage
	if most != nil {
		limit = *most
	}
	var f faults
	if f.between(limit, "limit", 1, maxPage); len(f) > 0 {
		return nil, "", f.refusal()
	}
	for name := range m {
		if strings.HasPrefix(name, prefix) && name > token {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	if len(names) > limit {
		names, next = names[:limit], names[limit-1]
	}
	return names, next, nil
}
