// Package template reads an AWS SAM or CloudFormation template and evaluates
// it: parameters, mappings, conditions, rules, Globals and the intrinsic
// functions.
//
// [Parse] checks the form and every reference of the whole template. A [Plan]
// is the template with the values of its parameters: the resources whose
// conditions hold, in an order in which each comes after those it refers to.
// Whoever makes the resources goes through them in that order, reads each
// one's properties with [Plan.Properties], and tells with [Plan.Set] what Ref
// and GetAtt of it give from then on.
//
// Every error is an [*Error] that says where in the file the fault is and
// what to do.
package template

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// An Error is a fault in a template.
type Error struct {
	File         string
	Line, Column int
	// Message says what is wrong, and Hint what to do about it.
	Message, Hint string
}

// Error gives place and message, as compilers do.
func (e *Error) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Message)
}

// A Template is a parsed template. It does not change.
type Template struct {
	file       string
	parameters section
	mappings   section
	conditions section
	rules      section
	globals    *yaml.Node // Globals.Function, or nil
	resources  section
	outputs    section
}

// A section is a mapping of the template's top level, in the order of the file.
type section struct {
	names []string
	nodes map[string]*yaml.Node
	keys  map[string]*yaml.Node // where each name stands
}

func (s section) has(name string) bool { _, ok := s.nodes[name]; return ok }

// Parse reads a template. The file's name is only for errors.
func Parse(file string, data []byte) (*Template, error) {
	t := &Template{file: file}
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, t.yamlError(err)
	}
	if len(doc.Content) == 0 || doc.Content[0].Kind != yaml.MappingNode {
		return nil, &Error{File: file, Line: 1, Column: 1, Message: "not a template: the file is no YAML mapping", Hint: "a template has at least the key Resources"}
	}
	if err := t.readSections(doc.Content[0]); err != nil {
		return nil, err
	}
	if len(t.resources.names) == 0 {
		return nil, &Error{File: file, Line: 1, Column: 1, Message: "the template has no resources", Hint: "add a Resources section"}
	}
	if err := t.check(); err != nil {
		return nil, err
	}
	return t, nil
}

func (t *Template) readSections(root *yaml.Node) error {
	sections := map[string]*section{
		"Parameters": &t.parameters, "Mappings": &t.mappings, "Conditions": &t.conditions, "Rules": &t.rules,
		"Resources": &t.resources, "Outputs": &t.outputs,
	}
	for key, value := range pairs(root) {
		if key.Value == "Globals" {
			t.globals = child(value, "Function")
			continue
		}
		into, ok := sections[key.Value]
		if !ok {
			continue
		}
		read, err := t.section(key, value)
		if err != nil {
			return err
		}
		*into = read
	}
	return nil
}

func (t *Template) section(key, value *yaml.Node) (section, error) {
	s := section{nodes: make(map[string]*yaml.Node), keys: make(map[string]*yaml.Node)}
	if value.Kind != yaml.MappingNode {
		return s, t.errorf(value, "give each entry a name", "%s is not a mapping", key.Value)
	}
	for name, node := range pairs(value) {
		if s.has(name.Value) {
			return s, t.errorf(name, "rename one of them", "%s has two entries %q", key.Value, name.Value)
		}
		s.names = append(s.names, name.Value)
		s.nodes[name.Value], s.keys[name.Value] = node, name
	}
	return s, nil
}

// check finds what is wrong whatever the parameters are.
func (t *Template) check() error {
	for _, id := range t.resources.names {
		node := t.resources.nodes[id]
		kind := child(node, "Type")
		if kind == nil || kind.Value == "" {
			return t.errorf(t.resources.keys[id], "add for example Type: AWS::SecretsManager::Secret", "resource %q has no Type", id)
		}
		if err := t.checkNoValue(id, kind.Value, node); err != nil {
			return err
		}
		if condition := child(node, "Condition"); condition != nil && !t.conditions.has(condition.Value) {
			return t.errorf(condition, t.suggest(condition.Value, t.conditions.names), "resource %q: there is no condition %q", id, condition.Value)
		}
		if err := t.checkReferences(node); err != nil {
			return err
		}
	}
	for _, s := range []section{t.conditions, t.outputs} {
		for _, name := range s.names {
			if err := t.checkReferences(s.nodes[name]); err != nil {
				return err
			}
		}
	}
	if t.globals != nil {
		if err := t.checkReferences(t.globals); err != nil {
			return err
		}
	}
	return t.checkRules()
}

// checkNoValue refuses a secret whose value stands in the template: a file
// that is committed, copied and deployed is no place for it.
func (t *Template) checkNoValue(id, kind string, node *yaml.Node) error {
	if kind != "AWS::SecretsManager::Secret" {
		return nil
	}
	value := child(child(node, "Properties"), "SecretString")
	if value == nil {
		return nil
	}
	return t.errorf(value, "remove SecretString and store the value with: rekey put NAME, or POST /admin/secrets",
		"secret %q has its value in the template", id)
}

func (t *Template) errorf(at *yaml.Node, hint, format string, args ...any) *Error {
	return &Error{File: t.file, Line: at.Line, Column: at.Column, Message: fmt.Sprintf(format, args...), Hint: hint}
}

var yamlLine = regexp.MustCompile(`line (\d+):? ?`)

// yamlError gives an error of the YAML library a place.
func (t *Template) yamlError(err error) *Error {
	text := err.Error()
	if many, ok := errors.AsType[*yaml.TypeError](err); ok {
		text = many.Errors[0]
	}
	e := &Error{File: t.file, Line: 1, Column: 1, Hint: "mind the indentation, and quote strings with special characters"}
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		e.Line, _ = strconv.Atoi(m[1]) // digits by the pattern
		text = strings.Replace(text, m[0], "", 1)
	}
	e.Message = strings.TrimPrefix(text, "yaml: ")
	return e
}

// suggest finds the name that was probably meant.
func (t *Template) suggest(wrong string, names []string) string {
	best, distance := "", len(wrong)/2+1
	for _, name := range names {
		if d := editDistance(strings.ToLower(wrong), strings.ToLower(name)); d < distance {
			best, distance = name, d
		}
	}
	if best == "" {
		return "names are case-sensitive; look at the template's other entries"
	}
	return fmt.Sprintf("did you mean %q?", best)
}

// editDistance is Levenshtein's.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
