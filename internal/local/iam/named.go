package iam

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"
)

//go:embed sam.yaml
var samPolicies []byte

//go:embed managed.yaml
var managedPolicies []byte

// A samPolicy is one of SAM's policy templates.
type samPolicy struct {
	Parameters []string  `yaml:"parameters"`
	Statements yaml.Node `yaml:"statements"`
}

// allSAM and allManaged are the two files, each read when it is first needed.
//
//nolint:gochecknoglobals // constant tables.
var (
	allSAM = sync.OnceValues(func() (all map[string]samPolicy, err error) {
		return all, yaml.Unmarshal(samPolicies, &all)
	})
	allManaged = sync.OnceValues(func() (all map[string]yaml.Node, err error) {
		return all, yaml.Unmarshal(managedPolicies, &all)
	})
)

// SAMPolicy is one of SAM's policy templates with its parameters, for an
// account and Region, such as "SQSPollerPolicy". The line is for its
// statements. It is nil where there is none of that name for the engine's
// services.
func SAMPolicy(name string, parameters map[string]string, region, account string, line int) (*Policy, error) {
	all, err := allSAM()
	if err != nil {
		return nil, fmt.Errorf("reading SAM's policy templates: %w", err)
	}
	found, ok := all[name]
	if !ok {
		return nil, nil
	}
	pairs := []string{"${Region}", region, "${Account}", account}
	for _, p := range found.Parameters {
		value, ok := parameters[p]
		if !ok {
			return nil, &ParseError{Line: line, Column: 1, Message: fmt.Sprintf("the policy template %s wants the parameter %s", name, p)}
		}
		pairs = append(pairs, "${"+p+"}", value)
	}
	for p := range parameters {
		if !slices.Contains(found.Parameters, p) {
			return nil, &ParseError{Line: line, Column: 1, Message: fmt.Sprintf("the policy template %s has no parameter %s: it has %v", name, p, found.Parameters)}
		}
	}
	return Parse(Document(filled(&found.Statements, strings.NewReplacer(pairs...), line)))
}

// ManagedPolicy is one of AWS's managed policies, by its name or ARN, as far as
// it is about the engine's services. It is nil where the engine does not know
// it.
func ManagedPolicy(nameOrARN string, line int) (*Policy, error) {
	all, err := allManaged()
	if err != nil {
		return nil, fmt.Errorf("reading the managed policies: %w", err)
	}
	name := nameOrARN
	if _, path, ok := strings.Cut(nameOrARN, ":iam::aws:policy/"); ok {
		name = path[strings.LastIndexByte(path, '/')+1:]
	}
	found, ok := all[name]
	if !ok {
		return nil, nil
	}
	return Parse(Document(filled(&found, strings.NewReplacer(), line)))
}

// filled is a copy of a tree with the parameters in the place of their names.
func filled(node *yaml.Node, parameters *strings.Replacer, line int) *yaml.Node {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	out := *node
	out.Line, out.Value, out.Content = line, parameters.Replace(node.Value), nil
	for _, part := range node.Content {
		out.Content = append(out.Content, filled(part, parameters, line))
	}
	return &out
}
