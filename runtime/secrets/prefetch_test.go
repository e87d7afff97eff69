package secrets

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/smithy-go"
)

// batches is a store that reads several secrets at once.
type batches struct {
	*store
	err     error    // of the call
	skips   []string // ids that the answer leaves out
	refuses []string // ids whose error is in the answer

	n int // of calls
}

func (b *batches) BatchGetSecretValue(_ context.Context, in *secretsmanager.BatchGetSecretValueInput, _ ...func(*secretsmanager.Options)) (*secretsmanager.BatchGetSecretValueOutput, error) {
	b.set(func(*store) { b.n++ })
	time.Sleep(10 * time.Millisecond)
	if b.err != nil {
		return nil, b.err
	}
	out := new(secretsmanager.BatchGetSecretValueOutput)
	for _, id := range in.SecretIdList {
		switch {
		case slices.Contains(b.skips, id):
		case slices.Contains(b.refuses, id):
			out.Errors = append(out.Errors, types.APIErrorType{SecretId: &id, ErrorCode: new("AccessDeniedException"), Message: new("no")})
		case strings.Contains(id, "missing"):
			out.Errors = append(out.Errors, types.APIErrorType{SecretId: &id, ErrorCode: new("ResourceNotFoundException"), Message: new("Secrets Manager can't find the specified secret.")})
		default:
			out.SecretValues = append(out.SecretValues, types.SecretValueEntry{
				ARN: new("arn:aws:secretsmanager:us-east-1:123456789012:secret:" + id + "-AbCdEf"), Name: &id,
				VersionId: new("v1"), SecretString: new("value of " + id), VersionStages: []string{"AWSCURRENT"},
			})
		}
	}
	return out, nil
}

func numbered(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprint("any", i)
	}
	return names
}

func TestPrefetch(t *testing.T) {
	t.Parallel()
	denied := &smithy.GenericAPIError{Code: "AccessDeniedException"}
	tests := map[string]struct {
		api     func(*store) *batches
		names   []string
		batches int // calls of BatchGetSecretValue
		singles int
		is      []error
	}{
		"twenty with one call":                   {names: numbered(50), batches: 3},
		"one alone":                              {names: numbered(1), singles: 1},
		"none":                                   {},
		"the same one twice":                     {names: []string{"any1", "any1", "dev-any1", "any2"}, batches: 1},
		"what is in memory already is not read":  {names: []string{"db", "any1", "any2"}, batches: 1},
		"one by one where batches are denied":    {api: func(s *store) *batches { return &batches{store: s, err: denied} }, names: numbered(15), batches: 1, singles: 15},
		"that is found out once":                 {api: func(s *store) *batches { return &batches{store: s, err: denied} }, names: numbered(400), batches: 8, singles: 400},
		"what the answer leaves out is read":     {api: func(s *store) *batches { return &batches{store: s, skips: []string{"dev-any3"}} }, names: numbered(5), batches: 1, singles: 1},
		"one that is missing harms no other":     {names: append(numbered(5), "missing"), batches: 1, is: []error{ErrNotFound}},
		"one that is denied harms no other":      {api: func(s *store) *batches { return &batches{store: s, refuses: []string{"dev-any2"}} }, names: numbered(5), batches: 1, is: []error{ErrDenied}},
		"throttled is not made worse":            {api: func(s *store) *batches { return &batches{store: s, err: throttled()} }, names: numbered(5), batches: 1, is: []error{ErrThrottled}},
		"unreachable is not tried one by one":    {api: func(s *store) *batches { return &batches{store: s, err: unreachable()} }, names: numbered(5), batches: 1, is: []error{ErrUnavailable}},
		"several errors come together, by names": {names: []string{"missing1", "missing2", "any1"}, batches: 1, is: []error{ErrNotFound}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newStore()
				api := &batches{store: s}
				if tt.api != nil {
					api = tt.api(s)
				}
				c := New(api, dev)
				value(t, c)
				before := s.reads()
				err := c.Prefetch(t.Context(), tt.names...)
				if (err != nil) != (len(tt.is) > 0) {
					t.Fatalf("got %v", err)
				}
				for _, is := range tt.is {
					if !errors.Is(err, is) {
						t.Errorf("got %v, want %v", err, is)
					}
				}
				if api.n != tt.batches || s.reads()-before != tt.singles {
					t.Errorf("%d batches and %d single reads, want %d and %d", api.n, s.reads()-before, tt.batches, tt.singles)
				}
				for _, name := range tt.names {
					got, err := c.Get(t.Context(), name)
					if err == nil && name != "db" && tt.singles == 0 && got.Reveal() != "value of "+c.physical(name) {
						t.Errorf("%s has %q", name, got.Reveal())
					}
				}
				if got := s.reads() - before; got != tt.singles {
					t.Errorf("the reads afterwards made %d calls", got-tt.singles)
				}
			})
		})
	}
}

func TestWhoReadsDuringAPrefetchSharesItsAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, b := newStore(), newBoard()
		api := &batches{store: s}
		c := watched(s, b)
		c.api = api
		done := make(chan error)
		go func() { done <- c.Prefetch(t.Context(), numbered(5)...) }()
		synctest.Wait()
		got, err := c.String(t.Context(), "any3")
		if err != nil || got != "value of dev-any3" || s.reads() != 0 {
			t.Errorf("got %q, %v after %d reads of its own", got, err, s.reads())
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		if got := len(b.leases); got != 5 {
			t.Errorf("%d leases for 5 secrets", got)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := c.Prefetch(ctx, "any7", "any8"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the caller's own deadline", err)
		}
		time.Sleep(time.Second)
		if got, err := c.String(t.Context(), "any8"); err != nil || got != "value of dev-any8" || api.n != 2 {
			t.Errorf("what was begun did not go on: %q, %v", got, err)
		}
	})
}
