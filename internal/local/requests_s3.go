package local

import "github.com/rekey-go/rekey/internal/local/iam"

// objects asks for what a call of S3 needs.
func (a *asked) objects() {
	for _, need := range a.call.Needs {
		a.about(need.Action, need.Resource, `"`+need.Resource+`"`, func(key string) []string { return iam.Member(need.Keys, key) })
	}
}
