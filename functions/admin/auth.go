package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/awslabs/aws-lambda-go-api-proxy/core"
)

// errNotAdmin means that a request proves nobody whom the API knows.
var errNotAdmin = errors.New("no valid admin token")

// An Access says who may call the API beside those who hold a token. Its JSON
// form is the variable REKEY_ADMIN_ACCESS:
//
//	{"oidc": {"issuer": "https://idp.example.com", "audience": "rekey",
//	          "grants": {"rekey-operators": {"scopes": ["secrets:rotate"]}}},
//	 "iam": {"arn:aws:iam::123456789012:role/deployer": {"scopes": ["secrets:write"], "prefixes": ["shop-"]}}}
type Access struct {
	// OIDC takes the tokens of an identity provider. If nil, none are taken.
	OIDC *OIDC `json:"oidc,omitempty"`
	// IAM are AWS identities that API Gateway has authenticated, by the ARN of
	// a role, of a user, or of one session of a role.
	IAM map[string]Grant `json:"iam,omitempty"`
}

// ParseAccess reads the JSON form. Empty text is no access.
func ParseAccess(text string) (Access, error) {
	var a Access
	if text == "" {
		return a, nil
	}
	dec := json.NewDecoder(strings.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&a); err != nil {
		return a, fmt.Errorf("reading who may call the admin API: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return a, errors.New("reading who may call the admin API: something follows the JSON object")
	}
	return a, a.check()
}

func (a Access) check() error {
	if a.OIDC != nil {
		if err := a.OIDC.check(); err != nil {
			return err
		}
		for claim, g := range a.OIDC.Grants {
			if err := g.check(claim); err != nil {
				return err
			}
		}
	}
	for arn, g := range a.IAM {
		if !strings.HasPrefix(arn, "arn:") {
			return fmt.Errorf("iam: %q is no ARN of a role, a user or a session", arn)
		}
		if err := g.check(arn); err != nil {
			return err
		}
	}
	return nil
}

// check refuses a scope that there is not: it would give less than was meant.
func (g Grant) check(of string) error {
	for _, s := range g.Scopes {
		if !known(s) {
			return fmt.Errorf("the grant of %q: there is no scope %q; the scopes are %v", of, s, Scopes())
		}
	}
	return nil
}

func known(s Scope) bool {
	return slices.Contains(Scopes(), s)
}

// authenticate returns who makes a request. The error is [errNotAdmin], or
// says why that cannot be found out.
func (h *Handler) authenticate(r *http.Request) (principal, error) {
	text, ok := bearer(r)
	switch {
	case !ok:
		return h.byIAM(r.Context())
	case h.oidc != nil && isJWT(text):
		return h.oidc.verify(r.Context(), text)
	default:
		return byToken(r.Context(), h.tokens, text)
	}
}

// bearer returns the token of the Authorization header.
func bearer(r *http.Request) (string, bool) {
	scheme, text, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	text = strings.TrimSpace(text)
	return text, ok && strings.EqualFold(scheme, "Bearer") && text != ""
}

// byIAM returns the AWS identity whose signature API Gateway has checked. Only
// a route with its IAM authorizer has one.
func (h *Handler) byIAM(ctx context.Context) (principal, error) {
	rc, ok := core.GetAPIGatewayV2ContextFromContext(ctx)
	if !ok || rc.Authorizer == nil || rc.Authorizer.IAM == nil || rc.Authorizer.IAM.UserARN == "" {
		return principal{}, errNotAdmin
	}
	arn := rc.Authorizer.IAM.UserARN
	p := principal{id: "iam/" + arn}
	for allowed, g := range h.access.IAM {
		if allowed == arn || sameRole(allowed, arn) {
			p.grants = append(p.grants, g)
		}
	}
	if len(p.grants) == 0 {
		return principal{id: p.id}, errNotAdmin
	}
	return p, nil
}

// sameRole reports whether a session is one of a role. The ARN of a session,
// arn:aws:sts::ACCOUNT:assumed-role/NAME/SESSION, lacks the role's path.
func sameRole(role, session string) bool {
	of, name, ok := strings.Cut(role, ":role/")
	in, rest, assumed := strings.Cut(session, ":assumed-role/")
	if !ok || !assumed {
		return false
	}
	name = name[strings.LastIndexByte(name, '/')+1:]
	sessionName, _, _ := strings.Cut(rest, "/")
	return name == sessionName && strings.Replace(of, ":iam:", ":sts:", 1) == in
}
