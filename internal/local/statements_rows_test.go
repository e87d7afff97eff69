package local

import (
	"maps"
	"strings"
)

// rows are calls by a sentence that says what they are for.
func (j *judge) rows() map[string]row {
	all := map[string]row{}
	for _, rows := range []map[string]row{j.logRows(), j.networkRows(), j.valueRows(), j.readerRows(), j.auditRows(), j.keyRows(), j.newsRows(), j.tableRows(), j.adminRows(), j.resourceRows()} {
		maps.Copy(all, rows)
	}
	return all
}

const (
	viaService  = "kms:ViaService"
	inContext   = "kms:EncryptionContext:SecretARN"
	rotatedWith = "secretsmanager:resource/AllowRotationLambdaArn"
	labelled    = "secretsmanager:VersionStage"
	source      = "events:source"
	detailType  = "events:detail-type"
)

func lambdaARN(name string) string { return arnOf("lambda", "function:dev-"+name) }

// prod is the same of another stage.
func prod(arn string) string { return strings.Replace(arn, "dev-", "prod-", 1) }

func (j *judge) logRows() map[string]row {
	rows := map[string]row{}
	for _, role := range j.roles() {
		name := strings.ToLower(strings.TrimSuffix(role, "Role"))
		group := arnOf("logs", "log-group:/aws/lambda/dev-"+name)
		rows[role+" writes its log"] = row{call{who: role, action: "logs:PutLogEvents", resource: group + ":log-stream:1"}, map[string]change{
			"in the log of another": on(group + "x:log-stream:1"),
			"in another stage":      on(prod(group) + ":log-stream:1"),
			"reads":                 doing("logs:GetLogEvents"),
		}}
	}
	return rows
}

func (j *judge) networkRows() map[string]row {
	rows := map[string]row{}
	for _, role := range []string{"DbRotatorRole", "LoginRole", "RetireRole"} {
		own := lambdaARN(strings.ToLower(strings.TrimSuffix(role, "Role")))
		rows["Lambda connects "+role] = row{call{who: role, action: "ec2:CreateNetworkInterface", resource: arnOf("ec2", "network-interface/*")}, map[string]change{
			"for the function itself": with("lambda:SourceFunctionArn", own),
			"in another account":      on(strings.Replace(arnOf("ec2", "network-interface/*"), Account, "111111111111", 1)),
			"attaches it":             doing("ec2:AttachNetworkInterface"),
		}}
		rows["Lambda looks for the interfaces of "+role] = row{call{who: role, action: "ec2:DescribeNetworkInterfaces", resource: "*"}, map[string]change{
			"for the function itself": with("lambda:SourceFunctionArn", own),
			"looks for machines":      doing("ec2:DescribeInstances"),
		}}
	}
	return rows
}

// valueRows are about the roles that rotate and revoke.
func (j *judge) valueRows() map[string]row {
	rows := map[string]row{
		"the rotator makes a login's version": {call{who: "DbRotatorRole", action: "secretsmanager:PutSecretValue", resource: j.secret("DatabaseCredentials"), keys: keys{rotatedWith: lambdaARN("dbrotator")}}, map[string]change{
			"of another stage":            on(prod(j.secret("DatabaseCredentials"))),
			"another function rotates it": with(rotatedWith, lambdaARN("keyrotator")),
			"nothing rotates it":          without(rotatedWith),
			"deletes it":                  doing("secretsmanager:DeleteSecret"),
		}},
		"the rotator reads the superuser": {call{who: "DbRotatorRole", action: "secretsmanager:GetSecretValue", resource: j.secret("DatabaseSuperuser"), keys: keys{labelled: "AWSCURRENT"}}, map[string]change{
			"as it was": with(labelled, "AWSPREVIOUS"), "another admin": on(j.secret("ProviderAdmin")), "writes it": doing("secretsmanager:PutSecretValue"),
		}},
		"the rotator makes an API key's version": {call{who: "ApiKeyRotatorRole", action: "secretsmanager:UpdateSecretVersionStage", resource: j.secret("ExternalApiKeys"), keys: keys{rotatedWith: lambdaARN("apikeyrotator")}}, map[string]change{
			"of another stage": on(prod(j.secret("ExternalApiKeys"))), "another function rotates it": with(rotatedWith, lambdaARN("dbrotator")),
		}},
		"the rotator reads the key that makes keys": {call{who: "ApiKeyRotatorRole", action: "secretsmanager:GetSecretValue", resource: j.secret("ProviderAdmin"), keys: keys{labelled: "AWSCURRENT"}}, map[string]change{
			"as it will be": with(labelled, "AWSPENDING"), "another admin": on(j.secret("DatabaseSuperuser")),
		}},
		"the rotator makes a signing key's version": {call{who: "KeyRotatorRole", action: "secretsmanager:PutSecretValue", resource: j.secret("JwtConfiguration"), keys: keys{rotatedWith: lambdaARN("keyrotator")}}, map[string]change{
			"of another stage": on(prod(j.secret("JwtConfiguration"))), "another function rotates it": with(rotatedWith, lambdaARN("dbrotator")),
		}},
		"the rotator writes the tokens' hashes": {call{who: "KeyRotatorRole", action: "secretsmanager:PutSecretValue", resource: j.secret("AdminTokens")}, map[string]change{
			"and lists": doing("secretsmanager:ListSecretVersionIds"), "in another stage": on(prod(j.secret("AdminTokens"))),
		}},
		"retire reads what was superseded": {call{who: "RetireRole", action: "secretsmanager:GetSecretValue", resource: j.secret("DatabaseCredentials"), keys: keys{rotatedWith: lambdaARN("dbrotator")}}, map[string]change{
			"nothing rotates it": without(rotatedWith), "and writes": doing("secretsmanager:PutSecretValue"), "of another stage": on(prod(j.secret("DatabaseCredentials"))),
		}},
		"retire takes a key out of a set": {call{who: "RetireRole", action: "secretsmanager:PutSecretValue", resource: j.secret("JwtConfiguration"), keys: keys{rotatedWith: lambdaARN("keyrotator")}}, map[string]change{
			"of another stage": on(prod(j.secret("JwtConfiguration"))), "out of the logins": with(rotatedWith, lambdaARN("dbrotator")), "nothing rotates it": without(rotatedWith),
		}},
		"retire takes a token's hash out": {call{who: "RetireRole", action: "secretsmanager:PutSecretValue", resource: j.secret("AdminTokens")}, map[string]change{
			"deletes them": doing("secretsmanager:DeleteSecret"), "of another stage": on(prod(j.secret("AdminTokens"))),
		}},
		"retire reads the superuser": {call{who: "RetireRole", action: "secretsmanager:GetSecretValue", resource: j.secret("DatabaseSuperuser"), keys: keys{labelled: "AWSCURRENT"}}, map[string]change{
			"as it was": with(labelled, "AWSPREVIOUS"),
		}},
	}
	for _, role := range []string{"ApiKeyRotatorRole", "RetireRole"} {
		rows[role+" makes and revokes access keys"] = row{call{who: role, action: "iam:DeleteAccessKey", resource: "arn:aws:iam::" + Account + ":user/rekey/dev/mailer"}, map[string]change{
			"of another stage": on("arn:aws:iam::" + Account + ":user/rekey/prod/mailer"),
			"of a person":      on("arn:aws:iam::" + Account + ":user/alice"),
			"deletes the user": doing("iam:DeleteUser"),
		}}
	}
	return rows
}

// auditRows are about the role that reads the trail and keeps reports.
func (j *judge) auditRows() map[string]row {
	const audit = "AuditRole"
	bucket := j.arn("AuditBucket")
	return map[string]row{
		"the audit reads the trail": {call{who: audit, action: "cloudtrail:LookupEvents", resource: "*"}, map[string]change{
			"and stops it": doing("cloudtrail:StopLogging"), "and reads a secret": func(c *call) { c.action, c.resource = "secretsmanager:GetSecretValue", j.secret("AdminTokens") },
		}},
		"the audit asks where a secret is": {call{who: audit, action: "secretsmanager:DescribeSecret", resource: arnOf("secretsmanager", "secret:any")}, map[string]change{
			"and reads it": doing("secretsmanager:GetSecretValue"), "in another account": on("arn:aws:secretsmanager:us-east-1:111111111111:secret:any"),
		}},
		"the audit asks who holds what": {call{who: audit, action: "dynamodb:Scan", resource: j.arn("Bulletin")}, map[string]change{
			"in another table": on(prod(j.arn("Bulletin"))), "and writes it": doing("dynamodb:PutItem"),
		}},
		"the audit keeps a report": {call{who: audit, action: "s3:PutObject", resource: bucket + "/reports/1.html"}, map[string]change{
			"elsewhere in the bucket": on(bucket + "/other"), "in another bucket": on(bucketARN("other") + "/reports/1.html"),
			"and deletes it": doing("s3:DeleteObject"), "and reads it": doing("s3:GetObject"), "without TLS": with("aws:SecureTransport", "false"),
		}},
		"the audit goes on from its state": {call{who: audit, action: "s3:GetObject", resource: bucket + "/state/1"}, map[string]change{
			"elsewhere in the bucket": on(bucket + "/other"), "and deletes it": doing("s3:DeleteObject"),
		}},
		"the audit finds no state": {call{who: audit, action: "s3:ListBucket", resource: bucket}, map[string]change{
			"in another bucket": on(bucketARN("other")), "and opens it": doing("s3:PutBucketPolicy"),
		}},
	}
}

// readerRows are about the consumers and those who look on.
func (j *judge) readerRows() map[string]row {
	rows := map[string]row{
		"invalidate asks which version is current": {call{who: "InvalidateRole", action: "secretsmanager:DescribeSecret", resource: j.secret("JwtConfiguration")}, map[string]change{
			"and reads it": doing("secretsmanager:GetSecretValue"), "of another stage": on(prod(j.secret("JwtConfiguration"))),
		}},
		"login reads the login": {call{who: "LoginRole", action: "secretsmanager:GetSecretValue", resource: j.secret("DatabaseCredentials")}, map[string]change{
			"of the superuser": on(j.secret("DatabaseSuperuser")), "and writes it": doing("secretsmanager:PutSecretValue"),
		}},
		"login stores the first signing key": {call{who: "LoginRole", action: "secretsmanager:PutSecretValue", resource: j.secret("JwtConfiguration")}, map[string]change{
			"and moves labels": doing("secretsmanager:UpdateSecretVersionStage"),
		}},
	}
	for _, role := range []string{"ProtectedRole", "ChargeRole"} {
		rows[role+" reads the API keys"] = row{call{who: role, action: "secretsmanager:GetSecretValue", resource: j.secret("ExternalApiKeys")}, map[string]change{
			"or the key that makes them": on(j.secret("ProviderAdmin")), "of another stage": on(prod(j.secret("ExternalApiKeys"))),
		}}
	}
	return rows
}

// keyRows are about the use of the key, which goes through Secrets Manager and
// names the secret.
func (j *judge) keyRows() map[string]row {
	rows := map[string]row{}
	for _, tt := range []struct{ role, operation, secret, other string }{
		{"DbRotatorRole", "GenerateDataKey", "DatabaseCredentials", ""},
		{"ApiKeyRotatorRole", "GenerateDataKey", "ExternalApiKeys", ""},
		{"KeyRotatorRole", "GenerateDataKey", "AdminTokens", ""},
		{"RetireRole", "Decrypt", "DatabaseCredentials", ""},
		{"LoginRole", "Decrypt", "DatabaseCredentials", "DatabaseSuperuser"},
		{"LoginRole", "GenerateDataKey", "JwtConfiguration", "DatabaseCredentials"},
		{"ProtectedRole", "Decrypt", "ExternalApiKeys", "ProviderAdmin"},
		{"ChargeRole", "Decrypt", "ExternalApiKeys", "ProviderAdmin"},
		{"AdminRole", "GenerateDataKey", "ProviderAdmin", ""},
	} {
		near := map[string]change{
			"through another service": with(viaService, "ssm.us-east-1.amazonaws.com"),
			"by itself":               without(viaService),
			"for no secret":           without(inContext),
			"of another stage":        with(inContext, prod(j.secret(tt.secret))),
			"from another account":    with("kms:CallerAccount", "111111111111"),
			"grants it to others":     doing("kms:CreateGrant"),
		}
		if tt.other != "" {
			near["of "+tt.other] = with(inContext, j.secret(tt.other))
		}
		rows[tt.role+" uses the key to "+tt.operation+" "+tt.secret] = row{call{who: tt.role, action: "kms:" + tt.operation, resource: j.arn("Key"), keys: keys{
			viaService: "secretsmanager.us-east-1.amazonaws.com", "kms:CallerAccount": Account, inContext: j.secret(tt.secret),
		}}, near}
	}
	for _, who := range []string{"AdminRole", "arn:aws:iam::" + Account + ":role/deployer"} {
		for _, operation := range []string{"GenerateDataKey", "Decrypt"} {
			rows[operation+" is tried before a secret of "+who+" gets the key"] = row{call{who: who, action: "kms:" + operation, resource: j.arn("Key"), keys: keys{
				viaService: "secretsmanager.us-east-1.amazonaws.com", "kms:CallerAccount": Account, inContext: "RequestToValidateKeyAccess",
			}}, map[string]change{
				"through another service": with(viaService, "ssm.us-east-1.amazonaws.com"), "by itself": without(viaService),
				"from another account": with("kms:CallerAccount", "111111111111"), "by who makes no secret": by("LoginRole"),
			}}
		}
	}
	rows["an administrator looks after the key"] = row{call{who: "arn:aws:iam::" + Account + ":role/admin", action: "kms:ScheduleKeyDeletion", resource: j.arn("Key")}, map[string]change{
		"and decrypts": doing("kms:Decrypt"), "and grants": doing("kms:CreateGrant"), "and encrypts": doing("kms:Encrypt"),
	}}
	const logGroup = "kms:EncryptionContext:aws:logs:arn"
	rows["logs are encrypted"] = row{call{who: "logs.us-east-1.amazonaws.com", action: "kms:GenerateDataKey", resource: j.arn("Key"), keys: keys{logGroup: arnOf("logs", "log-group:/aws/lambda/dev-login")}}, map[string]change{
		"of another stage": with(logGroup, arnOf("logs", "log-group:/aws/lambda/prod-login")), "by another service": by("logs.eu-west-1.amazonaws.com"),
		"of another account": with(logGroup, strings.Replace(arnOf("logs", "log-group:/aws/lambda/dev-login"), Account, "111111111111", 1)),
	}}
	const topic = "kms:EncryptionContext:aws:sns:topicArn"
	rows["alarms are encrypted"] = row{call{who: "cloudwatch.amazonaws.com", action: "kms:GenerateDataKey", resource: j.arn("Key"), keys: keys{topic: arnOf("sns", "dev-rekey-alerts"), "aws:SourceAccount": Account}}, map[string]change{
		"of another topic": with(topic, arnOf("sns", "other")), "for another account": with("aws:SourceAccount", "111111111111"), "by rules": by(eventsService),
	}}
	return rows
}

// newsRows are about the bus and the queues.
func (j *judge) newsRows() map[string]row {
	rows := map[string]row{}
	for role, kind := range map[string]string{
		"DbRotatorRole": "Secret Rotated", "ApiKeyRotatorRole": "Secret Rotated", "KeyRotatorRole": "Secret Rotated", "RetireRole": "Secret Retired", "AuditRole": "Audit Finding",
	} {
		rows[role+" puts "+kind] = row{call{who: role, action: "events:PutEvents", resource: j.arn("Bus"), keys: keys{source: "rekey", detailType: kind}}, map[string]change{
			"as another": with(source, "aws.secretsmanager"), "other news": with(detailType, "Secret Deleted"),
			"on the default bus": on(arnOf("events", "event-bus/default")), "of another stage": on(arnOf("events", "event-bus/prod-rekey")),
			"another function": by("LoginRole"), "another role that may put all events": by("arn:aws:iam::" + Account + ":role/other"),
		}}
	}
	rows["an operator puts news"] = row{call{who: "arn:aws:iam::" + Account + ":role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_ops", action: "events:PutEvents", resource: j.arn("Bus"), keys: keys{source: "rekey"}}, map[string]change{
		"another role": by("arn:aws:iam::" + Account + ":role/ops"),
	}}
	for _, role := range []string{"InvalidateRole", "AuditRole", "ProtectedRole", "LoginRole", "ChargeRole"} {
		rows["Lambda keeps what "+role+" failed at"] = row{call{who: role, action: "sqs:SendMessage", resource: j.arn("Undelivered")}, map[string]change{
			"in another queue": on(j.arn("RetireQueue")), "without TLS": with("aws:SecureTransport", "false"), "and reads it": doing("sqs:ReceiveMessage"),
		}}
	}
	rows["Lambda fetches what is to be retired"] = row{call{who: "RetireRole", action: "sqs:ReceiveMessage", resource: j.arn("RetireQueue")}, map[string]change{
		"from another queue": on(j.arn("Undelivered")), "without TLS": with("aws:SecureTransport", "false"), "and empties it": doing("sqs:PurgeQueue"),
	}}
	rows["retire puts back what has to wait"] = row{call{who: "RetireRole", action: "sqs:SendMessage", resource: j.arn("RetireQueue")}, map[string]change{
		"elsewhere": on(j.arn("Incidents")),
	}}
	return rows
}

func (j *judge) tableRows() map[string]row {
	table, other := j.arn("Bulletin"), prod(j.arn("Bulletin"))
	const leading = "dynamodb:LeadingKeys"
	rows := map[string]row{
		"invalidate writes the board":         {call{who: "InvalidateRole", action: "dynamodb:UpdateItem", resource: table, keys: keys{leading: "board"}}, map[string]change{"of another stage": on(other), "deletes": doing("dynamodb:DeleteItem"), "or a lease": with(leading, "lease#x")}},
		"retire asks for leases":              {call{who: "RetireRole", action: "dynamodb:Query", resource: table, keys: keys{leading: "lease#x"}}, map[string]change{"of another stage": on(other), "writes": doing("dynamodb:PutItem"), "or for the board": with(leading, "board")}},
		"the page asks for a secret's leases": {call{who: "AdminRole", action: "dynamodb:Query", resource: table, keys: keys{leading: "lease#x"}}, map[string]change{"of another stage": on(other), "or for the board": with(leading, "board")}},
		"the page asks for all leases":        {call{who: "AdminRole", action: "dynamodb:Scan", resource: table}, map[string]change{"of another stage": on(other), "updates": doing("dynamodb:UpdateItem")}},
	}
	for _, role := range []string{"AdminRole", "ProtectedRole", "LoginRole", "ChargeRole"} {
		rows[role+" reads the board"] = row{call{who: role, action: "dynamodb:GetItem", resource: table, keys: keys{leading: "board"}}, map[string]change{"of another stage": on(other), "updates": doing("dynamodb:UpdateItem"), "or a lease": with(leading, "lease#x")}}
		rows[role+" says what it holds"] = row{call{who: role, action: "dynamodb:PutItem", resource: table, keys: keys{leading: "lease#x"}}, map[string]change{
			"on the board": with(leading, "board"), "in another stage": on(other),
		}}
	}
	return rows
}

func (j *judge) adminRows() map[string]row {
	const admin = "AdminRole"
	made := arnOf("secretsmanager", "secret:dev-new-??????")
	tag, key := "aws:RequestTag/rekey:stage", "secretsmanager:KmsKeyId"
	return map[string]row{
		"the API stores a value": {call{who: admin, action: "secretsmanager:PutSecretValue", resource: j.secret("DatabaseCredentials")}, map[string]change{
			"in another stage": on(prod(j.secret("DatabaseCredentials"))), "reads it": doing("secretsmanager:GetSecretValue"), "opens it": doing("secretsmanager:PutResourcePolicy"),
		}},
		"the API makes a secret": {call{who: admin, action: "secretsmanager:CreateSecret", resource: made, keys: keys{tag: "dev", key: j.arn("Key")}}, map[string]change{
			"under another key": with(key, arnOf("kms", "key/other")), "without the tag": without(tag), "in another stage": on(prod(made)),
		}},
		"the API tags it": {call{who: admin, action: "secretsmanager:TagResource", resource: made, keys: keys{tag: "dev", "aws:TagKeys": "rekey:stage"}}, map[string]change{
			"with another tag": with("aws:TagKeys", "rekey:strategy"), "for another stage": with(tag, "prod"),
		}},
		"the API deletes a secret": {call{who: admin, action: "secretsmanager:DeleteSecret", resource: j.secret("ExternalApiKeys"), keys: keys{"secretsmanager:RecoveryWindowInDays": "7"}}, map[string]change{
			"at once": func(c *call) { c.keys = keys{"secretsmanager:ForceDeleteWithoutRecovery": "true"} }, "in another stage": on(prod(j.secret("ExternalApiKeys"))),
		}},
		"the API rotates a secret": {call{who: admin, action: "secretsmanager:RotateSecret", resource: j.secret("JwtConfiguration")}, map[string]change{
			"by another function": with("secretsmanager:RotationLambdaARN", lambdaARN("login")), "in another stage": on(prod(j.secret("JwtConfiguration"))),
		}},
		"the API has a rotation function run": {call{who: admin, action: "lambda:InvokeFunction", resource: lambdaARN("keyrotator")}, map[string]change{
			"another function": on(lambdaARN("retire")), "changes it": doing("lambda:UpdateFunctionCode"),
		}},
		"the API lists the secrets": {call{who: admin, action: "secretsmanager:ListSecrets", resource: "*"}, map[string]change{"reads them": doing("secretsmanager:BatchGetSecretValue")}},
		"the API reads the hashes": {call{who: admin, action: "secretsmanager:GetSecretValue", resource: j.secret("AdminTokens")}, map[string]change{
			"the token": on(j.secret("AdminToken")), "of another stage": on(prod(j.secret("AdminTokens"))),
		}},
	}
}

// resourceRows are about the policies of resources.
func (j *judge) resourceRows() map[string]row {
	rows := map[string]row{}
	rule := func(name string) string { return arnOf("events", "rule/"+name) }
	for queue, from := range map[string]string{
		"RetireQueue": rule("dev-rekey/dev-retire-rotated"), "Undelivered": rule("dev-audit-daily"), "Incidents": rule("dev-incident-rotation"), "Reads": rule("dev-reads"),
	} {
		rows["a rule fills "+queue] = row{call{who: eventsService, action: "sqs:SendMessage", resource: j.arn(queue), keys: keys{"aws:SourceArn": from}}, map[string]change{
			"another rule": with("aws:SourceArn", rule("other")), "one of another account": with("aws:SourceArn", strings.Replace(from, Account, "111111111111", 1)),
			"another service": by("sns.amazonaws.com"), "without TLS": with("aws:SecureTransport", "false"), "reads": doing("sqs:ReceiveMessage"),
		}}
	}
	operator := "arn:aws:iam::" + Account + ":role/operator"
	rows["an operator looks at what could not be retired"] = row{call{who: operator, action: "sqs:ReceiveMessage", resource: j.arn("RetireUndelivered")}, map[string]change{"without TLS": with("aws:SecureTransport", "false")}}
	rows["an operator reads a secret"] = row{call{who: operator, action: "secretsmanager:GetSecretValue", resource: j.secret("DatabaseSuperuser")}, map[string]change{
		"from another account": with("aws:PrincipalAccount", "111111111111"),
	}}
	alarm := arnOf("cloudwatch", "alarm:dev-rekey-incidents")
	rows["an alarm is told"] = row{call{who: "cloudwatch.amazonaws.com", action: "sns:Publish", resource: arnOf("sns", "dev-rekey-alerts"), keys: keys{"aws:SourceArn": alarm, "aws:SourceAccount": Account}, policy: "AlertsPolicy"}, map[string]change{
		"another stage's": with("aws:SourceArn", prod(alarm)), "another account's": with("aws:SourceAccount", "111111111111"),
		"without TLS": with("aws:SecureTransport", "false"), "by a rule": by(eventsService),
	}}
	for id, action := range map[string]string{
		"SecretsEndpoint": "secretsmanager:GetSecretValue", "EventsEndpoint": "events:PutEvents", "QueuesEndpoint": "sqs:SendMessage", "TableEndpoint": "dynamodb:GetItem",
	} {
		rows["the function goes through "+id] = row{call{who: "LoginRole", action: action, resource: j.secret("DatabaseCredentials"), keys: keys{"aws:ResourceAccount": Account}, policy: id}, map[string]change{
			"to another account": with("aws:ResourceAccount", "111111111111"), "from another account": with("aws:PrincipalAccount", "111111111111"), "to another service": doing("ssm:GetParameter"),
		}}
	}
	return rows
}
