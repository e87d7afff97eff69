package deploy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
)

var (
	// ErrNoStack means that there is no stack of that name, and none that was
	// deleted.
	ErrNoStack = errors.New("there is no such stack")
	// ErrNoChanges means that the stack is what it was asked to be.
	ErrNoChanges = errors.New("nothing would change")
	// ErrFailed means that CloudFormation ended without having done what it was
	// asked for. The events before it say why.
	ErrFailed = errors.New("the stack did not get there")
)

// An Event is something that happened to a stack or one of its resources.
type Event struct {
	Time                    time.Time
	LogicalID, Type, Status string
	// Reason is why something failed; AWS gives one otherwise too.
	Reason string
}

// Failed reports whether the event tells of a failure by itself, and not of
// something that was given up because of another.
func (e Event) Failed() bool {
	return strings.HasSuffix(e.Status, "_FAILED") && !strings.Contains(e.Reason, "cancelled")
}

// A Stack is a stack of CloudFormation, which need not be there.
type Stack struct {
	// Name is the stack's, and ID what tells it from others of that name; empty
	// until it is there.
	Name, ID string
	// RoleARN is the role that CloudFormation takes for what it does to the stack.
	// If empty, it is the one that the stack was given before, or the caller's own
	// rights.
	RoleARN string
	// Follow is told of events as they happen. If nil, nobody is.
	Follow func(Event)
	// Pace is how often the stack is asked for news. If zero, it is two seconds.
	Pace time.Duration

	client *cloudformation.Client
	seen   map[string]bool // ids of events
}

// NewStack names a stack.
func NewStack(cfg aws.Config, name string) *Stack {
	return &Stack{Name: name, client: cloudformation.NewFromConfig(cfg), seen: make(map[string]bool)}
}

// Describe returns the stack, or nil where there is none. It sets the ID.
func (s *Stack) Describe(ctx context.Context) (*types.Stack, error) {
	out, err := s.client.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: new(s.ref())})
	switch {
	case isCode(err, "ValidationError") && strings.Contains(err.Error(), "does not exist"):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("asking for the stack %s: %w", s.Name, err)
	}
	s.ID = aws.ToString(out.Stacks[0].StackId)
	return &out.Stacks[0], nil
}

// role is the RoleARN of a request.
func (s *Stack) role() *string {
	if s.RoleARN == "" {
		return nil
	}
	return &s.RoleARN
}

func (s *Stack) ref() string {
	if s.ID != "" {
		return s.ID
	}
	return s.Name
}

// Last returns the stack as it is, or as it was when it was deleted. The error
// is [ErrNoStack] where there was none in the last 90 days.
func (s *Stack) Last(ctx context.Context) (*types.Stack, error) {
	found, err := s.Describe(ctx)
	if found != nil || err != nil {
		return found, err
	}
	pages := cloudformation.NewListStacksPaginator(s.client, &cloudformation.ListStacksInput{
		StackStatusFilter: []types.StackStatus{types.StackStatusDeleteComplete},
	})
	var last types.StackSummary
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("looking for a deleted stack %s: %w", s.Name, err)
		}
		for _, one := range page.StackSummaries {
			if aws.ToString(one.StackName) == s.Name && (last.DeletionTime == nil || one.DeletionTime != nil && one.DeletionTime.After(*last.DeletionTime)) {
				last = one
			}
		}
	}
	if last.StackId == nil {
		return nil, fmt.Errorf("%s: %w", s.Name, ErrNoStack)
	}
	s.ID = *last.StackId
	return s.Describe(ctx)
}

// Resources lists what the stack has, or had when it was deleted.
func (s *Stack) Resources(ctx context.Context) ([]types.StackResourceSummary, error) {
	var all []types.StackResourceSummary
	pages := cloudformation.NewListStackResourcesPaginator(s.client, &cloudformation.ListStackResourcesInput{StackName: new(s.ref())})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("listing the resources of %s: %w", s.Name, err)
		}
		all = append(all, page.StackResourceSummaries...)
	}
	return all, nil
}

// Busy reports whether something is being done to a stack.
func Busy(st *types.Stack) bool {
	return st != nil && strings.HasSuffix(string(st.StackStatus), "_IN_PROGRESS") && st.StackStatus != types.StackStatusReviewInProgress
}

// Settle waits until nothing is being done to the stack, and returns it as it
// then is: nil where it is gone.
func (s *Stack) Settle(ctx context.Context) (*types.Stack, error) {
	tick := time.NewTicker(s.pace())
	defer tick.Stop()
	for {
		found, err := s.Describe(ctx)
		if err != nil || found == nil {
			return found, err
		}
		if err := s.news(ctx, s.Follow); err != nil {
			return found, err
		}
		if !Busy(found) {
			return found, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return found, ctx.Err()
		}
	}
}

func (s *Stack) pace() time.Duration {
	if s.Pace > 0 {
		return s.Pace
	}
	return 2 * time.Second
}

// CatchUp reads the events that there are without telling of them, so that
// what follows is news.
func (s *Stack) CatchUp(ctx context.Context) error { return s.news(ctx, nil) }

// news reads the events that were not read before, and tells of them in the
// order of time.
func (s *Stack) news(ctx context.Context, tell func(Event)) error {
	var fresh []types.StackEvent
	pages := cloudformation.NewDescribeStackEventsPaginator(s.client, &cloudformation.DescribeStackEventsInput{StackName: new(s.ref())})
	for more := true; more && pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("reading the events of %s: %w", s.Name, err)
		}
		for _, e := range page.StackEvents {
			if s.seen[aws.ToString(e.EventId)] {
				more = false // the rest is older
				break
			}
			fresh = append(fresh, e)
		}
	}
	for _, e := range slices.Backward(fresh) {
		s.seen[aws.ToString(e.EventId)] = true
		if tell != nil {
			tell(Event{
				Time: aws.ToTime(e.Timestamp), LogicalID: aws.ToString(e.LogicalResourceId), Type: aws.ToString(e.ResourceType),
				Status: string(e.ResourceStatus), Reason: aws.ToString(e.ResourceStatusReason),
			})
		}
	}
	return nil
}

// Delete deletes the stack and waits until it is gone. What its template
// retains stays.
func (s *Stack) Delete(ctx context.Context) error {
	if _, err := s.client.DeleteStack(ctx, &cloudformation.DeleteStackInput{StackName: new(s.ref()), RoleARN: s.role()}); err != nil {
		return fmt.Errorf("deleting the stack %s: %w", s.Name, err)
	}
	found, err := s.Settle(ctx)
	switch {
	case err != nil:
		return err
	case found != nil && found.StackStatus != types.StackStatusDeleteComplete:
		return fmt.Errorf("%w: %s is %s: %s", ErrFailed, s.Name, found.StackStatus, aws.ToString(found.StackStatusReason))
	}
	return nil
}
