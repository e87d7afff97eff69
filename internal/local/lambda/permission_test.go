package lambda_test

import "testing"

func TestAllows(t *testing.T) {
	t.Parallel()
	const (
		secrets = "secretsmanager.amazonaws.com"
		secret  = "arn:aws:secretsmanager:us-east-1:123456789012:secret:dev-database-credentials-a1b2c3"
	)
	tests := map[string]struct {
		principal, sourceARN string // of the permission
		caller, from         string // of the question
		want                 bool
	}{
		"the source itself":                      {secrets, secret, secrets, secret, true},
		"another source":                         {secrets, secret, secrets, secret + "x", false},
		"any source":                             {secrets, "", secrets, secret, true},
		"no source, where one is demanded":       {secrets, secret, secrets, "", false},
		"another principal":                      {secrets, "", "events.amazonaws.com", secret, false},
		"any principal":                          {"*", "", secrets, secret, true},
		"a wildcard at the end":                  {secrets, "arn:aws:secretsmanager:us-east-1:123456789012:secret:dev-*", secrets, secret, true},
		"a wildcard at the end, other stage":     {secrets, "arn:aws:secretsmanager:us-east-1:123456789012:secret:prod-*", secrets, secret, false},
		"wildcards in the middle":                {secrets, "arn:aws:secretsmanager:*:*:secret:dev-*-a1b2c3", secrets, secret, true},
		"a wildcard for one character":           {secrets, "arn:aws:secretsmanager:us-east-?:123456789012:secret:dev-database-credentials-??????", secrets, secret, true},
		"a wildcard for one character too few":   {secrets, "arn:aws:secretsmanager:us-east-1:123456789012:secret:dev-database-credentials-?????", secrets, secret, false},
		"a wildcard for everything":              {secrets, "*", secrets, secret, true},
		"a wildcard that would have to go back":  {secrets, "arn:aws:secretsmanager:us-east-1:123456789012:secret:*-*3", secrets, secret, true},
		"a wildcard over the colon of two parts": {secrets, "arn:aws:*:123456789012:secret:dev-database-credentials-a1b2c3", secrets, secret, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := start(t, child("function"))
			b.AddPermission(b.arn, tt.principal, tt.sourceARN, "")
			if got := b.Allows(b.arn, tt.caller, tt.from); got != tt.want {
				t.Errorf("Allows(%s, %s) = %t, want %t", tt.caller, tt.from, got, tt.want)
			}
			if b.Allows(b.arn+"x", tt.caller, tt.from) {
				t.Error("a function that does not exist allows it")
			}
		})
	}
	b := start(t, child("function"))
	if b.Allows(b.arn, secrets, secret) {
		t.Error("a function without permissions allows it")
	}
	b.AddPermission(b.arn, secrets, "", "444455556666")
	if b.Allows(b.arn, secrets, secret) {
		t.Error("a permission for another account allows it")
	}
	b.AddPermission(b.arn, secrets, "", "123456789012")
	if !b.Allows(b.arn, secrets, secret) {
		t.Error("a permission for the account does not allow it")
	}
}
