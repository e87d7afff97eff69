package audit

import (
	"cmp"
	"strings"
)

// A principal is who made calls, and in which circumstances.
type principal struct {
	id       string // ARN of the role or user, or another name
	kind     string // CloudTrail's type
	account  string
	session  string
	source   string // sourceIdentity
	onBehalf string // a user of an identity centre
	invoked  string // the service that called for it
	flags    flags
	// asked is whether the report is to tell of it: see [Options.Principal].
	asked bool
}

// flags are circumstances of a call that are worth a look.
type flags uint16

const (
	flagRoot flags = 1 << iota
	flagConsole
	flagMFA
	flagNoMFA
	flagLongLivedKey
	flagTemporaryKey
	flagIMDSv1
	flagIMDSv2
	flagCrossAccount
	flagEndpoint
)

// names lists the flags that are set.
func (f flags) names() []string {
	var names []string
	for i, name := range []string{
		"root", "console", "mfa", "no-mfa", "long-lived-key", "temporary-key", "imdsv1", "imdsv2", "cross-account", "endpoint",
	} {
		if f&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}

// principal returns who made a record's call, one for each combination.
func (c *collector) principal(r *record) *principal {
	id := &r.UserIdentity
	_, session, _ := strings.Cut(id.PrincipalID, ":")
	p := principal{
		id:       principalID(id),
		kind:     id.Type,
		account:  id.AccountID,
		session:  session,
		source:   id.SessionContext.SourceIdentity,
		onBehalf: id.OnBehalfOf.UserID,
		invoked:  id.InvokedBy,
		flags:    flagsOf(r),
		asked:    c.opts.Principal == "" || id.namedBy(c.opts.Principal) != "",
	}
	return c.principals.share(p, func(p principal) principal {
		for _, text := range []*string{&p.id, &p.kind, &p.account, &p.session, &p.source, &p.onBehalf, &p.invoked} {
			*text = c.intern(*text)
		}
		return p
	})
}

// principalID names a principal: a role by its own ARN rather than by that of
// the session, and a federated user by the user who made it.
func principalID(id *identity) string {
	switch {
	case id.Type == "Root":
		return cmp.Or(id.ARN, "root:"+id.AccountID)
	case id.SessionContext.SessionIssuer.ARN != "":
		return id.SessionContext.SessionIssuer.ARN
	case id.ARN != "":
		return id.ARN
	case id.Type == "" && id.InvokedBy != "", id.Type == "AWSService":
		return "service:" + id.InvokedBy
	case id.Type != "" || id.AccountID != "":
		name := cmp.Or(id.OnBehalfOf.UserID, id.UserName, id.AccountID, id.PrincipalID)
		return strings.Trim(cmp.Or(id.Type, "Unknown")+":"+name, ":")
	}
	return "unknown"
}

func flagsOf(r *record) (f flags) {
	id := &r.UserIdentity
	set := func(on bool, flag flags) {
		if on {
			f |= flag
		}
	}
	console := r.SessionCredentialFromConsole == "true"
	mfa := id.SessionContext.Attributes.MFAAuthenticated
	set(id.Type == "Root", flagRoot)
	set(console, flagConsole)
	set(mfa == "true", flagMFA)
	set(console && mfa == "false", flagNoMFA)
	set(strings.HasPrefix(id.AccessKeyID, "AKIA"), flagLongLivedKey)
	set(strings.HasPrefix(id.AccessKeyID, "ASIA"), flagTemporaryKey)
	set(id.SessionContext.EC2RoleDelivery == "1.0", flagIMDSv1)
	set(id.SessionContext.EC2RoleDelivery == "2.0", flagIMDSv2)
	// What KMS sees is Secrets Manager's own endpoint.
	set(r.VPCEndpointID != "" && r.EventSource == secretsSource, flagEndpoint)
	return f
}

// isCrossAccount reports whether a call came from another account than its
// secret's.
func (f *fact) isCrossAccount() bool {
	return f.secret != nil && f.who.account != "" && f.secret.account != "" && f.who.account != f.secret.account
}
