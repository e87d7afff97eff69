package audit

import (
	"encoding/json"
	"slices"
	"strings"
)

// actions are actions of Secrets Manager: a bit for each in the order of
// actionNames.
type actions uint32

func actionNames() []string {
	return []string{
		"BatchGetSecretValue", "CancelRotateSecret", "CreateSecret", "DeleteResourcePolicy", "DeleteSecret", "DescribeSecret",
		"GetRandomPassword", "GetResourcePolicy", "GetSecretValue", "ListSecretVersionIds", "ListSecrets", "PutResourcePolicy",
		"PutSecretValue", "RemoveRegionsFromReplication", "ReplicateSecretToRegions", "RestoreSecret", "RotateSecret",
		"StopReplicationToReplica", "TagResource", "UntagResource", "UpdateSecret", "UpdateSecretVersionStage", "ValidateResourcePolicy",
	}
}

// actionBits are the actions by their names. What is not among them is no
// action that IAM knows, and has no place in a policy.
func actionBits() map[string]actions {
	bits := make(map[string]actions)
	for i, name := range actionNames() {
		bits[name] = 1 << i
	}
	return bits
}

// note keeps the permissions that a call needed.
func (p *principalBuilder) note(f *fact, bits map[string]actions) {
	allow := func(s *subject, action string) {
		if bit := bits[action]; bit != 0 {
			u := p.used[s]
			u.did |= bit
			p.used[s] = u
		}
	}
	switch {
	case f.kind == kindBatch:
		allow(nil, f.action)
		if len(f.rare.list) == 0 {
			allow(nil, "ListSecrets") // a filter needs it
		}
		for _, s := range f.rare.secrets {
			allow(s, "GetSecretValue")
		}
	case f.action == "ListSecrets" || f.action == "GetRandomPassword":
		allow(nil, f.action)
	default:
		allow(f.secret, f.action)
	}
}

// A statement is one of an IAM policy.
type statement struct {
	Effect    string
	Action    []string
	Resource  []string
	Condition map[string]map[string]string `json:",omitempty"`
}

// policy writes the IAM policy that allows what was used, and nothing else. The
// secrets that the same actions were used on share a statement.
func (b *builder) policy(used map[*subject]use) json.RawMessage {
	resources := make(map[actions][]string)
	keys := make(map[string]*set) // :: Region -> keys that the secrets are under
	for s, u := range used {
		if u.did == 0 {
			continue
		}
		resources[u.did] = append(resources[u.did], s.pattern(u.did&b.bits["CreateSecret"] != 0))
		if key := s.keyARN(); key != "" {
			if keys[s.region] == nil {
				keys[s.region] = new(set)
			}
			keys[s.region].add(key)
		}
	}
	if len(resources) == 0 {
		return nil
	}
	var out []statement
	names := actionNames()
	for did := range resources {
		one := statement{Effect: "Allow", Resource: resources[did]}
		for i, name := range names {
			if did&(1<<i) != 0 {
				one.Action = append(one.Action, "secretsmanager:"+name)
			}
		}
		slices.Sort(one.Resource)
		one.Resource = slices.Compact(one.Resource)
		out = append(out, one)
	}
	slices.SortFunc(out, func(a, b statement) int { return slices.Compare(a.Action, b.Action) })
	for _, region := range sortedKeys(keys) {
		out = append(out, statement{
			Effect: "Allow", Action: []string{"kms:Decrypt", "kms:GenerateDataKey"}, Resource: keys[region].sorted(),
			Condition: map[string]map[string]string{"StringEquals": {"kms:ViaService": "secretsmanager." + region + ".amazonaws.com"}},
		})
	}
	text, err := json.Marshal(struct {
		Version   string
		Statement []statement
	}{"2012-10-17", out})
	if err != nil {
		return nil // texts can be written in JSON, whatever they hold
	}
	return text
}

// pattern is the ARN of a secret for a policy. Where the random end is not
// known, or was not when the secret was made, it may be any.
func (s *subject) pattern(made bool) string {
	switch {
	case s == nil:
		return "*"
	case s.arn != "" && !made:
		return s.arn
	}
	return "arn:" + partition(s.region) + ":secretsmanager:" + s.region + ":" + s.account + ":secret:" + s.name + "-??????"
}

// keyARN is the ARN of a secret's own KMS key. The account's default key needs
// no permission.
func (s *subject) keyARN() string {
	if s == nil || s.state == nil || s.state.Key == "" || strings.Contains(s.state.Key, "alias/") {
		return ""
	}
	if isARN(s.state.Key) {
		return s.state.Key
	}
	return "arn:" + partition(s.region) + ":kms:" + s.region + ":" + s.account + ":key/" + s.state.Key
}

// partition is AWS's own of a Region.
func partition(region string) string {
	switch {
	case strings.HasPrefix(region, "cn-"):
		return "aws-cn"
	case strings.HasPrefix(region, "us-gov-"):
		return "aws-us-gov"
	}
	return "aws"
}
