package local_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/rekey-go/rekey/internal/local"
	"github.com/rekey-go/rekey/internal/local/template"
)

// A permission is one action of one statement of the system's template.
type permission struct {
	of       string // the logical id of who has it
	line     int
	sid      string
	action   string
	resource string
}

// TestEveryPermissionOfTheTemplateIsMissedByName takes each statement out of
// the system's own template, and makes the calls that it is for.
func TestEveryPermissionOfTheTemplateIsMissedByName(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	byLine := permissions(t, text)
	if len(byLine) < 20 {
		t.Fatalf("the template has %d statements, which cannot be all", len(byLine))
	}
	for line, all := range byLine {
		t.Run(fmt.Sprintf("line %d, %s", line, all[0].action), func(t *testing.T) {
			t.Parallel()
			e, err := startWhole(t, without(t, text, line))
			if isNeeded(all) { // by Lambda, before the function runs
				checkStart(t, err, all)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			store(t, e)
			for _, p := range all {
				p.use(t, e, byLine)
			}
			e.Events.Close() // what was delivered has arrived, or was refused
			report := e.Policies()
			for _, p := range all {
				if p.exercised(byLine) && !p.isMissed(report) {
					t.Errorf("%s without %s on %s: no refusal names it among %d", p.of, p.action, p.resource, len(report.Refused))
				}
			}
		})
	}
}

// isNeeded reports whether a statement is what Lambda does with a function's
// queues.
func isNeeded(all []permission) bool {
	polls := all[0].action == "sqs:ReceiveMessage"
	return polls || all[0].action == "sqs:SendMessage" && strings.HasSuffix(all[0].resource, "-undelivered") && !strings.HasSuffix(all[0].of, "Policy")
}

// checkStart wants a refusal of the template that names the permission.
func checkStart(t *testing.T, err error, all []permission) {
	t.Helper()
	fault, ok := errors.AsType[*template.Error](err)
	if !ok || !strings.HasPrefix(fault.Hint, "allow "+all[0].action+" on !GetAtt ") || !strings.HasSuffix(fault.Hint, " in the policies of "+all[0].of) {
		t.Errorf("without %s of %s: %v, want a refusal of the template that names them", all[0].action, all[0].of, err)
	}
}

func startWhole(t *testing.T, text []byte) (*local.Engine, error) {
	t.Helper()
	e, err := local.Start(t.Context(), local.Options{
		Template: text, TemplateFile: "template.yaml", Logs: t.Output(),
		Command: func(string) ([]string, error) { return command("echo") },
	})
	if err == nil {
		t.Cleanup(func() { _ = e.Close(t.Context()) }) //nolint:usetesting // the events are closed already.
	}
	return e, err
}

// permissions are those of the template, by the line of their statement.
func permissions(t *testing.T, text []byte) map[int][]permission {
	t.Helper()
	e, err := startWhole(t, text)
	if err != nil {
		t.Fatal(err)
	}
	all := map[int][]permission{}
	for _, s := range e.Policies().Statements {
		if s.Elsewhere || s.Deny {
			continue
		}
		for _, action := range s.Actions {
			for _, resource := range s.Resources {
				all[s.Line] = append(all[s.Line], permission{s.Of, s.Line, s.Sid, action, resource})
			}
		}
	}
	return all
}

// without is the template with a statement about nothing in the place of one.
func without(t *testing.T, text []byte, line int) []byte {
	t.Helper()
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}
	if !empty(&root, line) {
		t.Fatalf("there is no statement in line %d", line)
	}
	changed, err := yaml.Marshal(&root)
	if err != nil {
		t.Fatal(err)
	}
	return changed
}

func empty(node *yaml.Node, line int) (found bool) {
	for i, part := range node.Content {
		if node.Kind == yaml.MappingNode && node.Line == line && part.Value == "Action" && i%2 == 0 {
			node.Content[i+1] = &yaml.Node{Kind: yaml.ScalarNode, Value: "none:Nothing"}
			return true
		}
		found = empty(part, line) || found
	}
	return found
}

// store gives every secret a value, as the operator.
func store(t *testing.T, e *local.Engine) {
	t.Helper()
	for _, name := range []string{"database-credentials", "external-api-keys", "jwt-configuration", "admin-tokens", "admin-token", "database-superuser", "provider-admin"} {
		if status, answer := post(t, e, "operator", "secretsmanager.PutSecretValue", map[string]any{"SecretId": "dev-" + name, "SecretString": "{}"}); status != http.StatusOK {
			// A key's policy holds for operators too.
			if !strings.Contains(answer, "Access to KMS is not allowed") {
				t.Fatalf("storing %s: %s", name, answer)
			}
		}
	}
}

// post makes a call with an access key.
func post(t *testing.T, e *local.Engine, key, target string, input map[string]any) (int, string) {
	t.Helper()
	if _, ok := input["ClientRequestToken"]; !ok && strings.HasPrefix(target, "secretsmanager.") {
		input["ClientRequestToken"] = strings.Repeat("0", 32)
	}
	body, err := json.Marshal(input)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, e.Endpoint(), bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Amz-Target", target)
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+key+"/20260101/us-east-1/x/aws4_request")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(answer)
}

// use makes the call that a permission is for, as the one who has it.
func (p permission) use(t *testing.T, e *local.Engine, all map[int][]permission) {
	t.Helper()
	if !p.exercised(all) {
		return
	}
	key, target, input := "operator", "AWSEvents.PutEvents", rotated(p.of)
	switch {
	case strings.HasSuffix(p.of, "Policy"):
		key = e.CredentialsOf("DbRotator").AccessKeyID // whose events the rules are for
	case p.of != "Key":
		key = e.CredentialsOf(p.of).AccessKeyID
	}
	service, operation, _ := strings.Cut(p.action, ":")
	name := p.resource[strings.LastIndexAny(p.resource, ":/")+1:]
	item := map[string]any{"pk": map[string]string{"S": "lease#x"}, "sk": map[string]string{"S": "y"}}
	switch service {
	case "secretsmanager":
		id := p.secret(all)
		target, input = "secretsmanager."+operation, map[string]any{
			"SecretId": id, "Name": "dev-new", "SecretString": "x", "Tags": []map[string]string{{"Key": "rekey:stage", "Value": "dev"}},
			"KmsKeyId": "arn:aws:kms:us-east-1:123456789012:key/Key", "RecoveryWindowInDays": 7,
		}
		if operation == "CreateSecret" || operation == "ListSecrets" {
			delete(input, "SecretId")
		}
	case "kms":
		for _, id := range p.secrets(all, "GetSecretValue") {
			_, _ = post(t, e, key, "secretsmanager.GetSecretValue", map[string]any{"SecretId": id, "VersionStage": "AWSCURRENT"})
		}
		if operation == "GenerateDataKey" {
			for _, id := range p.secrets(all, "PutSecretValue") {
				_, _ = post(t, e, key, "secretsmanager.PutSecretValue", map[string]any{"SecretId": id, "SecretString": "y", "ClientRequestToken": strings.Repeat("1", 32)})
			}
		}
		return
	case "dynamodb":
		if operation == "GetItem" || operation == "UpdateItem" {
			item["pk"] = map[string]string{"S": "board"}
		}
		target, input = "DynamoDB_20120810."+operation, map[string]any{"TableName": name, "Key": item, "Item": item}
		if operation == "Query" {
			input = map[string]any{"TableName": name, "KeyConditionExpression": "pk = :pk", "ExpressionAttributeValues": map[string]any{":pk": item["pk"]}}
		}
	case "sqs":
		if !strings.HasSuffix(p.of, "Policy") {
			target, input = "AmazonSQS."+operation, map[string]any{"QueueUrl": e.Endpoint() + "/123456789012/" + name, "MessageBody": "x"}
		}
	case "lambda":
		target, input = "secretsmanager.RotateSecret", map[string]any{"SecretId": rotatedBy[name]}
	case "s3":
		p.useObject(t, e, key)
		return
	case "cloudtrail":
		target, input = "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101."+operation, map[string]any{}
	}
	_, _ = post(t, e, key, target, input) // the report says what became of it
}

// useObject writes or reads an object that the permission is for. Who may not
// list a bucket is refused an object that is not there.
func (p permission) useObject(t *testing.T, e *local.Engine, accessKey string) {
	t.Helper()
	method := http.MethodGet
	if p.action == "s3:PutObject" {
		method = http.MethodPut
	}
	name := strings.TrimPrefix(p.resource, "arn:aws:s3:::")
	if p.action == "s3:ListBucket" {
		name += "/state/*"
	}
	req, err := http.NewRequestWithContext(t.Context(), method, e.Endpoint()+"/"+strings.Replace(name, "*", "none", 1), strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+accessKey+"/20260101/us-east-1/s3/aws4_request")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close() // the report says what became of it
}

// rotatedBy are secrets by the functions that rotate them.
var rotatedBy = map[string]string{ //nolint:gochecknoglobals // a constant table.
	"dev-dbrotator": "dev-database-credentials", "dev-apikeyrotator": "dev-external-api-keys", "dev-keyrotator": "dev-jwt-configuration",
}

// rotated is the event that a role is for; by default the one that the
// template's rules are for.
func rotated(role string) map[string]any {
	detailType := map[string]string{"RetireRole": "Secret Retired", "AuditRole": "Audit Finding"}[role]
	return map[string]any{"Entries": []map[string]string{{
		"EventBusName": "dev-rekey", "Source": "rekey", "DetailType": cmp.Or(detailType, "Secret Rotated"), "Detail": "{}",
	}}}
}

// secrets are those that the permission's holder may use with an operation.
func (p permission) secrets(all map[int][]permission, operation string) []string {
	if p.of == "Key" {
		return []string{"dev-database-credentials"}
	}
	var names []string
	for _, others := range all {
		for _, other := range others {
			if other.of == p.of && other.action == "secretsmanager:"+operation {
				names = append(names, other.secret(all))
			}
		}
	}
	return names
}

// secret is the name of a secret that a permission is for. Its ARN is another in
// each engine. Who rotates may use the secrets that it rotates, and retire those
// of each function by a statement of its own.
func (p permission) secret(all map[int][]permission) string {
	name := p.resource[strings.LastIndexByte(p.resource, ':')+1:]
	if name != "dev-*" && name != "*" {
		return name[:strings.LastIndexByte(name, '-')]
	}
	writes := slices.ContainsFunc(all[p.line], func(o permission) bool { return o.action == "secretsmanager:PutSecretValue" })
	switch {
	case p.of == "ApiKeyRotatorRole":
		return "dev-external-api-keys"
	case p.of == "KeyRotatorRole", p.of == "RetireRole" && writes:
		return "dev-jwt-configuration"
	default:
		return "dev-database-credentials"
	}
}

// exercised reports whether there is a call that nothing else allows: a rule
// writes to a dead letter queue only where its target fails, a function that
// writes no secret needs no data key, and the engine has no logs, alarms and
// administration of keys. TestEachStatementAllowsWhatItIsForAndNoMore has those.
func (p permission) exercised(all map[int][]permission) bool {
	switch {
	case p.of == "Key" && p.sid != "Secrets":
		return false
	case strings.HasSuffix(p.of, "Policy") && p.of != "RetireQueuePolicy":
		return false
	case p.action == "kms:GenerateDataKey":
		return len(p.secrets(all, "PutSecretValue")) > 0
	default:
		return true
	}
}

// isMissed reports whether a refusal names what was taken out.
func (p permission) isMissed(report *local.PolicyReport) bool {
	return slices.ContainsFunc(report.Refused, func(r local.PolicyRefusal) bool {
		switch p.of {
		case "Key":
			return strings.HasPrefix(r.Action, "kms:") && r.Into == "the policy in Key" && strings.Contains(r.Reason, "resource-based")
		case "RetireQueuePolicy":
			return r.Who == "events.amazonaws.com" && r.Into == "the policy in RetireQueuePolicy" && strings.Contains(r.Statement, "Resource: !GetAtt RetireQueue.Arn") &&
				strings.Contains(r.Statement, `"aws:SourceArn": !GetAtt RetireRule.Arn`)
		default:
			return r.Who == p.of && r.Action == p.action && r.Into == "the policies of "+p.of &&
				strings.Contains(r.Statement, "Action: "+p.action+"\n") && strings.Contains(r.Statement, "Resource: ") && r.File == "template.yaml" && r.Line > 0
		}
	})
}
