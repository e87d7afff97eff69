package audit

import (
	"fmt"
	"strings"
)

// changes lists the calls that change who can read a secret, or whether anybody
// can.
func (b *builder) changes() []Change {
	byKey := b.secretsByKey()
	out := []Change{}
	add := func(f *fact, s *subject) {
		if len(b.opts.Secrets) > 0 && (s == nil || !s.wanted) {
			return
		}
		c := Change{At: f.at(), Principal: f.who.id, Action: f.action, Failed: !f.ok(), Event: b.eventID(f)}
		if s != nil {
			c.Secret, c.SecretARN = s.name, s.arn
		}
		if f.rare != nil {
			c.Detail = f.rare.detail
		}
		out = append(out, c)
	}
	for f := range b.asked() {
		switch {
		case f.kind == kindKey:
			for _, s := range byKey[f.rare.key] {
				add(f, s)
			}
		case isChange(f):
			add(f, f.secret)
		}
	}
	return out
}

// isChange reports whether a call is one of those that are listed.
func isChange(f *fact) bool {
	switch f.action {
	case "PutResourcePolicy", "DeleteResourcePolicy", "CancelRotateSecret",
		"ReplicateSecretToRegions", "RemoveRegionsFromReplication", "StopReplicationToReplica":
		return true
	case "RotateSecret", "UpdateSecret":
		return f.rare != nil && f.rare.detail != ""
	}
	return false
}

// secretsByKey lists the secrets by the KMS key that they are under, as the
// inventory or a decrypt tells.
func (b *builder) secretsByKey() map[string][]*subject {
	out := make(map[string][]*subject)
	for _, s := range b.subjects {
		key := ""
		if s.state != nil {
			key = keyID(s.state.Key)
		}
		if key == "" {
			key = keyID(b.keys[s.arn])
		}
		if key != "" {
			out[key] = append(out[key], s)
		}
	}
	return out
}

// keyID is the id in the ARN of a KMS key.
func keyID(key string) string {
	return key[strings.LastIndexByte(key, '/')+1:]
}

// detailOf says in words what a call changed.
func detailOf(r *record) string {
	p := &r.RequestParameters
	switch r.EventName {
	case "PutResourcePolicy":
		if p.BlockPublicPolicy == nil || !*p.BlockPublicPolicy {
			return "without blocking public access"
		}
	case "ReplicateSecretToRegions":
		var regions []string
		for _, replica := range p.AddReplicaRegions {
			regions = append(regions, replica.Region)
		}
		return "to " + strings.Join(regions, ", ")
	case "RemoveRegionsFromReplication":
		return "from " + strings.Join(p.RemoveReplicaRegions, ", ")
	case "UpdateSecret":
		if p.KMSKeyID != "" {
			return "under the key " + p.KMSKeyID
		}
	case "RotateSecret":
		return rotationDetail(p)
	case "ScheduleKeyDeletion":
		if p.PendingWindowInDays > 0 {
			return fmt.Sprintf("of the key %s in %.0f days", keyID(p.KeyID), p.PendingWindowInDays)
		}
		return "of the key " + keyID(p.KeyID)
	case "DisableKey", "EnableKey", "CancelKeyDeletion":
		return "of the key " + keyID(p.KeyID)
	}
	return ""
}

// rotationDetail says how a call of RotateSecret configures rotation; nothing
// for one that only rotates.
func rotationDetail(p *parameters) string {
	var parts []string
	if p.RotationRules.AutomaticallyAfterDays > 0 {
		parts = append(parts, fmt.Sprintf("every %.0f days", p.RotationRules.AutomaticallyAfterDays))
	}
	if p.RotationRules.ScheduleExpression != "" {
		parts = append(parts, "on "+p.RotationRules.ScheduleExpression)
	}
	if p.RotationLambdaARN != "" {
		parts = append(parts, "by "+p.RotationLambdaARN)
	}
	return strings.Join(parts, ", ")
}
