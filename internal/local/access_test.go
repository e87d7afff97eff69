package local_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	cloudtrailtypes "github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	eventtypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	smtypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/rekey-go/rekey/internal/local"
)

// guarded is a system of which a function, the caller, may do a little. The
// tests put their own in the places of POLICIES and MORE.
const guarded = `
Resources:
  Key:
    Type: AWS::KMS::Key
    Properties:
      KeyPolicy:
        Version: "2012-10-17"
        Statement:
          - Effect: Allow
            Principal: {AWS: !Sub "arn:aws:iam::${AWS::AccountId}:root"}
            Action: kms:*
            Resource: "*"
  Secret: {Type: AWS::SecretsManager::Secret, Properties: {Name: dev-key, KmsKeyId: !GetAtt Key.Arn, Tags: [{Key: team, Value: pay}]}}
  Other: {Type: AWS::SecretsManager::Secret, Properties: {Name: dev-other}}
  Bus: {Type: AWS::Events::EventBus, Properties: {Name: dev-bus}}
  Queue: {Type: AWS::SQS::Queue, Properties: {QueueName: dev-queue}}
  Table:
    Type: AWS::DynamoDB::Table
    Properties: {TableName: dev-table, KeySchema: [{AttributeName: pk, KeyType: HASH}]}
  Caller:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: echo
      Policies: POLICIES
MORE`

// guard starts the system with the statements of the caller's policy.
func guard(t *testing.T, policies, more string) *local.Engine {
	t.Helper()
	text := strings.NewReplacer("POLICIES", policies, "MORE", more).Replace(guarded)
	e := start(t, local.Options{Template: []byte(text)})
	for _, name := range []string{"dev-key", "dev-other"} {
		if _, err := secretsmanager.NewFromConfig(configFor(e)).PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: &name, SecretString: aws.String("v")}); err != nil {
			t.Fatal(err)
		}
	}
	return e
}

// as is the configuration of a function's clients.
func as(e *local.Engine, function string) aws.Config {
	cfg, c := configFor(e), e.CredentialsOf(function)
	cfg.Credentials = credentials.NewStaticCredentialsProvider(c.AccessKeyID, c.SecretAccessKey, c.SessionToken)
	return cfg
}

// statements makes a policy of statements, each in a line.
func statements(lines ...string) string {
	return `[{Version: "2012-10-17", Statement: [` + strings.Join(lines, ", ") + `]}]`
}

const (
	readSecret = `{Effect: Allow, Action: "secretsmanager:GetSecretValue", Resource: !Ref Secret}`
	decrypt    = `{Effect: Allow, Action: "kms:Decrypt", Resource: !GetAtt Key.Arn}`
	makeSecret = `{Effect: Allow, Action: "secretsmanager:CreateSecret", Resource: "*"}`
	tryKey     = `{Effect: Allow, Action: ["kms:Decrypt", "kms:GenerateDataKey"], Resource: !GetAtt Key.Arn, Condition: {StringLike: {"kms:EncryptionContext:SecretARN": "RequestToValidateKeyAccess"}}}`
)

// call makes a call as the caller.
type call func(t *testing.T, cfg aws.Config, e *local.Engine) error

func getSecret(id string) call {
	return func(t *testing.T, cfg aws.Config, _ *local.Engine) error {
		_, err := secretsmanager.NewFromConfig(cfg).GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: &id})
		return err
	}
}

func getCurrent(t *testing.T, cfg aws.Config, _ *local.Engine) error {
	_, err := secretsmanager.NewFromConfig(cfg).GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("dev-key"), VersionStage: aws.String("AWSCURRENT")})
	return err
}

func putSecret(t *testing.T, cfg aws.Config, _ *local.Engine) error {
	_, err := secretsmanager.NewFromConfig(cfg).PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: aws.String("dev-key"), SecretString: aws.String("w")})
	return err
}

func createSecret(tags ...smtypes.Tag) call {
	return func(t *testing.T, cfg aws.Config, _ *local.Engine) error {
		_, err := secretsmanager.NewFromConfig(cfg).CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("dev-new"), Tags: tags})
		return err
	}
}

// createUnderKey makes a secret without a value, under the template's key.
func createUnderKey(t *testing.T, cfg aws.Config, _ *local.Engine) error {
	_, err := secretsmanager.NewFromConfig(cfg).CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{
		Name: aws.String("dev-new"), KmsKeyId: aws.String("arn:aws:kms:us-east-1:123456789012:key/Key"),
	})
	return err
}

func listSecrets(t *testing.T, cfg aws.Config, _ *local.Engine) error {
	_, err := secretsmanager.NewFromConfig(cfg).ListSecrets(t.Context(), &secretsmanager.ListSecretsInput{})
	return err
}

func putEvent(source string) call {
	return func(t *testing.T, cfg aws.Config, _ *local.Engine) error {
		_, err := eventbridge.NewFromConfig(cfg).PutEvents(t.Context(), &eventbridge.PutEventsInput{Entries: []eventtypes.PutEventsRequestEntry{{
			EventBusName: aws.String("dev-bus"), Source: &source, DetailType: aws.String("x"), Detail: aws.String(`{}`),
		}}})
		return err
	}
}

func sendMessages(t *testing.T, cfg aws.Config, e *local.Engine) error {
	_, err := sqs.NewFromConfig(cfg).SendMessageBatch(t.Context(), &sqs.SendMessageBatchInput{
		QueueUrl: aws.String(e.Endpoint() + "/123456789012/dev-queue"),
		Entries:  []sqstypes.SendMessageBatchRequestEntry{{Id: aws.String("1"), MessageBody: aws.String("x")}},
	})
	return err
}

func putItem(key string) call {
	return func(t *testing.T, cfg aws.Config, _ *local.Engine) error {
		_, err := dynamodb.NewFromConfig(cfg).PutItem(t.Context(), &dynamodb.PutItemInput{
			TableName: aws.String("dev-table"), Item: map[string]types.AttributeValue{"pk": &types.AttributeValueMemberS{Value: key}},
		})
		return err
	}
}

func query(key string) call {
	return func(t *testing.T, cfg aws.Config, _ *local.Engine) error {
		_, err := dynamodb.NewFromConfig(cfg).Query(t.Context(), &dynamodb.QueryInput{
			TableName: aws.String("dev-table"), KeyConditionExpression: aws.String("#k = :k"), ExpressionAttributeNames: map[string]string{"#k": "pk"},
			ExpressionAttributeValues: map[string]types.AttributeValue{":k": &types.AttributeValueMemberS{Value: key}},
		})
		return err
	}
}

func transact(t *testing.T, cfg aws.Config, _ *local.Engine) error {
	_, err := dynamodb.NewFromConfig(cfg).TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{{
		Put: &types.Put{TableName: aws.String("dev-table"), Item: map[string]types.AttributeValue{"pk": &types.AttributeValueMemberS{Value: "a"}}},
	}}})
	return err
}

func invoke(t *testing.T, cfg aws.Config, _ *local.Engine) error {
	_, err := lambda.NewFromConfig(cfg).Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("Caller"), InvocationType: "DryRun"})
	return err
}

func listFunctions(t *testing.T, cfg aws.Config, _ *local.Engine) error {
	_, err := lambda.NewFromConfig(cfg).ListFunctions(t.Context(), &lambda.ListFunctionsInput{})
	return err
}

// TestCallsAreRefusedInAWSsWords has for each case the end of the text; empty
// where the call is allowed.
func TestCallsAreRefusedInAWSsWords(t *testing.T) {
	t.Parallel()
	const user = "AccessDeniedException: User: arn:aws:sts::123456789012:assumed-role/Caller/Caller is not authorized to perform: "
	tests := map[string]struct {
		policies, more string
		call           call
		want           string
	}{
		"a secret by its name":               {"[]", "", getSecret("dev-key"), user + "secretsmanager:GetSecretValue on resource: dev-key because no identity-based policy allows the secretsmanager:GetSecretValue action"},
		"a secret that there is not":         {"[]", "", getSecret("dev-none"), user + "secretsmanager:GetSecretValue on resource: dev-none because no identity-based policy allows the secretsmanager:GetSecretValue action"},
		"a secret but not its key":           {statements(readSecret), "", getSecret("dev-key"), "AccessDeniedException: Access to KMS is not allowed"},
		"a secret and its key":               {statements(readSecret, decrypt), "", getSecret("dev-key"), ""},
		"a secret with the account's key":    {statements(`{Effect: Allow, Action: "secretsmanager:Get*", Resource: "*"}`), "", getSecret("dev-other"), ""},
		"a key through its service":          {statements(readSecret, strings.Replace(decrypt, "}", `, Condition: {StringEquals: {"kms:ViaService": secretsmanager.us-east-1.amazonaws.com, "kms:EncryptionContext:SecretARN": !Ref Secret}}}`, 1)), "", getSecret("dev-key"), ""},
		"a key for another secret":           {statements(readSecret, strings.Replace(decrypt, "}", `, Condition: {StringEquals: {"kms:EncryptionContext:SecretARN": !Ref Other}}}`, 1)), "", getSecret("dev-key"), "AccessDeniedException: Access to KMS is not allowed"},
		"a value that is written":            {statements(`{Effect: Allow, Action: "secretsmanager:PutSecretValue", Resource: !Ref Secret}`, decrypt), "", putSecret, "AccessDeniedException: Access to KMS is not allowed"},
		"a value, with a data key":           {statements(`{Effect: Allow, Action: ["secretsmanager:PutSecretValue", "kms:GenerateDataKey"], Resource: "*"}`), "", putSecret, ""},
		"the current version":                {statements(strings.Replace(readSecret, "}", `, Condition: {StringEquals: {"secretsmanager:VersionStage": AWSCURRENT}}}`, 1), decrypt), "", getCurrent, ""},
		"the version of no label":            {statements(strings.Replace(readSecret, "}", `, Condition: {StringEquals: {"secretsmanager:VersionStage": AWSCURRENT}}}`, 1), decrypt), "", getSecret("dev-key"), user + "secretsmanager:GetSecretValue on resource: dev-key because no identity-based policy allows the secretsmanager:GetSecretValue action"},
		"a secret by its tag":                {statements(`{Effect: Allow, Action: "secretsmanager:GetSecretValue", Resource: "*", Condition: {StringEquals: {"aws:ResourceTag/team": pay}}}`, decrypt), "", getSecret("dev-key"), ""},
		"a secret without the tag":           {statements(`{Effect: Allow, Action: "secretsmanager:GetSecretValue", Resource: "*", Condition: {StringEquals: {"aws:ResourceTag/team": pay}}}`), "", getSecret("dev-other"), user + "secretsmanager:GetSecretValue on resource: dev-other because no identity-based policy allows the secretsmanager:GetSecretValue action"},
		"an action that knows no resource":   {statements(`{Effect: Allow, Action: "secretsmanager:*", Resource: !Ref Secret}`), "", listSecrets, user + "secretsmanager:ListSecrets because no identity-based policy allows the secretsmanager:ListSecrets action"},
		"a new secret with a tag":            {statements(`{Effect: Allow, Action: ["secretsmanager:CreateSecret", "secretsmanager:TagResource"], Resource: "*", Condition: {StringEquals: {"aws:RequestTag/team": pay}, "ForAllValues:StringEquals": {"aws:TagKeys": [team]}}}`), "", createSecret(smtypes.Tag{Key: aws.String("team"), Value: aws.String("pay")}), ""},
		"a new secret without it":            {statements(`{Effect: Allow, Action: "secretsmanager:CreateSecret", Resource: "*", Condition: {StringEquals: {"aws:RequestTag/team": pay}}}`), "", createSecret(), user + "secretsmanager:CreateSecret on resource: dev-new because no identity-based policy allows the secretsmanager:CreateSecret action"},
		"a new secret and its key":           {statements(makeSecret, tryKey), "", createUnderKey, ""},
		"a new secret but not its key":       {statements(makeSecret, decrypt), "", createUnderKey, "AccessDeniedException: Access to KMS is not allowed"},
		"a new secret, but a key for others": {statements(makeSecret, strings.Replace(tryKey, "RequestToValidateKeyAccess", "arn:aws:secretsmanager:*", 1)), "", createUnderKey, "AccessDeniedException: Access to KMS is not allowed"},
		"a tag that may not be set":          {statements(`{Effect: Allow, Action: "secretsmanager:CreateSecret", Resource: "*"}`), "", createSecret(smtypes.Tag{Key: aws.String("a"), Value: aws.String("b")}), user + "secretsmanager:TagResource on resource: dev-new because no identity-based policy allows the secretsmanager:TagResource action"},
		"an explicit deny":                   {statements(readSecret, decrypt, `{Effect: Deny, Action: "secretsmanager:*", Resource: "*"}`), "", getSecret("dev-key"), user + "secretsmanager:GetSecretValue on resource: dev-key with an explicit deny in an identity-based policy"},
		"an event of the wrong source":       {statements(`{Effect: Allow, Action: "events:PutEvents", Resource: !GetAtt Bus.Arn, Condition: {StringEquals: {"events:source": rekey}}}`), "", putEvent("forged"), user + "events:PutEvents on resource: arn:aws:events:us-east-1:123456789012:event-bus/dev-bus because no identity-based policy allows the events:PutEvents action"},
		"an event of the right one":          {statements(`{Effect: Allow, Action: "events:PutEvents", Resource: !GetAtt Bus.Arn, Condition: {StringEquals: {"events:source": rekey, "events:detail-type": x}}}`), "", putEvent("rekey"), ""},
		"messages, in SQS's lower case":      {"[]", "", sendMessages, "StatusCode: 403"},
		"messages by the single action":      {"[{SQSSendMessagePolicy: {QueueName: !GetAtt Queue.QueueName}}]", "", sendMessages, ""},
		"an item of another's key":           {statements(`{Effect: Allow, Action: "dynamodb:PutItem", Resource: !GetAtt Table.Arn, Condition: {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["lease#*"]}}}`), "", putItem("board"), user + "dynamodb:PutItem on resource: arn:aws:dynamodb:us-east-1:123456789012:table/dev-table because no identity-based policy allows the dynamodb:PutItem action"},
		"an item of one's own":               {statements(`{Effect: Allow, Action: "dynamodb:PutItem", Resource: !GetAtt Table.Arn, Condition: {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["lease#*"]}}}`), "", putItem("lease#1"), ""},
		"a query by another's key":           {statements(`{Effect: Allow, Action: "dynamodb:Query", Resource: !GetAtt Table.Arn, Condition: {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["lease#*"]}}}`), "", query("board"), user + "dynamodb:Query on resource: arn:aws:dynamodb:us-east-1:123456789012:table/dev-table because no identity-based policy allows the dynamodb:Query action"},
		"a transaction by what is in it":     {"[{DynamoDBReadPolicy: {TableName: !Ref Table}}]", "", transact, user + "dynamodb:PutItem on resource: arn:aws:dynamodb:us-east-1:123456789012:table/dev-table because no identity-based policy allows the dynamodb:PutItem action"},
		"a function":                         {"[AWSLambdaBasicExecutionRole]", "", invoke, "StatusCode: 403"},
		"a function by SAM's template":       {"[{LambdaInvokePolicy: {FunctionName: Caller}}]", "", invoke, ""},
		"all functions":                      {"[]", "", listFunctions, user + "lambda:ListFunctions on resource: * because no identity-based policy allows the lambda:ListFunctions action"},
		"a managed policy":                   {"arn:aws:iam::aws:policy/AdministratorAccess", "", listFunctions, ""},
		"a secret that lets the caller":      {statements(decrypt), onSecret("Allow", `{AWS: "arn:aws:iam::123456789012:role/Caller"}`), getSecret("dev-key"), ""},
		"a secret that does not let it":      {statements(readSecret, decrypt), onSecret("Deny", `{AWS: "arn:aws:iam::123456789012:role/Caller"}`), getSecret("dev-key"), user + "secretsmanager:GetSecretValue on resource: dev-key with an explicit deny in a resource-based policy"},
		"a boundary":                         {statements(readSecret, decrypt) + "\n      PermissionsBoundary: arn:aws:iam::aws:policy/AmazonSQSFullAccess", "", getSecret("dev-key"), user + "secretsmanager:GetSecretValue on resource: dev-key because no permissions boundary allows the secretsmanager:GetSecretValue action"},
		"a rotation function's own secrets":  {"[{AWSSecretsManagerRotationPolicy: {FunctionName: Caller}}, {KMSDecryptPolicy: {KeyId: !Ref Key}}]", "", getSecret("dev-key"), user + "secretsmanager:GetSecretValue on resource: dev-key because no identity-based policy allows the secretsmanager:GetSecretValue action"},
		"by a role of the template":          {"[]\n      Role: !GetAtt Reader.Arn", roleWith(`{Effect: Allow, Action: ["secretsmanager:GetSecretValue", "kms:Decrypt"], Resource: "*"}`), nil, ""},
		"by a variable, the function itself": {statements(`{Effect: Allow, Action: "secretsmanager:GetSecretValue", Resource: "*", Condition: {ArnLike: {"aws:PrincipalArn": "${aws:PrincipalArn}"}}}`, decrypt), "", getSecret("dev-key"), ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := guard(t, tt.policies, tt.more)
			who := "Caller"
			if tt.call == nil {
				who, tt.call = "Reader", getSecret("dev-key")
			}
			err := tt.call(t, as(e, who), e)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.HasSuffix(err.Error(), tt.want) && !strings.Contains(err.Error(), tt.want+",")) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

func onSecret(effect, principal string) string {
	return `
  SecretPolicy:
    Type: AWS::SecretsManager::ResourcePolicy
    Properties:
      SecretId: !Ref Secret
      BlockPublicPolicy: true
      ResourcePolicy:
        Version: "2012-10-17"
        Statement: {Effect: ` + effect + `, Principal: ` + principal + `, Action: "secretsmanager:GetSecretValue", Resource: "*"}
`
}

func roleWith(statement string) string {
	return `
  Reader:
    Type: AWS::IAM::Role
    Properties:
      RoleName: reader
      AssumeRolePolicyDocument:
        Version: "2012-10-17"
        Statement: {Effect: Allow, Principal: {Service: lambda.amazonaws.com}, Action: "sts:AssumeRole"}
      Policies:
        - PolicyName: read
          PolicyDocument: {Version: "2012-10-17", Statement: ` + statement + `}
`
}

func TestSQSRefusesInLowerCase(t *testing.T) {
	t.Parallel()
	e := guard(t, "[]", "")
	err := sendMessages(t, as(e, "Caller"), e)
	const want = "api error AccessDenied: User: arn:aws:sts::123456789012:assumed-role/Caller/Caller is not authorized to perform: sqs:sendmessage on resource: arn:aws:sqs:us-east-1:123456789012:dev-queue because no identity-based policy allows the sqs:sendmessage action"
	if err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestADenyOfASecretHoldsForPeopleToo(t *testing.T) {
	t.Parallel()
	e := guard(t, "[]", "")
	client := secretsmanager.NewFromConfig(configFor(e))
	policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"secretsmanager:GetSecretValue","Resource":"*","Condition":{"StringNotEquals":{"aws:username":"bob"}}}]}`
	if _, err := client.PutResourcePolicy(t.Context(), &secretsmanager.PutResourcePolicyInput{SecretId: aws.String("dev-key"), ResourcePolicy: &policy}); err != nil {
		t.Fatal(err)
	}
	err := getSecret("dev-key")(t, configFor(e), e)
	if err == nil || !strings.Contains(err.Error(), "user/alice is not authorized") || !strings.Contains(err.Error(), "explicit deny in a resource-based policy") {
		t.Errorf("alice, who is denied: %v", err)
	}
	cfg := configFor(e)
	cfg.Credentials = credentials.NewStaticCredentialsProvider("bob", "bob", "")
	if err := getSecret("dev-key")(t, cfg, e); err != nil {
		t.Errorf("bob, who is not: %v", err)
	}
}

func TestABatchTellsWhichSecretsAreRefused(t *testing.T) {
	t.Parallel()
	e := guard(t, statements(readSecret, decrypt, `{Effect: Allow, Action: "secretsmanager:BatchGetSecretValue", Resource: "*"}`), "")
	out, err := secretsmanager.NewFromConfig(as(e, "Caller")).BatchGetSecretValue(t.Context(), &secretsmanager.BatchGetSecretValueInput{SecretIdList: []string{"dev-key", "dev-other"}})
	if err != nil {
		t.Fatal(err)
	}
	if len(out.SecretValues) != 1 || len(out.Errors) != 1 || aws.ToString(out.Errors[0].ErrorCode) != "AccessDeniedException" || aws.ToString(out.Errors[0].SecretId) != "dev-other" {
		t.Errorf("got %d values and the errors %+v, want dev-other refused", len(out.SecretValues), out.Errors)
	}
}

func TestTheTrailOfARefusalHasNoParameters(t *testing.T) {
	t.Parallel()
	e := guard(t, statements(readSecret), "")
	for _, id := range []string{"dev-other", "dev-key"} {
		if err := getSecret(id)(t, as(e, "Caller"), e); err == nil {
			t.Fatalf("%s was read", id)
		}
	}
	for name, want := range map[string]string{
		"GetSecretValue": `"errorCode":"AccessDenied","errorMessage":"User: arn:aws:sts::123456789012:assumed-role/Caller/Caller is not authorized to perform: secretsmanager:GetSecretValue on resource: dev-other because no identity-based policy allows the secretsmanager:GetSecretValue action","requestParameters":null`,
		"Decrypt":        `"errorCode":"AccessDenied","errorMessage":"User: arn:aws:sts::123456789012:assumed-role/Caller/Caller is not authorized to perform: kms:Decrypt on resource: arn:aws:kms:us-east-1:123456789012:key/Key because no identity-based policy allows the kms:Decrypt action"`,
	} {
		found, err := cloudtrail.NewFromConfig(configFor(e)).LookupEvents(t.Context(), &cloudtrail.LookupEventsInput{
			LookupAttributes: []cloudtrailtypes.LookupAttribute{{AttributeKey: "EventName", AttributeValue: &name}},
		})
		if err != nil {
			t.Fatal(err)
		}
		var all strings.Builder
		for _, event := range found.Events {
			all.WriteString(aws.ToString(event.CloudTrailEvent) + "\n")
		}
		if !strings.Contains(all.String(), want) {
			t.Errorf("the records of %s are\n%s\nwant one with %s", name, all.String(), want)
		}
	}
}

// TestWhatWasUsedAndWhatIsMissingIsTold reads the report as `rekey policy`
// does.
func TestWhatWasUsedAndWhatIsMissingIsTold(t *testing.T) {
	t.Parallel()
	e := guard(t, `
        - Version: "2012-10-17"
          Statement:
            - Effect: Allow
              Action: [secretsmanager:GetSecretValue, secretsmanager:DescribeSecret]
              Resource: [!Ref Secret, !Ref Other]
            - Effect: Allow
              Action: kms:Decrypt
              Resource: !GetAtt Key.Arn
            - Effect: Allow
              Action: sqs:SendMessage
              Resource: !GetAtt Queue.Arn
            - Effect: Allow
              Action: events:PutEvents
              Resource: !GetAtt Bus.Arn
              Condition: {StringEquals: {"events:source": rekey}}
            - Effect: Allow
              Action: ec2:DescribeInstances
              Resource: "*"`, "")
	cfg := as(e, "Caller")
	if err := getSecret("dev-key")(t, cfg, e); err != nil {
		t.Fatal(err)
	}
	for _, refused := range []call{putSecret, putSecret, putEvent("forged")} {
		if err := refused(t, cfg, e); err == nil {
			t.Fatal("a call was not refused")
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, e.Endpoint()+local.PolicyPath, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var report local.PolicyReport
	if err := json.NewDecoder(res.Body).Decode(&report); err != nil {
		t.Fatal(err)
	}
	unused := report.Unused()
	if len(unused) != 2 || unused[0].Line != 33 || unused[0].Of != "Caller" || unused[0].File != "t.yaml" || unused[0].Actions[0] != "sqs:SendMessage" {
		t.Errorf("unused: %+v, want sqs:SendMessage of Caller at t.yaml:33 and events:PutEvents", unused)
	}
	for _, s := range report.Statements {
		if s.Line == 27 && (s.Uses != 1 || strings.Join(s.UnusedActions, " ") != "secretsmanager:DescribeSecret" || len(s.UnusedResources) != 1) {
			t.Errorf("the partly used statement is %+v", s)
		}
	}
	if len(report.Refused) != 2 || report.Refused[0].Count != 2 {
		t.Fatalf("refused: %+v, want PutSecretValue twice and PutEvents", report.Refused)
	}
	const put = "Caller may not secretsmanager:PutSecretValue on "
	if text := report.Refused[0].String(); !strings.HasPrefix(text, put) ||
		!strings.HasSuffix(text, "add to the policies of Caller at t.yaml:27: Effect: Allow Action: secretsmanager:PutSecretValue Resource: !Ref Secret") {
		t.Errorf("the refusal is %q", text)
	}
	if near := report.Refused[1].Near; near != "t.yaml:36 would allow it, but its conditions do not hold" {
		t.Errorf("near is %q", near)
	}
}

func TestWithIAMOffRefusalsAreOnlyTold(t *testing.T) {
	t.Parallel()
	e := start(t, local.Options{Template: []byte(strings.NewReplacer("POLICIES", "[]", "MORE", "").Replace(guarded)), NoIAM: true})
	if err := putSecret(t, as(e, "Caller"), e); err != nil {
		t.Fatal(err)
	}
	report := e.Policies()
	if report.Enforced || len(report.Refused) != 2 || report.Refused[0].Action != "secretsmanager:PutSecretValue" {
		t.Errorf("the report is %+v, want the put and its key as what would be refused", report)
	}
}
