package audit

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A circumstance of a read is one that somebody should look at.
type circumstance struct {
	severity, kind, text string
	applies              func(f *fact) bool
	// next is the command that looks further.
	next func(who string, facts []*fact) string
}

func circumstances() []circumstance {
	has := func(flag flags) func(*fact) bool {
		return func(f *fact) bool { return f.who.flags&flag != 0 }
	}
	return []circumstance{
		{High, KindRoot, "read with the account's root user", has(flagRoot), lookupCommand},
		{Medium, KindCrossAccount, "read from another account", (*fact).isCrossAccount, policyCommand},
		{Low, KindConsoleRead, "read in the console, by a person", has(flagConsole), lookupCommand},
		{Low, KindLongLivedKey, "read with a long-lived access key", has(flagLongLivedKey), keysCommand},
		{Medium, KindIMDSv1, "read with credentials from IMDSv1", has(flagIMDSv1), instancesCommand},
	}
}

// circumstances finds the reads whose circumstances somebody should look at:
// one finding for each principal and circumstance, however many secrets it
// read.
func (b *builder) circumstances() []Finding {
	type key struct{ kind, principal string }
	list := circumstances()
	found := make(map[key][]*fact)
	for _, f := range b.facts {
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

// The commands below are what to run next. They name a secret by its ARN where
// that is known, and quote what comes from records.

// secretCommand is a command of the AWS CLI about a secret.
func secretCommand(command, arn, name, region string) string {
	text := "aws secretsmanager " + command + " --secret-id " + quote(cmp.Or(arn, name))
	if region != "" {
		text += " --region " + quote(region)
	}
	return text
}

func describe(arn, name, region string) string {
	return secretCommand("describe-secret", arn, name, region)
}

func describeCommand(s *subject) string { return describe(s.arn, s.name, s.region) }

// rekeyCommand is a command of this program about a secret. It takes an ARN; a
// name alone would be taken for one within a stage.
func rekeyCommand(command string, s *Secret) string {
	if s.ARN == "" {
		return describe("", s.Name, s.Region)
	}
	return "rekey " + command + " " + quote(s.ARN)
}

func statusCommand(s *Secret) string { return rekeyCommand("status", s) }
func doctorCommand(s *Secret) string { return rekeyCommand("doctor", s) }
func rotateCommand(s *Secret) string { return rekeyCommand("rotate --wait", s) }

// rotationCommand shows why a rotation failed: the log of its function, where
// the record names it.
func rotationCommand(s *Secret, r *Rotation) string {
	name := functionName(r.Function)
	if name == "" {
		return doctorCommand(s)
	}
	since := cmp.Or(r.Started, r.Ended)
	return fmt.Sprintf("aws logs tail %s --region %s --since %s", quote("/aws/lambda/"+name), quote(s.Region), since.UTC().Format("2006-01-02T15:04:05Z"))
}

// simulateCommand asks IAM why a call was refused.
func simulateCommand(d *Denied) string {
	if !strings.Contains(d.Principal, ":iam::") {
		return secretCommand("get-resource-policy", d.SecretARN, cmp.Or(d.Secret, "NAME"), regionOf(d.SecretARN))
	}
	text := "aws iam simulate-principal-policy --policy-source-arn " + quote(d.Principal) + " --action-names " + quote("secretsmanager:"+d.Action)
	if d.SecretARN != "" {
		text += " --resource-arns " + quote(d.SecretARN)
	}
	return text
}

func policyCommand(_ string, facts []*fact) string {
	s := facts[len(facts)-1].secret
	return secretCommand("get-resource-policy", s.arn, s.name, s.region)
}

func keysCommand(who string, facts []*fact) string {
	if !strings.Contains(who, ":user/") {
		return lookupCommand(who, facts)
	}
	return "aws iam list-access-keys --user-name " + quote(who[strings.LastIndexByte(who, '/')+1:])
}

func instancesCommand(_ string, facts []*fact) string {
	return "aws ec2 describe-instances --region " + quote(facts[len(facts)-1].region) +
		" --filters Name=metadata-options.http-tokens,Values=optional"
}

func regionOf(arn string) string {
	region, _, _ := parseARN(arn)
	return region
}
