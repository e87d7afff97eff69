package local

import (
	"errors"
	"slices"

	"github.com/rekey-go/rekey/internal/local/httpapi"
	"github.com/rekey-go/rekey/internal/local/lambda"
	"github.com/rekey-go/rekey/internal/local/template"
)

// A deployment is a template with its parameters, made on the engine: that of
// [Start], or a stack's. It is for one goroutine.
//
// What making a resource did, it notes how to undo, in two parts: the resource
// itself, which an update under the same name leaves in place, and what goes
// with it, such as the rules of a function, which an update makes anew.
type deployment struct {
	*Engine
	file string
	// prefix stands before names that the template leaves open, and before
	// those of rules, so that stacks do not meet.
	prefix string
	// strict refuses names that are taken, as CloudFormation does. Without it
	// they are of a state folder, and taken over.
	strict bool
	before *deployment // of the same stack; nil for the first
	plan   *template.Plan

	api        *apiServer // nil until the template has one
	routes     []ownedRoute
	functions  map[string]string             // :: logical id -> ARN
	layers     map[string][]lambda.Extension // :: ARN -> what the layer brings
	warnings   []string
	afterwards []func() error // what a resource does when all are there

	making string                     // the logical id of what is being made
	kept   map[string]string          // :: logical id -> Ref of what is there already and may be made again
	values map[string]template.Values // :: logical id -> properties as made
	whole  map[string][]func() error  // :: logical id -> how to remove it
	parts  map[string][]func() error  // :: logical id -> how to remove what goes with it
}

// An ownedRoute is a route of a function's.
type ownedRoute struct {
	owner string
	httpapi.Route
}

// newDeployment reads a template for its parameters.
func (e *Engine) newDeployment(file string, body []byte, in template.Inputs) (*deployment, error) {
	parsed, err := template.Parse(file, body)
	if err != nil {
		return nil, err
	}
	in.Region, in.Account = Region, Account
	plan, err := parsed.Plan(in)
	if err != nil {
		return nil, err
	}
	return &deployment{
		Engine: e, file: file, plan: plan, functions: map[string]string{}, layers: map[string][]lambda.Extension{}, kept: map[string]string{},
		values: map[string]template.Values{}, whole: map[string][]func() error{}, parts: map[string][]func() error{},
	}, nil
}

// provision makes every resource of the plan, each after those it refers to.
func (e *deployment) provision() error {
	for _, r := range e.plan.Resources() {
		if err := e.make(r); err != nil {
			return err
		}
	}
	return e.finish()
}

// make makes a resource, or changes the one that is there.
func (e *deployment) make(r template.Resource) error {
	e.values[r.ID] = e.plan.Values(r.ID)
	maker, ok := makers[r.Type]
	if about, silent := acceptedTypes[r.Type]; silent {
		maker, ok = func(e *deployment, r template.Resource) error { return e.accept(r, about) }, true
	}
	if !ok {
		e.warn(r.File, r.Line, r.Column, "the engine has no %s; %s is left out", r.Type, r.ID)
		return nil
	}
	if e.before != nil {
		delete(e.before.parts, r.ID) // they are this deployment's to remove
	}
	if err := e.removeParts(r.ID); err != nil {
		return err
	}
	e.making = r.ID
	delete(e.whole, r.ID)
	if err := maker(e, r); err != nil {
		delete(e.values, r.ID) // it is not as the template has it
		return err
	}
	if ref, _, ok := e.plan.Made(r.ID); ok {
		e.kept[r.ID] = ref
	}
	return nil
}

// finish does what has to wait for all resources.
func (e *deployment) finish() error {
	waiting := e.afterwards
	e.afterwards = nil
	for _, fn := range waiting {
		if err := fn(); err != nil {
			return err
		}
	}
	if e.api != nil {
		e.api.route(e.Engine, e.routes)
	}
	return nil
}

// undo notes how to remove the resource that is being made.
func (e *deployment) undo(fn func() error) { e.whole[e.making] = append(e.whole[e.making], fn) }

// undoPart notes how to remove something that goes with the resource.
func (e *deployment) undoPart(id string, fn func() error) { e.parts[id] = append(e.parts[id], fn) }

// remove removes a resource, the last of what making it did first. One that
// could not be removed can be tried again.
func (e *deployment) remove(id string) error {
	if err := errors.Join(e.removeParts(id), backwards(e.whole[id])); err != nil {
		return err
	}
	delete(e.whole, id)
	delete(e.functions, id)
	return nil
}

func (e *deployment) removeParts(id string) error {
	err := backwards(e.parts[id])
	delete(e.parts, id)
	e.routes = slices.DeleteFunc(e.routes, func(r ownedRoute) bool { return r.owner == id })
	e.access.ledger.forget(e.file, id)
	return err
}

func backwards(undo []func() error) error {
	var errs []error
	for _, fn := range slices.Backward(undo) {
		errs = append(errs, fn())
	}
	return errors.Join(errs...)
}

// nameFor is a name for what the template leaves open.
func (e *deployment) nameFor(id string) string { return e.prefix + id }

// follow makes the deployment the next of a stack: it starts with what both
// templates have.
func (e *deployment) follow(from *deployment) {
	e.before, e.prefix, e.file, e.api = from, from.prefix, from.file, from.api
	types := map[string]string{}
	for _, r := range from.plan.Resources() {
		types[r.ID] = r.Type
	}
	for _, r := range e.plan.Resources() {
		if types[r.ID] == r.Type {
			e.inherit(from, r.ID)
		}
	}
}

// inherit takes a resource over.
func (e *deployment) inherit(from *deployment, id string) {
	ref, attributes, ok := from.plan.Made(id)
	if !ok {
		return
	}
	e.plan.Set(id, ref, attributes)
	e.kept[id] = ref
	e.values[id] = from.values[id]
	if extensions, ok := from.layers[ref]; ok {
		e.layers[ref] = extensions
	}
	e.whole[id], e.parts[id] = slices.Clone(from.whole[id]), slices.Clone(from.parts[id])
	if arn, ok := from.functions[id]; ok {
		e.functions[id] = arn
	}
	for _, r := range from.routes {
		if r.owner == id {
			e.routes = append(e.routes, r)
		}
	}
}

// restore makes a resource what it was before a later deployment of the stack.
func (e *deployment) restore(id string, later *deployment) error {
	err := later.removeParts(id)
	now, _, _ := later.plan.Made(id)
	if then, _, _ := e.plan.Made(id); now != then {
		err = errors.Join(err, later.remove(id))
	}
	for _, r := range e.plan.Resources() {
		if r.ID == id {
			err = errors.Join(err, e.make(r))
		}
	}
	return err
}
