package template

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"sync"

	"go.yaml.in/yaml/v3"
)

// Inputs are what a template is evaluated with.
type Inputs struct {
	// Parameters by name; the template's defaults stand for those left out.
	Parameters map[string]string
	// Defaults stand for the template's own, where it has such a parameter.
	Defaults map[string]string
	// Region, Account and StackName are the pseudo parameters.
	Region, Account, StackName string
}

// A Resource is a resource of a plan.
type Resource struct {
	// ID is the logical id.
	ID string
	// Type is for example "AWS::Events::Rule".
	Type string
	// File, Line and Column say where it is defined.
	File         string
	Line, Column int
	// DeletionPolicy is what becomes of it when it is removed, and
	// UpdateReplacePolicy when it is replaced: Retain, or Delete if empty.
	DeletionPolicy, UpdateReplacePolicy string
}

// A Plan is a template with its parameters. It is for one goroutine, but for
// Reference, which any may call.
type Plan struct {
	template   *Template
	values     map[string]string // :: parameter or pseudo parameter -> value
	lists      map[string]bool   // :: parameter -> its value is a list
	resources  []Resource
	evaluating []string // conditions under way, to see a circle

	mu   sync.RWMutex
	made map[string]made // :: mu, logical id
}

// made is what a resource that was made answers to references.
type made struct {
	ref        string
	attributes map[string]string
}

// Plan evaluates parameters and conditions. Parameters that break a rule of the
// template are an error.
func (t *Template) Plan(in Inputs) (*Plan, error) {
	p := &Plan{
		template: t,
		values: map[string]string{
			"AWS::AccountId": in.Account, "AWS::Region": in.Region, "AWS::Partition": "aws",
			"AWS::StackName": in.StackName, "AWS::URLSuffix": "amazonaws.com",
			"AWS::StackId": fmt.Sprintf("arn:aws:cloudformation:%s:%s:stack/%s/local", in.Region, in.Account, in.StackName),
		},
		lists: map[string]bool{},
		made:  map[string]made{},
	}
	if err := p.setParameters(in.Parameters, in.Defaults); err != nil {
		return nil, err
	}
	if err := p.keepRules(); err != nil {
		return nil, err
	}
	return p, p.order()
}

// A Parameter is one that a template takes.
type Parameter struct {
	Name, Type, Description string
	// Default is nil where a value has to be given.
	Default *string
	// NoEcho says that the value is not to be shown.
	NoEcho bool
}

// Parameters are those that the template takes, in the order of the file.
func (t *Template) Parameters() ([]Parameter, error) {
	var all []Parameter
	for _, name := range t.parameters.names {
		var about parameter
		if err := t.parameters.nodes[name].Decode(&about); err != nil {
			return nil, t.yamlError(err)
		}
		all = append(all, Parameter{name, about.Type, about.Description, about.Default, about.NoEcho})
	}
	return all, nil
}

// parameter is what the template says of a parameter.
type parameter struct {
	Type                  string   `yaml:"Type"`
	Description           string   `yaml:"Description"`
	NoEcho                bool     `yaml:"NoEcho"`
	Default               *string  `yaml:"Default"`
	AllowedValues         []string `yaml:"AllowedValues"`
	AllowedPattern        string   `yaml:"AllowedPattern"`
	ConstraintDescription string   `yaml:"ConstraintDescription"`
}

func (p *Plan) setParameters(given, defaults map[string]string) error {
	t := p.template
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if !t.parameters.has(name) {
			at := &yaml.Node{Line: 1, Column: 1}
			return t.errorf(at, t.suggest(name, t.parameters.names), "the template has no parameter %q", name)
		}
	}
	for _, name := range t.parameters.names {
		node := t.parameters.nodes[name]
		var about parameter
		if err := node.Decode(&about); err != nil {
			return t.yamlError(err)
		}
		value, ok := given[name]
		if !ok {
			value, ok = defaults[name]
		}
		if !ok && about.Default == nil {
			return t.errorf(t.parameters.keys[name], "give it a value with --parameter "+name+"=VALUE", "parameter %q has no default and no value", name)
		}
		if !ok {
			value = *about.Default
		}
		if err := p.checkParameter(name, value, about); err != nil {
			return err
		}
		p.values[name] = value
		p.lists[name] = about.Type == "CommaDelimitedList" || len(about.Type) > 5 && about.Type[:5] == "List<"
	}
	return nil
}

func (p *Plan) checkParameter(name, value string, about parameter) error {
	at := p.template.parameters.keys[name]
	if len(about.AllowedValues) > 0 && !slices.Contains(about.AllowedValues, value) {
		return p.template.errorf(at, fmt.Sprintf("it may be one of %q", about.AllowedValues), "parameter %q cannot be %q", name, value)
	}
	if about.AllowedPattern == "" {
		return nil
	}
	pattern, err := regexp.Compile("^(?:" + about.AllowedPattern + ")$")
	if err != nil {
		return p.template.errorf(at, "mend AllowedPattern", "parameter %q has a pattern that is no regular expression", name)
	}
	if !pattern.MatchString(value) {
		hint := about.ConstraintDescription
		if hint == "" {
			hint = "it must match " + about.AllowedPattern
		}
		return p.template.errorf(at, hint, "parameter %q cannot be %q", name, value)
	}
	return nil
}

// order finds the resources whose conditions hold, each after those that it
// refers to.
func (p *Plan) order() error {
	active := map[string]bool{}
	for _, id := range p.template.resources.names {
		condition := child(p.template.resources.nodes[id], "Condition")
		holds := true
		if condition != nil {
			var err error
			if holds, err = p.condition(condition, condition.Value); err != nil {
				return err
			}
		}
		active[id] = holds
	}
	state := map[string]visit{}
	for _, id := range p.template.resources.names {
		if err := p.visit(id, active, state); err != nil {
			return err
		}
	}
	return nil
}

type visit int

const (
	unseen visit = iota
	open
	done
)

func (p *Plan) visit(id string, active map[string]bool, state map[string]visit) error {
	t := p.template
	switch {
	case !active[id] || state[id] == done:
		return nil
	case state[id] == open:
		return t.errorf(t.resources.keys[id], "break the circle, for example by a name made with Sub", "resource %q refers to itself through others", id)
	}
	state[id] = open
	needs, err := p.needs(id)
	if err != nil {
		return err
	}
	for _, need := range needs {
		if err := p.visit(need, active, state); err != nil {
			return err
		}
	}
	state[id] = done
	key := t.resources.keys[id]
	node := t.resources.nodes[id]
	p.resources = append(p.resources, Resource{
		ID: id, Type: textOf(child(node, "Type")), File: t.file, Line: key.Line, Column: key.Column,
		DeletionPolicy: textOf(child(node, "DeletionPolicy")), UpdateReplacePolicy: textOf(child(node, "UpdateReplacePolicy")),
	})
	return nil
}

// needs lists the resources that one refers to or depends on.
func (p *Plan) needs(id string) ([]string, error) {
	t := p.template
	node := t.resources.nodes[id]
	refs, err := t.references(p.properties(id))
	if err != nil {
		return nil, err
	}
	var needs []string
	for _, ref := range refs {
		if t.resources.has(ref.name) {
			needs = append(needs, ref.name)
		}
	}
	depends := child(node, "DependsOn")
	if depends == nil {
		return needs, nil
	}
	names := depends.Content
	if depends.Kind == yaml.ScalarNode {
		names = []*yaml.Node{depends}
	}
	for _, name := range names {
		if !t.resources.has(name.Value) {
			return nil, t.errorf(name, t.suggest(name.Value, t.resources.names), "there is no resource %q", name.Value)
		}
		needs = append(needs, name.Value)
	}
	return needs, nil
}

// properties are a resource's own, laid over those of Globals.
func (p *Plan) properties(id string) *yaml.Node {
	node := p.template.resources.nodes[id]
	own := child(node, "Properties")
	if child(node, "Type").Value == "AWS::Serverless::Function" {
		own = merge(p.template.globals, own)
	}
	if own == nil {
		own = &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: node.Line, Column: node.Column}
	}
	return own
}

// Resources are those whose conditions hold, each after those it refers to.
func (p *Plan) Resources() []Resource { return slices.Clone(p.resources) }

// Template is what the plan is of.
func (p *Plan) Template() *Template { return p.template }

// Parameter is the value of a parameter; empty where there is none.
func (p *Plan) Parameter(name string) string { return p.values[name] }

// Parameters are the values of all parameters.
func (p *Plan) Parameters() map[string]string {
	all := make(map[string]string)
	for _, name := range p.template.parameters.names {
		all[name] = p.values[name]
	}
	return all
}

// Set tells what Ref and GetAtt of a resource give from now on.
func (p *Plan) Set(id, ref string, attributes map[string]string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.made[id] = made{ref: ref, attributes: attributes}
}

// Made returns what Ref and GetAtt of a resource give, and whether it was made.
func (p *Plan) Made(id string) (ref string, attributes map[string]string, ok bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	m, ok := p.made[id]
	return m.ref, m.attributes, ok
}

// Reference is how a template writes a value that Ref or GetAtt of a resource
// gives: "!Ref Bus". It is empty where no resource has the value.
func (p *Plan) Reference(value string) string {
	p.mu.RLock()
	defer p.mu.RUnlock()
	for _, r := range p.resources {
		m := p.made[r.ID]
		if m.ref == value && value != "" {
			return "!Ref " + r.ID
		}
		for _, name := range slices.Sorted(maps.Keys(m.attributes)) {
			if m.attributes[name] == value {
				return "!GetAtt " + r.ID + "." + name
			}
		}
	}
	return ""
}

// Properties evaluates the properties of a resource and decodes them into a
// struct, by the rules of package yaml. Members that the struct does not have
// are ignored.
func (p *Plan) Properties(id string, into any) error {
	node, err := p.evaluate(p.properties(id))
	if err != nil {
		return err
	}
	if err := node.Decode(into); err != nil {
		return p.template.yamlError(err)
	}
	return nil
}

// Values are the properties of a resource as they were at one time.
type Values map[string]*yaml.Node

// Values evaluates the properties of a resource. One that refers to something
// that is not made yet is as the template has it.
func (p *Plan) Values(id string) Values {
	all := make(Values)
	for key, value := range pairs(p.properties(id)) {
		node, err := p.evaluate(value)
		switch {
		case err != nil:
			node = value
		case node == noValue:
			continue
		}
		all[key.Value] = node
	}
	return all
}

// Texts are the values each as YAML, by which two definitions of a resource can
// be compared.
func (v Values) Texts() map[string]string {
	all := make(map[string]string, len(v))
	for name, node := range v {
		all[name] = canonical(node)
	}
	return all
}

// canonical is a value as YAML that does not depend on how it was written:
// order, anchors, quotes, comments.
func canonical(node *yaml.Node) string {
	var value any
	if err := node.Decode(&value); err != nil {
		return err.Error()
	}
	text, err := yaml.Marshal(value)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// Outputs evaluates the template's outputs.
func (p *Plan) Outputs() (map[string]string, error) {
	all := make(map[string]string)
	for _, name := range p.template.outputs.names {
		node := p.template.outputs.nodes[name]
		value := child(node, "Value")
		if condition := child(node, "Condition"); condition != nil {
			if holds, err := p.condition(condition, condition.Value); err != nil || !holds {
				if err != nil {
					return nil, err
				}
				continue
			}
		}
		if value == nil {
			return nil, p.template.errorf(node, "add Value", "output %q has no Value", name)
		}
		text, err := p.evaluatedText(value)
		if err != nil {
			return nil, err
		}
		all[name] = text
	}
	return all, nil
}

// Errorf makes an error about a resource.
func (r Resource) Errorf(hint, format string, args ...any) *Error {
	return &Error{File: r.File, Line: r.Line, Column: r.Column, Message: fmt.Sprintf(format, args...), Hint: hint}
}
