package sqs

import (
	"context"
	"maps"

	"github.com/rekey-go/rekey/internal/local/wire"
)

type tagInput struct {
	QueueURL string `json:"QueueUrl"`
	Tags     map[string]string
	TagKeys  []string
}

// editTags replaces a queue's tags by what edit makes of a copy.
func (s *Service) editTags(c *wire.Call, url string, edit func(tags map[string]string)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.calledLocked(c, url)
	if err != nil {
		return err
	}
	tags := maps.Clone(q.record.Tags)
	if tags == nil {
		tags = make(map[string]string)
	}
	edit(tags)
	return s.setLocked(q, q.record.Attributes, tags)
}

func (s *Service) tagQueue(_ context.Context, c *wire.Call, in *tagInput) (*struct{}, error) {
	if len(in.Tags) == 0 {
		return nil, missingParameter("Tags")
	}
	return nil, s.editTags(c, in.QueueURL, func(tags map[string]string) { maps.Copy(tags, in.Tags) })
}

func (s *Service) untagQueue(_ context.Context, c *wire.Call, in *tagInput) (*struct{}, error) {
	if len(in.TagKeys) == 0 {
		return nil, missingParameter("TagKeys")
	}
	return nil, s.editTags(c, in.QueueURL, func(tags map[string]string) {
		for _, key := range in.TagKeys {
			delete(tags, key)
		}
	})
}

type tagsOutput struct {
	Tags map[string]string `json:",omitempty"`
}

func (s *Service) listTags(_ context.Context, c *wire.Call, in *tagInput) (*tagsOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.calledLocked(c, in.QueueURL)
	if err != nil {
		return nil, err
	}
	return &tagsOutput{q.record.Tags}, nil
}
