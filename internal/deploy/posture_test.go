package deploy_test

import (
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/rekey-go/rekey"
)

// TestTheTemplateIsNoWiderThanItMustBe holds what matters most of the rules of
// tools/guard, for where there is no cfn-guard. Each is tried on a template
// that does not keep it, too.
func TestTheTemplateIsNoWiderThanItMustBe(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		broken func(resources map[string]any) []string
		wide   string // resources that do not keep it
	}{
		"no function reads, writes or decrypts every secret": {
			readsAll, `{F: {Type: AWS::Serverless::Function, Properties: {Policies: [{Statement: {Effect: Allow, Action: "secretsmanager:Get*", Resource: ["*"]}}]}}}`,
		},
		"the admin API reads no value but its hashes": {
			adminReads, `{AdminRole: {Properties: {Policies: [{Effect: Allow, Action: "secretsmanager:GetSecretValue", Resource: !Ref DatabaseCredentials}]}}}`,
		},
		"no policy lets everybody in": {
			public, `{K: {Properties: {KeyPolicy: {Statement: [{Effect: Allow, Principal: {AWS: "*"}, Action: "kms:*"}]}}}}`,
		},
		"a permission for a service names the account or the source": {
			anySource, `{P: {Type: AWS::Lambda::Permission, Properties: {Principal: secretsmanager.amazonaws.com}}}`,
		},
		"secrets and keys outlive the stack": {
			notRetained, `{S: {Type: AWS::SecretsManager::Secret, DeletionPolicy: Retain, Properties: {Name: a}}}`,
		},
		"no deployment rotates a secret": {
			rotatesAtOnce, `{R: {Type: AWS::SecretsManager::RotationSchedule, DependsOn: P, Properties: {SecretId: a}}}`,
		},
		"queues are encrypted": {
			clearQueues, `{Q: {Type: AWS::SQS::Queue, Properties: {SqsManagedSseEnabled: false}}}`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := tt.broken(resourcesOf(t, string(rekey.Template))); len(got) > 0 {
				t.Errorf("the template: %v", got)
			}
			if got := tt.broken(resourcesOf(t, "Resources: "+tt.wide)); len(got) == 0 {
				t.Errorf("nothing is found in %s", tt.wide)
			}
		})
	}
}

// TestWhoPutsBackIntoItsOwnQueueIsNotStopped is about Lambda's detection of
// loops: the SDK passes on the trace of what invoked the function, and after
// about 16 times Lambda drops the message, or leaves it to the dead letters.
func TestWhoPutsBackIntoItsOwnQueueIsNotStopped(t *testing.T) {
	t.Parallel()
	if got := stoppedLoops(resourcesOf(t, string(rekey.Template))); len(got) > 0 {
		t.Errorf("%v: a function that sends to the queue it is invoked by needs RecursiveLoop: Allow", got)
	}
	const stopped = `Resources: {F: {Type: AWS::Serverless::Function, Properties: {
		Environment: {Variables: {QUEUE: !Ref Q}}, Events: {E: {Type: SQS, Properties: {Queue: !GetAtt Q.Arn}}}}}}`
	if got := stoppedLoops(resourcesOf(t, strings.ReplaceAll(stopped, "\t", " "))); len(got) == 0 {
		t.Errorf("nothing is found in %s", stopped)
	}
}

func stoppedLoops(resources map[string]any) (stopped []string) {
	for id, p := range ofTypes(resources, "AWS::Serverless::Function") {
		environment, _ := p["Environment"].(map[string]any)
		variables, _ := environment["Variables"].(map[string]any)
		events, _ := p["Events"].(map[string]any)
		for _, e := range events {
			event, _ := e.(map[string]any)
			source, _ := event["Properties"].(map[string]any)
			queue, _ := source["Queue"].(string)
			own, _, _ := strings.Cut(queue, ".")
			for _, value := range variables {
				if own != "" && value == own && p["RecursiveLoop"] != "Allow" {
					stopped = append(stopped, id)
				}
			}
		}
	}
	return stopped
}

func resourcesOf(t *testing.T, template string) map[string]any {
	t.Helper()
	var all struct {
		Resources map[string]any `yaml:"Resources"`
	}
	if err := yaml.Unmarshal([]byte(template), &all); err != nil {
		t.Fatal(err)
	}
	return all.Resources
}

// ofTypes are the properties of resources, by their ids.
func ofTypes(resources map[string]any, types ...string) map[string]map[string]any {
	found := map[string]map[string]any{}
	for id, r := range resources {
		r, _ := r.(map[string]any)
		kind, _ := r["Type"].(string)
		if properties, ok := r["Properties"].(map[string]any); ok && slices.Contains(types, kind) {
			found[id] = properties
		}
	}
	return found
}

// allowing are the statements below a node that allow something.
func allowing(node any) []map[string]any {
	var found []map[string]any
	switch node := node.(type) {
	case map[string]any:
		if node["Effect"] == "Allow" {
			return []map[string]any{node}
		}
		for _, part := range node {
			found = append(found, allowing(part)...)
		}
	case []any:
		for _, part := range node {
			found = append(found, allowing(part)...)
		}
	}
	return found
}

// list is a value that may stand alone.
func list(value any) []any {
	if many, ok := value.([]any); ok {
		return many
	}
	return []any{value}
}

// gives reports whether a statement has an action that begins so.
func gives(statement map[string]any, prefixes ...string) bool {
	for _, action := range list(statement["Action"]) {
		text, _ := action.(string)
		for _, prefix := range prefixes {
			if text == "*" || strings.HasPrefix(text, prefix) || strings.HasSuffix(text, "*") && strings.HasPrefix(prefix, strings.TrimSuffix(text, "*")) {
				return true
			}
		}
	}
	return false
}

func readsAll(resources map[string]any) (broken []string) {
	for id, r := range ofTypes(resources, "AWS::Serverless::Function", "AWS::IAM::Role", "AWS::IAM::Policy", "AWS::IAM::RolePolicy") {
		for _, s := range allowing(r["Policies"]) {
			if gives(s, "secretsmanager:GetSecretValue", "secretsmanager:PutSecretValue", "kms:Decrypt") && slices.Contains(list(s["Resource"]), any("*")) {
				broken = append(broken, id)
			}
		}
	}
	return broken
}

func adminReads(resources map[string]any) (broken []string) {
	for _, id := range []string{"Admin", "AdminRole"} {
		for _, s := range allowing(resources[id]) {
			if gives(s, "secretsmanager:GetSecretValue") && s["Resource"] != "AdminTokens" {
				broken = append(broken, id)
			}
		}
	}
	return broken
}

func public(resources map[string]any) (broken []string) {
	for id, r := range resources {
		for _, s := range allowing(r) {
			named, _ := s["Principal"].(map[string]any)
			everybody := s["Principal"] == "*" || slices.Contains(list(named["AWS"]), any("*"))
			if everybody && s["Condition"] == nil {
				broken = append(broken, id)
			}
		}
	}
	return broken
}

func anySource(resources map[string]any) (broken []string) {
	for id, p := range ofTypes(resources, "AWS::Lambda::Permission") {
		if p["SourceAccount"] == nil && p["SourceArn"] == nil {
			broken = append(broken, id)
		}
	}
	return broken
}

func notRetained(resources map[string]any) (broken []string) {
	for id := range ofTypes(resources, "AWS::SecretsManager::Secret", "AWS::KMS::Key") {
		r, _ := resources[id].(map[string]any)
		if r["DeletionPolicy"] != "Retain" || r["UpdateReplacePolicy"] != "Retain" {
			broken = append(broken, id)
		}
	}
	return broken
}

func rotatesAtOnce(resources map[string]any) (broken []string) {
	for id, p := range ofTypes(resources, "AWS::SecretsManager::RotationSchedule") {
		r, _ := resources[id].(map[string]any)
		if p["RotateImmediatelyOnUpdate"] != false || r["DependsOn"] == nil {
			broken = append(broken, id)
		}
	}
	return broken
}

func clearQueues(resources map[string]any) (broken []string) {
	for id, p := range ofTypes(resources, "AWS::SQS::Queue") {
		if p["SqsManagedSseEnabled"] != true && p["KmsMasterKeyId"] == nil {
			broken = append(broken, id)
		}
	}
	return broken
}
