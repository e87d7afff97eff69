package local

import (
	"cmp"
	"slices"
	"strings"

	"github.com/rekey-go/rekey/internal/local/cloudformation"
	"github.com/rekey-go/rekey/internal/local/iam"
	"github.com/rekey-go/rekey/internal/local/template"
	"github.com/rekey-go/rekey/internal/local/wire"
)

// A right is one that CloudFormation needs of whom it works for.
type right struct {
	action, resource string
	keys             map[string]string // of conditions, beside those that every call has
}

// rights are what a type of resource takes, as the handlers of AWS's resource
// types ask for it. Operations stand with spaces between them.
type rights struct {
	service string // of the operations
	create  string
	update  string
	remove  string
	// on is the ARN of the resource with this logical id.
	on func(d deployed, id string, p template.Values) string
	// more are rights on something else; nil where there are none.
	more func(d deployed, id, verb string, p template.Values) []right
}

// stackRights are those by type. A type that is not here takes none on the
// engine.
//
//nolint:gochecknoglobals // a constant table.
var stackRights = map[string]rights{
	"AWS::SecretsManager::Secret": {
		"secretsmanager", "CreateSecret DescribeSecret TagResource", "UpdateSecret DescribeSecret TagResource UntagResource", "DeleteSecret DescribeSecret",
		func(d deployed, _ string, p template.Values) string { return d.Secrets.Facts(textIn(p, "Name")).ARN }, trialOfTheKey,
	},
	"AWS::SecretsManager::RotationSchedule": {
		"secretsmanager", "RotateSecret DescribeSecret", "RotateSecret DescribeSecret", "CancelRotateSecret DescribeSecret",
		property("SecretId"), func(_ deployed, _, verb string, p template.Values) []right {
			if verb == "DELETE" {
				return nil
			}
			return []right{{action: "lambda:InvokeFunction", resource: textIn(p, "RotationLambdaARN")}}
		},
	},
	"AWS::SecretsManager::ResourcePolicy": {"secretsmanager", "PutResourcePolicy GetResourcePolicy", "PutResourcePolicy", "DeleteResourcePolicy", property("SecretId"), nil},
	"AWS::KMS::Key": {
		"kms", "DescribeKey EnableKeyRotation GetKeyPolicy GetKeyRotationStatus ListResourceTags", "DescribeKey PutKeyPolicy UpdateKeyDescription TagResource UntagResource", "DescribeKey ScheduleKeyDeletion",
		made("key/", "kms"), func(_ deployed, _, verb string, _ template.Values) []right {
			if verb != "CREATE" {
				return nil
			}
			return []right{{action: "kms:CreateKey", resource: "*"}, {action: "kms:TagResource", resource: "*"}}
		},
	},
	"AWS::IAM::Role": {
		"iam", "GetRole GetRolePolicy ListAttachedRolePolicies ListRolePolicies TagRole",
		"GetRole GetRolePolicy DeleteRolePolicy ListAttachedRolePolicies ListRolePolicies TagRole UntagRole UpdateAssumeRolePolicy UpdateRole",
		"GetRole DeleteRole DeleteRolePolicy ListAttachedRolePolicies ListRolePolicies", roleAt, boundedRights,
	},
	"AWS::Serverless::Function": {
		"lambda", "CreateFunction GetFunction TagResource", "GetFunction GetFunctionConfiguration UpdateFunctionCode UpdateFunctionConfiguration TagResource UntagResource", "DeleteFunction GetFunction",
		named("lambda", "function:", "FunctionName"), functionRights,
	},
	"AWS::Serverless::LayerVersion": {
		"lambda", "PublishLayerVersion GetLayerVersion", "PublishLayerVersion GetLayerVersion", "DeleteLayerVersion GetLayerVersion",
		named("lambda", "layer:", "LayerName"), func(_ deployed, _, verb string, p template.Values) []right { return codeRights(verb, p, "ContentUri") },
	},
	"AWS::Lambda::Permission": {"lambda", "AddPermission GetPolicy", "AddPermission RemovePermission", "RemovePermission GetPolicy", func(_ deployed, _ string, p template.Values) string { return functionARN(textIn(p, "FunctionName")) }, nil},
	"AWS::Serverless::HttpApi": {
		"apigateway", "GET PATCH POST PUT TagResource", "GET PATCH POST PUT DELETE TagResource", "GET DELETE",
		func(deployed, string, template.Values) string { return "arn:aws:apigateway:" + Region + "::/apis/1" }, apiRights,
	},
	"AWS::Events::EventBus":       {"events", "CreateEventBus DescribeEventBus TagResource", "UpdateEventBus DescribeEventBus TagResource", "DeleteEventBus DescribeEventBus", named("events", "event-bus/", "Name"), nil},
	"AWS::Events::EventBusPolicy": {"events", "PutPermission DescribeEventBus", "PutPermission DescribeEventBus", "RemovePermission DescribeEventBus", named("events", "event-bus/", "EventBusName"), nil},
	"AWS::Events::Rule": {"events", rulesMade, rulesMade + " RemoveTargets", rulesRemoved, func(_ deployed, _ string, p template.Values) string {
		return arnOf("events", "rule/"+rulePath(busName(textIn(p, "EventBusName")), textIn(p, "Name")))
	}, nil},
	"AWS::SQS::Queue":       {"sqs", "CreateQueue GetQueueAttributes ListQueueTags TagQueue", "GetQueueAttributes ListQueueTags SetQueueAttributes TagQueue UntagQueue", "DeleteQueue GetQueueAttributes", named("sqs", "", "QueueName"), nil},
	"AWS::SQS::QueuePolicy": {"sqs", "SetQueueAttributes", "SetQueueAttributes", "SetQueueAttributes", func(_ deployed, _ string, p template.Values) string { return arnOf("sqs", lastOf(textIn(p, "Queues"))) }, nil},
	"AWS::DynamoDB::Table": {
		"dynamodb", "CreateTable DescribeContinuousBackups DescribeTable DescribeTimeToLive ListTagsOfResource TagResource UpdateTimeToLive",
		"DescribeTable DescribeTimeToLive TagResource UntagResource UpdateTable UpdateTimeToLive", "DeleteTable DescribeTable", named("dynamodb", "table/", "TableName"), nil,
	},
	"AWS::S3::Bucket": {
		"s3", bucketMade, bucketMade, "DeleteBucket", func(d deployed, id string, p template.Values) string {
			return bucketARN(strings.ToLower(cmp.Or(textIn(p, "BucketName"), d.nameFor(id))))
		}, nil,
	},
	"AWS::S3::BucketPolicy":   {"s3", "GetBucketPolicy PutBucketPolicy", "GetBucketPolicy PutBucketPolicy", "DeleteBucketPolicy GetBucketPolicy", func(_ deployed, _ string, p template.Values) string { return bucketARN(textIn(p, "Bucket")) }, nil},
	"AWS::Logs::LogGroup":     {"logs", "CreateLogGroup ListTagsForResource PutRetentionPolicy TagResource", "AssociateKmsKey PutRetentionPolicy TagResource UntagResource", "DeleteLogGroup", named("logs", "log-group:", "LogGroupName"), describesLogs},
	"AWS::Logs::MetricFilter": {"logs", "DescribeMetricFilters PutMetricFilter", "DescribeMetricFilters PutMetricFilter", "DeleteMetricFilter", named("logs", "log-group:", "LogGroupName"), nil},
	"AWS::SNS::Topic":         {"sns", "CreateTopic GetTopicAttributes ListSubscriptionsByTopic ListTagsForResource SetTopicAttributes TagResource", "GetTopicAttributes SetTopicAttributes TagResource UntagResource", "DeleteTopic GetTopicAttributes", named("sns", "", "TopicName"), nil},
	"AWS::SNS::TopicPolicy":   {"sns", "SetTopicAttributes", "SetTopicAttributes", "SetTopicAttributes", property("Topics"), nil},
	"AWS::SNS::Subscription":  {"sns", "Subscribe", "SetSubscriptionAttributes", "Unsubscribe", property("TopicArn"), nil},
	"AWS::CloudWatch::Alarm":  {"cloudwatch", "DescribeAlarms ListTagsForResource PutMetricAlarm TagResource", "DescribeAlarms PutMetricAlarm TagResource UntagResource", "DeleteAlarms DescribeAlarms", named("cloudwatch", "alarm:", "AlarmName"), nil},
	"AWS::CloudWatch::Dashboard": {"cloudwatch", "GetDashboard PutDashboard", "GetDashboard PutDashboard", "DeleteDashboards", func(_ deployed, _ string, p template.Values) string {
		return "arn:aws:cloudwatch::" + Account + ":dashboard/" + textIn(p, "DashboardName")
	}, nil},
	"AWS::EC2::SecurityGroup": {
		"ec2", "AuthorizeSecurityGroupEgress AuthorizeSecurityGroupIngress CreateSecurityGroup CreateTags DescribeSecurityGroups RevokeSecurityGroupEgress",
		"AuthorizeSecurityGroupEgress AuthorizeSecurityGroupIngress CreateTags DescribeSecurityGroups RevokeSecurityGroupEgress RevokeSecurityGroupIngress", "DeleteSecurityGroup DescribeSecurityGroups", anything, nil,
	},
	"AWS::EC2::VPCEndpoint": {"ec2", "CreateTags CreateVpcEndpoint DescribeVpcEndpoints", "CreateTags DescribeVpcEndpoints ModifyVpcEndpoint", "DeleteVpcEndpoints DescribeVpcEndpoints", anything, func(_ deployed, _, verb string, p template.Values) []right {
		if verb == "DELETE" || textIn(p, "VpcEndpointType") != "Interface" {
			return nil
		}
		return []right{{action: "route53:AssociateVPCWithHostedZone", resource: "*"}} // for the service's own name
	}},
}

const (
	rulesMade    = "DescribeRule ListTargetsByRule PutRule PutTargets TagResource"
	rulesRemoved = "DeleteRule DescribeRule ListTargetsByRule RemoveTargets"
	bucketMade   = "CreateBucket PutBucketOwnershipControls PutBucketPublicAccessBlock PutBucketTagging PutBucketVersioning PutEncryptionConfiguration PutLifecycleConfiguration"
)

// textIn is a property that is a text, or the first of a list.
func textIn(p template.Values, name string) string {
	node := p[name]
	for node != nil && len(node.Content) > 0 {
		node = node.Content[0]
	}
	if node == nil {
		return ""
	}
	return node.Value
}

func lastOf(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

func property(name string) func(deployed, string, template.Values) string {
	return func(_ deployed, _ string, p template.Values) string { return textIn(p, name) }
}

// named is the ARN by a property, or by the name that is made where it is left
// open.
func named(service, before, name string) func(deployed, string, template.Values) string {
	return func(d deployed, id string, p template.Values) string {
		return arnOf(service, before+cmp.Or(textIn(p, name), d.nameFor(id)))
	}
}

// made is the ARN by what is there.
func made(before, service string) func(deployed, string, template.Values) string {
	return func(d deployed, id string, _ template.Values) string {
		return arnOf(service, before+cmp.Or(d.PhysicalID(id), "new"))
	}
}

func anything(deployed, string, template.Values) string { return "*" }

func roleAt(d deployed, id string, p template.Values) string {
	return roleARN(textIn(p, "Path"), cmp.Or(textIn(p, "RoleName"), d.nameFor(id)))
}

func functionARN(nameOrARN string) string {
	if strings.HasPrefix(nameOrARN, "arn:") {
		return nameOrARN
	}
	return arnOf("lambda", "function:"+nameOrARN)
}

// trialOfTheKey is what Secrets Manager tries a key with, before a secret gets
// it.
func trialOfTheKey(_ deployed, _, verb string, p template.Values) []right {
	key := textIn(p, "KmsKeyId")
	if verb == "DELETE" || key == "" {
		return nil
	}
	var all []right
	for _, operation := range []string{"Decrypt", "GenerateDataKey"} {
		all = append(all, right{"kms:" + operation, key, map[string]string{
			"kms:ViaService": "secretsmanager." + Region + ".amazonaws.com", "kms:CallerAccount": Account, "kms:EncryptionContext:SecretARN": "RequestToValidateKeyAccess",
		}})
	}
	return all
}

// boundedRights are those that IAM can bind to the boundary that a role gets.
func boundedRights(d deployed, id, verb string, p template.Values) []right {
	operations := map[string]string{"CREATE": "CreateRole PutRolePolicy", "UPDATE": "PutRolePermissionsBoundary PutRolePolicy"}[verb]
	keys := map[string]string{}
	if boundary := textIn(p, "PermissionsBoundary"); boundary != "" {
		keys["iam:PermissionsBoundary"] = boundary
	}
	var all []right
	for operation := range strings.FieldsSeq(operations) {
		all = append(all, right{"iam:" + operation, roleAt(d, id, p), keys})
	}
	return all
}

// codeRights are for the package of a function or a layer.
func codeRights(verb string, p template.Values, name string) []right {
	uri, ok := strings.CutPrefix(textIn(p, name), "s3://")
	if verb == "DELETE" || !ok {
		return nil
	}
	return []right{{action: "s3:GetObject", resource: bucketARN(uri)}}
}

// functionRights are for what SAM makes of a function beside it.
func functionRights(d deployed, id, verb string, p template.Values) []right {
	var f functionProperties
	if d.plan.Properties(id, &f) != nil {
		return nil // it cannot be made
	}
	arn := arnOf("lambda", "function:"+f.FunctionName)
	all := codeRights(verb, p, "CodeUri")
	add := func(service, operations, on string, keys map[string]string) {
		for operation := range strings.FieldsSeq(operations) {
			all = append(all, right{service + ":" + operation, on, keys})
		}
	}
	if verb != "DELETE" {
		add("iam", "PassRole", f.Role, map[string]string{"iam:PassedToService": lambdaService})
		if p["RecursiveLoop"] != nil {
			add("lambda", "PutFunctionRecursionConfig", arn, nil)
		}
		if p["ReservedConcurrentExecutions"] != nil {
			add("lambda", "PutFunctionConcurrency", arn, nil)
		}
		if p["VpcConfig"] != nil {
			add("ec2", "DescribeSecurityGroups DescribeSubnets DescribeVpcs", "*", nil)
		}
	}
	ruleOperations := map[string]string{"CREATE": rulesMade, "UPDATE": rulesMade + " RemoveTargets", "DELETE": rulesRemoved}[verb]
	sources := map[string]string{"CREATE": "CreateEventSourceMapping GetEventSourceMapping", "UPDATE": "UpdateEventSourceMapping GetEventSourceMapping", "DELETE": "DeleteEventSourceMapping GetEventSourceMapping"}[verb]
	permission := map[string]string{"CREATE": "AddPermission GetPolicy", "UPDATE": "AddPermission RemovePermission", "DELETE": "RemovePermission GetPolicy"}[verb]
	for name, event := range f.Events {
		var about struct {
			Name         string `yaml:"Name"`
			RuleName     string `yaml:"RuleName"`
			EventBusName string `yaml:"EventBusName"`
		}
		_ = event.Properties.Decode(&about) // what is wrong with it, making it tells
		switch event.Type {
		case "SQS":
			add("lambda", sources, "*", map[string]string{"lambda:FunctionArn": arn})
		case "EventBridgeRule", "Schedule":
			rule := cmp.Or(cmp.Or(about.RuleName, about.Name), d.nameFor(id+name))
			add("events", ruleOperations, arnOf("events", "rule/"+rulePath(busName(about.EventBusName), rule)), nil)
			add("lambda", permission, arn, nil)
		case "HttpApi":
			add("lambda", permission, arn, nil)
		}
	}
	return all
}

// apiRights are those on all APIs, and those that an access log takes.
func apiRights(_ deployed, _, verb string, p template.Values) []right {
	var all []right
	if verb == "CREATE" {
		all = append(all, right{action: "apigateway:POST", resource: "arn:aws:apigateway:" + Region + "::/apis"})
	}
	if p["AccessLogSettings"] != nil {
		for operation := range strings.FieldsSeq("CreateLogDelivery DeleteLogDelivery DescribeLogGroups DescribeResourcePolicies GetLogDelivery ListLogDeliveries PutResourcePolicy UpdateLogDelivery") {
			all = append(all, right{action: "logs:" + operation, resource: "*"})
		}
	}
	return all
}

func describesLogs(deployed, string, string, template.Values) []right {
	return []right{{action: "logs:DescribeLogGroups", resource: "*"}}
}

// of are the rights that something with a resource takes.
func (r rights) of(d deployed, id, verb string, p template.Values) []right {
	on := r.on(d, id, p)
	var all []right
	for operation := range strings.FieldsSeq(map[string]string{"CREATE": r.create, "UPDATE": r.update, "DELETE": r.remove}[verb]) {
		all = append(all, right{action: r.service + ":" + operation, resource: on})
	}
	if r.more != nil {
		all = append(all, r.more(d, id, verb, p)...)
	}
	return all
}

// Permit refuses what somebody may not have CloudFormation do to a resource.
func (p provider) Permit(by wire.Principal, verb string, r cloudformation.Resource, of cloudformation.Deployment) error {
	d, ok := of.(deployed)
	needs, known := stackRights[r.Type]
	if !ok || !known || p.access.roles.get(by.RoleARN) == nil || verb == "DELETE" && d.PhysicalID(r.LogicalID) == "" {
		return nil // people may do everything, and so may a role that no template has
	}
	all := needs.of(d, r.LogicalID, verb, d.plan.Values(r.LogicalID))
	slices.SortStableFunc(all, func(a, b right) int { return strings.Compare(a.action, b.action) })
	for _, one := range all {
		if err := p.permitRight(by, one); err != nil {
			return err
		}
	}
	return nil
}

func (p provider) permitRight(by wire.Principal, needed right) error {
	call := &wire.Call{Caller: by, Region: Region, Time: p.clock.Now()}
	request := iam.Request{Party: partyOf(by), Action: needed.action, Resource: needed.resource, Context: p.contextOf(call, keyed(needed.keys))}
	if d := p.decide(by, &request); d.Verdict != iam.Allow {
		return p.refuse(d, &judged{request, needed.resource})
	}
	return nil
}

// stacksService is CloudFormation as a service that is trusted, and that calls.
const stacksService = "cloudformation.amazonaws.com"

// Assume is CloudFormation with the rights of a role. One that no template has may
// be assumed, and do everything.
func (p provider) Assume(roleARN string) (wire.Principal, error) {
	own := p.access.roles.get(roleARN)
	trust := iam.Request{Party: iam.Party{Service: stacksService}, Action: "sts:AssumeRole", Resource: "*"}
	if own != nil && (own.trust == nil || iam.Policies{Resource: own.trust}.Evaluate(&trust).Verdict != iam.Allow) {
		return wire.Principal{}, wire.Unmodelled("ValidationError", "Role %s is invalid or cannot be assumed", roleARN)
	}
	name := lastOf(roleARN)
	return wire.Principal{
		Type: "AssumedRole", ARN: "arn:aws:sts::" + Account + ":assumed-role/" + name + "/AWSCloudFormation", AccountID: Account,
		RoleARN: roleARN, RoleName: name, SessionName: "AWSCloudFormation",
	}, nil
}
