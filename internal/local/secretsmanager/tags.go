package secretsmanager

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/rekey-go/rekey/internal/local/wire"
)

const (
	maxTags     = 50
	maxTagKey   = 128
	maxTagValue = 256
)

// checkTags checks tags that are to be set beside those that there are.
func checkTags(old, set []tag) error {
	for _, t := range set {
		if strings.HasPrefix(lower(t.Key), "aws:") {
			return invalidParameter("Tag keys can't begin with aws:, which is reserved for AWS use.")
		}
	}
	if len(withTags(old, set)) > maxTags {
		return wire.Errorf("LimitExceededException", "A secret can have at most %d tags.", maxTags)
	}
	return nil
}

type tagInput struct {
	SecretID string `json:"SecretId"`
	Tags     []tag
}

func (in *tagInput) check(c *constraints) {
	c.secretID(in.SecretID)
	c.list("tags", in.Tags == nil)
	c.tags(in.Tags)
}

func (s *Service) tagResource(_ context.Context, c *wire.Call, in *tagInput) (*struct{}, error) {
	e, _, err := s.live(c, in.SecretID)
	if err != nil {
		return nil, err
	}
	_, err = s.change(e, func(next *secret) error {
		if err := checkTags(next.Tags, in.Tags); err != nil {
			return err
		}
		next.Tags = withTags(next.Tags, in.Tags)
		return nil
	})
	return nil, err
}

type untagInput struct {
	SecretID string `json:"SecretId"`
	TagKeys  []string
}

func (in *untagInput) check(c *constraints) {
	c.secretID(in.SecretID)
	c.list("tagKeys", in.TagKeys == nil)
	for i, key := range in.TagKeys {
		c.given("tagKeys."+strconv.Itoa(i+1)+".member", key, 1, maxTagKey)
	}
}

func (s *Service) untagResource(_ context.Context, c *wire.Call, in *untagInput) (*struct{}, error) {
	e, _, err := s.live(c, in.SecretID)
	if err != nil {
		return nil, err
	}
	_, err = s.change(e, func(next *secret) error {
		next.Tags = slices.DeleteFunc(slices.Clone(next.Tags), func(t tag) bool { return slices.Contains(in.TagKeys, t.Key) })
		return nil
	})
	return nil, err
}

func lower(text string) string { return strings.ToLower(text) }
