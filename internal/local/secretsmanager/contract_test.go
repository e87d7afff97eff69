package secretsmanager_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/google/go-cmp/cmp"
)

const (
	tokenA = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"
	tokenB = "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb"
	tokenC = "cccccccc-cccc-4ccc-8ccc-cccccccccccc"
)

// history makes the secret db with the versions A and B: B is current.
func history(tb testing.TB, b *bench) (arn string) {
	tb.Helper()
	out, err := b.CreateSecret(tb.Context(), &sdk.CreateSecretInput{
		Name: aws.String("db"), ClientRequestToken: aws.String(tokenA), SecretString: aws.String("a"),
	})
	if err != nil {
		tb.Fatal(err)
	}
	b.put(tb, tokenB, "b")
	return *out.ARN
}

func (b *bench) put(tb testing.TB, version, value string, labels ...string) {
	tb.Helper()
	_, err := b.PutSecretValue(tb.Context(), &sdk.PutSecretValueInput{
		SecretId: aws.String("db"), ClientRequestToken: &version, SecretString: &value, VersionStages: labels,
	})
	if err != nil {
		tb.Fatal(err)
	}
}

// Each call is made on the secret of history, and must leave its versions as
// they are.
func TestRefusalsAreAWSs(t *testing.T) {
	t.Parallel()
	const (
		notFound = "ResourceNotFoundException: Secrets Manager can't find the specified secret."
		noToken  = "InvalidRequestException: You must provide a ClientRequestToken value. We recommend a UUID-type value."
		badName  = "ValidationException: Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!"
	)
	big, long := strings.Repeat("x", 65537), strings.Repeat("n", 513)
	inUse := func(token string) string {
		return "ResourceExistsException: You can't use ClientRequestToken " + token + " because that value is already in use for a version of secret ARN."
	}
	tests := map[string]struct{ operation, body, want string }{
		"a secret that there is not":      {"GetSecretValue", `{"SecretId":"nope"}`, notFound},
		"an ARN with another end":         {"GetSecretValue", `{"SecretId":"arn:aws:secretsmanager:us-east-1:123456789012:secret:db-AbCdEf"}`, notFound},
		"an ARN of another region":        {"GetSecretValue", `{"SecretId":"arn:aws:secretsmanager:eu-west-1:123456789012:secret:db"}`, notFound},
		"no secret id":                    {"GetSecretValue", `{}`, "ValidationException: 1 validation error detected: Value null at 'secretId' failed to satisfy constraint: Member must not be null"},
		"a version that there is not":     {"GetSecretValue", `{"SecretId":"db","VersionId":"` + tokenC + `"}`, "ResourceNotFoundException: Secrets Manager can't find the specified secret value for VersionId: " + tokenC},
		"a label that there is not":       {"GetSecretValue", `{"SecretId":"db","VersionStage":"X"}`, "ResourceNotFoundException: Secrets Manager can't find the specified secret value for staging label: X"},
		"a version without that label":    {"GetSecretValue", `{"SecretId":"db","VersionId":"` + tokenA + `","VersionStage":"AWSCURRENT"}`, "InvalidRequestException: You provided a VersionStage that is not associated to the provided VersionId."},
		"a name that is taken":            {"CreateSecret", `{"Name":"db","SecretString":"x","ClientRequestToken":"` + tokenC + `"}`, "ResourceExistsException: The operation failed because the secret db already exists."},
		"a placeholder of a taken name":   {"CreateSecret", `{"Name":"db","ClientRequestToken":"` + tokenC + `"}`, "ResourceExistsException: The operation failed because the secret db already exists."},
		"creating with a token in use":    {"CreateSecret", `{"Name":"db","SecretString":"x","ClientRequestToken":"` + tokenA + `"}`, inUse(tokenA)},
		"putting nowhere without token":   {"PutSecretValue", `{"SecretId":"nope","SecretString":"x"}`, noToken},
		"updating nowhere without token":  {"UpdateSecret", `{"SecretId":"nope","SecretString":"x"}`, noToken},
		"deleting a name with a space":    {"DeleteSecret", `{"SecretId":"a b","ForceDeleteWithoutRecovery":true}`, badName},
		"judging for a name with a space": {"ValidateResourcePolicy", `{"SecretId":"a b","ResourcePolicy":"{}"}`, badName},
		"two members that are too long":   {"GetSecretValue", `{"SecretId":"db","VersionId":"x","VersionStage":"` + strings.Repeat("n", 257) + `"}`, "ValidationException: 2 validation errors detected: Value 'x' at 'versionId' failed to satisfy constraint: Member must have length greater than or equal to 32; Value '" + strings.Repeat("n", 257) + "' at 'versionStage' failed to satisfy constraint: Member must have length less than or equal to 256"},
		"a version id that is empty":      {"GetSecretValue", `{"SecretId":"db","VersionId":""}`, "ValidationException: 1 validation error detected: Value '' at 'versionId' failed to satisfy constraint: Member must have length greater than or equal to 32"},
		"a label that is empty":           {"GetSecretValue", `{"SecretId":"db","VersionStage":""}`, "ValidationException: 1 validation error detected: Value '' at 'versionStage' failed to satisfy constraint: Member must have length greater than or equal to 1"},
		"a secret's id that is empty":     {"GetSecretValue", `{"SecretId":""}`, "ValidationException: 1 validation error detected: Value '' at 'secretId' failed to satisfy constraint: Member must have length greater than or equal to 1"},
		"a token that is empty":           {"PutSecretValue", `{"SecretId":"db","SecretString":"x","ClientRequestToken":""}`, "ValidationException: 1 validation error detected: Value '' at 'clientRequestToken' failed to satisfy constraint: Member must have length greater than or equal to 32"},
		"an order that is empty":          {"ListSecrets", `{"SortOrder":""}`, "ValidationException: 1 validation error detected: Value '' at 'sortOrder' failed to satisfy constraint: Member must satisfy enum value set: [asc, desc]"},
		"a rotation token with a colon":   {"PutSecretValue", `{"SecretId":"db","SecretString":"x","ClientRequestToken":"` + tokenC + `","RotationToken":"` + tokenC + `:"}`, "ValidationException: 1 validation error detected: Value '" + tokenC + ":' at 'rotationToken' failed to satisfy constraint: Member must satisfy regular expression pattern: ^[a-zA-Z0-9\\-]+$"},
		"a secret that a partner keeps":   {"CreateSecret", `{"Name":"new","SecretString":"x","ClientRequestToken":"` + tokenC + `","Type":"MongoDBAtlasAccess"}`, "InvalidParameterException: The embedded engine has no managed external secrets."},
		"a filter of no kind":             {"ListSecrets", `{"Filters":[{"Key":"nope","Values":["x"]}]}`, "ValidationException: 1 validation error detected: Value 'nope' at 'filters.1.member.key' failed to satisfy constraint: Member must satisfy enum value set: [all, name, tag-key, description, tag-value, primary-region, owning-service]"},
		"a filter without a key":          {"ListSecrets", `{"Filters":[{"Values":["x"]}]}`, "InvalidParameterException: Invalid filter key"},
		"a filter without values":         {"ListSecrets", `{"Filters":[{"Key":"name"}]}`, "InvalidParameterException: Invalid filter values for key: name"},
		"a password that is too long":     {"GetRandomPassword", `{"PasswordLength":5000}`, "ValidationException: 1 validation error detected: Value '5000' at 'passwordLength' failed to satisfy constraint: Member must have value less than or equal to 4096"},
		"a tag without a key":             {"TagResource", `{"SecretId":"db","Tags":[{"Key":"","Value":"x"}]}`, "ValidationException: 1 validation error detected: Value '' at 'tags.1.member.key' failed to satisfy constraint: Member must have length greater than or equal to 1"},
		"a public policy that is blocked": {"PutResourcePolicy", `{"SecretId":"db","BlockPublicPolicy":true,"ResourcePolicy":"{\"Statement\":{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"*\",\"Resource\":\"*\"}}"}`, "PublicPolicyException: You can't attach a resource-based policy that allows broad access to the secret."},
		"creating without a token":        {"CreateSecret", `{"Name":"new","SecretString":"x"}`, noToken},
		"putting without a token":         {"PutSecretValue", `{"SecretId":"db","SecretString":"x"}`, noToken},
		"a token that is too short":       {"PutSecretValue", `{"SecretId":"db","SecretString":"x","ClientRequestToken":"x"}`, "ValidationException: 1 validation error detected: Value 'x' at 'clientRequestToken' failed to satisfy constraint: Member must have length greater than or equal to 32"},
		"a token with another value":      {"PutSecretValue", `{"SecretId":"db","SecretString":"x","ClientRequestToken":"` + tokenB + `"}`, inUse(tokenB)},
		"updating a token's value":        {"UpdateSecret", `{"SecretId":"db","SecretString":"x","ClientRequestToken":"` + tokenB + `"}`, inUse(tokenB)},
		"no value":                        {"PutSecretValue", `{"SecretId":"db","ClientRequestToken":"` + tokenC + `"}`, "InvalidRequestException: You must provide either SecretString or SecretBinary."},
		"two values":                      {"PutSecretValue", `{"SecretId":"db","SecretString":"x","SecretBinary":"eA==","ClientRequestToken":"` + tokenC + `"}`, "InvalidParameterException: You can't specify both a binary secret value and a string secret value in the same secret."},
		"a value that is too large":       {"PutSecretValue", `{"SecretId":"db","SecretString":"` + big + `","ClientRequestToken":"` + tokenC + `"}`, "ValidationException: 1 validation error detected: Value at 'secretString' failed to satisfy constraint: Member must have length less than or equal to 65536"},
		"a name with a space":             {"CreateSecret", `{"Name":"a b","ClientRequestToken":"` + tokenC + `"}`, badName},
		"a name of 513 characters":        {"CreateSecret", `{"Name":"` + long + `","ClientRequestToken":"` + tokenC + `"}`, "ValidationException: 1 validation error detected: Value '" + long + "' at 'name' failed to satisfy constraint: Member must have length less than or equal to 512"},
		"moving without from":             {"UpdateSecretVersionStage", `{"SecretId":"db","VersionStage":"AWSCURRENT","MoveToVersionId":"` + tokenA + `"}`, "InvalidParameterException: The parameter RemoveFromVersionId can't be empty. Staging label AWSCURRENT is currently attached to version " + tokenB + ", so you must explicitly reference that version in RemoveFromVersionId."},
		"moving from the wrong version":   {"UpdateSecretVersionStage", `{"SecretId":"db","VersionStage":"AWSCURRENT","MoveToVersionId":"` + tokenA + `","RemoveFromVersionId":"` + tokenA + `"}`, "InvalidParameterException: The staging label AWSCURRENT is not attached to version " + tokenA + ", which you specified in RemoveFromVersionId."},
		"moving to no version":            {"UpdateSecretVersionStage", `{"SecretId":"db","VersionStage":"AWSCURRENT","MoveToVersionId":"` + tokenC + `","RemoveFromVersionId":"` + tokenB + `"}`, "ResourceNotFoundException: Secrets Manager can't find the specified secret value for VersionId: " + tokenC},
		"removing AWSCURRENT":             {"UpdateSecretVersionStage", `{"SecretId":"db","VersionStage":"AWSCURRENT","RemoveFromVersionId":"` + tokenB + `"}`, "InvalidParameterException: You can only move staging label AWSCURRENT to a different secret version. It can't be completely removed."},
		"a window of three days":          {"DeleteSecret", `{"SecretId":"db","RecoveryWindowInDays":3}`, "InvalidParameterException: The RecoveryWindowInDays value must be between 7 and 30 days (inclusive)."},
		"a window and force":              {"DeleteSecret", `{"SecretId":"db","RecoveryWindowInDays":7,"ForceDeleteWithoutRecovery":true}`, "InvalidParameterException: You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays."},
		"cancelling no rotation":          {"CancelRotateSecret", `{"SecretId":"db"}`, "InvalidRequestException: You can't cancel the rotation of this secret because rotation is not enabled."},
		"a page of 101 versions":          {"ListSecretVersionIds", `{"SecretId":"db","MaxResults":101}`, "ValidationException: 1 validation error detected: Value '101' at 'maxResults' failed to satisfy constraint: Member must have value less than or equal to 100"},
		"a token of no page":              {"ListSecrets", `{"NextToken":"x"}`, "InvalidNextTokenException: The NextToken value is invalid."},
		"a password without characters":   {"GetRandomPassword", `{"PasswordLength":3}`, "InvalidParameterException: Password length is too short based on the required types."},
		"a policy that is no JSON":        {"PutResourcePolicy", `{"SecretId":"db","ResourcePolicy":"{"}`, "MalformedPolicyDocumentException: This resource policy contains a syntax error."},
		"a reserved tag":                  {"TagResource", `{"SecretId":"db","Tags":[{"Key":"aws:x","Value":""}]}`, "InvalidParameterException: Tag keys can't begin with aws:, which is reserved for AWS use."},
		"a batch by list and by filters":  {"BatchGetSecretValue", `{"SecretIdList":["db"],"Filters":[{"Key":"name","Values":["db"]}]}`, "InvalidParameterException: Either 'SecretIdList' or 'Filters' must be provided, but not both."},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			arn := history(t, b)
			before := b.stages(t)
			status, answer := b.raw(t, tt.operation, tt.body)
			if got := strings.ReplaceAll(named(t, answer), arn, "ARN"); status != 400 || got != tt.want {
				t.Errorf("%s: %d %s\nwant 400 %s", tt.operation, status, got, tt.want)
			}
			if diff := cmp.Diff(before, b.stages(t)); diff != "" {
				t.Errorf("the versions changed (-before +after):\n%s", diff)
			}
		})
	}
}

func TestAnOldTokenWithItsValueHasNoLabelsAnyMore(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	history(t, b)
	b.put(t, tokenC, "c")
	_, answer := b.raw(t, "PutSecretValue", `{"SecretId":"db","SecretString":"a","ClientRequestToken":"`+tokenA+`"}`)
	if strings.Contains(answer, "VersionStages") || !strings.Contains(answer, tokenA) {
		t.Errorf("PutSecretValue answers %s, want the version without labels", answer)
	}
}

func TestModelledErrorsSpellMessageWithACapital(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for operation, want := range map[string]string{"DescribeSecret": `"Message":`, "GetSecretValue": `"Message":`, "CreateSecret": `"message":`} {
		body := `{"SecretId":"nope","Name":"no name"}`
		if _, answer := b.raw(t, operation, body); !strings.Contains(answer, want) {
			t.Errorf("%s answers %s, want a member %s", operation, answer, want)
		}
	}
}

func TestRepeatedCallsAreIdempotent(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	arn := history(t, b)
	moved := b.heard.moved()
	again, err := b.CreateSecret(t.Context(), &sdk.CreateSecretInput{Name: aws.String("db"), ClientRequestToken: aws.String(tokenA), SecretString: aws.String("a")})
	if err != nil || *again.ARN != arn || *again.VersionId != tokenA {
		t.Errorf("the same CreateSecret: %v, %v", again, err)
	}
	b.put(t, tokenB, "b")
	b.put(t, tokenA, "a", "AWSCURRENT") // the version exists: nothing changes
	updated, err := b.UpdateSecret(t.Context(), &sdk.UpdateSecretInput{SecretId: aws.String("db"), ClientRequestToken: aws.String(tokenB), SecretString: aws.String("b")})
	if err != nil || *updated.VersionId != tokenB {
		t.Errorf("UpdateSecret with a version's own value: %v, %v", updated, err)
	}
	want := map[string][]string{tokenA: {"AWSPREVIOUS"}, tokenB: {"AWSCURRENT"}}
	if diff := cmp.Diff(want, b.stages(t)); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(moved, b.heard.moved()); diff != "" {
		t.Errorf("events for nothing (-want +got):\n%s", diff)
	}
}

func TestAPlaceholderHasNoValue(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	out, err := b.CreateSecret(t.Context(), &sdk.CreateSecretInput{Name: aws.String("db")})
	if err != nil || out.VersionId != nil {
		t.Fatalf("CreateSecret without a value: version %v, %v", out.VersionId, err)
	}
	if got := b.stages(t); got != nil {
		t.Errorf("VersionIdsToStages %v, want none", got)
	}
	_, err = b.GetSecretValue(t.Context(), &sdk.GetSecretValueInput{SecretId: aws.String("db")})
	if got, want := refusal(err), "ResourceNotFoundException: Secrets Manager can't find the specified secret value for staging label: AWSCURRENT"; got != want {
		t.Errorf("GetSecretValue: %q, want %q", got, want)
	}
	b.put(t, tokenA, "a", "AWSPENDING")
	if diff := cmp.Diff(map[string][]string{tokenA: {"AWSCURRENT", "AWSPENDING"}}, b.stages(t)); diff != "" {
		t.Errorf("labels of the first version (-want +got):\n%s", diff)
	}
}

func TestLabelsMove(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	history(t, b)
	b.put(t, tokenC, "c", "AWSPENDING", "MINE")
	move := func(label, from, to string) {
		t.Helper()
		in := &sdk.UpdateSecretVersionStageInput{SecretId: aws.String("db"), VersionStage: &label}
		if from != "" {
			in.RemoveFromVersionId = &from
		}
		if to != "" {
			in.MoveToVersionId = &to
		}
		if _, err := b.UpdateSecretVersionStage(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	move("AWSCURRENT", tokenB, tokenC)
	want := map[string][]string{tokenB: {"AWSPREVIOUS"}, tokenC: {"AWSCURRENT", "AWSPENDING", "MINE"}}
	if diff := cmp.Diff(want, b.stages(t)); diff != "" {
		t.Errorf("after the promotion (-want +got):\n%s", diff)
	}
	move("AWSPENDING", tokenC, "")
	move("AWSCURRENT", tokenC, tokenB)
	move("NEW", "", tokenA)
	want = map[string][]string{tokenA: {"NEW"}, tokenB: {"AWSCURRENT"}, tokenC: {"AWSPREVIOUS", "MINE"}}
	if diff := cmp.Diff(want, b.stages(t)); diff != "" {
		t.Errorf("after the rollback (-want +got):\n%s", diff)
	}
	wantMoved := []string{"AWSCURRENT", "AWSCURRENT", "MINE", "AWSCURRENT", "AWSCURRENT", "NEW"}
	if diff := cmp.Diff(wantMoved, b.heard.moved()); diff != "" {
		t.Errorf("Secret Label Updated (-want +got):\n%s", diff)
	}
	wantDetail := `{"name":"db","labelUpdated":"NEW","versionId":"` + tokenA + `"}`
	if got := string(b.heard.details[len(b.heard.details)-1]); got != wantDetail {
		t.Errorf("detail of the event: %s, want %s", got, wantDetail)
	}
}

func TestSecretsAreFoundByNameAndARN(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	arn := b.create(t, "app/db", "value")
	odd := b.create(t, "app/db-a1b2c3", "odd")
	for id, want := range map[string]string{
		"app/db": "value", arn: "value", arn[:len(arn)-7]: "value",
		"app/db-a1b2c3": "odd", odd: "odd",
		odd[:len(odd)-7]: "ResourceNotFoundException", // reads as the whole ARN of another secret
	} {
		if got := b.read(t, id, "", ""); got != want {
			t.Errorf("GetSecretValue of %s: %s, want %s", id, got, want)
		}
	}
}
