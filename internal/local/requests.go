package local

import (
	"cmp"
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
	"time"

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

// contextOf are the condition keys that every call has. The engine's port is
// on this machine and stands for one with TLS, which is what SDKs use on AWS.
func (e *Engine) contextOf(c *wire.Call) iam.Context {
	context := iam.Context{}
	arn, kind := c.Caller.ARN, "User"
	if c.Caller.RoleARN != "" {
		arn, kind = c.Caller.RoleARN, "AssumedRole"
		context.SetText("lambda:SourceFunctionArn", arnOf("lambda", "function:"+c.Caller.SessionName))
	}
	if role := e.access.roles.get(c.Caller.RoleARN); role != nil {
		for key, value := range role.tags {
			context.Set("aws:PrincipalTag/"+key, value)
		}
	}
	context.SetText("aws:PrincipalArn", arn)
	context.SetText("aws:PrincipalAccount", c.Caller.AccountID)
	context.SetText("aws:PrincipalType", kind)
	context.SetText("aws:userid", c.Caller.PrincipalID)
	context.SetText("aws:username", c.Caller.UserName)
	context.SetText("aws:PrincipalIsAWSService", "false")
	context.SetText("aws:ViaAWSService", "false")
	context.SetText("aws:SourceIp", c.SourceIP)
	context.SetText("aws:UserAgent", c.UserAgent)
	context.SetText("aws:RequestedRegion", c.Region)
	context.SetText("aws:SecureTransport", "true")
	context.SetText("aws:CurrentTime", c.Time.UTC().Format(time.RFC3339))
	context.SetText("aws:EpochTime", strconv.FormatInt(c.Time.Unix(), 10))
	return context
}

// asked collects the requests of one call.
type asked struct {
	engine   *Engine
	call     *wire.Call
	action   string
	requests []judged
}

// about adds a request. More adds condition keys to those of every call; nil
// where there are none.
func (a *asked) about(action, resource, named string, more func(iam.Context)) {
	build := func() iam.Context {
		context := a.engine.contextOf(a.call)
		if more != nil {
			more(context)
		}
		return context
	}
	a.requests = append(a.requests, judged{iam.Request{Party: partyOf(a.call.Caller), Action: action, Resource: resource, Build: build}, named})
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
	a.about(action, facts.ARN, id, func(context iam.Context) {
		for key, value := range facts.Tags {
			context.Set("aws:ResourceTag/"+key, value)
			context.Set("secretsmanager:ResourceTag/"+key, value)
		}
		context.SetText("secretsmanager:SecretId", facts.ARN)
		context.SetText("secretsmanager:SecretPrimaryRegion", Region)
		context.SetText("secretsmanager:resource/AllowRotationLambdaArn", facts.LambdaARN)
		in.set(context)
	})
}

// set adds the condition keys that come from the request, as AWS documents
// them: a read that names no label has no VersionStage, although it gets the
// version with AWSCURRENT.
func (in *secretInput) set(context iam.Context) {
	for key, value := range map[string]string{
		"Name": in.Name, "Description": in.Description, "KmsKeyId": in.KMSKeyID,
		"RotationLambdaARN": in.RotationLambdaARN, "VersionId": in.VersionID, "VersionStage": in.VersionStage,
	} {
		context.SetText("secretsmanager:"+key, value)
	}
	for key, value := range map[string]*bool{
		"RotateImmediately": in.RotateImmediately, "ForceDeleteWithoutRecovery": in.ForceDeleteWithoutRecovery, "BlockPublicPolicy": in.BlockPublicPolicy,
	} {
		if value != nil {
			context.Set("secretsmanager:"+key, strconv.FormatBool(*value))
		}
	}
	if in.RecoveryWindowInDays != nil {
		context.Set("secretsmanager:RecoveryWindowInDays", strconv.FormatInt(*in.RecoveryWindowInDays, 10))
	}
	if len(in.RotationRules) > 0 {
		context.Set("secretsmanager:ModifyRotationRules", "true")
	}
	names := in.TagKeys
	for _, tag := range in.Tags {
		context.Set("aws:RequestTag/"+tag.Key, tag.Value)
		names = append(names, tag.Key)
	}
	context.Set("aws:TagKeys", names...)
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
			a.about(a.action, arn, arn, func(context iam.Context) {
				context.SetText("events:source", entry.Source)
				context.SetText("events:detail-type", entry.DetailType)
				context.Set("events:eventBusInvocation", "false")
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
	_, name, ok := strings.Cut(a.call.Target, ":function:")
	if !ok {
		name = a.call.Target
	}
	arn := arnOf("lambda", "function:"+name)
	a.about(action, arn, arn, nil)
}
