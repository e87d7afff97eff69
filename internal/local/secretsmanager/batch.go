package secretsmanager

import (
	"context"
	"errors"
	"strconv"

	"github.com/rekey-go/rekey/internal/local/wire"
)

const maxBatch = 20

type batchInput struct {
	SecretIDList []string `json:"SecretIdList"`
	Filters      []filter
	MaxResults   *int
	NextToken    string
}

func (in *batchInput) check(c *constraints) {
	if in.SecretIDList != nil {
		c.count("secretIdList", len(in.SecretIDList), 1, maxBatch)
	}
	for i, id := range in.SecretIDList {
		c.given("secretIdList."+strconv.Itoa(i+1)+".member", id, 1, maxSecretID)
	}
	c.filters(in.Filters)
	c.number("maxResults", in.MaxResults, maxBatch)
	c.text("nextToken", in.NextToken, 1, maxNextToken)
}

type batchOutput struct {
	SecretValues []*valueOutput
	Errors       []batchError
	NextToken    string `json:",omitempty"`
}

type batchError struct {
	SecretID  string `json:"SecretId"`
	ErrorCode string
	Message   string
}

// readParameters are what the trail says was asked of a secret in a batch.
type readParameters struct {
	SecretID string `json:"secretId"`
}

// batchGetSecretValue reads the current values of several secrets. In the
// trail each read is a GetSecretValue of its own.
func (s *Service) batchGetSecretValue(ctx context.Context, c *wire.Call, in *batchInput) (*batchOutput, error) {
	ids, next, err := s.batch(in)
	if err != nil {
		return nil, err
	}
	out := &batchOutput{SecretValues: []*valueOutput{}, Errors: []batchError{}, NextToken: next}
	for _, id := range ids {
		read := *c
		read.Resources, read.KMS, read.Also = nil, nil, nil
		val, err := s.readOne(ctx, &read, id)
		c.Also = append(c.Also, wire.Companion{
			Operation:  "GetSecretValue",
			Parameters: readParameters{SecretID: id},
			Resources:  read.Resources,
			KMS:        read.KMS,
			Err:        err,
		})
		c.Resources = append(c.Resources, read.Resources...)
		if err == nil {
			out.SecretValues = append(out.SecretValues, val)
			continue
		}
		refused, ok := errors.AsType[*wire.Error](err)
		if !ok {
			return nil, err
		}
		out.Errors = append(out.Errors, batchError{SecretID: id, ErrorCode: refused.Code, Message: refused.Message})
	}
	return out, nil
}

// readOne reads one secret of a batch, if the caller may.
func (s *Service) readOne(ctx context.Context, c *wire.Call, id string) (*valueOutput, error) {
	if s.opts.Access != nil {
		if err := s.opts.Access.Read(c, id); err != nil {
			return nil, err
		}
	}
	return s.getSecretValue(ctx, c, &getInput{SecretID: id})
}

// batch returns the ids of the secrets to read, and the token of what follows.
func (s *Service) batch(in *batchInput) (ids []string, next string, err error) {
	switch {
	case len(in.SecretIDList) > 0 && len(in.Filters) > 0:
		return nil, "", invalidParameter("Either 'SecretIdList' or 'Filters' must be provided, but not both.")
	case len(in.SecretIDList) > 0 && in.MaxResults != nil:
		return nil, "", unfiltered("MaxResults")
	case len(in.SecretIDList) > 0 && in.NextToken != "":
		return nil, "", unfiltered("NextToken")
	case len(in.SecretIDList) > 0:
		return in.SecretIDList, "", nil
	case len(in.Filters) == 0:
		return nil, "", invalidParameter("Either 'SecretIdList' or 'Filters' must be provided, but not both.")
	}
	if err := checkFilters(in.Filters); err != nil {
		return nil, "", err
	}
	oldest := listing[candidate]{by: "created-date", place: func(c candidate) place { return c.place("created-date") }}
	found, next, err := oldest.page(s.matching(in.Filters, false), in.MaxResults, maxBatch, in.NextToken)
	for _, f := range found {
		ids = append(ids, f.entry.arn)
	}
	return ids, next, err
}

func unfiltered(member string) *wire.Error {
	return invalidParameter("'Filters' not specified. 'Filters' must also be specified when '%s' is provided.", member)
}
