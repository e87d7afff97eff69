package events

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/rekey-go/rekey/internal/local/wire"
)

const (
	maxTargets     = 5   // of a rule
	maxTargetsPut  = 100 // of a call
	maxInput       = 8192
	maxInputPath   = 256
	maxRetries     = 185
	minAge, maxAge = 60, 86400 // seconds
)

// A Target is where a rule sends what it selects.
type Target struct {
	ID string `json:"Id"`
	// ARN is that of a Lambda function, an SQS queue or an event bus.
	ARN     string `json:"Arn"`
	RoleARN string `json:"RoleArn,omitempty"`
	// Input is JSON that is sent in place of the event.
	Input string `json:",omitempty"`
	// InputPath says which part of the event is sent.
	InputPath        string            `json:",omitempty"`
	InputTransformer *InputTransformer `json:",omitempty"`
	DeadLetterConfig *DeadLetterConfig `json:",omitempty"`
	RetryPolicy      *RetryPolicy      `json:",omitempty"`
	// SQSParameters are for FIFO queues, which the engine does not have.
	SQSParameters json.RawMessage `json:"SqsParameters,omitempty"`
}

// An InputTransformer makes a target's input of a template.
type InputTransformer struct {
	// InputPathsMap gives names to parts of the event, by JSON path.
	InputPathsMap map[string]string `json:",omitempty"`
	// InputTemplate is JSON in which <name> stands for such a part.
	InputTemplate string
}

// A DeadLetterConfig names the queue for what could not be delivered.
type DeadLetterConfig struct {
	ARN string `json:"Arn"`
}

// A RetryPolicy bounds how often and how long a delivery is tried. Where a
// member is nil, AWS's default holds.
type RetryPolicy struct {
	MaximumRetryAttempts     *int `json:",omitempty"`
	MaximumEventAgeInSeconds *int `json:",omitempty"`
}

// PutTargets adds targets to a rule, or replaces those with the same id.
func (s *Service) PutTargets(busNameOrARN, ruleName string, targets ...Target) error {
	if err := checkTargets(targets); err != nil {
		return err
	}
	return s.updateTargets(busNameOrARN, ruleName, func(have []Target) ([]Target, error) {
		for _, t := range targets {
			if i := slices.IndexFunc(have, func(h Target) bool { return h.ID == t.ID }); i >= 0 {
				have[i] = t
			} else {
				have = append(have, t)
			}
		}
		if len(have) > maxTargets {
			return nil, limitExceeded()
		}
		return have, nil
	})
}

// updateTargets replaces a rule's targets by what update makes of a copy.
func (s *Service) updateTargets(busNameOrARN, ruleName string, update func(have []Target) ([]Target, error)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, r, err := s.ruleLocked(busNameOrARN, ruleName)
	if err != nil {
		return err
	}
	record := r.ruleRecord
	if record.Targets, err = update(slices.Clone(record.Targets)); err != nil {
		return err
	}
	if err := s.opts.Store.Table(ruleTable).Put(r.key(), record); err != nil {
		return err
	}
	r.ruleRecord = record
	return nil
}

func checkTargets(targets []Target) error {
	var f faults
	f.count(len(targets), "targets", maxTargetsPut)
	for i, t := range targets {
		t.keepToModel(&f, fmt.Sprintf("targets.%d.member.", i+1))
	}
	if err := f.refusal(); err != nil {
		return err
	}
	for _, t := range targets {
		if err := t.check(); err != nil {
			return err
		}
	}
	return nil
}

// keepToModel notes where the target at a path does not.
func (t Target) keepToModel(f *faults, path string) {
	f.name(t.ID, path+"id", maxName, namePattern)
	f.length(t.Input, path+"input", maxInput)
	f.length(t.InputPath, path+"inputPath", maxInputPath)
	if in := t.InputTransformer; in != nil {
		f.length(in.InputTemplate, path+"inputTransformer.inputTemplate", maxInput)
		if in.InputTemplate == "" {
			f.add("", path+"inputTransformer.inputTemplate", "Member must have length greater than or equal to 1")
		}
	}
	f.between(t.retries(), path+"retryPolicy.maximumRetryAttempts", 0, maxRetries)
	f.between(int(t.age().Seconds()), path+"retryPolicy.maximumEventAgeInSeconds", minAge, maxAge)
}

func (t Target) check() error {
	switch service := t.service(); {
	case service == "":
		return validationf("Parameter %s is not valid. Reason: Provided Arn is not in correct format.", t.ARN)
	case service != "lambda" && service != "sqs" && service != "events":
		return validationf("Parameter %s is not valid. Reason: the embedded engine delivers to Lambda functions, SQS queues and event buses, not to %s", t.ARN, service)
	case len(t.SQSParameters) > 0 || strings.HasSuffix(t.ARN, ".fifo"):
		return validationf("Parameter SqsParameters is not valid for target %s. Reason: the embedded engine has no FIFO queues", t.ID)
	case t.DeadLetterConfig != nil && !strings.HasPrefix(t.DeadLetterConfig.ARN, "arn:aws:sqs:"):
		return validationf("Parameter DeadLetterConfig is not valid. Reason: Provided Arn is not that of an SQS queue.")
	default:
		return t.checkInput()
	}
}

func (t Target) checkInput() error {
	given := 0
	for _, is := range []bool{t.Input != "", t.InputPath != "", t.InputTransformer != nil} {
		if is {
			given++
		}
	}
	switch {
	case given > 1:
		return validationf("Only one of Input, InputPath, or InputTransformer must be provided for target %s.", t.ID)
	case t.Input != "" && !json.Valid([]byte(t.Input)):
		return validationf("JSON syntax error in input for target %s.", t.ID)
	case t.InputPath != "" && !validPath(t.InputPath):
		return validationf("InputPath for target %s is invalid.", t.ID)
	case t.InputTransformer != nil:
		return t.InputTransformer.check(t.ID)
	default:
		return nil
	}
}

func validPath(path string) bool {
	_, ok := parsePath(path)
	return ok && len(path) <= maxInputPath
}

func (t *InputTransformer) check(id string) error {
	for name, path := range t.InputPathsMap {
		if !validPath(path) || strings.HasPrefix(name, "AWS") {
			return validationf("InputPath %s for target %s is invalid.", name, id)
		}
	}
	for name := range t.placeholders() {
		if _, ok := t.InputPathsMap[name]; !ok && !slices.Contains(predefined(), name) {
			return validationf("InputTemplate for target %s contains invalid placeholder %s.", id, name)
		}
	}
	blank := t.fill(func(string) []byte { return []byte(`""`) })
	if !t.wellFormed(blank) {
		return validationf("Invalid InputTemplate for target %s : it is neither JSON nor one or more JSON strings.", id)
	}
	return nil
}

type putTargetsInput struct {
	Rule, EventBusName string
	Targets            []Target
}

// targetsOutput is the answer of PutTargets and RemoveTargets. The engine
// refuses a whole call where one entry is wrong, so that none fails by itself.
type targetsOutput struct {
	FailedEntryCount int
	FailedEntries    []struct{}
}

func (s *Service) putTargets(_ context.Context, _ *wire.Call, in *putTargetsInput) (*targetsOutput, error) {
	return &targetsOutput{FailedEntries: []struct{}{}}, s.PutTargets(in.EventBusName, in.Rule, in.Targets...)
}

type removeTargetsInput struct {
	Rule, EventBusName string
	IDs                []string `json:"Ids"`
}

func (s *Service) removeTargets(_ context.Context, _ *wire.Call, in *removeTargetsInput) (*targetsOutput, error) {
	var f faults
	f.count(len(in.IDs), "ids", maxTargetsPut)
	for i, id := range in.IDs {
		f.name(id, fmt.Sprintf("ids.%d.member", i+1), maxName, namePattern)
	}
	if err := f.refusal(); err != nil {
		return nil, err
	}
	err := s.updateTargets(in.EventBusName, in.Rule, func(have []Target) ([]Target, error) {
		return slices.DeleteFunc(have, func(t Target) bool { return slices.Contains(in.IDs, t.ID) }), nil
	})
	return &targetsOutput{FailedEntries: []struct{}{}}, err
}

type listTargetsInput struct {
	Rule, EventBusName, NextToken string
	Limit                         *int
}

type listTargetsOutput struct {
	Targets   []Target
	NextToken string `json:",omitempty"`
}

func (s *Service) listTargets(_ context.Context, _ *wire.Call, in *listTargetsInput) (*listTargetsOutput, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, r, err := s.ruleLocked(in.EventBusName, in.Rule)
	if err != nil {
		return nil, err
	}
	targets := make(map[string]Target, len(r.Targets))
	for _, t := range r.Targets {
		targets[t.ID] = t
	}
	ids, next, err := page(targets, "", in.NextToken, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &listTargetsOutput{Targets: []Target{}, NextToken: next}
	for _, id := range ids {
		out.Targets = append(out.Targets, targets[id])
	}
	return out, nil
}

type listRuleNamesInput struct {
	TargetARN               string `json:"TargetArn"`
	EventBusName, NextToken string
	Limit                   *int
}

type listRuleNamesOutput struct {
	RuleNames []string
	NextToken string `json:",omitempty"`
}

func (s *Service) listRuleNamesByTarget(_ context.Context, _ *wire.Call, in *listRuleNamesInput) (*listRuleNamesOutput, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	b, err := s.busLocked(busName(in.EventBusName))
	if err != nil {
		return nil, err
	}
	found := make(map[string]*rule)
	for name, r := range b.rules {
		if slices.ContainsFunc(r.Targets, func(t Target) bool { return t.ARN == in.TargetARN }) {
			found[name] = r
		}
	}
	names, next, err := page(found, "", in.NextToken, in.Limit)
	return &listRuleNamesOutput{RuleNames: append([]string{}, names...), NextToken: next}, err
}
