package cloudformation

import (
	"fmt"
	"slices"

	"github.com/rekey-go/rekey/internal/local/wire"
)

// An operation makes a stack what a definition says.
type operation struct {
	*Service
	stack      *stack
	definition Definition
	verb       string         // CREATE, UPDATE or IMPORT
	by         wire.Principal // with whose rights
	onFailure  string         // of a creation; empty goes back
	before     Deployment
	next       Deployment
	made       []Resource // what the operation made or changed, in order
	fresh      map[string]bool
	replaced   []Resource
}

// execute goes through the resources, and back where one fails.
func (o *operation) execute() {
	o.fresh = make(map[string]bool)
	reason := o.apply()
	switch {
	case reason == "":
		o.take()
		o.cleanUp()
		o.state(o.stack, o.verb+complete, "")
	case o.onFailure == onFailureNothing && o.next != nil:
		o.take()
		o.state(o.stack, o.verb+failed, reason)
	case o.onFailure == onFailureDelete:
		o.state(o.stack, "DELETE"+inProgress, reason)
		o.delete(nil)
	default:
		o.rollBack(reason)
	}
}

// take makes the stack what the operation made.
func (o *operation) take() {
	o.mu.Lock()
	defer o.mu.Unlock()
	st := o.stack
	st.Body, st.deployment = o.definition.Body, o.next
	st.Parameters = o.definition.Parameters
	st.told, _ = o.next.Parameters() // the template was read before
	st.outputs, _ = o.next.Outputs() // they were evaluated before, or something they refer to is not there
}

// apply makes what differs. The reason says what failed, and is empty where
// nothing did.
func (o *operation) apply() (reason string) {
	var err error
	if o.next, err = o.opts.Provider.Deployment(o.definition, o.before); err != nil {
		return err.Error()
	}
	for _, r := range o.next.Resources() {
		if err := o.applyOne(r); err != nil {
			return fmt.Sprintf("The following resource(s) failed: [%s].", r.LogicalID)
		}
	}
	if err := o.next.Finish(); err != nil {
		return err.Error()
	}
	if _, err := o.next.Outputs(); err != nil {
		return err.Error()
	}
	return ""
}

func (o *operation) applyOne(r Resource) error {
	verb := "CREATE"
	_, imported := o.definition.Imports[r.LogicalID]
	known := o.known(r)
	switch {
	case imported:
		verb = "IMPORT"
	case known && equal(o.next.Properties(r.LogicalID), o.before.Made(r.LogicalID)):
		return nil
	case known:
		verb = "UPDATE"
	}
	o.fresh[r.LogicalID] = !known && !imported
	o.told(o.stack, r, verb+inProgress, "", o.next.PhysicalID(r.LogicalID))
	o.made = append(o.made, r)
	if err := o.permitted(verb, r, o.next, o.next.Make); err != nil {
		o.told(o.stack, r, verb+failed, err.Error(), "")
		return err
	}
	id := o.next.PhysicalID(r.LogicalID)
	if known && o.before.PhysicalID(r.LogicalID) != id {
		o.replaced = append(o.replaced, r)
	}
	o.told(o.stack, r, verb+complete, r.Note, id)
	return nil
}

// permitted does something to a resource if it may be done. What is imported is
// not changed.
func (o *operation) permitted(verb string, r Resource, of Deployment, do func(id string) error) error {
	if verb != "IMPORT" {
		if err := o.opts.Provider.Permit(o.by, verb, r, of); err != nil {
			return err
		}
	}
	return do(r.LogicalID)
}

// known reports whether the stack has the resource, of this type.
func (o *operation) known(r Resource) bool {
	return o.before != nil && slices.ContainsFunc(o.before.Resources(), func(other Resource) bool {
		return other.LogicalID == r.LogicalID && other.Type == r.Type
	})
}

func equal(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for name, text := range a {
		if other, ok := b[name]; !ok || other != text {
			return false
		}
	}
	return true
}

// cleanUp removes what is not in the template any more, and what was replaced.
func (o *operation) cleanUp() {
	if o.before == nil {
		return
	}
	defer o.before.Discard()
	var gone []Resource
	for _, r := range o.before.Resources() {
		if !slices.ContainsFunc(o.next.Resources(), func(other Resource) bool { return other.LogicalID == r.LogicalID }) {
			gone = append(gone, r)
		}
	}
	if len(gone)+len(o.replaced) > 0 {
		o.state(o.stack, cleaning, "")
	}
	for _, r := range slices.Backward(o.replaced) {
		if retained(r.UpdateReplacePolicy) {
			continue
		}
		if err := o.permitted("DELETE", r, o.before, o.before.Remove); err != nil {
			o.opts.Logger.Warn("removing what was replaced", "resource", r.LogicalID, "error", err)
		}
	}
	for _, r := range slices.Backward(gone) {
		o.removeOne(o.before, r)
		o.mu.Lock()
		o.stack.drop(r.LogicalID)
		o.mu.Unlock()
	}
}

// removeOne removes a resource as its policy says.
func (o *operation) removeOne(from Deployment, r Resource) bool {
	exceptNow := r.DeletionPolicy == "RetainExceptOnCreate" && o.fresh[r.LogicalID]
	if retained(r.DeletionPolicy) && !exceptNow {
		o.told(o.stack, r, "DELETE_SKIPPED", "", "")
		return true
	}
	o.told(o.stack, r, "DELETE"+inProgress, "", "")
	if err := o.permitted("DELETE", r, from, from.Remove); err != nil {
		o.told(o.stack, r, "DELETE"+failed, err.Error(), "")
		return false
	}
	o.told(o.stack, r, deleted, "", "")
	return true
}

// rollBack takes everything back.
func (o *operation) rollBack(reason string) {
	status, done := "ROLLBACK"+inProgress, rolledBack
	if o.verb != "CREATE" {
		status, done = o.verb+"_"+status, o.verb+"_"+done
	}
	o.state(o.stack, status, reason)
	ok := true
	for _, r := range slices.Backward(o.made) {
		if o.fresh[r.LogicalID] {
			ok = o.removeOne(o.next, r) && ok
			continue
		}
		ok = o.restore(r) && ok
	}
	if o.next != nil {
		o.next.Discard()
	}
	if o.before != nil {
		if err := o.before.Finish(); err != nil {
			o.opts.Logger.Warn("finishing a rollback", "stack", o.stack.Name, "error", err)
		}
	}
	if !ok {
		done = status[:len(status)-len(inProgress)] + failed
	}
	o.state(o.stack, done, reason)
}

// has reports whether something was ever told of a resource.
func (o *operation) has(id string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.stack.Resources[id] != nil
}

// restore makes a resource what it was. One that was imported stays as it is.
func (o *operation) restore(r Resource) bool {
	if !o.known(r) {
		return true
	}
	o.told(o.stack, r, "UPDATE"+inProgress, "", "")
	if err := o.before.Restore(r.LogicalID, o.next); err != nil {
		o.told(o.stack, r, "UPDATE"+failed, err.Error(), "")
		return false
	}
	o.told(o.stack, r, "UPDATE"+complete, "", o.before.PhysicalID(r.LogicalID))
	return true
}

func (s *Service) deleteStack(by wire.Principal, f form) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.findLocked(f["StackName"])
	switch {
	case err != nil || !st.live():
		return struct{}{}, nil // as AWS does
	case st.busy():
		return nil, invalid("Stack [%s] cannot be deleted while in status %s", st.Name, st.Status)
	}
	if by, err = s.actorLocked(by, st, f["RoleARN"]); err != nil {
		return nil, err
	}
	st.Token = f["ClientRequestToken"]
	return struct{}{}, s.startLocked(st, pending{Verb: "DELETE", Retain: f.texts("RetainResources"), Capabilities: st.Capabilities, Tags: st.Tags, By: by})
}

// delete removes everything, the last that was made first. What was removed
// before, by a deletion that failed, is removed already; what a creation that
// failed did not come to was never there.
func (o *operation) delete(retain []string) {
	var left []string
	if o.next != nil {
		for _, r := range slices.Backward(o.next.Resources()) {
			if !o.has(r.LogicalID) {
				continue
			}
			if slices.Contains(retain, r.LogicalID) {
				r.DeletionPolicy = "Retain"
			}
			if !o.removeOne(o.next, r) {
				left = append(left, r.LogicalID)
			}
		}
	}
	if len(left) > 0 {
		o.state(o.stack, "DELETE"+failed, fmt.Sprintf("The following resource(s) failed to delete: %v.", left))
		return
	}
	if o.next != nil {
		o.next.Discard()
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.stack.DeletedAt = o.opts.Now()
	o.stateLocked(o.stack, deleted, "")
	o.stack.deployment = nil
}
