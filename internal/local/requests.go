package local

import (
	"cmp"
	"encoding/json"
	"regexp"
	"strings"

	"github.com/rekey-go/rekey/internal/local/iam"
	"github.com/rekey-go/rekey/internal/local/wire"
)

// A judged request also has the resource as the text of a refusal names it;
// empty where the text names none.
type judged struct {
	iam.Request
	named string
}

// arnOf is the ARN of something in the engine's account.
func arnOf(service, rest string) string {
	return "arn:aws:" + service + ":" + Region + ":" + Account + ":" + rest
}

// requests are what a call asks of IAM, with the condition keys of each.
func (e *Engine) requests(c *wire.Call) []judged {
	a := asked{engine: e, call: c, action: c.Service + ":" + c.Operation}
	switch c.Service {
	case "secretsmanager":
		a.secrets()
	case "events":
		a.events()
	case "dynamodb":
		a.tables()
	case "sqs":
		a.queues()
	case "lambda":
		a.functions()
	case "s3":
		a.objects()
	case "cloudformation":
		a.stacks()
	case "sts": // everybody may ask who they are
	default:
		a.about(a.action, "*", "", nil)
	}
	return a.requests
}

// partyOf is a caller in the terms of IAM.
func partyOf(p wire.Principal) iam.Party {
	return iam.Party{ARN: p.ARN, RoleARN: p.RoleARN, Account: p.AccountID}
}

// asked collects the requests of one call.
type asked struct {
	engine   *Engine
	call     *wire.Call
	action   string
	requests []judged
}

// about adds a request. More has the condition keys that it has beside those of
// every call; nil where there are none.
func (a *asked) about(action, resource, named string, more iam.Context) {
	a.requests = append(a.requests, judged{iam.Request{
		Party: partyOf(a.call.Caller), Action: action, Resource: resource, Context: a.engine.contextOf(a.call, more),
	}, named})
}

// decode reads the members of the input that say what the call is about. One
// of another shape is about nothing, and the service refuses it.
func (a *asked) decode(into any) { _ = json.Unmarshal(a.call.Input, into) }

// secretInput are the members of Secrets Manager's requests that policies ask
// about.
type secretInput struct {
	SecretID                   string   `json:"SecretId"`
	SecretIDList               []string `json:"SecretIdList"`
	Filters                    []json.RawMessage
	Name, Description          string
	KMSKeyID                   string `json:"KmsKeyId"`
	RotationLambdaARN          string
	RotationRules              json.RawMessage
	RotateImmediately          *bool
	VersionID                  string `json:"VersionId"`
	VersionStage               string
	RecoveryWindowInDays       *int64
	ForceDeleteWithoutRecovery *bool
	BlockPublicPolicy          *bool
	Tags                       []struct{ Key, Value string }
	TagKeys                    []string
}

func (a *asked) secrets() {
	var in secretInput
	a.decode(&in)
	switch {
	case a.call.Operation == "BatchGetSecretValue":
		a.about(a.action, "*", "", nil) // each read is judged for itself
		if len(in.Filters) > 0 {
			a.about("secretsmanager:ListSecrets", "*", "", nil)
		}
	case in.SecretID != "":
		a.secret(a.action, in.SecretID, &in)
		if function := cmp.Or(in.RotationLambdaARN, a.engine.Secrets.Facts(in.SecretID).LambdaARN); a.call.Operation == "RotateSecret" && function != "" {
			a.about("lambda:InvokeFunction", function, function, nil) // it is asked of the caller too
		}
	case a.call.Operation == "CreateSecret":
		a.secret(a.action, in.Name, &in)
		if len(in.Tags) > 0 {
			a.secret("secretsmanager:TagResource", in.Name, &in)
		}
	default:
		a.about(a.action, "*", "", nil)
	}
}

// secret adds a request about one secret.
func (a *asked) secret(action, id string, in *secretInput) {
	facts := a.engine.Secrets.Facts(id)
	a.about(action, facts.ARN, id, func(key string) []string { return secretKey(&facts, in, key) })
}

func (a *asked) events() {
	var in struct {
		Name, Rule, EventBusName, ResourceARN string
		Entries                               []struct{ EventBusName, Source, DetailType string }
	}
	a.decode(&in)
	plain := func(arn string) { a.about(a.action, arn, arn, nil) }
	operation := a.call.Operation
	switch {
	case operation == "PutEvents":
		for _, entry := range in.Entries {
			arn := arnOf("events", "event-bus/"+busName(entry.EventBusName))
			a.about(a.action, arn, arn, func(key string) []string {
				switch key {
				case "events:source":
					return iam.Text(entry.Source)
				case "events:detail-type":
					return iam.Text(entry.DetailType)
				case "events:eventbusinvocation":
					return iam.Text("false")
				}
				return nil
			})
		}
	case in.ResourceARN != "":
		plain(in.ResourceARN)
	case strings.HasSuffix(operation, "EventBus"):
		plain(arnOf("events", "event-bus/"+busName(in.Name)))
	case strings.HasSuffix(operation, "Rule") || strings.HasSuffix(operation, "Targets"):
		plain(arnOf("events", "rule/"+rulePath(busName(in.EventBusName), in.Name+in.Rule)))
	default:
		a.about(a.action, "*", "", nil)
	}
}

// busName is the name of a bus that is given by its name or ARN, or left out.
func busName(nameOrARN string) string {
	if nameOrARN == "" {
		return "default"
	}
	return nameOrARN[strings.LastIndexByte(nameOrARN, '/')+1:]
}

// rulePath is a rule's place in its ARN, which leaves the default bus out.
func rulePath(bus, rule string) string {
	if bus == "default" {
		return rule
	}
	return bus + "/" + rule
}

func (a *asked) queues() {
	var in struct {
		QueueURL  string `json:"QueueUrl"`
		QueueName string
	}
	a.decode(&in)
	name := in.QueueName
	if name == "" {
		name = in.QueueURL[strings.LastIndexByte(in.QueueURL, '/')+1:]
	}
	arn := arnOf("sqs", name)
	a.about(strings.TrimSuffix(a.action, "Batch"), arn, arn, nil)
}

// lambdaVersion ends the names of Lambda's operations in the trail.
var lambdaVersion = regexp.MustCompile(`20\d{6}(v\d)?$`)

func (a *asked) functions() {
	action := lambdaVersion.ReplaceAllString(a.action, "")
	if a.call.Operation == "Invoke" {
		action = "lambda:InvokeFunction"
	}
	if a.call.Target == "" {
		a.about(action, "*", "*", nil)
		return
	}
	arn := a.call.Target
	if _, name, ok := strings.Cut(arn, ":function:"); ok || !strings.HasPrefix(arn, "arn:") {
		arn = arnOf("lambda", "function:"+cmp.Or(name, arn))
	}
	a.about(action, arn, arn, nil)
}

// objects asks for what a call of S3 needs.
func (a *asked) objects() {
	for _, need := range a.call.Needs {
		a.about(need.Action, need.Resource, `"`+need.Resource+`"`, func(key string) []string { return iam.Member(need.Keys, key) })
	}
}
