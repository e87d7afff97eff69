package deploy

import (
	"bytes"
	"fmt"
	"iter"
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"go.yaml.in/yaml/v3"

	"github.com/rekey-go/rekey/internal/local/template"
)

// A Template is the system's template, to be packaged.
type Template struct {
	file string
	body []byte
	root yaml.Node
}

// ReadTemplate reads a template. The file's name is for errors.
func ReadTemplate(file string, body []byte) (*Template, error) {
	if _, err := template.Parse(file, body); err != nil {
		return nil, err
	}
	t := &Template{file: file, body: body}
	if err := yaml.Unmarshal(body, &t.root); err != nil {
		return nil, fmt.Errorf("reading %s: %w", file, err)
	}
	return t, nil
}

// CodeURIs are the local ones of functions and layers, each once.
func (t *Template) CodeURIs() []string {
	return t.codeURIsOf(func(string) bool { return true })
}

// NeededCodeURIs are those of [Template.CodeURIs] whose functions and layers the
// conditions let be made.
func (t *Template) NeededCodeURIs(s Setting) ([]string, error) {
	plan, err := t.plan(s)
	if err != nil {
		return nil, err
	}
	made := map[string]bool{}
	for _, r := range plan.Resources() {
		made[r.ID] = true
	}
	return t.codeURIsOf(func(id string) bool { return made[id] }), nil
}

func (t *Template) codeURIsOf(wanted func(id string) bool) []string {
	var all []string
	for id, node := range t.code() {
		if wanted(id) && !slices.Contains(all, node.Value) {
			all = append(all, node.Value)
		}
	}
	return all
}

// code goes through the nodes with local code, by logical id.
func (t *Template) code() iter.Seq2[string, *yaml.Node] {
	return func(yield func(string, *yaml.Node) bool) {
		resources := entry(t.root.Content[0], "Resources")
		for i := 0; resources != nil && i+1 < len(resources.Content); i += 2 {
			uri := codeOf(resources.Content[i+1])
			if uri != nil && !strings.Contains(uri.Value, "://") && !yield(resources.Content[i].Value, uri) {
				return
			}
		}
	}
}

// codeOf is the node that says where a function or a layer has its code, or nil.
func codeOf(r *yaml.Node) *yaml.Node {
	kind := entry(r, "Type")
	if kind == nil {
		return nil
	}
	property := map[string]string{"AWS::Serverless::Function": "CodeUri", "AWS::Serverless::LayerVersion": "ContentUri"}[kind.Value]
	if uri := entry(entry(r, "Properties"), property); uri != nil && uri.Kind == yaml.ScalarNode {
		return uri
	}
	return nil
}

// Packaged is the template with the place of each package in S3. Aliases,
// which CloudFormation does not have, are written out.
func (t *Template) Packaged(places map[string]string) ([]byte, error) {
	for _, node := range t.code() {
		place, ok := places[node.Value]
		if !ok {
			return nil, fmt.Errorf("%s:%d:%d: %s has no package", t.file, node.Line, node.Column, node.Value)
		}
		node.Value = place
	}
	return encode(expanded(&t.root))
}

// Retained is the part of the template that takes over what a former stack
// left: the resources with these ids, and what they need. References to other
// resources are left out with the property that has them.
func (t *Template) Retained(ids []string) ([]byte, error) {
	out := expanded(&t.root)
	document := out.Content[0]
	resources := entry(document, "Resources")
	resources.Content = kept(resources.Content, func(name string) bool { return slices.Contains(ids, name) })
	document.Content = kept(document.Content, func(name string) bool {
		return name != "Outputs" && name != "Globals" && name != "Transform"
	})
	for _, r := range entries(resources) {
		properties := entry(r, "Properties")
		if properties == nil {
			continue
		}
		left := properties.Content[:0:0]
		for i := 0; i+1 < len(properties.Content); i += 2 {
			if refersOnlyTo(properties.Content[i+1], ids, entry(document, "Parameters")) {
				left = append(left, properties.Content[i], properties.Content[i+1])
			}
		}
		properties.Content = left
	}
	return encode(out)
}

// refersOnlyTo reports whether a value needs nothing but some resources and
// the parameters.
func refersOnlyTo(node *yaml.Node, ids []string, parameters *yaml.Node) bool {
	var names []string
	switch node.Tag {
	case "!Ref", "!GetAtt":
		names = []string{node.Value}
	case "!Sub":
		for _, m := range placeholder.FindAllStringSubmatch(node.Value, -1) {
			names = append(names, m[1])
		}
	}
	for _, name := range names {
		name, _, _ = strings.Cut(name, ".")
		if !strings.HasPrefix(name, "AWS::") && !slices.Contains(ids, name) && entry(parameters, name) == nil {
			return false
		}
	}
	return !slices.ContainsFunc(node.Content, func(part *yaml.Node) bool { return !refersOnlyTo(part, ids, parameters) })
}

//nolint:gochecknoglobals // compiled once.
var placeholder = regexp.MustCompile(`\$\{([^!}][^}]*)\}`)

// kept are the entries of a mapping whose names are wanted.
func kept(content []*yaml.Node, wanted func(string) bool) []*yaml.Node {
	var left []*yaml.Node
	for i := 0; i+1 < len(content); i += 2 {
		if wanted(content[i].Value) {
			left = append(left, content[i], content[i+1])
		}
	}
	return left
}

// expanded copies a node with what its aliases stand for.
func expanded(node *yaml.Node) *yaml.Node {
	for node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	out := *node
	out.Anchor, out.Content = "", nil
	for _, part := range node.Content {
		out.Content = append(out.Content, expanded(part))
	}
	return &out
}

func encode(node *yaml.Node) ([]byte, error) {
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(node); err != nil {
		return nil, fmt.Errorf("writing the template: %w", err)
	}
	return out.Bytes(), enc.Close()
}

// entry is the value of a key of a mapping, or nil.
func entry(node *yaml.Node, name string) *yaml.Node {
	if node == nil || node.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == name {
			return node.Content[i+1]
		}
	}
	return nil
}

// entries are the values of a mapping.
func entries(node *yaml.Node) []*yaml.Node {
	var all []*yaml.Node
	if node != nil && node.Kind == yaml.MappingNode {
		for i := 1; i < len(node.Content); i += 2 {
			all = append(all, node.Content[i])
		}
	}
	return all
}

// A Held is a resource that outlives its stack: a secret, by its name, or the
// key that the secrets are encrypted with.
type Held struct{ ID, Type, Name string }

// The types of resources that outlive the stack.
const (
	secretType = "AWS::SecretsManager::Secret" //nolint:gosec // the name of a type.
	keyType    = "AWS::KMS::Key"
	tableType  = "AWS::DynamoDB::Table"
	bucketType = "AWS::S3::Bucket"
)

// A Setting is what the template is deployed with: its parameters, those that
// the stack keeps included, and where.
type Setting struct {
	Parameters             map[string]string
	Region, Account, Stack string
}

// Kept are the values of parameters that a stack has, without those that the
// template does not take any more. CloudFormation does not tell the values of
// parameters with NoEcho, so these are left to their defaults.
func (t *Template) Kept(there *types.Stack) (map[string]string, error) {
	kept := map[string]string{}
	if there == nil {
		return kept, nil
	}
	takes, err := t.parameters()
	if err != nil {
		return nil, err
	}
	for _, p := range there.Parameters {
		name := aws.ToString(p.ParameterKey)
		at := slices.IndexFunc(takes, func(one template.Parameter) bool { return one.Name == name })
		if at < 0 || takes[at].NoEcho && takes[at].Default != nil {
			continue
		}
		kept[name] = aws.ToString(p.ParameterValue)
	}
	return kept, nil
}

// plan evaluates the template. The error is one of the template, or of
// parameters that break one of its rules.
func (t *Template) plan(s Setting) (*template.Plan, error) {
	parsed, err := template.Parse(t.file, t.body)
	if err != nil {
		return nil, err
	}
	return parsed.Plan(template.Inputs{Parameters: s.Parameters, Region: s.Region, Account: s.Account, StackName: s.Stack})
}

// Held are the secrets and keys that the template retains.
func (t *Template) Held(s Setting) ([]Held, error) {
	plan, err := t.plan(s)
	if err != nil {
		return nil, err
	}
	var all []Held
	for _, r := range plan.Resources() {
		if (r.Type == secretType || r.Type == keyType) && strings.HasPrefix(r.DeletionPolicy, "Retain") {
			all = append(all, Held{r.ID, r.Type, strings.TrimSpace(plan.Values(r.ID).Texts()["Name"])})
		}
	}
	return all, nil
}

// Parameters are the names of those that the template takes.
func (t *Template) Parameters() ([]string, error) {
	all, err := t.parameters()
	names := make([]string, 0, len(all))
	for _, p := range all {
		names = append(names, p.Name)
	}
	return names, err
}

func (t *Template) parameters() ([]template.Parameter, error) {
	parsed, err := template.Parse(t.file, t.body)
	if err != nil {
		return nil, err
	}
	return parsed.Parameters()
}
