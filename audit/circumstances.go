package audit

import (
	"fmt"
	"slices"
)

// A circumstance of a read is one that somebody should look at.
type circumstance struct {
	severity, kind, text string
	applies              func(f *fact) bool
	// next is the command that looks further.
	next func(who string, facts []*fact) string
}

func (b *builder) listCircumstances() []circumstance {
	has := func(flag flags) func(*fact) bool {
		return func(f *fact) bool { return f.who.flags&flag != 0 }
	}
	return []circumstance{
		{High, KindRoot, "read with the account's root user", has(flagRoot), b.lookupCommand},
		{Medium, KindCrossAccount, "read from another account", (*fact).isCrossAccount, policyCommand},
		{Low, KindConsoleRead, "read in the console, by a person", has(flagConsole), b.lookupCommand},
		{Low, KindLongLivedKey, "read with a long-lived access key", has(flagLongLivedKey), b.keysCommand},
		{Medium, KindIMDSv1, "read with credentials from IMDSv1", has(flagIMDSv1), instancesCommand},
	}
}

// circumstances finds the reads whose circumstances somebody should look at:
// one finding for each principal and circumstance, however many secrets it
// read.
func (b *builder) circumstances() []Finding {
	type key struct{ kind, principal string }
	list := b.listCircumstances()
	found := make(map[key][]*fact)
	for f := range b.asked() {
		if !f.isRead() || f.secret == nil || !f.secret.wanted {
			continue
		}
		for i := range list {
			if list[i].applies(f) {
				k := key{list[i].kind, f.who.id}
				found[k] = append(found[k], f)
			}
		}
	}
	var out []Finding
	for k, facts := range found {
		i := slices.IndexFunc(list, func(c circumstance) bool { return c.kind == k.kind })
		out = append(out, b.circumstance(&list[i], k.principal, facts))
	}
	return out
}

func (b *builder) circumstance(c *circumstance, who string, facts []*fact) Finding {
	secrets := make(map[*subject]bool)
	for _, f := range facts {
		secrets[f.secret] = true
	}
	last := facts[len(facts)-1].secret
	text := c.text
	if n := len(secrets); n > 1 {
		text += fmt.Sprintf(", and %s", plural(n-1, "other secret"))
	}
	return b.finding(Finding{
		Severity: c.severity, Kind: c.kind, Secret: last.name, SecretARN: last.arn, Principal: who,
		Text: text, Next: c.next(who, facts),
	}, facts)
}
