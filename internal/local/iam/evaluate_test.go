package iam_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/rekey-go/rekey/internal/local/iam"
)

const allowGet = `{"Effect":"Allow","Action":"secretsmanager:GetSecretValue","Resource":"` + secret + `"}`

func allowTo(principal string) string {
	return `{"Effect":"Allow","Principal":` + principal + `,"Action":"secretsmanager:GetSecretValue","Resource":"*"}`
}

func denyTo(principal string) string { return strings.Replace(allowTo(principal), "Allow", "Deny", 1) }

// TestPoliciesAreWeighedAsWithinOneAccount follows the IAM User Guide's page on
// how an account's policies are evaluated.
func TestPoliciesAreWeighedAsWithinOneAccount(t *testing.T) {
	t.Parallel()
	const (
		all       = `{"Effect":"Allow","Action":"*","Resource":"*"}`
		otherKind = `{"Effect":"Allow","Action":"sqs:*","Resource":"*"}`
		deny      = `{"Effect":"Deny","Action":"secretsmanager:*","Resource":"*"}`
	)
	tests := map[string]struct {
		identity, boundary, resource string
		key                          bool
		party                        iam.Party
		want                         string
	}{
		"nothing allows":                             {want: "because no identity-based policy allows the " + get + " action"},
		"the role allows":                            {identity: allowGet, want: "allow"},
		"the role denies what it allows":             {identity: allowGet + "," + deny, want: "with an explicit deny in an identity-based policy"},
		"the secret allows the role":                 {resource: allowTo(`{"AWS":"` + role + `"}`), want: "allow"},
		"the secret allows the session":              {resource: allowTo(`{"AWS":"` + session + `"}`), want: "allow"},
		"the secret allows everyone":                 {resource: allowTo(`"*"`), want: "allow"},
		"the secret allows everyone of AWS":          {resource: allowTo(`{"AWS":["*"]}`), want: "allow"},
		"the secret allows another role":             {resource: allowTo(`{"AWS":"` + role + `2"}`), want: "because no identity-based policy allows the " + get + " action"},
		"the secret allows the account":              {resource: allowTo(`{"AWS":"` + account + `"}`), want: "because no identity-based policy allows the " + get + " action"},
		"the secret denies the account":              {identity: allowGet, resource: denyTo(`{"AWS":"arn:aws:iam::` + account + `:root"}`), want: "with an explicit deny in a resource-based policy"},
		"the secret denies another account":          {identity: allowGet, resource: denyTo(`{"AWS":"444455556666"}`), want: "allow"},
		"the secret denies all but the role":         {identity: allowGet, resource: strings.Replace(denyTo(`{"AWS":["`+role+`","`+session+`","`+account+`"]}`), "Principal", "NotPrincipal", 1), want: "allow"},
		"the secret denies all but another":          {identity: allowGet, resource: strings.Replace(denyTo(`{"AWS":"`+role+`2"}`), "Principal", "NotPrincipal", 1), want: "with an explicit deny in a resource-based policy"},
		"the boundary allows it too":                 {identity: allowGet, boundary: all, want: "allow"},
		"the boundary does not":                      {identity: allowGet, boundary: otherKind, want: "because no permissions boundary allows the " + get + " action"},
		"the boundary denies":                        {identity: allowGet, boundary: all + "," + deny, want: "with an explicit deny in a permissions boundary"},
		"the boundary alone allows nothing":          {boundary: all, want: "because no identity-based policy allows the " + get + " action"},
		"the boundary limits the role in a resource": {boundary: otherKind, resource: allowTo(`{"AWS":"` + role + `"}`), want: "because no identity-based policy allows the " + get + " action"},
		"but not the session":                        {boundary: otherKind, resource: allowTo(`{"AWS":"` + session + `"}`), want: "allow"},
		"a key that delegates, and a role that may":  {identity: all, resource: allowTo(`{"AWS":"` + account + `"}`), key: true, want: "allow"},
		"a key that delegates, and one that may not": {resource: allowTo(`{"AWS":"` + account + `"}`), key: true, want: "because no identity-based policy allows the " + get + " action"},
		"a key that does not delegate":               {identity: all, resource: allowTo(`{"AWS":"` + role + `2"}`), key: true, want: "because no resource-based policy allows the " + get + " action"},
		"a key that allows the role itself":          {resource: allowTo(`{"AWS":"` + role + `"}`), key: true, want: "allow"},
		"a service that the resource allows":         {resource: allowTo(`{"Service":"events.amazonaws.com"}`), party: iam.Party{Service: "events.amazonaws.com"}, want: "allow"},
		"a service that it does not":                 {resource: allowTo(`{"Service":"sns.amazonaws.com"}`), party: iam.Party{Service: "events.amazonaws.com"}, want: "because no resource-based policy allows the " + get + " action"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := iam.Policies{KeyPolicy: tt.key}
			if tt.identity != "" {
				p.Identity = []*iam.Policy{identity(t, tt.identity)}
			}
			if tt.boundary != "" {
				p.Boundary = identity(t, tt.boundary)
			}
			if tt.resource != "" {
				p.Resource = resource(t, tt.resource)
			}
			if tt.party == (iam.Party{}) {
				tt.party = reader()
			}
			d := p.Evaluate(&iam.Request{Party: tt.party, Action: get, Resource: secret})
			got := "allow"
			if d.Verdict != iam.Allow {
				got = d.Reason(get)
			}
			if got != tt.want || (d.Verdict == iam.Allow) != (len(d.Used) > 0) {
				t.Errorf("Evaluate = %s, used %d statements; want %s", got, len(d.Used), tt.want)
			}
		})
	}
}

func TestStatementsTakeActionsAndResourcesIn(t *testing.T) {
	t.Parallel()
	statement := func(action, resource string) string {
		return `{"Effect":"Allow",` + action + `,` + resource + `}`
	}
	tests := map[string]struct {
		statement, action, resource string
		want                        bool
	}{
		"an action by its wildcard":           {statement(`"Action":"secretsmanager:Get*"`, `"Resource":"*"`), get, secret, true},
		"actions have no case":                {statement(`"Action":"SecretsManager:getsecretvalue"`, `"Resource":"*"`), get, secret, true},
		"another action":                      {statement(`"Action":["secretsmanager:Put*","sqs:*"]`, `"Resource":"*"`), get, secret, false},
		"all but an action":                   {statement(`"NotAction":"secretsmanager:GetSecretValue"`, `"Resource":"*"`), get, secret, false},
		"all but another action":              {statement(`"NotAction":"sqs:*"`, `"Resource":"*"`), get, secret, true},
		"the suffix of a secret's ARN":        {statement(`"Action":"*"`, `"Resource":"arn:aws:secretsmanager:us-east-1:111122223333:secret:dev-key-??????"`), get, secret, true},
		"a resource has case":                 {statement(`"Action":"*"`, `"Resource":"arn:aws:secretsmanager:us-east-1:111122223333:secret:DEV*"`), get, secret, false},
		"a wildcard reaches over no colon":    {statement(`"Action":"*"`, `"Resource":"arn:aws:s*:secret:dev-key-abcdef"`), get, secret, false},
		"a short ARN ends in wildcards":       {statement(`"Action":"*"`, `"Resource":"arn:aws:secretsmanager"`), get, secret, true},
		"all but a resource":                  {statement(`"Action":"*"`, `"NotResource":"`+secret+`"`), get, secret, false},
		"an action that knows no resource":    {statement(`"Action":"*"`, `"Resource":"`+secret+`"`), "secretsmanager:ListSecrets", "*", false},
		"and one that is allowed on all":      {statement(`"Action":"*"`, `"Resource":"*"`), "secretsmanager:ListSecrets", "*", true},
		"a variable in the resource":          {statement(`"Action":"*"`, `"Resource":"arn:aws:secretsmanager:us-east-1:111122223333:secret:${aws:PrincipalTag/team}-*"`), get, secret, true},
		"a variable that the request has not": {statement(`"Action":"*"`, `"Resource":"arn:aws:secretsmanager:us-east-1:111122223333:secret:${aws:username}*"`), get, secret, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := iam.Policies{Identity: []*iam.Policy{identity(t, tt.statement)}}
			d := p.Evaluate(&iam.Request{Party: reader(), Action: tt.action, Resource: tt.resource, Context: keys("aws:PrincipalTag/Team", "dev")})
			if got := d.Verdict == iam.Allow; got != tt.want {
				t.Errorf("%s on %s by %s: %v, want %v", tt.action, tt.resource, tt.statement, got, tt.want)
			}
		})
	}
}

func TestAnOldPolicyHasNoVariables(t *testing.T) {
	t.Parallel()
	node, err := iam.Node([]byte(`{"Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"k:k":"${aws:username}"}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	p, err := iam.Parse(node)
	if err != nil {
		t.Fatal(err)
	}
	d := iam.Policies{Identity: []*iam.Policy{p}}.Evaluate(&iam.Request{Action: get, Resource: secret, Context: keys("k:k", "${aws:username}")})
	if d.Verdict != iam.Allow {
		t.Error("the text ${aws:username} does not stand for itself")
	}
}

func TestWhatAllowedARequestIsTold(t *testing.T) {
	t.Parallel()
	p := identity(t, `{"Effect":"Allow","Action":["sqs:*","secretsmanager:Get*"],"Resource":["arn:aws:sqs:*","`+secret+`"]},{"Effect":"Allow","NotAction":"sqs:*","Resource":"*"}`)
	d := iam.Policies{Identity: []*iam.Policy{p}}.Evaluate(&iam.Request{Party: reader(), Action: get, Resource: secret})
	want := []iam.Match{{Statement: p.Statements[0], Action: 1, Resource: 1}, {Statement: p.Statements[1], Action: -1, Resource: 0}}
	if len(d.Used) != len(want) || d.Used[0] != want[0] || d.Used[1] != want[1] {
		t.Errorf("used %v, want %v", d.Used, want)
	}
}

// TestDeniesAndRemovalsNeverAllowMore is a property of every policy.
func TestDeniesAndRemovalsNeverAllowMore(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2)) // the same cases in every run
	one := func(choices ...string) string { return choices[random.IntN(len(choices))] }
	statement := func(effect string) string {
		return `{"Effect":"` + effect + `","` + one("Action", "NotAction") + `":"` + one("*", "a:Get", "a:G*", "a:Put", "b:*") +
			`","` + one("Resource", "NotResource") + `":"` + one("*", "arn:aws:a:::x", "arn:aws:a:::?", "arn:aws:b") +
			`","Condition":{"` + one("", "ForAllValues:", "ForAnyValue:") + one("StringEquals", "StringNotLike", "StringLikeIfExists") + `":{"k:k":"` + one("*", "v", "w") + `"}}}`
	}
	for range 2_000 {
		var statements []string
		for range 1 + random.IntN(4) {
			statements = append(statements, statement(one("Allow", "Allow", "Deny")))
		}
		request := &iam.Request{Action: one("a:Get", "a:Put", "b:X"), Resource: one("*", "arn:aws:a:::x", "arn:aws:b:::y"), Context: keys("k:k", one("v", "w", "x"))}
		if random.IntN(3) == 0 {
			request.Context = nil
		}
		verdict := func(statements []string) iam.Verdict {
			return iam.Policies{Identity: []*iam.Policy{identity(t, strings.Join(statements, ","))}}.Evaluate(request).Verdict
		}
		before := verdict(statements)
		if denied := verdict(append(slices.Clip(statements), statement("Deny"))); denied == iam.Allow && before != iam.Allow {
			t.Fatalf("one more Deny allows %+v by %v", request, statements)
		}
		last := len(statements) - 1
		if last == 0 || strings.Contains(statements[last], "Deny") {
			continue
		}
		if after := verdict(statements[:last]); after == iam.Allow && before != iam.Allow {
			t.Fatalf("without %s, %+v is allowed", statements[last], request)
		}
	}
}
