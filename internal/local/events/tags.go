package events

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/rekey-go/rekey/internal/local/wire"
)

func tagMap(tags []tag) map[string]string {
	m := make(map[string]string, len(tags))
	for _, t := range tags {
		m[t.Key] = t.Value
	}
	return m
}

// editTags replaces the tags of a rule or bus by what edit makes of a copy.
func (s *Service) editTags(arn string, edit func(tags map[string]string)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, r, err := s.taggedLocked(arn)
	if err != nil {
		return err
	}
	if r != nil {
		record := r.ruleRecord
		record.Tags = edited(record.Tags, edit)
		if err := s.opts.Store.Table(ruleTable).Put(r.key(), record); err != nil {
			return err
		}
		r.ruleRecord = record
		return nil
	}
	record := b.busRecord
	record.Tags = edited(record.Tags, edit)
	if err := s.opts.Store.Table(busTable).Put(b.Name, record); err != nil {
		return err
	}
	b.busRecord = record
	return nil
}

func edited(tags map[string]string, edit func(tags map[string]string)) map[string]string {
	tags = maps.Clone(tags)
	if tags == nil {
		tags = make(map[string]string)
	}
	edit(tags)
	return tags
}

// taggedLocked finds the rule or bus of an ARN. The rule is nil for a bus.
func (s *Service) taggedLocked(arn string) (*bus, *rule, error) {
	if path, ok := strings.CutPrefix(arn, s.arn("rule/")); ok {
		busName, name := defaultBus, path
		// A bus's name may hold slashes, a rule's may not.
		if i := strings.LastIndexByte(path, '/'); i >= 0 {
			busName, name = path[:i], path[i+1:]
		}
		return s.ruleLocked(busName, name)
	}
	b, err := s.busLocked(busName(arn))
	return b, nil, err
}

type tagInput struct {
	ResourceARN string
	Tags        []tag
	TagKeys     []string
}

func (s *Service) tagResource(_ context.Context, _ *wire.Call, in *tagInput) (*struct{}, error) {
	var f faults
	f.given("tags", in.Tags == nil)
	if f.tags(in.Tags); len(f) > 0 {
		return nil, f.refusal()
	}
	return nil, s.editTags(in.ResourceARN, func(tags map[string]string) { maps.Copy(tags, tagMap(in.Tags)) })
}

func (s *Service) untagResource(_ context.Context, _ *wire.Call, in *tagInput) (*struct{}, error) {
	var f faults
	if f.given("tagKeys", in.TagKeys == nil); len(f) > 0 {
		return nil, f.refusal()
	}
	return nil, s.editTags(in.ResourceARN, func(tags map[string]string) {
		for _, key := range in.TagKeys {
			delete(tags, key)
		}
	})
}

type tagsOutput struct{ Tags []tag }

func (s *Service) listTags(_ context.Context, _ *wire.Call, in *tagInput) (*tagsOutput, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	b, r, err := s.taggedLocked(in.ResourceARN)
	if err != nil {
		return nil, err
	}
	tags := b.Tags
	if r != nil {
		tags = r.Tags
	}
	out := &tagsOutput{Tags: []tag{}}
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		out.Tags = append(out.Tags, tag{Key: key, Value: tags[key]})
	}
	return out, nil
}
