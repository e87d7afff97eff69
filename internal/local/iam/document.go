package iam

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Node reads a JSON document as the tree that [Parse] takes, with the line of
// each part.
func Node(document []byte) (*yaml.Node, error) {
	d := jsonReader{data: document, decoder: json.NewDecoder(bytes.NewReader(document)), line: 1}
	d.decoder.UseNumber()
	root, err := d.value(0)
	if err != nil {
		return nil, &ParseError{Line: d.line, Column: 1, Message: "the policy is not valid JSON"}
	}
	if _, err := d.decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, &ParseError{Line: d.line, Column: 1, Message: "something follows the policy's end"}
	}
	return root, nil
}

// Document makes a policy document of a statement, or of a list of them.
func Document(statements *yaml.Node) *yaml.Node {
	text := func(value string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Value: value} }
	return &yaml.Node{
		Kind: yaml.MappingNode, Line: statements.Line, Column: statements.Column,
		Content: []*yaml.Node{text("Version"), text("2012-10-17"), text("Statement"), statements},
	}
}

// ParseResourceJSON is [ParseResource] of a JSON document.
func ParseResourceJSON(document []byte) (*Policy, error) {
	node, err := Node(document)
	if err != nil {
		return nil, err
	}
	return ParseResource(node)
}

// maxDepth is more than any policy needs.
const maxDepth = 16

type jsonReader struct {
	data    []byte
	decoder *json.Decoder
	read    int64 // how far lines were counted
	line    int
}

func (d *jsonReader) token() (json.Token, error) {
	t, err := d.decoder.Token()
	if at := d.decoder.InputOffset(); at > d.read {
		d.line += bytes.Count(d.data[d.read:at], []byte{'\n'})
		d.read = at
	}
	return t, err
}

func (d *jsonReader) value(depth int) (*yaml.Node, error) {
	t, err := d.token()
	if err != nil {
		return nil, err
	}
	node := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Line: d.line, Column: 1}
	switch v := t.(type) {
	case json.Delim:
		return node, d.content(node, v, depth)
	case nil:
		node.Tag = "!!null"
	default:
		node.Value = fmt.Sprint(v)
	}
	return node, nil
}

// content reads what is in an object or a list.
func (d *jsonReader) content(node *yaml.Node, open json.Delim, depth int) error {
	if depth > maxDepth {
		return io.ErrUnexpectedEOF
	}
	node.Kind, node.Tag = yaml.SequenceNode, "!!seq"
	if open == '{' {
		node.Kind, node.Tag = yaml.MappingNode, "!!map"
	}
	for d.decoder.More() {
		part, err := d.value(depth + 1)
		if err != nil {
			return err
		}
		node.Content = append(node.Content, part)
	}
	_, err := d.token()
	return err
}

// members goes through the keys and values of a mapping.
func members(node *yaml.Node) iter.Seq2[*yaml.Node, *yaml.Node] {
	return func(yield func(key, value *yaml.Node) bool) {
		for i := 0; i+1 < len(node.Content); i += 2 {
			if !yield(node.Content[i], node.Content[i+1]) {
				return
			}
		}
	}
}

// mapping reads a mapping that has none but certain keys, each once.
func mapping(node *yaml.Node, what string, known ...string) (map[string]*yaml.Node, error) {
	if node.Kind != yaml.MappingNode {
		return nil, faultAt(node, "%s is no mapping", what)
	}
	all := make(map[string]*yaml.Node)
	for key, value := range members(node) {
		switch {
		case all[key.Value] != nil:
			return nil, faultAt(key, "%s has %s twice", what, key.Value)
		case !slices.Contains(known, key.Value):
			return nil, faultAt(key, "%s has no element %q: it may have %s", what, key.Value, strings.Join(known, ", "))
		}
		all[key.Value] = value
	}
	return all, nil
}

// texts reads a text or a list of texts.
func texts(node *yaml.Node, what string) ([]*yaml.Node, error) {
	nodes := []*yaml.Node{node}
	if node.Kind == yaml.SequenceNode {
		nodes = node.Content
	}
	for _, n := range nodes {
		if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
			return nil, faultAt(n, "%s is neither a text nor a list of texts", what)
		}
	}
	return nodes, nil
}
