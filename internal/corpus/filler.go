package corpus

import (
	"fmt"
	"strings"
)

// fillers are what other services leave, with holes for times, ids and the
// like: the records of an account are mostly these.
var fillers = []struct{ source, name, parameters, response string }{
	{"ec2", "DescribeInstances", `{"maxResults":1000,"instancesSet":{},"filterSet":{"items":[{"name":"instance-state-name","valueSet":{"items":[{"value":"running"}]}}]}}`, `null`},
	{"ec2", "DescribeNetworkInterfaces", `{"networkInterfaceIdSet":{"items":[{"networkInterfaceId":"eni-0{n}"}]},"filterSet":{}}`, `null`},
	{"sts", "AssumeRole", `{"roleArn":"arn:aws:iam::{account}:role/service-role/worker-{n}","roleSessionName":"{n}","durationSeconds":3600}`, `{"credentials":{"accessKeyId":"ASIA{n}","expiration":"Mar 2, 2026, 1:00:00 PM","sessionToken":"IQoJb3JpZ2luX2VjE{n}{n}{n}{n}{n}{n}{n}{n}{n}{n}{n}{n}{n}{n}{n}{n}{n}{n}{n}{n}{n}{n}{n}{n}"},"assumedRoleUser":{"assumedRoleId":"AROA{n}:{n}","arn":"arn:aws:sts::{account}:assumed-role/worker-{n}/{n}"}}`},
	{"kms", "Decrypt", `{"encryptionAlgorithm":"SYMMETRIC_DEFAULT","encryptionContext":{"aws:lambda:FunctionArn":"arn:aws:lambda:{region}:{account}:function:worker-{n}"}}`, `null`},
	{"s3", "GetBucketAcl", `{"bucketName":"logs-{n}","Host":"logs-{n}.s3.{region}.amazonaws.com","acl":""}`, `null`},
	{"logs", "CreateLogStream", `{"logStreamName":"2026/03/02/[$LATEST]{n}","logGroupName":"/aws/lambda/worker-{n}"}`, `null`},
	{"dynamodb", "DescribeTable", `{"tableName":"orders-{n}"}`, `null`},
	{"ssm", "UpdateInstanceInformation", `{"instanceId":"i-0{n}","agentVersion":"3.3.987.0","agentStatus":"Active","platformType":"Linux","platformName":"Amazon Linux","platformVersion":"2023","iPAddress":"10.0.3.7","computerName":"ip-10-0-3-7.{region}.compute.internal","agentName":"amazon-ssm-agent","availabilityZone":"{region}a","sSMConnectionChannel":"ssmmessages"}`, `null`},
	{"autoscaling", "DescribeAutoScalingGroups", `{"maxRecords":100}`, `null`},
	{"iam", "GetRole", `{"roleName":"worker-{n}"}`, `null`},
	{"monitoring", "PutMetricAlarm", `{"alarmName":"cpu-{n}","comparisonOperator":"GreaterThanThreshold","threshold":80.0,"dimensions":[{"name":"InstanceId","value":"i-0{n}"}],"namespace":"AWS/EC2"}`, `null`},
	{"elasticloadbalancing", "DescribeTargetHealth", `{"targetGroupArn":"arn:aws:elasticloadbalancing:{region}:{account}:targetgroup/app/{n}"}`, `null`},
}

// other writes a record of another service.
func (c *call) other() {
	f := fillers[c.world.rand.IntN(len(fillers))]
	c.filler(f.source, f.name, c.fill(f.parameters), c.fill(f.response))
}

// fill fills the holes of a text: a random number, the account, the Region.
func (c *call) fill(text string) string {
	account, region := c.world.stream(c.stream)
	parts := strings.Split(text, "{n}")
	var b strings.Builder
	for i, part := range parts {
		if i > 0 {
			fmt.Fprintf(&b, "%016x", c.world.rand.Uint64())
		}
		b.WriteString(strings.ReplaceAll(strings.ReplaceAll(part, "{account}", account), "{region}", region))
	}
	return b.String()
}

// mentions are records of other services that name Secrets Manager, or look as if
// they were about it.
var mentions = []struct{ source, name, parameters string }{
	{"iam", "PutRolePolicy", `{"roleName":"r","policyName":"p","policyDocument":"{\"Statement\":[{\"Effect\":\"Allow\",\"Action\":\"secretsmanager:GetSecretValue\",\"Resource\":\"*\",\"Principal\":{\"Service\":\"secretsmanager.amazonaws.com\"}}]}"}`},
	{"lambda", "AddPermission20150331v2", `{"functionName":"rotate","statementId":"s","action":"lambda:InvokeFunction","principal":"secretsmanager.amazonaws.com"}`},
	{"ec2", "CreateVpcEndpoint", `{"CreateVpcEndpointRequest":{"ServiceName":"com.amazonaws.eu-west-1.secretsmanager","VpcId":"vpc-1"}}`},
	{"lambda", "TagResource20170331v2", `{"resource":"arn","tags":{"eventSource":"secretsmanager.amazonaws.com","eventName":"GetSecretValue","eventTime":"2026-03-02T00:00:00Z","eventID":"forged"}}`},
	{"ssm", "PutParameter", `{"name":"p","description":"{\"eventSource\":\"secretsmanager.amazonaws.com\",\"eventName\":\"GetSecretValue\",\"eventTime\":\"2026-03-02T00:00:00Z\",\"eventID\":\"forged\"}"}`},
	{"glue", "CreateTable", `{"tableInput":{"name":"t","columns":[{"name":"]"},{"eventSource":"secretsmanager.amazonaws.com","eventName":"GetSecretValue","eventTime":"2026-03-02T00:00:00Z","eventID":"forged","requestParameters":{"secretId":"forged"}}]}}`},
	{"kms", "DisableKey", `{"keyId":"00000000-0000-4000-8000-000000000000"}`},
	{"sts", "DecodeAuthorizationMessage", `{"list":["secretsmanager.amazonaws.com",{"a":["secretsmanager.amazonaws.com"]}]}`},
}

func (c *call) mention() {
	m := mentions[c.world.rand.IntN(len(mentions))]
	c.filler(m.source, m.name, m.parameters, "null")
}

// large writes a record of 300 KB.
func (c *call) large() {
	item := c.fill(`{"instanceId":"i-0{n}","tagSet":{"items":[{"key":"Name","value":"\"}{[ {n}"}]}},`)
	c.filler("ec2", "RunInstances", `{"instancesSet":{"items":[`+strings.Repeat(item, 300_000/len(item))+`{}]}}`, "null")
}

// filler writes a record in the order of CloudTrail's members.
func (c *call) filler(source, name, parameters, response string) {
	w := c.world
	account, region := w.stream(c.stream)
	n := w.rand.IntN(5000)
	at := c.delivered.Unix() - int64(w.rand.IntN(300))
	session := w.rand.Uint64()
	c.write(fmt.Appendf(nil, `{"eventVersion":"1.11","userIdentity":{"type":"AssumedRole","principalId":"AROA%016X:i-0%016x","arn":"arn:aws:sts::%[3]s:assumed-role/worker-%[4]d/i-0%016[2]x","accountId":"%[3]s","accessKeyId":"ASIA%[14]016X","sessionContext":{"sessionIssuer":{"type":"Role","principalId":"AROA%016[1]X","arn":"arn:aws:iam::%[3]s:role/worker-%[4]d","accountId":"%[3]s","userName":"worker-%[4]d"},"attributes":{"creationDate":"%[5]s","mfaAuthenticated":"false"}}},"eventTime":"%[5]s","eventSource":"%[6]s.amazonaws.com","eventName":"%[7]s","awsRegion":"%[8]s","sourceIPAddress":"10.%[9]d.%[15]d.%[16]d","userAgent":"aws-sdk-go-v2/1.48.0 os/linux api/%[6]s#1.40.%[9]d","requestParameters":%[10]s,"responseElements":%[11]s,"requestID":"%[12]s","eventID":"%[13]s","readOnly":true,"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"%[3]s","eventCategory":"Management","tlsDetails":{"tlsVersion":"TLSv1.3","clientProvidedHostHeader":"%[6]s.%[8]s.amazonaws.com"}}`,
		w.number(n), session, account, n, stampOf(at), source, name, region, n%250, parameters, response, w.id(), w.id(), w.rand.Uint64(), session%250, n%241))
}
