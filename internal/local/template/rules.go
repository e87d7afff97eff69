package template

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// ruleFunctions are those that CloudFormation takes in the section Rules. What
// Conditions have beside these, such as Join, it refuses there.
//
//nolint:gochecknoglobals // a constant table.
var ruleFunctions = []string{
	"Ref", "Fn::Equals", "Fn::And", "Fn::Or", "Fn::Not", "Fn::Contains", "Fn::EachMemberEquals", "Fn::EachMemberIn",
}

// accountFunctions are those of rules that ask for the account's networks and
// key pairs, which the engine has none of: a rule with one is not looked at.
//
//nolint:gochecknoglobals // a constant table.
var accountFunctions = []string{"Fn::RefAll", "Fn::ValueOf", "Fn::ValueOfAll"}

// checkRules finds what is wrong with the form of the rules.
func (t *Template) checkRules() error {
	for _, name := range t.rules.names {
		node := t.rules.nodes[name]
		assertions := child(node, "Assertions")
		if assertions == nil || assertions.Kind != yaml.SequenceNode || len(assertions.Content) == 0 {
			return t.errorf(t.rules.keys[name], "add Assertions, a list of Assert and AssertDescription", "rule %q asserts nothing", name)
		}
		parts := []*yaml.Node{child(node, "RuleCondition")}
		for _, one := range assertions.Content {
			assert := child(one, "Assert")
			if assert == nil {
				return t.errorf(one, "add Assert", "rule %q has an assertion without Assert", name)
			}
			parts = append(parts, assert)
		}
		for _, part := range parts {
			if err := t.checkRulePart(part); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkRulePart finds functions that rules do not have, and references to what
// is no parameter. A missing part is as it should be.
func (t *Template) checkRulePart(node *yaml.Node) error {
	node = follow(node)
	if node == nil {
		return nil
	}
	name, arg, ok := function(node)
	switch {
	case !ok:
		arg = node
	case slices.Contains(accountFunctions, name):
		return nil
	case !slices.Contains(ruleFunctions, name):
		return t.errorf(node, "rules have "+strings.Join(ruleFunctions, ", "), "a rule cannot use %s", name)
	case name == "Ref" && !t.parameters.has(arg.Value) && !slices.Contains(pseudo, arg.Value):
		return t.errorf(arg, t.suggest(arg.Value, t.parameters.names), "there is no parameter %q", arg.Value)
	case name != "Ref" && arg.Kind != yaml.SequenceNode:
		return t.errorf(arg, "give it a list of arguments", "%s has no list of arguments", name)
	}
	for _, part := range arg.Content {
		if err := t.checkRulePart(part); err != nil {
			return err
		}
	}
	return nil
}

// asksTheAccount reports whether a part of a rule has a function that the engine
// cannot answer.
func asksTheAccount(node *yaml.Node) bool {
	node = follow(node)
	if node == nil {
		return false
	}
	if name, _, ok := function(node); ok && slices.Contains(accountFunctions, name) {
		return true
	}
	return slices.ContainsFunc(node.Content, asksTheAccount)
}

// keepRules refuses parameters that break a rule of the template, in the words
// of its assertion.
func (p *Plan) keepRules() error {
	for _, name := range p.template.rules.names {
		node := p.template.rules.nodes[name]
		if asksTheAccount(node) {
			continue
		}
		if condition := child(node, "RuleCondition"); condition != nil {
			if applies, err := p.holds(condition); err != nil || !applies {
				if err != nil {
					return err
				}
				continue
			}
		}
		for _, assertion := range child(node, "Assertions").Content {
			if err := p.keepAssertion(name, follow(assertion)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *Plan) keepAssertion(rule string, assertion *yaml.Node) error {
	holds, err := p.holds(child(assertion, "Assert"))
	if err != nil || holds {
		return err
	}
	said := textOf(child(assertion, "AssertDescription"))
	if said == "" {
		said = "an assertion does not hold"
	}
	return p.template.errorf(assertion, "give the parameters that it names together, or leave out those that need others",
		"the parameters break the rule %s: %s", rule, said)
}

// members evaluates the functions of rules that are about lists.
func (p *Plan) members(name string, arg *yaml.Node) (bool, error) {
	if err := p.arguments(arg, strings.TrimPrefix(name, "Fn::"), 2); err != nil {
		return false, err
	}
	list, err := p.texts(arg.Content[0])
	if err != nil {
		return false, err
	}
	if name == "Fn::EachMemberIn" {
		in, err := p.texts(arg.Content[1])
		return !slices.ContainsFunc(list, func(one string) bool { return !slices.Contains(in, one) }), err
	}
	text, err := p.evaluatedText(arg.Content[1])
	if name == "Fn::Contains" {
		return slices.Contains(list, text), err
	}
	return !slices.ContainsFunc(list, func(one string) bool { return one != text }), err
}
