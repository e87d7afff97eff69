package admin

import (
	"net/http"
	"slices"
	"strings"
)

// A route is a kind of call.
type route struct {
	method, path string // {name} is the logical name of a secret, which may have slashes
	// action names the call in the audit line.
	action string
	// scope is what it takes; empty for a call that everybody may make.
	scope Scope
	// failed is the member error of its failures.
	failed string
	serve  func(h *Handler, c *call) (*answer, error)
}

// An answer is a success.
type answer struct {
	status int
	body   any
}

// routes are the routes of the API. Of those whose path fits, the first counts.
func routes() []route {
	return append(pageRoutes(), []route{
		{"GET", "/admin/openapi.json", "openapi", "", "", (*Handler).describeAPI},
		{"GET", "/admin/audit", "audit.read", ScopeAudit, "Failed to read the audit", (*Handler).summarize},
		{"GET", "/admin/secrets", "secrets.list", ScopeRead, "Failed to list secrets", (*Handler).listSecrets},
		{"POST", "/admin/secrets", "secrets.store", ScopeWrite, storeFailed, (*Handler).storeSecret},
		{"PUT", "/admin/secrets/rotate", "secrets.rotate", ScopeRotate, rotateFailed, (*Handler).rotateSecret},
		{"GET", "/admin/secrets/{name}/rotation", "rotation.read", ScopeRead, "Failed to read the state of the rotation", (*Handler).readRotation},
		{"POST", "/admin/secrets/{name}/cancel", "rotation.cancel", ScopeRotate, "Failed to cancel the rotation", (*Handler).cancelRotation},
		{"POST", "/admin/secrets/{name}/rollback", "secrets.rollback", ScopeRotate, "Failed to roll the secret back", (*Handler).rollback},
		{"POST", "/admin/secrets/{name}/restore", "secrets.restore", ScopeDelete, "Failed to restore the secret", (*Handler).restoreSecret},
		{"GET", "/admin/secrets/{name}", "secrets.read", ScopeRead, "Failed to read the state of the secret", (*Handler).describeSecret},
		{"DELETE", "/admin/secrets/{name}", "secrets.delete", ScopeDelete, "Failed to delete the secret", (*Handler).deleteSecret},
	}...)
}

// fits reports whether a path is the route's, and the name in it.
func (r route) fits(path string) (name string, ok bool) {
	before, after, named := strings.Cut(r.path, "{name}")
	if !named {
		return "", path == r.path
	}
	rest, begins := strings.CutPrefix(path, before)
	name, ends := strings.CutSuffix(rest, after)
	return name, begins && ends && name != ""
}

// find returns the route of a request with the name in its path. Where the path
// is one but the method is not, allowed are the methods.
func (h *Handler) find(r *http.Request) (found *route, name string, allowed []string) {
	path := ""
	for i := range h.routes {
		candidate := &h.routes[i]
		in, ok := candidate.fits(r.URL.Path)
		if !ok || path != "" && candidate.path != path {
			continue
		}
		if candidate.method == r.Method {
			return candidate, in, nil
		}
		path = candidate.path // no other path counts any more
		allowed = append(allowed, candidate.method)
	}
	slices.Sort(allowed)
	return nil, "", allowed
}
