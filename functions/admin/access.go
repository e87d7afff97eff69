package admin

import (
	"slices"
	"strings"

	"github.com/rekey-go/rekey/internal/token"
)

// A Scope is a right to a kind of call.
type Scope = token.Scope

// The scopes.
const (
	ScopeRead   Scope = "secrets:read"
	ScopeWrite  Scope = "secrets:write"
	ScopeRotate Scope = "secrets:rotate"
	ScopeDelete Scope = "secrets:delete"
	ScopeAudit  Scope = "audit:read"
)

// Scopes returns all scopes.
func Scopes() []Scope { return []Scope{ScopeRead, ScopeWrite, ScopeRotate, ScopeDelete, ScopeAudit} }

// A Grant gives scopes on secrets.
type Grant struct {
	Scopes []Scope `json:"scopes"`
	// Prefixes are what the logical names of the secrets begin with. If empty,
	// it is all secrets.
	Prefixes []string `json:"prefixes,omitempty"`
}

// covers reports whether the grant is for a secret. An empty name is no secret
// in particular.
func (g Grant) covers(name string) bool {
	return name == "" || len(g.Prefixes) == 0 ||
		slices.ContainsFunc(g.Prefixes, func(p string) bool { return strings.HasPrefix(name, p) })
}

// A principal is who makes a call, with what they may do.
type principal struct {
	// id names them in the audit line: "token/alice", "oidc/" with issuer and
	// subject, "iam/" with the ARN.
	id     string
	grants []Grant
}

// may reports whether the principal has a scope on a secret, or on any if the
// name is empty.
func (p principal) may(scope Scope, name string) bool {
	return slices.ContainsFunc(p.grants, func(g Grant) bool { return slices.Contains(g.Scopes, scope) && g.covers(name) })
}

// mayAll reports whether the principal has a scope on all secrets.
func (p principal) mayAll(scope Scope) bool {
	return slices.ContainsFunc(p.grants, func(g Grant) bool { return slices.Contains(g.Scopes, scope) && len(g.Prefixes) == 0 })
}

// all reports whether the principal may do everything with every secret.
func (p principal) all() bool {
	return !slices.ContainsFunc(Scopes(), func(s Scope) bool { return !p.mayAll(s) })
}

// The secrets that say who may call this API. Who could set one of them could
// give themselves every scope, so that takes every scope.
func guards(name string) bool { return name == "admin-tokens" || name == "admin-token" }
