package iam_test

import (
	"fmt"

	"github.com/rekey-go/rekey/internal/local/iam"
)

func ExamplePolicies_Evaluate() {
	document, err := iam.Node([]byte(`
{
  "Version": "2012-10-17",
  "Statement": [
    {"Effect": "Allow", "Action": "secretsmanager:Get*", "Resource": "arn:aws:secretsmanager:*:*:secret:dev-*"},
    {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}
  ]
}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	policy, err := iam.Parse(document)
	if err != nil {
		fmt.Println(err)
		return
	}
	policies := iam.Policies{Identity: []*iam.Policy{policy}}
	for _, action := range []string{"secretsmanager:GetSecretValue", "secretsmanager:PutSecretValue"} {
		decision := policies.Evaluate(&iam.Request{
			Party:  iam.Party{ARN: "arn:aws:sts::111122223333:assumed-role/reader/one", RoleARN: "arn:aws:iam::111122223333:role/reader", Account: "111122223333"},
			Action: action, Resource: "arn:aws:secretsmanager:us-east-1:111122223333:secret:dev-key-abcdef",
		})
		if decision.Verdict == iam.Allow {
			fmt.Println(action, "is allowed by line", decision.Used[0].Statement.Line)
		} else {
			fmt.Println(action, "is denied", decision.Reason(action))
		}
	}
	// Output:
	// secretsmanager:GetSecretValue is allowed by line 5
	// secretsmanager:PutSecretValue is denied because no identity-based policy allows the secretsmanager:PutSecretValue action
}
