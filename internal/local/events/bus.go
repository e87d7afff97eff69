package events

import (
	"context"
	"maps"
	"slices"

	"github.com/rekey-go/rekey/internal/local/wire"
)

// CreateBus makes an event bus and returns its ARN. The error is a
// ResourceAlreadyExistsException if there is one of that name.
func (s *Service) CreateBus(name, description string, tags map[string]string) (arn string, err error) {
	var f faults
	f.name(name, "name", maxBusName, busNamePattern)
	f.length(description, "description", maxDescription)
	if err := f.refusal(); err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.buses[name]; ok {
		return "", wire.Errorf("ResourceAlreadyExistsException", "Event bus %s already exists.", name)
	}
	now := s.opts.Clock.Now()
	b := newBus(busRecord{Name: name, Description: description, Tags: maps.Clone(tags), Created: now, Modified: now})
	if err := s.opts.Store.Table(busTable).Put(name, b.busRecord); err != nil {
		return "", err
	}
	s.buses[name] = b
	return s.busARN(name), nil
}

func (s *Service) busLocked(name string) (*bus, error) {
	b, ok := s.buses[name]
	if !ok {
		return nil, wire.Errorf("ResourceNotFoundException", "Event bus %s does not exist.", name)
	}
	return b, nil
}

type createBusInput struct {
	Name, Description string
	Tags              []tag
}

type createBusOutput struct {
	EventBusARN string `json:"EventBusArn"`
	Description string `json:",omitempty"`
}

func (s *Service) createBus(_ context.Context, _ *wire.Call, in *createBusInput) (*createBusOutput, error) {
	var f faults
	if f.tags(in.Tags); len(f) > 0 {
		return nil, f.refusal()
	}
	arn, err := s.CreateBus(in.Name, in.Description, tagMap(in.Tags))
	return &createBusOutput{EventBusARN: arn, Description: in.Description}, err
}

type busID struct{ Name string }

// deleteBus succeeds where there is no such bus, as AWS does.
func (s *Service) deleteBus(_ context.Context, _ *wire.Call, in *busID) (*struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := busName(in.Name)
	b, ok := s.buses[name]
	switch {
	case name == defaultBus:
		return nil, validationf("Cannot delete event bus default.")
	case !ok:
		return nil, nil
	case len(b.rules) > 0:
		return nil, validationf("Event bus can't be deleted since it has rules.")
	}
	if err := s.opts.Store.Table(busTable).Delete(name); err != nil {
		return nil, err
	}
	delete(s.buses, name)
	return nil, nil
}

// RemoveBus removes a bus with its rules; there need not be one.
func (s *Service) RemoveBus(name string) error {
	s.mu.RLock()
	var rules []string
	if b, ok := s.buses[name]; ok {
		rules = slices.Collect(maps.Keys(b.rules))
	}
	s.mu.RUnlock()
	for _, rule := range rules {
		if err := s.RemoveRule(name, rule); err != nil {
			return err
		}
	}
	_, err := s.deleteBus(context.Background(), nil, &busID{Name: name})
	return err
}

// busOutput is a bus on the wire.
type busOutput struct {
	Name             string
	ARN              string         `json:"Arn"`
	Description      string         `json:",omitempty"`
	CreationTime     wire.Timestamp `json:",omitzero"`
	LastModifiedTime wire.Timestamp `json:",omitzero"`
}

func (s *Service) busOutput(b *bus) busOutput {
	return busOutput{
		Name:             b.Name,
		ARN:              s.busARN(b.Name),
		Description:      b.Description,
		CreationTime:     wire.Timestamp(b.Created),
		LastModifiedTime: wire.Timestamp(b.Modified),
	}
}

func (s *Service) describeBus(_ context.Context, _ *wire.Call, in *busID) (*busOutput, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	b, err := s.busLocked(busName(in.Name))
	if err != nil {
		return nil, err
	}
	return new(s.busOutput(b)), nil
}

type listBusesInput struct {
	NamePrefix, NextToken string
	Limit                 *int
}

type listBusesOutput struct {
	EventBuses []busOutput
	NextToken  string `json:",omitempty"`
}

func (s *Service) listBuses(_ context.Context, _ *wire.Call, in *listBusesInput) (*listBusesOutput, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	names, next, err := page(s.buses, in.NamePrefix, in.NextToken, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &listBusesOutput{EventBuses: []busOutput{}, NextToken: next}
	for _, name := range names {
		out.EventBuses = append(out.EventBuses, s.busOutput(s.buses[name]))
	}
	return out, nil
}
