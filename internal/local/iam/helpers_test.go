package iam_test

import (
	"strings"
	"testing"

	"github.com/rekey-go/rekey/internal/local/iam"
)

const (
	account = "111122223333"
	role    = "arn:aws:iam::111122223333:role/reader"
	session = "arn:aws:sts::111122223333:assumed-role/reader/one"
	secret  = "arn:aws:secretsmanager:us-east-1:111122223333:secret:dev-key-abcdef"
	get     = "secretsmanager:GetSecretValue"
)

// reader is a session of the role.
func reader() iam.Party { return iam.Party{ARN: session, RoleARN: role, Account: account} }

// document is a policy of the statements.
func document(statements string) string {
	return `{"Version":"2012-10-17","Statement":[` + statements + `]}`
}

func identity(t testing.TB, statements string) *iam.Policy {
	t.Helper()
	node, err := iam.Node([]byte(document(statements)))
	if err != nil {
		t.Fatal(err)
	}
	p, err := iam.Parse(node)
	if err != nil {
		t.Fatalf("Parse(%s): %v", statements, err)
	}
	return p
}

func resource(t testing.TB, statements string) *iam.Policy {
	t.Helper()
	p, err := iam.ParseResourceJSON([]byte(document(statements)))
	if err != nil {
		t.Fatalf("ParseResourceJSON(%s): %v", statements, err)
	}
	return p
}

// keys makes a context of pairs.
func keys(pairs ...string) iam.Context {
	values := map[string][]string{}
	for i := 0; i < len(pairs); i += 2 {
		key := strings.ToLower(pairs[i])
		values[key] = append(values[key], pairs[i+1])
	}
	return func(key string) []string { return values[key] }
}
