package conformance_test

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// The records are the snapshots that LocalStack's tests took of AWS
// (tests/aws/services/secretsmanager), and the tests of moto that are marked
// as verified on AWS (tests/test_secretsmanager).

func TestSecretsManager(t *testing.T) {
	beliefs := make(map[string]belief)
	for _, part := range []map[string]belief{secretsAndValues(), labels(), refusals(), listings(), deletions(), rotations(), extras()} {
		maps.Copy(beliefs, part)
	}
	service{
		name: "secretsmanager", target: "secretsmanager",
		client: func(cfg aws.Config) any { return secretsmanager.NewFromConfig(cfg) },
		// Errors of the model spell Message with a capital letter, errors
		// that all services have do not.
		modelled: func(code string) bool { return code != "ValidationException" && code != "AccessDeniedException" },
		derive:   derivePart,
		cleanUp:  removeSecrets,
	}.check(t, beliefs)
}

// derivePart sets $part, which is $arn without the random end.
func derivePart(v variables) {
	if i := strings.LastIndex(v["arn"], "-"); i >= 0 {
		v["part"] = v["arn"][:i]
	}
}

// removeSecrets removes what a case may have made.
func removeSecrets(ctx context.Context, client any, v variables) error {
	sm, ok := client.(*secretsmanager.Client)
	if !ok {
		return errors.New("no client of Secrets Manager")
	}
	var errs []error
	for _, name := range []string{v["name"], v["other"]} {
		_, err := sm.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: &name, ForceDeleteWithoutRecovery: new(true)})
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Steps that many cases begin with.

func made(value string) step {
	return ok("CreateSecret", `{"Name":"$name","SecretString":"`+value+`"}`, `{"ARN":"$arn","Name":"$name","VersionId":"$v1"}`)
}

func placeholder() step {
	return ok("CreateSecret", `{"Name":"$name"}`, `{"ARN":"$arn","Name":"$name"}`)
}

// put stores a value and names the version.
func put(value, version, stages, after string) step {
	in := `{"SecretId":"$name","SecretString":"` + value + `"`
	if stages != "" {
		in += `,"VersionStages":` + stages
	}
	return ok("PutSecretValue", in+`}`, `{"ARN":"$arn","Name":"$name","VersionId":"`+version+`","VersionStages":`+after+`}`)
}

func read(value, version, stages string) step {
	return ok("GetSecretValue", `{"SecretId":"$name"}`,
		`{"ARN":"$arn","Name":"$name","CreatedDate":"$time","SecretString":"`+value+`","VersionId":"`+version+`","VersionStages":`+stages+`}`)
}

func promote(from, to string) step {
	return ok("UpdateSecretVersionStage",
		`{"SecretId":"$name","VersionStage":"AWSCURRENT","RemoveFromVersionId":"`+from+`","MoveToVersionId":"`+to+`"}`, `{"ARN":"$arn","Name":"$name"}`)
}

// versions lists the versions, each with its labels; a version after ! was
// read before.
func versions(labels ...[2]string) step {
	return versionList(`{"SecretId":"$name"}`, labels...)
}

func versionList(in string, labels ...[2]string) step {
	list := ""
	for i, l := range labels {
		if i > 0 {
			list += ","
		}
		id, read := l[0], ""
		if id[0] == '!' {
			id, read = id[1:], `"LastAccessedDate":"$time",`
		}
		if l[1] != "" {
			read += `"VersionStages":` + l[1] + `,`
		}
		list += `{"VersionId":"` + id + `",` + read + `"CreatedDate":"$time","KmsKeyIds":["DefaultEncryptionKey"]}`
	}
	return ok("ListSecretVersionIds", in, `{"ARN":"$arn","Name":"$name","Versions":[`+list+`]}`)
}

// described is DescribeSecret with the members that a plain secret has, and
// more.
func described(more string) step {
	if more != "" {
		more = "," + more
	}
	return ok("DescribeSecret", `{"SecretId":"$arn"}`, `{"ARN":"$arn","Name":"$name","CreatedDate":"$time","LastChangedDate":"$time"`+more+`}`)
}

func removed() step {
	return ok("DeleteSecret", `{"SecretId":"$name","ForceDeleteWithoutRecovery":true}`, `{"ARN":"$arn","Name":"$name","DeletionDate":"$time"}`)
}

func marked(days string) step {
	return ok("DeleteSecret", `{"SecretId":"$name"`+days+`}`, `{"ARN":"$arn","Name":"$name","DeletionDate":"$time"}`)
}

const (
	notFound      = "ResourceNotFoundException: Secrets Manager can't find the specified secret."
	invalidName   = "ValidationException: Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!"
	noToken       = "You must provide a ClientRequestToken value. We recommend a UUID-type value."
	markedDeleted = "InvalidRequestException: You can't perform this operation on the secret because it was marked for deletion."
	tokenInUse    = "ResourceExistsException: You can't use ClientRequestToken $t1 because that value is already in use for a version of secret $arn."
)

func secretsAndValues() map[string]belief {
	return map[string]belief{
		"a secret is made, read, changed and removed": {recorded, "LocalStack test_create_and_update_secret", []step{
			ok("CreateSecret", `{"Name":"$name","SecretString":"my_secret","Description":"Testing secret creation."}`, `{"ARN":"$arn","Name":"$name","VersionId":"$v1"}`),
			read("my_secret", "$v1", `["AWSCURRENT"]`),
			described(`"Description":"Testing secret creation.","LastAccessedDate":"$time","VersionIdsToStages":{"$v1":["AWSCURRENT"]}`),
			put("new_secret", "$v2", "", `["AWSCURRENT"]`),
			read("new_secret", "$v2", `["AWSCURRENT"]`),
			ok("UpdateSecret", `{"SecretId":"$arn","SecretString":"test123","Description":"d1"}`, `{"ARN":"$arn","Name":"$name","VersionId":"$v3"}`),
			removed(),
		}},
		"a name may hold signs, and dashes at its end": {recorded, "LocalStack test_create_and_update_secret[Valid/_+=.@-Name-a1b2c3-]", []step{
			ok("CreateSecret", `{"Name":"$name/Other","SecretString":"x"}`, `{"ARN":"$odd","Name":"$name/Other","VersionId":"$v1"}`),
			ok("GetSecretValue", `{"SecretId":"$odd"}`, `{"ARN":"$odd","Name":"$other","CreatedDate":"$time","SecretString":"x","VersionId":"$v1","VersionStages":["AWSCURRENT"]}`),
		}},
		"a placeholder has no version, and its first value becomes current": {recorded, "LocalStack test_create_secret_version_from_empty_secret", []step{
			ok("CreateSecret", `{"Name":"$name","Description":""}`, `{"ARN":"$arn","Name":"$name"}`),
			described(""),
			put("example-string-to-protect", "$v1", "", `["AWSCURRENT"]`),
		}},
		"a placeholder's first value becomes current under AWSPENDING too": {documented, "API reference, PutSecretValue", []step{
			placeholder(),
			put("x", "$v1", `["AWSPENDING"]`, `["AWSCURRENT","AWSPENDING"]`),
		}},
		"a description changes alone and with a value": {recorded, "LocalStack test_update_secret_description", []step{
			made("MySecretString"),
			described(`"VersionIdsToStages":{"$v1":["AWSCURRENT"]}`),
			ok("UpdateSecret", `{"SecretId":"$name","Description":"MyDescription"}`, `{"ARN":"$arn","Name":"$name"}`),
			described(`"Description":"MyDescription","VersionIdsToStages":{"$v1":["AWSCURRENT"]}`),
			ok("UpdateSecret", `{"SecretId":"$name","SecretString":"MyNewSecretString","Description":"MyNewDescription"}`, `{"ARN":"$arn","Name":"$name","VersionId":"$v2"}`),
			described(`"Description":"MyNewDescription","VersionIdsToStages":{"$v2":["AWSCURRENT"],"$v1":["AWSPREVIOUS"]}`),
			ok("UpdateSecret", `{"SecretId":"$name","SecretString":"MyNewSecretStringMyNewSecretString"}`, `{"ARN":"$arn","Name":"$name","VersionId":"$v3"}`),
			described(`"Description":"MyNewDescription","VersionIdsToStages":{"$v3":["AWSCURRENT"],"$v2":["AWSPREVIOUS"]}`),
			ok("UpdateSecret", `{"SecretId":"$name"}`, `{"ARN":"$arn","Name":"$name"}`),
			described(`"Description":"MyNewDescription","VersionIdsToStages":{"$v3":["AWSCURRENT"],"$v2":["AWSPREVIOUS"]}`),
			removed(),
		}},
		"bytes are Base64 on the wire": {inferred, "LocalStack test_get_secret_value", []step{
			ok("CreateSecret", `{"Name":"$name","SecretBinary":"Zm9vdGVzdA=="}`, `{"ARN":"$arn","Name":"$name","VersionId":"$v1"}`),
			ok("GetSecretValue", `{"SecretId":"$name"}`, `{"ARN":"$arn","Name":"$name","CreatedDate":"$time","SecretBinary":"Zm9vdGVzdA==","VersionId":"$v1","VersionStages":["AWSCURRENT"]}`),
			ok("PutSecretValue", `{"SecretId":"$name","SecretBinary":"Zm9vdGVzdDI="}`, `{"ARN":"$arn","Name":"$name","VersionId":"$v2","VersionStages":["AWSCURRENT"]}`),
			ok("GetSecretValue", `{"SecretId":"$name"}`, `{"ARN":"$arn","Name":"$name","CreatedDate":"$time","SecretBinary":"Zm9vdGVzdDI=","VersionId":"$v2","VersionStages":["AWSCURRENT"]}`),
		}},
		"a secret is read by a part of its ARN": {recorded, "LocalStack test_create_and_update_secret, get_secret_value_rs_3", []step{
			made("x"),
			ok("GetSecretValue", `{"SecretId":"$part"}`, `{"ARN":"$arn","Name":"$name","CreatedDate":"$time","SecretString":"x","VersionId":"$v1","VersionStages":["AWSCURRENT"]}`),
		}},
		"tags come, change and go, and leave an empty list": {recorded, "LocalStack test_secret_tags", []step{
			placeholder(),
			described(""),
			ok("TagResource", `{"SecretId":"$arn","Tags":[{"Key":"tag1","Value":"value1"}]}`, `{}`),
			described(`"Tags":[{"Key":"tag1","Value":"value1"}]`),
			ok("TagResource", `{"SecretId":"$arn","Tags":[{"Key":"tag2","Value":"value2"}]}`, `{}`),
			described(`"Tags":[{"Key":"tag1","Value":"value1"},{"Key":"tag2","Value":"value2"}]`),
			ok("UntagResource", `{"SecretId":"$arn","TagKeys":["tag1"]}`, `{}`),
			described(`"Tags":[{"Key":"tag2","Value":"value2"}]`),
			ok("UntagResource", `{"SecretId":"$arn","TagKeys":["tag2"]}`, `{}`),
			described(`"Tags":[]`),
			ok("TagResource", `{"SecretId":"$arn","Tags":[{"Key":"tag3","Value":"value3"},{"Key":"tag4","Value":"value4"}]}`, `{}`),
			described(`"Tags":[{"Key":"tag3","Value":"value3"},{"Key":"tag4","Value":"value4"}]`),
			ok("UntagResource", `{"SecretId":"$arn","TagKeys":["tag3","tag4"]}`, `{}`),
			described(`"Tags":[]`),
		}},
		"the same secret made again with its token is the same": {recorded, "moto test_create_duplicate_secret_with_same_token", []step{
			ok("CreateSecret", `{"Name":"$name","SecretString":"Hello","ClientRequestToken":"$t1"}`, `{"ARN":"$arn","Name":"$name","VersionId":"$t1"}`),
			ok("CreateSecret", `{"Name":"$name","SecretString":"Hello","ClientRequestToken":"$t1"}`, `{"ARN":"$arn","Name":"$name","VersionId":"$t1"}`),
		}},
		"the same value put again with its token is the same": {recorded, "moto test_put_same_secret_value_with_same_token", []step{
			ok("CreateSecret", `{"Name":"$name","SecretString":"Hello","ClientRequestToken":"$t1"}`, `{"ARN":"$arn","Name":"$name","VersionId":"$t1"}`),
			ok("PutSecretValue", `{"SecretId":"$arn","SecretString":"Hello","ClientRequestToken":"$t1"}`, `{"ARN":"$arn","Name":"$name","VersionId":"$t1","VersionStages":["AWSCURRENT"]}`),
		}},
		"an update with a version's token and value is that version": {recorded, "moto test_update_same_secret_value_with_same_token", []step{
			ok("CreateSecret", `{"Name":"$name","SecretString":"Hello","ClientRequestToken":"$t1"}`, `{"ARN":"$arn","Name":"$name","VersionId":"$t1"}`),
			ok("UpdateSecret", `{"SecretId":"$name","SecretString":"Hello","ClientRequestToken":"$t1"}`, `{"ARN":"$arn","Name":"$name","VersionId":"$t1"}`),
		}},
	}
}

func extras() map[string]belief {
	const (
		public = `{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"secretsmanager:GetSecretValue\",\"Resource\":\"*\"}]}`
		named  = `"SecretId":"$name"`
	)
	json11 := map[string]string{"Content-Type": "application/x-amz-json-1.1", "X-Amzn-Requestid": "$any"}
	return map[string]belief{
		"a resource policy is kept as it was put, and removed": {recorded, "LocalStack test_resource_policy", []step{
			made("x"),
			ok("GetResourcePolicy", `{`+named+`}`, `{"ARN":"$arn","Name":"$name"}`),
			ok("PutResourcePolicy", `{`+named+`,"ResourcePolicy":"`+public+`"}`, `{"ARN":"$arn","Name":"$name"}`),
			ok("GetResourcePolicy", `{`+named+`}`, `{"ARN":"$arn","Name":"$name","ResourcePolicy":"`+public+`"}`),
			ok("DeleteResourcePolicy", `{`+named+`}`, `{"ARN":"$arn","Name":"$name"}`),
			ok("GetResourcePolicy", `{`+named+`}`, `{"ARN":"$arn","Name":"$name"}`),
		}},
		"a public policy can be blocked": {documented, "user guide, attaching a policy (2021)", []step{
			made("x"),
			refused("PutResourcePolicy", `{`+named+`,"BlockPublicPolicy":true,"ResourcePolicy":"`+public+`"}`,
				"PublicPolicyException: You can't attach a resource-based policy that allows broad access to the secret."),
		}},
		"a policy with a syntax error is refused": {documented, "user guide, attaching a policy (2021)", []step{
			made("x"),
			refused("PutResourcePolicy", `{`+named+`,"ResourcePolicy":"{"}`, "MalformedPolicyDocumentException: This resource policy contains a syntax error."),
		}},
		"a policy for nobody that there is is refused": {inferred, "terraform-provider-aws, resource_policy.go: the beginning of the text", []step{
			made("x"),
			refused("PutResourcePolicy", `{`+named+`,"ResourcePolicy":"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"nobody\"},\"Action\":\"secretsmanager:GetSecretValue\",\"Resource\":\"*\"}]}"}`,
				"MalformedPolicyDocumentException: This resource policy contains an unsupported principal."),
		}},
		"a policy is judged without being kept": {documented, "API reference, ValidateResourcePolicy", []step{
			made("x"),
			ok("ValidateResourcePolicy", `{`+named+`,"ResourcePolicy":"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Deny\",\"Principal\":\"*\",\"Action\":\"secretsmanager:PutSecretValue\",\"Resource\":\"*\"}]}"}`,
				`{"PolicyValidationPassed":true,"ValidationErrors":[]}`),
			ok("GetResourcePolicy", `{`+named+`}`, `{"ARN":"$arn","Name":"$name"}`),
		}},
		"answers and refusals are JSON 1.1 and have a number": {documented, "botocore's model: the protocol json, version 1.1", []step{
			ok("GetRandomPassword", `{}`, `{"RandomPassword":"$password"}`).under(json11),
			refused("GetSecretValue", `{"SecretId":"$name"}`, notFound).under(json11),
		}},
		"a password is too short for its types": {inferred, "moto's exception text, get_random_password", []step{
			refused("GetRandomPassword", `{"PasswordLength":3}`, "InvalidParameterException: Password length is too short based on the required types."),
		}},
		"a password is as long as asked": {recorded, "LocalStack test_get_random_exclude_characters_and_symbols", []step{
			ok("GetRandomPassword", `{"PasswordLength":120,"ExcludeCharacters":"xyzDje@?!."}`, `{"RandomPassword":"$password"}`),
		}},
	}
}
