package local

import (
	"cmp"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/rekey-go/rekey/internal/local/iam"
	"github.com/rekey-go/rekey/internal/local/template"
)

func (e *deployment) makeRole(r template.Resource) error {
	var p struct {
		RoleName                 string    `yaml:"RoleName"`
		Path                     string    `yaml:"Path"`
		AssumeRolePolicyDocument yaml.Node `yaml:"AssumeRolePolicyDocument"`
		Policies                 []struct {
			PolicyDocument yaml.Node `yaml:"PolicyDocument"`
		} `yaml:"Policies"`
		ManagedPolicyARNs   []yaml.Node `yaml:"ManagedPolicyArns"`
		PermissionsBoundary string      `yaml:"PermissionsBoundary"`
		Tags                []tag       `yaml:"Tags"`
	}
	if err := e.plan.Properties(r.ID, &p); err != nil {
		return err
	}
	p.RoleName = cmp.Or(p.RoleName, e.nameFor(r.ID))
	own := &role{resource: r, tags: map[string]string{}}
	for _, t := range p.Tags {
		own.tags[t.Key] = t.Value
	}
	arn := roleARN(p.Path, p.RoleName)
	e.plan.Set(r.ID, p.RoleName, map[string]string{"Arn": arn, "RoleId": "AROA" + r.ID})
	var err error
	if own.trust, err = e.parseAt(r.ID, &p.AssumeRolePolicyDocument, iam.ParseResource); err != nil {
		return err
	}
	for i := range p.Policies {
		if err := e.addStatements(own, &p.Policies[i].PolicyDocument); err != nil {
			return err
		}
	}
	for i := range p.ManagedPolicyARNs {
		if err := e.addManaged(own, p.ManagedPolicyARNs[i].Value, &p.ManagedPolicyARNs[i]); err != nil {
			return err
		}
	}
	if err := e.setBoundary(own, p.PermissionsBoundary); err != nil {
		return err
	}
	e.access.roles.set(arn, own)
	e.undo(func() error { e.access.roles.remove(arn); return nil })
	return nil
}

// A rolePolicy has the properties of a policy that is a resource of its own.
type rolePolicy struct {
	ManagedPolicyName string    `yaml:"ManagedPolicyName"`
	Path              string    `yaml:"Path"`
	PolicyName        string    `yaml:"PolicyName"`
	PolicyDocument    yaml.Node `yaml:"PolicyDocument"`
	Roles             []string  `yaml:"Roles"`
	RoleName          string    `yaml:"RoleName"`
}

// readRolePolicy reads such a policy and gives it to its roles.
func (e *deployment) readRolePolicy(r template.Resource) (*iam.Policy, *rolePolicy, error) {
	p := new(rolePolicy)
	if err := e.plan.Properties(r.ID, p); err != nil {
		return nil, nil, err
	}
	policy, err := e.parseAt(r.ID, &p.PolicyDocument, iam.Parse)
	if err != nil {
		return nil, nil, err
	}
	e.access.ledger.add(r, policy)
	if p.RoleName != "" {
		p.Roles = append(p.Roles, p.RoleName)
	}
	for _, name := range p.Roles {
		arn, own := e.roleNamed(name)
		if own == nil {
			e.warn(r.File, r.Line, r.Column, "the role %s of %s is not in the template, or comes after it; write !Ref", name, r.ID)
			continue
		}
		more := *own // which may be in use
		more.policies = append(slices.Clone(own.policies), policy)
		e.access.roles.set(arn, &more)
	}
	return policy, p, nil
}

func (e *deployment) makeRolePolicy(r template.Resource) error {
	_, p, err := e.readRolePolicy(r)
	if err == nil {
		e.plan.Set(r.ID, p.PolicyName, map[string]string{"Id": p.PolicyName})
	}
	return err
}

func (e *deployment) makeManagedPolicy(r template.Resource) error {
	policy, p, err := e.readRolePolicy(r)
	if err != nil {
		return err
	}
	p.ManagedPolicyName = cmp.Or(p.ManagedPolicyName, e.nameFor(r.ID))
	arn := "arn:aws:iam::" + Account + ":policy" + slashed(p.Path) + p.ManagedPolicyName
	e.access.managed.set(arn, policy)
	e.undo(func() error { e.access.managed.remove(arn); return nil })
	e.plan.Set(r.ID, arn, map[string]string{"PolicyArn": arn})
	return nil
}

// roleNamed finds a role by its name.
func (e *deployment) roleNamed(name string) (string, *role) {
	for arn, own := range e.access.roles.each {
		if arn[len(arn)-min(len(arn), len(name)+1):] == "/"+name {
			return arn, own
		}
	}
	return "", nil
}
