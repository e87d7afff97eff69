package local

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/rekey-go/rekey/internal/local/cloudformation"
	"github.com/rekey-go/rekey/internal/local/template"
)

// A provider makes the resources of stacks, as those of the engine's own
// template are made.
type provider struct{ *Engine }

// Template says what a template takes.
func (p provider) Template(body []byte) ([]cloudformation.Parameter, error) {
	parsed, err := template.Parse("template", body)
	if err != nil {
		return nil, err
	}
	return parametersOf(parsed)
}

// parametersOf are what a template takes, with the values of its own.
func parametersOf(t *template.Template) ([]cloudformation.Parameter, error) {
	given, err := t.Parameters()
	if err != nil {
		return nil, err
	}
	all := make([]cloudformation.Parameter, 0, len(given))
	for _, g := range given {
		one := cloudformation.Parameter{Name: g.Name, Type: g.Type, Description: g.Description, NoEcho: g.NoEcho, HasDefault: g.Default != nil}
		if g.Default != nil {
			one.Default = *g.Default
		}
		all = append(all, one)
	}
	return all, nil
}

// Deployment reads a stack's definition.
func (p provider) Deployment(def cloudformation.Definition, before cloudformation.Deployment) (cloudformation.Deployment, error) {
	d, err := p.newDeployment(def.StackName+".yaml", def.Body, template.Inputs{Parameters: def.Parameters, StackName: def.StackName})
	if err != nil {
		return nil, err
	}
	d.strict, d.prefix = true, def.StackName+"-"
	if last, ok := before.(deployed); ok {
		d.follow(last.deployment)
	}
	maps.Copy(d.kept, def.Imports)
	if def.Kept != nil {
		d.strict = false
		maps.Copy(d.kept, def.Kept)
	}
	p.deployed.set(d, true)
	return deployed{d}, nil
}

// Object reads the template at a URL.
func (p provider) Object(at string) ([]byte, error) {
	bucket, key, err := objectAt(at)
	if err != nil {
		return nil, fmt.Errorf("the TemplateURL is no URL: %w", err)
	}
	return p.Objects.Object(bucket, key)
}

// objectAt is the object at a URL, with the bucket in the path or in the name of
// the host.
func objectAt(at string) (bucket, key string, err error) {
	u, err := url.Parse(at)
	if err != nil {
		return "", "", err
	}
	path := strings.TrimPrefix(u.Path, "/")
	if bucket, _, ok := strings.Cut(u.Hostname(), ".s3."); ok {
		return bucket, path, nil
	}
	bucket, key, _ = strings.Cut(path, "/")
	return bucket, key, nil
}

// adoptMain lists the engine's own template as a stack.
func (e *Engine) adoptMain() error {
	return e.Stacks.Adopt(cloudformation.Definition{
		StackName: e.opts.StackName, Body: e.opts.Template, Parameters: e.main.plan.Parameters(),
	}, deployed{e.main})
}

// A deployed is a deployment as CloudFormation knows it.
type deployed struct{ *deployment }

// Resources are listed each after those it refers to.
func (d deployed) Resources() []cloudformation.Resource {
	var all []cloudformation.Resource
	for _, r := range d.plan.Resources() {
		one := cloudformation.Resource{LogicalID: r.ID, Type: r.Type, DeletionPolicy: r.DeletionPolicy, UpdateReplacePolicy: r.UpdateReplacePolicy}
		if about, ok := acceptedTypes[r.Type]; ok {
			one.Note = "On the engine " + about.reason + "."
		} else if _, ok := makers[r.Type]; !ok {
			one.Note = "The engine has no " + r.Type + "; it is left out."
		}
		all = append(all, one)
	}
	return all
}

// Parameters are the template's, with the values of this deployment.
func (d deployed) Parameters() ([]cloudformation.Parameter, error) {
	all, err := parametersOf(d.plan.Template())
	for i := range all {
		all[i].Value = d.plan.Parameter(all[i].Name)
	}
	return all, err
}

// Properties are those that the template has now.
func (d deployed) Properties(id string) map[string]string { return d.plan.Values(id).Texts() }

// Made are the properties as they were made; nil for what is not.
func (d deployed) Made(id string) map[string]string {
	values, ok := d.values[id]
	if !ok {
		return nil
	}
	return values.Texts()
}

// PhysicalID is what Ref gives.
func (d deployed) PhysicalID(id string) string {
	if ref, _, ok := d.plan.Made(id); ok {
		return ref
	}
	return d.kept[id]
}

// Make makes a resource, or changes it in place.
func (d deployed) Make(id string) error {
	all := d.plan.Resources()
	return d.make(all[slices.IndexFunc(all, func(r template.Resource) bool { return r.ID == id })])
}

// Finish does what waits for all resources.
func (d deployed) Finish() error { return d.finish() }

// Remove removes a resource.
func (d deployed) Remove(id string) error { return d.remove(id) }

// Restore makes a resource what it was.
func (d deployed) Restore(id string, from cloudformation.Deployment) error {
	later, ok := from.(deployed)
	if !ok {
		return fmt.Errorf("restoring %s: the deployment is not the engine's", id)
	}
	return d.restore(id, later.deployment)
}

// Outputs of what is made.
func (d deployed) Outputs() ([]cloudformation.Output, error) {
	values, err := d.plan.Outputs()
	if err != nil {
		return nil, err
	}
	var all []cloudformation.Output
	for _, name := range slices.Sorted(maps.Keys(values)) {
		all = append(all, cloudformation.Output{Name: name, Value: values[name]})
	}
	return all, nil
}

// Discard forgets the deployment.
func (d deployed) Discard() { d.deployed.remove(d.deployment) }
