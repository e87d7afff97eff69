package local

import "github.com/rekey-go/rekey/internal/local/iam"

// CredentialsOf are those of an environment of a function, by its logical id.
func (e *Engine) CredentialsOf(id string) iam.Credentials {
	for arn, role := range e.access.roles.each {
		if role.resource.ID == id {
			return e.keys.AssumeRole(arn, id)
		}
	}
	panic("no role of " + id)
}
