package audit

import (
	"encoding/json"
	"slices"
	"strings"
)

// actions are IAM actions, by their names without the service.
type actions map[string]bool

// use notes the permissions that a call needed.
func (p *principalBuilder) use(f *fact) {
	allow := func(s *subject, action string) {
		if p.used[s] == nil {
			p.used[s] = make(actions)
		}
		p.used[s][action] = true
	}
	switch {
	case f.kind == kindBatch:
		allow(nil, f.action)
		if f.rare != nil && len(f.rare.list) == 0 {
			allow(nil, "ListSecrets") // a filter needs it
		}
		if f.rare != nil {
			for _, s := range f.rare.secrets {
				allow(s, "GetSecretValue")
			}
		}
	case f.secret == nil || f.action == "ListSecrets" || f.action == "GetRandomPassword":
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
func (b *builder) policy(used map[*subject]actions) json.RawMessage {
	resources := make(map[string][]string) // :: actions -> ARNs
	keys := make(map[string]set)           // :: Region -> keys that the secrets are under
	for s, did := range used {
		var list []string
		for action := range did {
			list = append(list, "secretsmanager:"+action)
		}
		slices.Sort(list)
		k := strings.Join(list, " ")
		resources[k] = append(resources[k], s.pattern(did))
		if key := s.keyARN(); key != "" {
			in := keys[s.region]
			in.add(key)
			keys[s.region] = in
		}
	}
	if len(resources) == 0 {
		return nil
	}
	var out []statement
	for _, k := range sortedKeys(resources) {
		slices.Sort(resources[k])
		out = append(out, statement{Effect: "Allow", Action: strings.Split(k, " "), Resource: slices.Compact(resources[k])})
	}
	for _, region := range sortedKeys(keys) {
		out = append(out, statement{
			Effect: "Allow", Action: []string{"kms:Decrypt", "kms:GenerateDataKey"}, Resource: sortedSet(keys[region]),
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
func (s *subject) pattern(did actions) string {
	switch {
	case s == nil:
		return "*"
	case s.arn != "" && !did["CreateSecret"]:
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
