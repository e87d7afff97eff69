package secretsmanager

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"

	"github.com/rekey-go/rekey/internal/local/wire"
)

const maxPolicy = 20480 // characters

type policyInput struct {
	SecretID          string `json:"SecretId"`
	ResourcePolicy    string
	BlockPublicPolicy bool
}

func (in *policyInput) check(c *constraints) {
	c.secretID(in.SecretID)
	c.required("resourcePolicy", in.ResourcePolicy, maxPolicy)
}

// validateInput is a policy to look at. The secret may be left out.
type validateInput struct {
	SecretID       string `json:"SecretId"`
	ResourcePolicy string
}

func (in *validateInput) check(c *constraints) {
	c.text("secretId", in.SecretID, 1, maxSecretID)
	c.name(in.SecretID)
	c.required("resourcePolicy", in.ResourcePolicy, maxPolicy)
}

type policyOutput struct {
	ARN, Name      string
	ResourcePolicy string `json:",omitempty"`
}

func (s *Service) putResourcePolicy(_ context.Context, c *wire.Call, in *policyInput) (*secretName, error) {
	e, _, err := s.live(c, in.SecretID)
	if err != nil {
		return nil, err
	}
	p, err := parsePolicy(in.ResourcePolicy)
	if err != nil {
		return nil, err
	}
	if in.BlockPublicPolicy && p.public() {
		return nil, wire.Errorf("PublicPolicyException", "You can't attach a resource-based policy that allows broad access to the secret.")
	}
	_, err = s.change(e, func(next *secret) error { next.Policy = in.ResourcePolicy; return nil })
	if err != nil {
		return nil, err
	}
	return &secretName{ARN: e.arn, Name: e.name}, nil
}

func (s *Service) getResourcePolicy(_ context.Context, c *wire.Call, in *secretID) (*policyOutput, error) {
	e, st, err := s.live(c, in.SecretID)
	if err != nil {
		return nil, err
	}
	return &policyOutput{ARN: e.arn, Name: e.name, ResourcePolicy: st.Policy}, nil
}

func (s *Service) deleteResourcePolicy(_ context.Context, c *wire.Call, in *secretID) (*secretName, error) {
	e, _, err := s.live(c, in.SecretID)
	if err != nil {
		return nil, err
	}
	_, err = s.change(e, func(next *secret) error { next.Policy = ""; return nil })
	if err != nil {
		return nil, err
	}
	return &secretName{ARN: e.arn, Name: e.name}, nil
}

type validateOutput struct {
	PolicyValidationPassed bool
	ValidationErrors       []validationEntry
}

type validationEntry struct{ CheckName, ErrorMessage string }

// validateResourcePolicy says what is wrong with a policy.
func (s *Service) validateResourcePolicy(_ context.Context, c *wire.Call, in *validateInput) (*validateOutput, error) {
	if in.SecretID != "" {
		if _, _, err := s.live(c, in.SecretID); err != nil {
			return nil, err
		}
	}
	p, err := parsePolicy(in.ResourcePolicy)
	if err != nil {
		return nil, err
	}
	out := &validateOutput{PolicyValidationPassed: true, ValidationErrors: []validationEntry{}}
	if p.public() {
		out.PolicyValidationPassed = false
		out.ValidationErrors = append(out.ValidationErrors, validationEntry{
			CheckName: "REFLEXIVE_PRINCIPAL_CHECK", ErrorMessage: "This resource policy grants broad access to your secret.",
		})
	}
	return out, nil
}

// policy is a resource policy, as far as the service looks at it.
type policy struct {
	Statement []statement
}

type statement struct {
	Sid, Effect             string
	Principal, NotPrincipal json.RawMessage
	Action, NotAction       json.RawMessage
	Resource, NotResource   json.RawMessage
	Condition               json.RawMessage
}

// parsePolicy reads a policy. Its Statement is a list, or one statement.
func parsePolicy(text string) (*policy, error) {
	var document struct{ Statement json.RawMessage }
	if err := json.Unmarshal([]byte(text), &document); err != nil {
		return nil, malformed()
	}
	p := new(policy)
	raw := bytes.TrimSpace(document.Statement)
	if len(raw) > 0 && raw[0] == '{' {
		raw = append(append([]byte{'['}, raw...), ']')
	}
	if json.Unmarshal(raw, &p.Statement) != nil || len(p.Statement) == 0 {
		return nil, malformed()
	}
	for _, st := range p.Statement {
		if !st.wellFormed() {
			return nil, malformed()
		}
	}
	return p, nil
}

func malformed() *wire.Error {
	return wire.Errorf("MalformedPolicyDocumentException", "This resource policy contains a syntax error.")
}

// wellFormed reports whether the statement has the elements that it must have
// and knows no others.
func (st statement) wellFormed() bool {
	return (st.Effect == "Allow" || st.Effect == "Deny") &&
		(len(st.Principal) > 0) != (len(st.NotPrincipal) > 0) &&
		(len(st.Action) > 0) != (len(st.NotAction) > 0) &&
		(len(st.Resource) > 0) != (len(st.NotResource) > 0)
}

// public reports whether the policy allows something to everyone without a
// condition.
func (p *policy) public() bool {
	for _, st := range p.Statement {
		if st.Effect == "Allow" && len(st.Condition) == 0 && everyone(st.Principal) {
			return true
		}
	}
	return false
}

// everyone reports whether a principal is "*", or has it in its AWS part.
func everyone(principal json.RawMessage) bool {
	var one string
	if json.Unmarshal(principal, &one) == nil {
		return one == "*"
	}
	var parts map[string]json.RawMessage
	if json.Unmarshal(principal, &parts) != nil {
		return false
	}
	var many []string
	if json.Unmarshal(parts["AWS"], &many) == nil {
		return slices.Contains(many, "*")
	}
	return json.Unmarshal(parts["AWS"], &one) == nil && one == "*"
}
