package iam_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/rekey-go/rekey/internal/local/iam"
)

func TestAPolicyThatIsWrongIsRefused(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ document, want string }{
		"no JSON":                   {`{"Statement":`, "not valid JSON"},
		"two documents":             {`{}{}`, "something follows"},
		"a list":                    {`[]`, "a policy is no mapping"},
		"no statement":              {`{"Version":"2012-10-17"}`, "has no Statement"},
		"a version that is not":     {`{"Version":"2026-01-01","Statement":[]}`, `version "2026-01-01"`},
		"an element that is not":    {document(`{"Efect":"Allow"}`), `no element "Efect"`},
		"an element twice":          {document(`{"Effect":"Allow","Effect":"Deny"}`), "Effect twice"},
		"no effect":                 {document(`{"Action":"a:b","Resource":"*"}`), "no Effect"},
		"an effect that is not":     {document(`{"Effect":"allow","Action":"a:b","Resource":"*"}`), `"allow" is neither`},
		"no action":                 {document(`{"Effect":"Allow","Resource":"*"}`), "no Action"},
		"no actions":                {document(`{"Effect":"Allow","Action":[],"Resource":"*"}`), "list of the statement's Action is empty"},
		"both kinds of actions":     {document(`{"Effect":"Allow","Action":"a:b","NotAction":"a:c","Resource":"*"}`), "both Action and NotAction"},
		"an action without service": {document(`{"Effect":"Allow","Action":"GetSecretValue","Resource":"*"}`), `"GetSecretValue" is no action`},
		"an action that is no text": {document(`{"Effect":"Allow","Action":{"a":1},"Resource":"*"}`), "neither a text nor a list"},
		"no resource":               {document(`{"Effect":"Allow","Action":"a:b"}`), "no Resource"},
		"a resource by its name":    {document(`{"Effect":"Allow","Action":"a:b","Resource":"dev-key"}`), `"dev-key" is no resource`},
		"a variable left open":      {document(`{"Effect":"Allow","Action":"a:b","Resource":"arn:aws:a:::${aws:username"}`), "no closing brace"},
		"a principal":               {document(`{"Effect":"Allow","Principal":"*","Action":"a:b","Resource":"*"}`), "has a Principal"},
		"an operator that is not":   {document(`{"Effect":"Allow","Action":"a:b","Resource":"*","Condition":{"StringIs":{"a:b":"c"}}}`), `"StringIs" is no condition operator`},
		"a key that is not":         {document(`{"Effect":"Allow","Action":"a:b","Resource":"*","Condition":{"StringEquals":{"b":"c"}}}`), `"b" is no condition key`},
		"a number that is not":      {document(`{"Effect":"Allow","Action":"a:b","Resource":"*","Condition":{"NumericEquals":{"a:b":"c"}}}`), `"c" is no number`},
		"a network that is not":     {document(`{"Effect":"Allow","Action":"a:b","Resource":"*","Condition":{"IpAddress":{"a:b":"10.0.0.0/99"}}}`), "no address or network"},
		"Null with IfExists":        {document(`{"Effect":"Allow","Action":"a:b","Resource":"*","Condition":{"NullIfExists":{"a:b":"true"}}}`), "neither a quantifier nor IfExists"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			node, err := iam.Node([]byte(tt.document))
			if err == nil {
				_, err = iam.Parse(node)
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Parse(%s): %v, want %s", tt.document, err, tt.want)
			}
		})
	}
}

func TestAPolicyOfAResourceThatIsWrongIsRefused(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ principal, want string }{
		"no principal":              {`"Sid":"x"`, "has no Principal"},
		"a principal of no kind":    {`"Principal":"arn:aws:iam::111122223333:root"`, "says not of which kind"},
		"a kind that is not":        {`"Principal":{"Role":"x"}`, `"Role" is no kind of principal`},
		"a role by its name":        {`"Principal":{"AWS":"reader"}`, `"reader" is no principal`},
		"a wildcard in a principal": {`"Principal":{"AWS":"arn:aws:iam::111122223333:role/*"}`, "has a wildcard"},
		"a service by its name":     {`"Principal":{"Service":"events"}`, `"events" is no service`},
		"both kinds of principals":  {`"Principal":"*","NotPrincipal":{"AWS":"111122223333"}`, "both Principal and NotPrincipal"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := document("\n" + `{"Effect":"Allow","Action":"a:b","Resource":"*",` + tt.principal + `}`)
			_, err := iam.ParseResourceJSON([]byte(text))
			fault, ok := errors.AsType[*iam.ParseError](err)
			if !ok || !strings.Contains(fault.Message, tt.want) || fault.Line != 2 {
				t.Errorf("ParseResourceJSON(%s): %+v, want %s in line 2", text, err, tt.want)
			}
		})
	}
}

func TestOnlyATrustPolicyNamesNoResource(t *testing.T) {
	t.Parallel()
	for action, want := range map[string]bool{"sts:AssumeRole": true, "secretsmanager:GetSecretValue": false} {
		text := document(`{"Effect":"Allow","Principal":"*","Action":"` + action + `"}`)
		if _, err := iam.ParseResourceJSON([]byte(text)); (err == nil) != want {
			t.Errorf("ParseResourceJSON(%s): %v, want that it is fine: %v", text, err, want)
		}
	}
}

func TestWildcardsAreMatchedInBoundedTime(t *testing.T) {
	t.Parallel()
	began := time.Now()
	if iam.Like(strings.Repeat("a*", 2000)+"b", strings.Repeat("a", 4000)) {
		t.Error("a text without b matches a pattern that ends in b")
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v; a backtracking match would never end", took)
	}
}

func FuzzLike(f *testing.F) {
	f.Add("a*b?c", "aXXbYc")
	f.Fuzz(func(t *testing.T, pattern, text string) {
		if !strings.ContainsAny(pattern, "*?") && iam.Like(pattern, text) != (pattern == text) {
			t.Errorf("Like(%q, %q) differs from ==", pattern, text)
		}
		if !iam.Like("*"+text+"*", "x"+text+"y") && !strings.ContainsAny(text, "*?") {
			t.Errorf("*%s* does not match around it", text)
		}
	})
}

// FuzzPolicy reads any document, and judges a request by what it is.
func FuzzPolicy(f *testing.F) {
	f.Add([]byte(document(allowGet)), get, secret, "aws:username", "ana")
	f.Add([]byte(document(allowTo(`{"AWS":"`+role+`"}`))), get, secret, "k:k", "v")
	f.Add([]byte(document(`{"Effect":"Deny","NotAction":"a:*","NotResource":"arn:aws:a:::${aws:username}","Condition":{"ForAllValues:StringNotLike":{"aws:username":["a*","${k:k, 'x'}"]},"Null":{"k:k":true}}}`)), "b:c", "*", "aws:username", "b")
	denyAll := identity(f, `{"Effect":"Deny","Action":"*","Resource":"*"}`)
	f.Fuzz(func(t *testing.T, text []byte, action, target, key, value string) {
		request := &iam.Request{Party: reader(), Action: action, Resource: target, Context: keys(key, value)}
		var p iam.Policies
		if node, err := iam.Node(text); err == nil {
			if policy, err := iam.Parse(node); err == nil {
				p.Identity = append(p.Identity, policy)
			}
		}
		p.Resource, _ = iam.ParseResourceJSON(text)
		d := p.Evaluate(request)
		if d.Verdict == iam.Allow && len(d.Used) == 0 {
			t.Errorf("allowed by no statement: %s", text)
		}
		p.Identity = append(p.Identity, denyAll)
		if p.Evaluate(request).Verdict != iam.ExplicitDeny {
			t.Errorf("allowed against a denial of everything: %s", text)
		}
	})
}

func BenchmarkEvaluate(b *testing.B) {
	p := iam.Policies{
		Identity: []*iam.Policy{identity(b, `
			{"Effect":"Allow","Action":["secretsmanager:DescribeSecret","secretsmanager:GetSecretValue","secretsmanager:ListSecretVersionIds"],"Resource":["`+secret+`","`+secret+`2"]},
			{"Effect":"Allow","Action":"dynamodb:GetItem","Resource":"arn:aws:dynamodb:us-east-1:111122223333:table/dev-rekey-bulletin"},
			{"Effect":"Allow","Action":["dynamodb:PutItem","dynamodb:DeleteItem"],"Resource":"arn:aws:dynamodb:us-east-1:111122223333:table/dev-rekey-bulletin","Condition":{"ForAllValues:StringLike":{"dynamodb:LeadingKeys":["lease#*"]}}},
			{"Effect":"Allow","Action":["kms:Decrypt","kms:GenerateDataKey"],"Resource":"arn:aws:kms:us-east-1:111122223333:key/Key"}`)},
	}
	requests := map[string]*iam.Request{
		"GetSecretValue": {Party: reader(), Action: get, Resource: secret},
		"PutItem": {
			Party: reader(), Action: "dynamodb:PutItem", Resource: "arn:aws:dynamodb:us-east-1:111122223333:table/dev-rekey-bulletin",
			Context: keys("dynamodb:LeadingKeys", "lease#secret"),
		},
	}
	for name, r := range requests {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if p.Evaluate(r).Verdict != iam.Allow {
					b.Fatal("denied")
				}
			}
		})
	}
}
