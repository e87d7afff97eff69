package secretsmanager

import (
	"context"
	"errors"

	"github.com/rekey-go/rekey/internal/local/iam"
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
	if err := s.setPolicy(e, in.ResourcePolicy, in.BlockPublicPolicy); err != nil {
		return nil, err
	}
	return &secretName{ARN: e.arn, Name: e.name}, nil
}

// PutPolicy gives a secret, by its name or ARN, the resource policy that a
// template has for it. The error is a [*wire.Error] as of PutResourcePolicy.
func (s *Service) PutPolicy(id, policy string, blockPublic bool) error {
	e := s.find(id)
	if e == nil {
		return notFound()
	}
	return s.setPolicy(e, policy, blockPublic)
}

// DropPolicy takes the resource policy of a secret away; there need not be
// one, nor the secret.
func (s *Service) DropPolicy(id string) error {
	e := s.find(id)
	if e == nil || e.state.Load().deleted() {
		return nil
	}
	_, err := s.change(e, func(next *secret) error {
		if next.Policy == "" {
			return errUnchanged
		}
		next.Policy = ""
		return nil
	})
	return err
}

func (s *Service) setPolicy(e *entry, text string, blockPublic bool) error {
	p, err := parsePolicy(text)
	if err != nil {
		return err
	}
	if blockPublic && p.Public() {
		return wire.Errorf("PublicPolicyException", "You can't attach a resource-based policy that allows broad access to the secret.")
	}
	_, err = s.change(e, func(next *secret) error {
		if next.Policy == text {
			return errUnchanged
		}
		next.Policy = text
		return nil
	})
	return err
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
	if p.Public() {
		out.PolicyValidationPassed = false
		out.ValidationErrors = append(out.ValidationErrors, validationEntry{
			CheckName: "REFLEXIVE_PRINCIPAL_CHECK", ErrorMessage: "This resource policy grants broad access to your secret.",
		})
	}
	return out, nil
}

// parsePolicy reads a policy, which has to say something.
func parsePolicy(text string) (*iam.Policy, error) {
	p, err := iam.ParseResourceJSON([]byte(text))
	if err == nil && len(p.Statements) > 0 {
		return p, nil
	}
	what := "a syntax error"
	if fault, ok := errors.AsType[*iam.ParseError](err); ok && fault.Principal {
		what = "an unsupported principal"
	}
	return nil, wire.Errorf("MalformedPolicyDocumentException", "This resource policy contains %s.", what)
}
