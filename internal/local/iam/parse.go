package iam

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A ParseError says what is wrong with a policy document, and where.
type ParseError struct {
	Line, Column int
	Message      string
	// Principal says that a principal is named that is none.
	Principal bool
}

// Error gives the message; the place is for whoever knows the file.
func (e *ParseError) Error() string { return e.Message }

func faultAt(at *yaml.Node, format string, args ...any) *ParseError {
	return &ParseError{Line: at.Line, Column: at.Column, Message: fmt.Sprintf(format, args...)}
}

// Parse reads a policy of a role or user, which names no principals. The error
// is a [*ParseError].
func Parse(document *yaml.Node) (*Policy, error) { return parse(document, false) }

// ParseResource reads a policy of a resource, whose statements name their
// principals. The error is a [*ParseError].
func ParseResource(document *yaml.Node) (*Policy, error) { return parse(document, true) }

func parse(document *yaml.Node, ofResource bool) (*Policy, error) {
	members, err := mapping(document, "a policy", "Version", "Id", "Statement")
	if err != nil {
		return nil, err
	}
	version := "2008-10-17" // IAM's default
	if node := members["Version"]; node != nil {
		if version = node.Value; version != "2012-10-17" && version != "2008-10-17" {
			return nil, faultAt(node, "the policy has the version %q, which is neither 2012-10-17 nor 2008-10-17", version)
		}
	}
	list := members["Statement"]
	if list == nil {
		return nil, faultAt(document, "the policy has no Statement")
	}
	nodes := []*yaml.Node{list}
	if list.Kind == yaml.SequenceNode {
		nodes = list.Content
	}
	p := new(Policy)
	for _, node := range nodes {
		r := reader{ofResource: ofResource, variables: version == "2012-10-17"}
		if err := r.read(node); err != nil {
			return nil, err
		}
		p.Statements = append(p.Statements, &r.statement)
	}
	return p, nil
}

// A reader reads one statement.
type reader struct {
	ofResource, variables bool
	statement             Statement
}

func (r *reader) read(node *yaml.Node) error {
	members, err := mapping(node, "a statement", "Sid", "Effect", "Principal", "NotPrincipal",
		"Action", "NotAction", "Resource", "NotResource", "Condition")
	if err != nil {
		return err
	}
	r.statement.Line = node.Line
	if sid := members["Sid"]; sid != nil {
		r.statement.Sid = sid.Value
	}
	for _, read := range []func(*yaml.Node, map[string]*yaml.Node) error{r.effect, r.principals, r.actions, r.resources, r.conditions} {
		if err := read(node, members); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) effect(at *yaml.Node, members map[string]*yaml.Node) error {
	node := members["Effect"]
	switch {
	case node == nil:
		return faultAt(at, "the statement has no Effect")
	case node.Value != "Allow" && node.Value != "Deny":
		return faultAt(node, "the Effect %q is neither Allow nor Deny", node.Value)
	}
	r.statement.Deny = node.Value == "Deny"
	return nil
}

// either reads one of two members that exclude each other.
func either(at *yaml.Node, members map[string]*yaml.Node, name string) (values []*yaml.Node, not bool, err error) {
	node, negated := members[name], members["Not"+name]
	switch {
	case node != nil && negated != nil:
		return nil, false, faultAt(negated, "the statement has both %s and Not%s", name, name)
	case node == nil && negated == nil:
		return nil, false, nil
	case node == nil:
		node, not = negated, true
	}
	values, err = texts(node, name)
	if err == nil && len(values) == 0 {
		err = faultAt(at, "the list of the statement's %s is empty", name)
	}
	return values, not, err
}

func (r *reader) actions(at *yaml.Node, members map[string]*yaml.Node) error {
	values, not, err := either(at, members, "Action")
	switch {
	case err != nil:
		return err
	case values == nil:
		return faultAt(at, "the statement has no Action")
	}
	r.statement.notAction = not
	for _, v := range values {
		if service, name, ok := strings.Cut(v.Value, ":"); v.Value != "*" && (!ok || service == "" || name == "") {
			return faultAt(v, "%q is no action such as secretsmanager:GetSecretValue", v.Value)
		}
		r.statement.Actions = append(r.statement.Actions, v.Value)
		r.statement.actions = append(r.statement.actions, glob{text: strings.ToLower(v.Value)})
	}
	return nil
}

func (r *reader) resources(at *yaml.Node, members map[string]*yaml.Node) error {
	values, not, err := either(at, members, "Resource")
	switch {
	case err != nil:
		return err
	case values == nil && !r.assumes():
		return faultAt(at, "the statement has no Resource")
	case values == nil:
		values = []*yaml.Node{{Value: "*"}}
	}
	r.statement.notTarget = not
	for _, v := range values {
		if v.Value != "*" && !strings.HasPrefix(v.Value, "arn:") && !strings.HasPrefix(v.Value, "${") && !strings.HasPrefix(v.Value, "*:") {
			return faultAt(v, "%q is no resource: write an ARN, with wildcards where it helps, or *", v.Value)
		}
		p, err := compilePattern(v.Value, r.variables)
		if err != nil {
			return faultAt(v, "%q: %v", v.Value, err)
		}
		r.statement.Resources = append(r.statement.Resources, v.Value)
		r.statement.resources = append(r.statement.resources, p)
	}
	return nil
}

// assumes reports whether a statement is of a role's trust policy, which is
// about that role alone and names no resource.
func (r *reader) assumes() bool {
	return r.ofResource && !slices.ContainsFunc(r.statement.Actions, func(action string) bool {
		return !strings.HasPrefix(strings.ToLower(action), "sts:")
	})
}

func (r *reader) principals(at *yaml.Node, members map[string]*yaml.Node) error {
	node, except := members["Principal"], false
	if other := members["NotPrincipal"]; other != nil {
		if node != nil {
			return faultAt(other, "the statement has both Principal and NotPrincipal")
		}
		node, except = other, true
	}
	switch {
	case node == nil && r.ofResource:
		return faultAt(at, "the statement of a resource's policy has no Principal")
	case node == nil:
		return nil
	case !r.ofResource:
		return faultAt(node, "the statement of a role's policy has a Principal: it is about whoever has the role")
	}
	r.statement.who = &principals{except: except}
	if node.Kind == yaml.ScalarNode {
		if node.Value != "*" {
			return faultAt(node, "the principal %q says not of which kind it is: write {AWS: ...} or {Service: ...}", node.Value)
		}
		r.statement.who.everyone = true
		return nil
	}
	return r.kinds(node)
}

// kinds reads the principals by their kinds.
func (r *reader) kinds(node *yaml.Node) error {
	for kind, value := range members(node) {
		names, err := texts(value, "Principal")
		if err != nil {
			return err
		}
		for _, name := range names {
			if err := r.statement.who.add(kind.Value, name.Value); err != nil {
				fault := faultAt(name, "%v", err)
				fault.Principal = true
				return fault
			}
		}
	}
	return nil
}

func (r *reader) conditions(_ *yaml.Node, all map[string]*yaml.Node) error {
	node := all["Condition"]
	if node == nil {
		return nil
	}
	if node.Kind != yaml.MappingNode {
		return faultAt(node, "the Condition is no mapping of operators")
	}
	for operator, keys := range members(node) {
		if keys.Kind != yaml.MappingNode {
			return faultAt(keys, "%s is no mapping of condition keys", operator.Value)
		}
		for key, value := range members(keys) {
			nodes, err := texts(value, key.Value)
			if err != nil {
				return err
			}
			values := make([]string, len(nodes))
			for i, n := range nodes {
				values[i] = n.Value
			}
			c, err := compileCondition(operator.Value, key.Value, values, r.variables)
			if err != nil {
				return faultAt(key, "%v", err)
			}
			r.statement.conditions = append(r.statement.conditions, c)
		}
	}
	return nil
}
