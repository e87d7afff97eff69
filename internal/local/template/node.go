package template

import (
	"iter"

	"go.yaml.in/yaml/v3"
)

// pairs goes through the keys and values of a mapping.
func pairs(node *yaml.Node) iter.Seq2[*yaml.Node, *yaml.Node] {
	return func(yield func(key, value *yaml.Node) bool) {
		node = follow(node)
		if node == nil || node.Kind != yaml.MappingNode {
			return
		}
		for i := 0; i+1 < len(node.Content); i += 2 {
			if !yield(node.Content[i], follow(node.Content[i+1])) {
				return
			}
		}
	}
}

// child is the value of a key of a mapping, or nil.
func child(node *yaml.Node, name string) *yaml.Node {
	for key, value := range pairs(node) {
		if key.Value == name {
			return value
		}
	}
	return nil
}

// textOf is the text of a scalar; empty where there is no node.
func textOf(node *yaml.Node) string {
	if node = follow(node); node == nil {
		return ""
	}
	return node.Value
}

// follow takes an alias to what it stands for.
func follow(node *yaml.Node) *yaml.Node {
	for node != nil && node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	return node
}

// scalar makes a string where another node stood. It has no tag, so that the
// text decides: "30" fits a number as well as a string, as in CloudFormation.
func scalar(at *yaml.Node, text string) *yaml.Node {
	node := &yaml.Node{Kind: yaml.ScalarNode, Value: text, Line: at.Line, Column: at.Column}
	if node.ShortTag() == "!!null" {
		node.Tag = "!!str"
	}
	return node
}

// sequence makes a list of strings where another node stood.
func sequence(at *yaml.Node, items []string) *yaml.Node {
	node := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Line: at.Line, Column: at.Column}
	for _, item := range items {
		node.Content = append(node.Content, scalar(at, item))
	}
	return node
}

// merge lays one mapping over another as SAM lays a function over Globals:
// mappings are joined, lists are appended, all else is replaced.
func merge(under, over *yaml.Node) *yaml.Node {
	switch {
	case under == nil:
		return over
	case over == nil:
		return under
	case isList(under) && isList(over):
		out := *over
		out.Content = append(append([]*yaml.Node(nil), under.Content...), over.Content...)
		return &out
	case !isMap(under) || !isMap(over):
		return over
	}
	out := *over
	out.Content = append([]*yaml.Node(nil), over.Content...)
	for key, value := range pairs(under) {
		at := -1
		for i := 0; i+1 < len(out.Content); i += 2 {
			if out.Content[i].Value == key.Value {
				at = i + 1
			}
		}
		if at < 0 {
			out.Content = append(out.Content, key, value)
			continue
		}
		out.Content[at] = merge(value, follow(out.Content[at]))
	}
	return &out
}

// isMap and isList are about plain nodes: an intrinsic function is neither.
func isMap(node *yaml.Node) bool {
	_, _, fn := function(node)
	return node.Kind == yaml.MappingNode && !fn
}

func isList(node *yaml.Node) bool {
	_, _, fn := function(node)
	return node.Kind == yaml.SequenceNode && !fn
}
