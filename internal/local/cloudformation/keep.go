package cloudformation

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/rekey-go/rekey/internal/local/store"
)

// stackTable has the stacks, by their numbers.
const stackTable = "cloudformation.stacks"

func (s *stack) key() string { return fmt.Sprintf("%08d", s.Number) }

// keepLocked begins to write a stack down as it is. The function that it
// returns waits until it is on disk, and all before it.
func (s *Service) keepLocked(st *stack) (wait func() error) {
	if st.own || s.opts.Store == nil {
		return func() error { return nil }
	}
	data, err := json.Marshal(st)
	if err != nil {
		return func() error { return fmt.Errorf("writing stack %s as JSON: %w", st.Name, err) }
	}
	return s.opts.Store.Begin(func(tx *store.Tx) error { return tx.Put(stackTable, st.key(), json.RawMessage(data)) })
}

// load reads the stacks that were kept.
func (s *Service) load() error {
	return store.Each(s.opts.Store.Table(stackTable), func(_ string, st stack) error {
		s.made = st.Number + 1
		s.stacks = append(s.stacks, &st)
		for _, cs := range st.ChangeSets {
			cs.told, _ = s.parameters(cs.Definition) // what is wrong with it, its status says
		}
		return nil
	})
}

// startLocked begins an operation on a stack. It is on disk before it begins,
// so that one that was answered for goes on after a restart.
func (s *Service) startLocked(st *stack, p pending) error {
	p.Body, p.Parameters = st.Body, st.Parameters
	before := st.Status
	st.Pending = &p
	s.stateLocked(st, p.Verb+inProgress, userInitiated)
	if err := s.keepLocked(st)(); err != nil {
		st.Status, st.Pending = before, nil
		return fmt.Errorf("keeping stack %s: %w", st.Name, err)
	}
	return s.runLocked(st, nil)
}

// runLocked does what is pending, beside the caller. What was made of it
// before the engine was started again is given by its physical ids.
func (s *Service) runLocked(st *stack, made map[string]string) error {
	p := st.Pending
	run := &operation{Service: s, stack: st, definition: p.Definition, verb: p.Verb, by: p.By, onFailure: p.OnFailure, before: st.deployment}
	run.definition.Kept = made
	return s.beginLocked(func() {
		if p.Verb == "DELETE" {
			run.next, run.before = run.before, nil
			run.delete(p.Retain)
			return
		}
		run.execute()
	})
}

// Resume makes what the kept stacks have, and goes on with what was being done
// to them: from its beginning, where what is made already is taken over. A
// stack of the name of the engine's own gives way to it. What cannot be made
// again is told to the log, and made with the next change of its stack.
func (s *Service) Resume() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	own := slices.IndexFunc(s.stacks, func(st *stack) bool { return st.own })
	for _, st := range slices.Clone(s.stacks) {
		switch {
		case st.own || !st.live() || st.Status == reviewing:
			continue
		case own >= 0 && st.Name == s.stacks[own].Name:
			if err := s.opts.Store.Table(stackTable).Delete(st.key()); err != nil {
				return fmt.Errorf("forgetting stack %s: %w", st.Name, err)
			}
			s.stacks = slices.DeleteFunc(s.stacks, func(other *stack) bool { return other == st })
			continue
		}
		made := st.physicalIDs()
		s.remakeLocked(st, made)
		if st.Pending == nil {
			continue
		}
		if err := s.runLocked(st, made); err != nil {
			return fmt.Errorf("going on with stack %s: %w", st.Name, err)
		}
	}
	return nil
}

// remakeLocked makes what a stack had before what is pending.
func (s *Service) remakeLocked(st *stack, made map[string]string) {
	d := Definition{StackName: st.Name, StackID: st.ID, Body: st.Body, Parameters: st.Parameters, Kept: made}
	if st.Pending != nil {
		d.Body, d.Parameters = st.Pending.Body, st.Pending.Parameters
	}
	if d.Body == nil {
		return // it never had anything
	}
	warn := func(what string, err error) {
		s.opts.Logger.Warn("making a kept stack again", "stack", st.Name, "resource", what, "error", err)
	}
	deployment, err := s.opts.Provider.Deployment(d, nil)
	if err != nil {
		warn("", err)
		return
	}
	st.deployment = deployment
	for _, r := range deployment.Resources() {
		if err := deployment.Make(r.LogicalID); err != nil {
			warn(r.LogicalID, err)
		}
	}
	if err := deployment.Finish(); err != nil {
		warn("", err)
	}
	st.told, _ = deployment.Parameters() // the template was read above
	st.outputs, _ = deployment.Outputs() // without those of what could not be made
}
