package rotationtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/rekey-go/rekey/rotation"
)

// Interleave lets two processes run steps of one rotation at the same time, the
// same step or one and the next, in every order that their calls can come in.
// No step may fail that does not when it is alone, at every moment AWSCURRENT or
// AWSPENDING is accepted, and the end is a good one. It tells how many orders
// there are.
func Interleave(t *testing.T, m Model) (orders int) {
	t.Helper()
	for i := range steps {
		for j := i; j < min(i+2, len(steps)); j++ {
			for order := []int{}; order != nil && !t.Failed(); orders++ {
				order = interleave(t, m, i, j, order)
			}
		}
	}
	return orders
}

// interleave runs two steps in an order of calls, of which the first are given,
// and returns the first calls of the next order, or nil if it was the last.
func interleave(t *testing.T, m Model, i, j int, order []int) (next []int) {
	t.Helper()
	w, _ := (&explorer{model: m}).world([]action{{begin: true, token: "version-2"}})
	w.token = "version-2"
	before := w.process()
	for _, step := range steps[:i] {
		if err := before.step(context.Background(), step); err != nil {
			t.Fatal(err)
		}
	}
	s := &schedule{order: order}
	errs := s.run(w, steps[i], steps[j])
	where := fmt.Sprintf("%s beside %s, calls of the two in the order %v", steps[i], steps[j], s.took)
	if errs[0] != nil {
		t.Errorf("%s: %v", where, errs[0])
	}
	if i == j && errs[1] != nil {
		t.Errorf("%s: %v", where, errs[1])
	}
	if s.broken != nil {
		t.Errorf("%s: %v", where, s.broken)
	}
	if err := w.check(); err != nil {
		t.Errorf("%s: %v", where, err)
	}
	return s.next()
}

// A schedule decides whose call comes next.
type schedule struct {
	order   []int // whose the first calls are
	took    []int // whose they were
	choices []int // how many could have been next
	broken  error // the first rule that did not hold
}

// run runs two steps, one call at a time.
func (s *schedule) run(w *world, a, b rotation.Step) (errs [2]error) {
	var waits, turns [2]chan struct{}
	done := [2]chan error{make(chan error, 1), make(chan error, 1)}
	live := []int{0, 1}
	for i, step := range []rotation.Step{a, b} {
		waits[i], turns[i] = make(chan struct{}), make(chan struct{})
		p := w.process()
		p.gate = func(call func() error) error {
			waits[i] <- struct{}{}
			<-turns[i]
			return call()
		}
		go func() { done[i] <- p.step(context.Background(), step) }()
	}
	waiting := [2]bool{}
	for len(live) > 0 {
		still := live[:0:0]
		for _, i := range live { // each comes to its next call, or to its end
			if waiting[i] {
				still = append(still, i)
				continue
			}
			select {
			case <-waits[i]:
				waiting[i], still = true, append(still, i)
			case errs[i] = <-done[i]:
			}
		}
		s.look(w)
		if live = still; len(live) > 0 {
			i := s.pick(live)
			waiting[i] = false
			turns[i] <- struct{}{}
		}
	}
	return errs
}

// look checks what holds at every moment.
func (s *schedule) look(w *world) {
	ctx := context.Background()
	current, pending := w.accepted(ctx, rotation.LabelCurrent), w.accepted(ctx, rotation.LabelPending)
	if current != nil && pending != nil && s.broken == nil {
		s.broken = fmt.Errorf("neither is accepted: %w", errors.Join(current, pending))
	}
}

// pick says whose call comes next: as the order says, and then the first's.
func (s *schedule) pick(live []int) int {
	n := len(s.took)
	choice := 0
	if n < len(s.order) {
		choice = s.order[n]
	}
	s.took, s.choices = append(s.took, choice), append(s.choices, len(live))
	return live[choice]
}

// next is the order after this one, in the order of an odometer.
func (s *schedule) next() []int {
	for n, choice := range slices.Backward(s.took) {
		if choice+1 < s.choices[n] {
			return append(slices.Clone(s.took[:n]), choice+1)
		}
	}
	return nil
}
