package conformance_test

// found lists by filters, beside one on the case's own names, and says which
// secrets there are.
func found(filters string, secrets ...string) step {
	list := ""
	for i, s := range secrets {
		if i > 0 {
			list += ","
		}
		list += s
	}
	if filters != "" {
		filters = "," + filters
	}
	return ok("ListSecrets", `{"Filters":[{"Key":"name","Values":["$name"]}`+filters+`]}`, `{"SecretList":[`+list+`]}`).patiently()
}

func listings() map[string]belief {
	const (
		one = `{"ARN":"$arn","Name":"$name","Description":"an secret","CreatedDate":"$time","LastChangedDate":"$time","SecretVersionsToStages":{"$v1":["AWSCURRENT"]}}`
		two = `{"ARN":"$arn2","Name":"$other","Description":"asecret","CreatedDate":"$time","LastChangedDate":"$time","SecretVersionsToStages":{"$v2":["AWSCURRENT"]}}`
	)
	pair := []step{
		ok("CreateSecret", `{"Name":"$name","SecretString":"x","Description":"an secret"}`, `{"ARN":"$arn","Name":"$name","VersionId":"$v1"}`),
		ok("CreateSecret", `{"Name":"$other","SecretString":"y","Description":"asecret"}`, `{"ARN":"$arn2","Name":"$other","VersionId":"$v2"}`),
	}
	with := func(steps ...step) []step { return append(append([]step(nil), pair...), steps...) }
	const (
		values1 = `{"ARN":"$arn","Name":"$name","CreatedDate":"$time","SecretString":"x","VersionId":"$v1","VersionStages":["AWSCURRENT"]}`
		values2 = `{"ARN":"$arn2","Name":"$other","CreatedDate":"$time","SecretString":"y","VersionId":"$v2","VersionStages":["AWSCURRENT"]}`
	)
	return map[string]belief{
		"secrets are listed": {recorded, "LocalStack test_call_lists_secrets_multiple_times_snapshots", with(
			found("", one, two), found("", one, two),
		)},
		"filters are words of a description": {recorded, "LocalStack test_list_secrets_filtering", with(
			found(`{"Key":"description","Values":["a"]}`, one, two),
			found(`{"Key":"description","Values":["!a"]}`),
			found(`{"Key":"description","Values":["a secret"]}`, one),
			found(`{"Key":"description","Values":["!c"]}`, one, two),
			found(`{"Key":"description","Values":["a"]},{"Key":"name","Values":["secret"]}`),
		)},
		"filters are beginnings of a name": {recorded, "LocalStack test_list_secrets_filtering", with(
			found(`{"Key":"name","Values":["/"]}`),
			found(`{"Key":"name","Values":["!/"]}`, one, two),
			found(`{"Key":"name","Values":["rekey conformance"]}`),
			found(`{"Key":"name","Values":["REKEY"]}`),
			found(`{"Key":"name","Values":["nope","$other"]}`, two),
		)},
		"a filter of no kind": {recorded, "moto test_with_invalid_filter_key; the set has grown since", []step{
			refused("ListSecrets", `{"Filters":[{"Key":"invalid","Values":["foo"]}]}`, "ValidationException: 1 validation error detected: Value 'invalid' at 'filters.1.member.key' failed to satisfy constraint: Member must satisfy enum value set: [all, name, tag-key, description, tag-value, primary-region, owning-service]"),
		}},
		"a filter without a key": {remembered, "moto test_with_no_filter_key", []step{
			refused("ListSecrets", `{"Filters":[{"Values":["foo"]}]}`, "InvalidParameterException: Invalid filter key"),
		}},
		"a filter without values": {remembered, "moto test_with_no_filter_values", []step{
			refused("ListSecrets", `{"Filters":[{"Key":"description"}]}`, "InvalidParameterException: Invalid filter values for key: description"),
		}},
		"a batch by names, with one that is not there": {documented, "API reference, BatchGetSecretValue", with(
			ok("BatchGetSecretValue", `{"SecretIdList":["$name","$other","rekey-conformance-nope"]}`,
				`{"SecretValues":[`+values1+`,`+values2+`],"Errors":[{"SecretId":"rekey-conformance-nope","ErrorCode":"ResourceNotFoundException","Message":"Secrets Manager can't find the specified secret."}]}`),
		)},
		"a batch by filters, page by page": {documented, "API reference, BatchGetSecretValue", with(
			ok("BatchGetSecretValue", `{"Filters":[{"Key":"name","Values":["$name"]}],"MaxResults":1}`, `{"SecretValues":["$any"],"Errors":[],"NextToken":"$next"}`).patiently(),
			ok("BatchGetSecretValue", `{"Filters":[{"Key":"name","Values":["$name"]}],"MaxResults":1,"NextToken":"$next"}`, `{"SecretValues":["$any"],"Errors":[]}`),
		)},
		"a batch by names and by filters": {remembered, "moto test_batch_get_secret_value_with_both_secret_id_list_and_filters", []step{
			refused("BatchGetSecretValue", `{"SecretIdList":["foo"],"Filters":[{"Key":"name","Values":["foo"]}]}`, "InvalidParameterException: Either 'SecretIdList' or 'Filters' must be provided, but not both."),
		}},
	}
}

func rotations() map[string]belief {
	const noFunction = "InvalidRequestException: No Lambda rotation function ARN is associated with this secret."
	return map[string]belief{
		"a rotation without a function": {recorded, "LocalStack test_first_rotate_secret_with_missing_lambda_arn", []step{
			made("init"),
			refused("RotateSecret", `{"SecretId":"$name","RotationRules":{"AutomaticallyAfterDays":1}}`, noFunction),
			described(`"VersionIdsToStages":{"$v1":["AWSCURRENT"]}`),
		}},
		"a rotation with a function that is not there": {recorded, "LocalStack test_rotate_secret_invalid_lambda_arn", []step{
			made("init"),
			refused("RotateSecret", `{"SecretId":"$name","RotationLambdaARN":"arn:aws:lambda:us-east-1:123456789012:function:rotate_secret_invalid_lambda_arn","RotationRules":{"AutomaticallyAfterDays":1}}`,
				"AccessDeniedException: Secrets Manager cannot invoke the specified Lambda function. Ensure that the function policy grants access to the principal secretsmanager.amazonaws.com."),
			described(`"VersionIdsToStages":{"$v1":["AWSCURRENT"]}`),
		}},
		"a rotation both every some days and by a schedule": {recorded, "terraform-provider-aws issues 31915 and 33329", []step{
			made("init"),
			refused("RotateSecret", `{"SecretId":"$name","RotationLambdaARN":"$rotator","RotationRules":{"AutomaticallyAfterDays":1,"ScheduleExpression":"rate(10 hours)"}}`,
				"InvalidParameterException: You cannot specify both rotation frequency and schedule expression together."),
			described(`"VersionIdsToStages":{"$v1":["AWSCURRENT"]}`),
		}},
		"a rotation": {recorded, "LocalStack test_rotate_secret_with_lambda_success", []step{
			ok("CreateSecret", `{"Name":"$name","SecretString":"my_secret","Description":"testing rotation of secrets"}`, `{"ARN":"$arn","Name":"$name","VersionId":"$v1"}`),
			ok("RotateSecret", `{"SecretId":"$name","RotationLambdaARN":"$rotator","RotationRules":{"AutomaticallyAfterDays":1}}`, `{"ARN":"$arn","Name":"$name","VersionId":"$v2"}`),
			described(`"Description":"testing rotation of secrets","LastAccessedDate":"$time","LastRotatedDate":"$time","NextRotationDate":"$time","RotationEnabled":true,` +
				`"RotationLambdaARN":"$rotator","RotationRules":{"AutomaticallyAfterDays":1},"VersionIdsToStages":{"$v2":["AWSCURRENT","AWSPENDING"],"$v1":["AWSPREVIOUS"]}`).patiently(),
			versions([2]string{"!$v1", `["AWSPREVIOUS"]`}, [2]string{"$v2", `["AWSCURRENT","AWSPENDING"]`}),
			ok("RotateSecret", `{"SecretId":"$name"}`, `{"ARN":"$arn","Name":"$name","VersionId":"$v3"}`),
			ok("GetSecretValue", `{"SecretId":"$name"}`, `{"ARN":"$arn","Name":"$name","CreatedDate":"$time","SecretString":"rotated","VersionId":"$v3","VersionStages":["AWSCURRENT","AWSPENDING"]}`).patiently(),
		}},
		"a test of a rotation": {recorded, "moto test_rotate_secret_using_lambda_dont_rotate_immediately", []step{
			made("old_secret"),
			ok("RotateSecret", `{"SecretId":"$arn","RotationLambdaARN":"$rotator","RotationRules":{"AutomaticallyAfterDays":30},"RotateImmediately":false}`, `{"ARN":"$arn","Name":"$name","VersionId":"$any"}`),
			read("old_secret", "$v1", `["AWSCURRENT"]`),
			described(`"LastAccessedDate":"$time","NextRotationDate":"$time","RotationEnabled":true,"RotationLambdaARN":"$rotator","RotationRules":{"AutomaticallyAfterDays":30},"VersionIdsToStages":{"$v1":["AWSCURRENT"]}`).patiently(),
		}},
		"a rotation is turned off": {documented, "API reference, CancelRotateSecret", []step{
			made("x"),
			ok("RotateSecret", `{"SecretId":"$arn","RotationLambdaARN":"$rotator","RotationRules":{"ScheduleExpression":"rate(10 days)"}}`, `{"ARN":"$arn","Name":"$name","VersionId":"$v2"}`),
			ok("GetSecretValue", `{"SecretId":"$name","VersionStage":"AWSPREVIOUS"}`, `{"ARN":"$arn","Name":"$name","CreatedDate":"$time","SecretString":"x","VersionId":"$v1","VersionStages":["AWSPREVIOUS"]}`).patiently(),
			// While the rotation runs the answer has its version as well.
			described(`"LastAccessedDate":"$time","LastRotatedDate":"$time","NextRotationDate":"$time","RotationEnabled":true,"RotationLambdaARN":"$rotator","RotationRules":"$any","VersionIdsToStages":"$any"`).patiently(),
			ok("CancelRotateSecret", `{"SecretId":"$arn"}`, `{"ARN":"$arn","Name":"$name"}`),
			ok("DescribeSecret", `{"SecretId":"$arn"}`, `{"ARN":"$arn","Name":"$name","CreatedDate":"$time","LastChangedDate":"$time","LastAccessedDate":"$time","LastRotatedDate":"$time","RotationEnabled":false,`+
				`"RotationLambdaARN":"$rotator","RotationRules":"$any","VersionIdsToStages":"$any"}`),
		}},
		"no rotation to turn off": {remembered, "the error is documented, not its text", []step{
			made("x"),
			refused("CancelRotateSecret", `{"SecretId":"$name"}`, "InvalidRequestException: You can't cancel the rotation of this secret because rotation is not enabled."),
		}},
	}
}
