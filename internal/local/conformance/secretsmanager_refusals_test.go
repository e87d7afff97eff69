package conformance_test

import "strings"

func refusals() map[string]belief {
	made1 := ok("CreateSecret", `{"Name":"$name","SecretString":"Hello","ClientRequestToken":"$t1"}`, `{"ARN":"$arn","Name":"$name","VersionId":"$t1"}`)
	all := map[string]belief{
		"a secret that there is not": {recorded, "LocalStack test_secret_not_found", []step{
			refused("GetSecretValue", `{"SecretId":"$name"}`, notFound),
			refused("ListSecretVersionIds", `{"SecretId":"$name"}`, notFound),
		}},
		"versions that there are not": {recorded, "LocalStack test_secret_version_not_found", []step{
			placeholder(),
			refused("GetSecretValue", `{"SecretId":"$name"}`, "ResourceNotFoundException: Secrets Manager can't find the specified secret value for staging label: AWSCURRENT"),
			refused("GetSecretValue", `{"SecretId":"$name","VersionId":"$t1"}`, "ResourceNotFoundException: Secrets Manager can't find the specified secret value for VersionId: $t1"),
			refused("GetSecretValue", `{"SecretId":"$name","VersionStage":"AWSPENDING"}`, "ResourceNotFoundException: Secrets Manager can't find the specified secret value for staging label: AWSPENDING"),
		}},
		"a version and a label that do not belong together": {recorded, "LocalStack test_get_secret_value_errors", []step{
			made("test"),
			refused("GetSecretValue", `{"SecretId":"$arn","VersionStage":"AWSPREVIOUS"}`, "ResourceNotFoundException: Secrets Manager can't find the specified secret value for staging label: AWSPREVIOUS"),
			refused("GetSecretValue", `{"SecretId":"$name","VersionId":"$v1","VersionStage":"AWSPREVIOUS"}`, "InvalidRequestException: You provided a VersionStage that is not associated to the provided VersionId."),
		}},
		"a name that is taken": {recorded, "LocalStack test_secret_exists_snapshots, moto test_create_duplicate_secret_without_specifying_token", []step{
			made("Hello"),
			refused("CreateSecret", `{"Name":"$name","SecretString":"Hello"}`, "ResourceExistsException: The operation failed because the secret $name already exists."),
		}},
		"creating with a token that is in use": {recorded, "moto test_create_different_secret_with_same_token", []step{
			made1, refused("CreateSecret", `{"Name":"$name","SecretString":"Hi","ClientRequestToken":"$t1"}`, tokenInUse),
		}},
		"putting with a token that is in use": {recorded, "moto test_put_different_secret_value_with_same_token", []step{
			made1, refused("PutSecretValue", `{"SecretId":"$arn","SecretString":"Hi","ClientRequestToken":"$t1"}`, tokenInUse),
		}},
		"updating with a token that is in use": {recorded, "moto test_update_different_secret_value_with_same_token", []step{
			made1, refused("UpdateSecret", `{"SecretId":"$arn","SecretString":"Hi","ClientRequestToken":"$t1"}`, tokenInUse),
		}},
		"no value at all": {remembered, "moto test_put_secret_binary_requires_either_string_or_binary", []step{
			refused("PutSecretValue", `{"SecretId":"$name"}`, "InvalidRequestException: You must provide either SecretString or SecretBinary."),
		}},
		"no name of a secret": {documented, "botocore's model: SecretId is required", []step{
			refused("GetSecretValue", `{}`, "ValidationException: 1 validation error detected: Value null at 'secretId' failed to satisfy constraint: Member must not be null").raws(),
		}},
		"a version id that is none": {inferred, "pulumi-aws issue 1613: the beginning of the text", []step{
			refused("GetSecretValue", `{"SecretId":"$name","VersionId":"AWSCURRENT"}`, "ValidationException: 1 validation error detected: Value 'AWSCURRENT' at 'versionId' failed to satisfy constraint: Member must have length greater than or equal to 32"),
		}},
		"a password of 5000 characters": {inferred, "moto's exception text, get_random_password", []step{
			refused("GetRandomPassword", `{"PasswordLength":5000}`, "ValidationException: 1 validation error detected: Value '5000' at 'passwordLength' failed to satisfy constraint: Member must have value less than or equal to 4096"),
		}},
		"a value above 65,536 bytes": {documented, "botocore's model; that the value is not quoted is remembered", []step{
			refused("CreateSecret", `{"Name":"$name","SecretString":"`+strings.Repeat("x", 65537)+`"}`, "ValidationException: 1 validation error detected: Value at 'secretString' failed to satisfy constraint: Member must have length less than or equal to 65536"),
		}},
		"two kinds of value": {remembered, "", []step{
			refused("CreateSecret", `{"Name":"$name","SecretString":"x","SecretBinary":"eA=="}`, "InvalidParameterException: You can't specify both a binary secret value and a string secret value in the same secret."),
		}},
		"AWSCURRENT cannot be taken away": {remembered, "", []step{
			made("x"),
			refused("UpdateSecretVersionStage", `{"SecretId":"$arn","VersionStage":"AWSCURRENT","RemoveFromVersionId":"$v1"}`,
				"InvalidParameterException: You can only move staging label AWSCURRENT to a different secret version. It can't be completely removed."),
		}},
	}
	for operation, code := range map[string]string{
		"CreateSecret": "InvalidRequestException", "UpdateSecret": "InvalidRequestException",
		"PutSecretValue": "InvalidRequestException", "RotateSecret": "InvalidParameterException",
	} {
		all[operation+" without a token, of no secret"] = belief{recorded, "LocalStack test_no_client_request_token[" + operation + "]", []step{
			refused(operation, `{"Name":"$name","SecretId":"$name","SecretString":"thisisthesecret","Description":"My secret string"}`, code+": "+noToken).raws(),
		}}
	}
	for _, name := range []string{"Inv Name", " Inv Name", " Inv*Name? ", ` Inv *?!]Name\\-`} {
		id := `"SecretId":"` + name + `"`
		all["the name "+name] = belief{recorded, "LocalStack test_invalid_secret_name", []step{
			refused("CreateSecret", `{"Name":"`+name+`","SecretString":"x"}`, invalidName),
			refused("DeleteSecret", `{`+id+`,"ForceDeleteWithoutRecovery":true}`, invalidName),
			refused("DescribeSecret", `{`+id+`}`, invalidName),
			refused("GetSecretValue", `{`+id+`}`, invalidName),
			refused("ListSecretVersionIds", `{`+id+`,"IncludeDeprecated":true}`, invalidName),
			refused("PutSecretValue", `{`+id+`,"SecretString":"x"}`, invalidName),
			refused("TagResource", `{`+id+`,"Tags":[{"Key":"FirstTag","Value":"SomeValue"}]}`, invalidName),
			refused("UntagResource", `{`+id+`,"TagKeys":["FirstTag"]}`, invalidName),
			refused("UpdateSecret", `{`+id+`,"Description":"MyNewDescription"}`, invalidName),
			refused("ValidateResourcePolicy", `{`+id+`,"ResourcePolicy":"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"arn:aws:iam::123456789012:root\"},\"Action\":\"secretsmanager:GetSecretValue\",\"Resource\":\"*\"}]}"}`, invalidName),
		}}
	}
	return all
}

func deletions() map[string]belief {
	return map[string]belief{
		"a name is free again after a deletion without recovery": {recorded, "LocalStack test_can_recreate_delete_secret", []step{
			made("x"),
			removed(),
			ok("CreateSecret", `{"Name":"$name","SecretString":"x"}`, `{"ARN":"$again","Name":"$name","VersionId":"$v2"}`).patiently(),
		}},
		"a name is not free while its secret waits for its deletion": {recorded, "LocalStack test_exp_raised_on_creation_of_secret_scheduled_for_deletion", []step{
			made("x"),
			marked(`,"RecoveryWindowInDays":7`),
			refused("CreateSecret", `{"Name":"$name","SecretString":"x"}`, "InvalidRequestException: You can't create this secret because a secret with this name is already scheduled for deletion."),
		}},
		"a secret comes back": {recorded, "LocalStack test_secret_restore", []step{
			made("x"),
			marked(""),
			ok("RestoreSecret", `{"SecretId":"$name"}`, `{"ARN":"$arn","Name":"$name"}`),
			described(`"VersionIdsToStages":{"$v1":["AWSCURRENT"]}`).patiently(),
			ok("RestoreSecret", `{"SecretId":"$name"}`, `{"ARN":"$arn","Name":"$name"}`),
		}},
		"deleting by force what there is not": {recorded, "LocalStack test_delete_non_existent_secret_returns_as_if_secret_exists", []step{
			ok("DeleteSecret", `{"SecretId":"$name","ForceDeleteWithoutRecovery":true}`, `{"ARN":"$any","Name":"$name","DeletionDate":"$time"}`),
		}},
		"deleting by force what is deleted": {inferred, "LocalStack test_force_delete_deleted_secret", []step{
			made("x"),
			marked(""),
			described(`"DeletedDate":"$time","VersionIdsToStages":{"$v1":["AWSCURRENT"]}`).patiently(),
			removed(),
			refused("DescribeSecret", `{"SecretId":"$name"}`, notFound).patiently(),
		}},
		"a deleted secret is neither tagged nor untagged": {inferred, "LocalStack test_tag_untag_resource_on_deleted_secret", []step{
			made("x"),
			marked(""),
			refused("TagResource", `{"SecretId":"$arn","Tags":[{"Key":"new-tag","Value":"new-value"}]}`, markedDeleted),
			refused("UntagResource", `{"SecretId":"$arn","TagKeys":["initial-tag"]}`, markedDeleted),
		}},
		"a deleted secret is neither read nor changed": {remembered, "the text is that of the recorded tagging", []step{
			made("x"),
			marked(""),
			refused("GetSecretValue", `{"SecretId":"$arn"}`, markedDeleted),
			refused("PutSecretValue", `{"SecretId":"$arn","SecretString":"y"}`, markedDeleted),
			refused("UpdateSecret", `{"SecretId":"$arn","Description":"y"}`, markedDeleted),
		}},
		"a window of 6 days": {remembered, "moto test_delete_secret_recovery_window_invalid_values", []step{
			made("x"),
			refused("DeleteSecret", `{"SecretId":"$name","RecoveryWindowInDays":6}`, "InvalidParameterException: The RecoveryWindowInDays value must be between 7 and 30 days (inclusive)."),
		}},
		"a window and force": {documented, "API reference, DeleteSecret; the text is remembered", []step{
			made("x"),
			refused("DeleteSecret", `{"SecretId":"$name","RecoveryWindowInDays":7,"ForceDeleteWithoutRecovery":true}`, "InvalidParameterException: You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays."),
		}},
	}
}
