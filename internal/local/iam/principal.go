package iam

import (
	"fmt"
	"slices"
	"strings"
)

// A Party is who asks for something.
type Party struct {
	// ARN is that of a user, or of the session of a role.
	ARN string
	// RoleARN is set for the session of a role.
	RoleARN string
	// Account is the number of the account that the party belongs to.
	Account string
	// Service is set for a service of AWS that acts by itself, such as
	// "events.amazonaws.com", which has none of the above.
	Service string
}

// principals are those that a statement of a resource policy is about.
type principals struct {
	everyone bool
	accounts []string
	arns     []string // of users, roles and sessions
	services []string
	// except says that the statement is about all others: NotPrincipal.
	except bool
}

// A reach says how a principal of a policy takes a party in.
type reach int

const (
	unreached reach = iota
	// delegated: by its account. It is denied what the account is denied, and
	// allowed what the account's own policies allow it too.
	delegated
	// limited: as everyone, or by the role of its session. A permissions
	// boundary limits what it is allowed so.
	limited
	// exact: by its own ARN or as a service.
	exact
)

func (p *principals) reach(who *Party) reach {
	found := p.find(who)
	if !p.except {
		return found
	}
	if found == unreached {
		return limited
	}
	return unreached
}

func (p *principals) find(who *Party) reach {
	switch {
	case who.Service != "" && (p.everyone || slices.Contains(p.services, who.Service)):
		return exact
	case who.Service != "":
		return unreached
	case slices.Contains(p.arns, who.ARN):
		return exact
	case p.everyone || who.RoleARN != "" && slices.Contains(p.arns, who.RoleARN):
		return limited
	case slices.Contains(p.accounts, who.Account):
		return delegated
	default:
		return unreached
	}
}

// add takes in one principal of a kind, the key under Principal.
func (p *principals) add(kind, name string) error {
	switch kind {
	case "AWS":
		return p.addAWS(name)
	case "Service":
		if !strings.Contains(name, ".") || strings.ContainsAny(name, "*?") {
			return fmt.Errorf("%q is no service such as events.amazonaws.com", name)
		}
		p.services = append(p.services, name)
	case "Federated", "CanonicalUser": // the engine has none
	default:
		return fmt.Errorf("%q is no kind of principal: write AWS, Service, Federated or CanonicalUser", kind)
	}
	return nil
}

func (p *principals) addAWS(name string) error {
	const accountLength = 12
	parts := strings.SplitN(name, ":", arnParts)
	switch {
	case name == "*":
		p.everyone = true
	case len(name) == accountLength && strings.Trim(name, "0123456789") == "":
		p.accounts = append(p.accounts, name)
	case len(parts) < arnParts || parts[0] != "arn" || parts[2] != "iam" && parts[2] != "sts":
		return fmt.Errorf("%q is no principal: write an account, the ARN of a user, a role or a session, or *", name)
	case strings.ContainsAny(name, "*?"):
		return fmt.Errorf("the principal %q has a wildcard: only * alone stands for everyone; use the condition aws:PrincipalArn", name)
	case parts[5] == "root":
		p.accounts = append(p.accounts, parts[4])
	default:
		p.arns = append(p.arns, name)
	}
	return nil
}
