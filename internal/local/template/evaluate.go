package template

import (
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// noValue stands where AWS::NoValue was: the entry is left out.
//
//nolint:gochecknoglobals // a sentinel that is compared by its address.
var noValue = &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null"}

// evaluate returns a part of the template with every intrinsic function
// replaced by what it gives.
func (p *Plan) evaluate(node *yaml.Node) (*yaml.Node, error) {
	node = follow(node)
	if name, arg, ok := function(node); ok {
		return p.call(node, name, arg)
	}
	if node.Kind == yaml.ScalarNode {
		return node, nil
	}
	out := *node
	out.Content = nil
	for i := 0; i < len(node.Content); i++ {
		if node.Kind == yaml.MappingNode && i%2 == 0 {
			continue // a key; it goes in with its value
		}
		value, err := p.evaluate(node.Content[i])
		if err != nil {
			return nil, err
		}
		if value == noValue {
			continue
		}
		if node.Kind == yaml.MappingNode {
			out.Content = append(out.Content, node.Content[i-1])
		}
		out.Content = append(out.Content, value)
	}
	return &out, nil
}

// call evaluates one function.
func (p *Plan) call(at *yaml.Node, name string, arg *yaml.Node) (*yaml.Node, error) {
	switch name {
	case "Ref":
		if arg.Value == "AWS::NoValue" {
			return noValue, nil
		}
		return p.ref(at, arg.Value)
	case "Fn::GetAtt":
		id, attribute, err := p.template.getAtt(arg)
		if err != nil {
			return nil, err
		}
		return p.attribute(at, id, attribute)
	case "Fn::Sub":
		return p.sub(arg)
	case "Fn::If":
		return p.ifElse(arg)
	case "Fn::Join":
		return p.join(arg)
	case "Fn::Split":
		return p.split(arg)
	case "Fn::Select":
		return p.choose(arg)
	case "Fn::FindInMap":
		return p.findInMap(arg)
	default: // Condition, Equals, And, Or, Not
		holds, err := p.holds(at)
		return scalar(at, strconv.FormatBool(holds)), err
	}
}

// ref gives the value of a parameter or what Ref of a resource stands for.
func (p *Plan) ref(at *yaml.Node, name string) (*yaml.Node, error) {
	if value, ok := p.values[name]; ok {
		if p.lists[name] {
			return sequence(at, splitList(value)), nil
		}
		return scalar(at, value), nil
	}
	made, _, ok := p.Made(name)
	if !ok {
		return nil, p.notMade(at, name)
	}
	return scalar(at, made), nil
}

func (p *Plan) attribute(at *yaml.Node, id, attribute string) (*yaml.Node, error) {
	_, attributes, ok := p.Made(id)
	if !ok {
		return nil, p.notMade(at, id)
	}
	value, ok := attributes[attribute]
	if !ok {
		return nil, p.template.errorf(at, "look the resource type's return values up in the CloudFormation reference",
			"resource %q has no attribute %q on the engine", id, attribute)
	}
	return scalar(at, value), nil
}

// notMade explains a reference to a resource that is not there.
func (p *Plan) notMade(at *yaml.Node, id string) error {
	if node := p.template.resources.nodes[id]; node != nil && child(node, "Condition") != nil {
		return p.template.errorf(at, "put the reference in an If on the same condition", "resource %q is left out by its condition", id)
	}
	return p.template.errorf(at, "this reference works on AWS only", "resource %q has no counterpart on the engine", id)
}

func (p *Plan) sub(arg *yaml.Node) (*yaml.Node, error) {
	text, variables := arg, (*yaml.Node)(nil)
	if arg.Kind == yaml.SequenceNode {
		text, variables = follow(arg.Content[0]), follow(arg.Content[1])
	}
	var b strings.Builder
	from := 0
	for name, at := range placeholders(text.Value) {
		value, err := p.variable(text, name, variables)
		if err != nil {
			return nil, err
		}
		b.WriteString(text.Value[from:at[0]])
		b.WriteString(value)
		from = at[1]
	}
	b.WriteString(text.Value[from:])
	return scalar(text, strings.ReplaceAll(b.String(), "${!", "${")), nil
}

// variable is the value of ${name} in a Sub.
func (p *Plan) variable(at *yaml.Node, name string, variables *yaml.Node) (string, error) {
	value := child(variables, name)
	var err error
	switch id, attribute, dotted := strings.Cut(name, "."); {
	case value != nil:
		value, err = p.evaluate(value)
	case dotted:
		value, err = p.attribute(at, id, attribute)
	default:
		value, err = p.ref(at, name)
	}
	if err != nil {
		return "", err
	}
	return p.text(value)
}

func (p *Plan) ifElse(arg *yaml.Node) (*yaml.Node, error) {
	if err := p.arguments(arg, "If", 3); err != nil {
		return nil, err
	}
	holds, err := p.condition(arg.Content[0], follow(arg.Content[0]).Value)
	if err != nil {
		return nil, err
	}
	if holds {
		return p.evaluate(arg.Content[1])
	}
	return p.evaluate(arg.Content[2])
}

func (p *Plan) join(arg *yaml.Node) (*yaml.Node, error) {
	if err := p.arguments(arg, "Join", 2); err != nil {
		return nil, err
	}
	items, err := p.texts(arg.Content[1])
	return scalar(arg, strings.Join(items, follow(arg.Content[0]).Value)), err
}

func (p *Plan) split(arg *yaml.Node) (*yaml.Node, error) {
	if err := p.arguments(arg, "Split", 2); err != nil {
		return nil, err
	}
	whole, err := p.evaluatedText(arg.Content[1])
	return sequence(arg, strings.Split(whole, follow(arg.Content[0]).Value)), err
}

func (p *Plan) choose(arg *yaml.Node) (*yaml.Node, error) {
	if err := p.arguments(arg, "Select", 2); err != nil {
		return nil, err
	}
	number, err := p.evaluatedText(arg.Content[0])
	if err != nil {
		return nil, err
	}
	list, err := p.evaluate(arg.Content[1])
	if err != nil {
		return nil, err
	}
	i, err := strconv.Atoi(number)
	if err != nil || list.Kind != yaml.SequenceNode || i < 0 || i >= len(list.Content) {
		return nil, p.template.errorf(arg, "the first item has the number 0", "Select has no item number %s", number)
	}
	return list.Content[i], nil
}

func (p *Plan) findInMap(arg *yaml.Node) (*yaml.Node, error) {
	if err := p.arguments(arg, "FindInMap", 3); err != nil {
		return nil, err
	}
	keys, err := p.texts(arg)
	if err != nil {
		return nil, err
	}
	node := p.template.mappings.nodes[keys[0]]
	for i, key := range keys[1:] {
		if node != nil {
			node = child(node, key)
		}
		if node == nil {
			return nil, p.template.errorf(arg.Content[i+1], "look at the section Mappings", "mapping %s has no entry %s", keys[0], strings.Join(keys[1:], "."))
		}
	}
	return node, nil
}

// condition evaluates a condition by its name.
func (p *Plan) condition(at *yaml.Node, name string) (bool, error) {
	node := p.template.conditions.nodes[name]
	if node == nil {
		return false, p.template.errorf(at, p.template.suggest(name, p.template.conditions.names), "there is no condition %q", name)
	}
	if slices.Contains(p.evaluating, name) {
		return false, p.template.errorf(at, "break the circle", "condition %q refers to itself", name)
	}
	p.evaluating = append(p.evaluating, name)
	defer func() { p.evaluating = p.evaluating[:len(p.evaluating)-1] }()
	return p.holds(node)
}

// holds evaluates a condition function.
func (p *Plan) holds(node *yaml.Node) (bool, error) {
	node = follow(node)
	name, arg, ok := function(node)
	if !ok && node.Kind == yaml.MappingNode && len(node.Content) == 2 && node.Content[0].Value == "Condition" {
		name, arg, ok = "Condition", follow(node.Content[1]), true
	}
	switch {
	case ok && name == "Condition":
		return p.condition(arg, arg.Value)
	case ok && name == "Fn::Equals":
		if err := p.arguments(arg, "Equals", 2); err != nil {
			return false, err
		}
		sides, err := p.texts(arg)
		return err == nil && sides[0] == sides[1], err
	case ok && name == "Fn::Not":
		if err := p.arguments(arg, "Not", 1); err != nil {
			return false, err
		}
		holds, err := p.holds(arg.Content[0])
		return !holds, err
	case ok && (name == "Fn::And" || name == "Fn::Or"):
		return p.all(arg, name == "Fn::And")
	case ok && (name == "Fn::Contains" || name == "Fn::EachMemberEquals" || name == "Fn::EachMemberIn"):
		return p.members(name, arg)
	default:
		return false, p.template.errorf(node, "use Equals, And, Or, Not or Condition", "not a condition")
	}
}

// all evaluates And (every is true) and Or.
func (p *Plan) all(arg *yaml.Node, every bool) (bool, error) {
	for _, node := range arg.Content {
		holds, err := p.holds(node)
		if err != nil || holds != every {
			return holds, err
		}
	}
	return every, nil
}

// arguments checks the number of a function's arguments.
func (p *Plan) arguments(arg *yaml.Node, name string, n int) error {
	if arg.Kind == yaml.SequenceNode && len(arg.Content) == n {
		return nil
	}
	return p.template.errorf(arg, "look the function up in the CloudFormation reference", "%s takes a list of %d", name, n)
}

// texts evaluates a list of strings.
func (p *Plan) texts(node *yaml.Node) ([]string, error) {
	list, err := p.evaluate(node)
	if err != nil {
		return nil, err
	}
	if list.Kind != yaml.SequenceNode {
		return nil, p.template.errorf(node, "give it a list of strings", "not a list")
	}
	all := make([]string, 0, len(list.Content))
	for _, item := range list.Content {
		text, err := p.text(item)
		if err != nil {
			return nil, err
		}
		all = append(all, text)
	}
	return all, nil
}

func (p *Plan) evaluatedText(node *yaml.Node) (string, error) {
	value, err := p.evaluate(node)
	if err != nil {
		return "", err
	}
	return p.text(value)
}

func (p *Plan) text(node *yaml.Node) (string, error) {
	switch node.Kind {
	case yaml.ScalarNode:
		return node.Value, nil
	case yaml.SequenceNode: // a list parameter in a Sub
		items, err := p.texts(node)
		return strings.Join(items, ","), err
	default:
		return "", p.template.errorf(node, "a string is wanted here", "not a string")
	}
}

func splitList(text string) []string {
	if text == "" {
		return nil
	}
	items := strings.Split(text, ",")
	for i := range items {
		items[i] = strings.TrimSpace(items[i])
	}
	return items
}
