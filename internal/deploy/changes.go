package deploy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
)

// A Proposal is what a stack is to be.
type Proposal struct {
	TemplateURL string
	// Parameters that are given. Others of the template keep the values that
	// the stack has, or the template's own.
	Parameters map[string]string
	// Names are all parameters of the template.
	Names []string
	// Tags are given to everything that the stack makes.
	Tags map[string]string
	// Imports are the identifiers of resources to take over, by logical id. If
	// there are any, nothing else may change.
	Imports map[string]Import
}

// An Import identifies a resource that is there.
type Import struct{ Type, Key, Value string }

// A Change is what a change set does to one resource.
type Change struct {
	// Action is Add, Modify, Remove or Import.
	Action     string   `json:"action"`
	LogicalID  string   `json:"logicalId"`
	PhysicalID string   `json:"physicalId,omitempty"`
	Type       string   `json:"type"`
	Properties []string `json:"properties,omitempty"`
	// Replaces says that the resource is, or may be, made anew, and the old one
	// removed.
	Replaces bool `json:"replaces"`
	// Kept says that a removed resource stays where it is.
	Kept bool `json:"kept,omitempty"`
}

// Dangerous reports whether something is lost that nobody can make again: the
// values of a secret, what a key encrypted, the items of a table.
func (c Change) Dangerous() bool {
	precious := c.Type == secretType || c.Type == keyType || c.Type == tableType || c.Type == bucketType
	return precious && (c.Replaces || c.Action == "Remove" && !c.Kept)
}

// A ChangeSet is a change that CloudFormation was asked to work out.
type ChangeSet struct {
	ID      string
	Changes []Change
	stack   *Stack
}

// Propose makes a change set and waits until it is worked out. The error is
// [ErrNoChanges] where there is nothing to change.
func (s *Stack) Propose(ctx context.Context, p Proposal) (*ChangeSet, error) {
	there, err := s.Describe(ctx)
	if err != nil {
		return nil, err
	}
	in := s.input(there, p)
	out, err := s.client.CreateChangeSet(ctx, in)
	if err != nil {
		return nil, fmt.Errorf("proposing a change of %s: %w", s.Name, err)
	}
	s.ID = aws.ToString(out.StackId)
	cs := &ChangeSet{ID: aws.ToString(out.Id), stack: s}
	if err := cs.wait(ctx); err != nil {
		return nil, errors.Join(err, cs.Discard(ctx))
	}
	return cs, nil
}

func (s *Stack) input(there *types.Stack, p Proposal) *cloudformation.CreateChangeSetInput {
	in := &cloudformation.CreateChangeSetInput{
		StackName: new(s.ref()), ChangeSetName: new(fmt.Sprintf("rekey-%d", time.Now().UnixNano())), TemplateURL: &p.TemplateURL,
		ChangeSetType: types.ChangeSetTypeUpdate, Description: new("by rekey deploy"), RoleARN: s.role(),
		Capabilities: []types.Capability{types.CapabilityCapabilityIam, types.CapabilityCapabilityNamedIam, types.CapabilityCapabilityAutoExpand},
	}
	fresh := there == nil || there.StackStatus == types.StackStatusReviewInProgress
	if fresh {
		in.ChangeSetType = types.ChangeSetTypeCreate
	}
	has := map[string]bool{}
	if !fresh {
		for _, parameter := range there.Parameters {
			has[aws.ToString(parameter.ParameterKey)] = true
		}
	}
	for _, name := range p.Names {
		if value, given := p.Parameters[name]; given {
			in.Parameters = append(in.Parameters, types.Parameter{ParameterKey: &name, ParameterValue: &value})
		} else if has[name] {
			in.Parameters = append(in.Parameters, types.Parameter{ParameterKey: &name, UsePreviousValue: new(true)})
		}
	}
	for key, value := range p.Tags {
		in.Tags = append(in.Tags, types.Tag{Key: &key, Value: &value})
	}
	for id, one := range p.Imports {
		in.ChangeSetType = types.ChangeSetTypeImport
		in.ResourcesToImport = append(in.ResourcesToImport, types.ResourceToImport{
			LogicalResourceId: &id, ResourceType: &one.Type, ResourceIdentifier: map[string]string{one.Key: one.Value},
		})
	}
	return in
}

// wait reads the changes once they are worked out.
func (cs *ChangeSet) wait(ctx context.Context) error {
	tick := time.NewTicker(cs.stack.pace())
	defer tick.Stop()
	for {
		out, err := cs.stack.client.DescribeChangeSet(ctx, &cloudformation.DescribeChangeSetInput{ChangeSetName: &cs.ID})
		if err != nil {
			return fmt.Errorf("asking for the change set: %w", err)
		}
		switch out.Status { //nolint:exhaustive // the others are under way.
		case types.ChangeSetStatusCreateComplete:
			return cs.read(ctx)
		case types.ChangeSetStatusFailed:
			reason := aws.ToString(out.StatusReason)
			if strings.Contains(reason, "didn't contain changes") || strings.Contains(reason, "No updates are to be performed") {
				return ErrNoChanges
			}
			return fmt.Errorf("%w: CloudFormation refuses the change: %s", ErrFailed, reason)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (cs *ChangeSet) read(ctx context.Context) error {
	pages := cloudformation.NewDescribeChangeSetPaginator(cs.stack.client, &cloudformation.DescribeChangeSetInput{ChangeSetName: &cs.ID})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("reading the changes: %w", err)
		}
		for _, c := range page.Changes {
			if c.ResourceChange != nil {
				cs.Changes = append(cs.Changes, changeOf(c.ResourceChange))
			}
		}
	}
	return nil
}

func changeOf(r *types.ResourceChange) Change {
	c := Change{
		Action: string(r.Action), LogicalID: aws.ToString(r.LogicalResourceId), PhysicalID: aws.ToString(r.PhysicalResourceId),
		Type: aws.ToString(r.ResourceType), Replaces: r.Replacement == types.ReplacementTrue || r.Replacement == types.ReplacementConditional,
		Kept: r.PolicyAction == types.PolicyActionRetain,
	}
	for _, d := range r.Details {
		if d.Target != nil && d.Target.Name != nil {
			c.Properties = append(c.Properties, *d.Target.Name)
		}
	}
	return c
}

// Discard forgets the change set, and a stack that only stood for it.
func (cs *ChangeSet) Discard(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	if _, err := cs.stack.client.DeleteChangeSet(ctx, &cloudformation.DeleteChangeSetInput{ChangeSetName: &cs.ID}); err != nil {
		return fmt.Errorf("discarding the change set: %w", err)
	}
	there, err := cs.stack.Describe(ctx)
	if err != nil || there == nil || there.StackStatus != types.StackStatusReviewInProgress {
		return err
	}
	if _, err := cs.stack.client.DeleteStack(ctx, &cloudformation.DeleteStackInput{StackName: there.StackId, RoleARN: cs.stack.role()}); err != nil {
		return fmt.Errorf("discarding the stack that was not made: %w", err)
	}
	return nil
}

// Execute makes the changes and waits for their end. The error is [ErrFailed]
// where CloudFormation took them back.
func (cs *ChangeSet) Execute(ctx context.Context) (*types.Stack, error) {
	if err := cs.stack.CatchUp(ctx); err != nil {
		return nil, err
	}
	if _, err := cs.stack.client.ExecuteChangeSet(ctx, &cloudformation.ExecuteChangeSetInput{ChangeSetName: &cs.ID}); err != nil {
		return nil, fmt.Errorf("executing the change set: %w", err)
	}
	found, err := cs.stack.Settle(ctx)
	if err != nil {
		return found, err
	}
	switch found.StackStatus {
	case types.StackStatusCreateComplete, types.StackStatusUpdateComplete, types.StackStatusImportComplete:
		return found, nil
	default:
		return found, fmt.Errorf("%w: %s is %s", ErrFailed, cs.stack.Name, found.StackStatus)
	}
}
