package audit

import (
	"cmp"
	"fmt"
	"strings"
	"time"
)

// This file has what to run next: commands of the AWS CLI, and of this program.
// They name a secret by its ARN where that is known, and quote what comes from
// records.

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

func (b *builder) keysCommand(who string, facts []*fact) string {
	if !strings.Contains(who, ":user/") {
		return b.lookupCommand(who, facts)
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

// lookupCommand looks up what a principal did, from the first of some facts to
// the last. CloudTrail looks up by the session of a role, and by the name of a
// user; who has neither is looked up by the last event alone.
func (b *builder) lookupCommand(who string, facts []*fact) string {
	first, last := facts[0], facts[len(facts)-1]
	text := "aws cloudtrail lookup-events"
	if last.region != "" {
		text += " --region " + quote(last.region)
	}
	name := last.who.session
	switch {
	case last.who.kind == "Root":
		name = "root"
	case name == "" && isARN(who):
		name = who[strings.LastIndexByte(who, '/')+1:]
	case name == "":
		return text + " --lookup-attributes " + quote("AttributeKey=EventId,AttributeValue="+b.eventID(last))
	}
	return text + fmt.Sprintf(" --lookup-attributes %s --start-time %s --end-time %s", quote("AttributeKey=Username,AttributeValue="+name),
		first.at().UTC().Format(time.RFC3339), last.at().Add(time.Second).UTC().Format(time.RFC3339))
}

// containCommand is the plan of what to do if a principal has leaked: what it
// read from the first of some facts on, what still works, and who is hurt by a
// rotation. It changes nothing.
func containCommand(who string, facts []*fact) string {
	return "rekey contain --principal " + quote(who) + " --since " + facts[0].at().UTC().Format(time.RFC3339)
}

// quote makes a text one word of a shell.
func quote(text string) string {
	plain := strings.IndexFunc(text, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:=,+@", r)
	}) < 0
	if plain && text != "" {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
