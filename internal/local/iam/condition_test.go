package iam_test

import (
	"testing"

	"github.com/rekey-go/rekey/internal/local/iam"
)

// TestConditionsHoldAsIAMDocuments has the examples of the IAM User Guide's
// pages on condition operators, on several values and on policy variables.
func TestConditionsHoldAsIAMDocuments(t *testing.T) {
	t.Parallel()
	var absent iam.Context
	tests := map[string]struct {
		condition string
		context   iam.Context
		want      bool
	}{
		"a text that is equal":                            {`"StringEquals":{"aws:username":"ana"}`, keys("aws:username", "ana"), true},
		"keys have no case":                               {`"StringEquals":{"AWS:UserName":"ana"}`, keys("aws:username", "ana"), true},
		"values have case":                                {`"StringEquals":{"aws:username":"Ana"}`, keys("aws:username", "ana"), false},
		"unless the operator ignores it":                  {`"StringEqualsIgnoreCase":{"aws:username":"Ana"}`, keys("aws:username", "aNA"), true},
		"a wildcard means itself in StringEquals":         {`"StringEquals":{"aws:username":"a*"}`, keys("aws:username", "ana"), false},
		"and any characters in StringLike":                {`"StringLike":{"aws:username":"a*"}`, keys("aws:username", "ana"), true},
		"a question mark is one character":                {`"StringLike":{"aws:username":"a?a"}`, keys("aws:username", "aña"), true},
		"an escaped wildcard means itself":                {`"StringLike":{"aws:username":"a${*}"}`, keys("aws:username", "ana"), false},
		"as it stands":                                    {`"StringLike":{"aws:username":"a${*}"}`, keys("aws:username", "a*"), true},
		"several values are alternatives":                 {`"StringEquals":{"k:k":["a","b"]}`, keys("k:k", "b"), true},
		"several keys have to hold all":                   {`"StringEquals":{"k:k":"a","k:l":"b"}`, keys("k:k", "a"), false},
		"several operators have to hold all":              {`"StringEquals":{"k:k":"a"},"Bool":{"k:l":"true"}`, keys("k:k", "a", "k:l", "false"), false},
		"a missing key does not equal":                    {`"StringEquals":{"k:k":"a"}`, absent, false},
		"a missing key is not equal":                      {`"StringNotEquals":{"k:k":"a"}`, absent, true},
		"a missing key holds with IfExists":               {`"StringEqualsIfExists":{"k:k":"a"}`, absent, true},
		"a key that is there is judged with IfExists":     {`"StringEqualsIfExists":{"k:k":"a"}`, keys("k:k", "b"), false},
		"negated alternatives exclude all":                {`"StringNotEquals":{"k:k":["a","b"]}`, keys("k:k", "b"), false},
		"all values fit":                                  {`"ForAllValues:StringLike":{"k:k":["lease#*"]}`, keys("k:k", "lease#a", "k:k", "lease#b"), true},
		"one of all values does not":                      {`"ForAllValues:StringLike":{"k:k":["lease#*"]}`, keys("k:k", "lease#a", "k:k", "board"), false},
		"all of no values fit":                            {`"ForAllValues:StringEquals":{"k:k":"a"}`, absent, true},
		"any value fits":                                  {`"ForAnyValue:StringEquals":{"k:k":"a"}`, keys("k:k", "b", "k:k", "a"), true},
		"none of no values does":                          {`"ForAnyValue:StringEquals":{"k:k":"a"}`, absent, false},
		"not even negated":                                {`"ForAnyValue:StringNotEquals":{"k:k":"a"}`, absent, false},
		"any value differs":                               {`"ForAnyValue:StringNotEquals":{"k:k":"a"}`, keys("k:k", "a", "k:k", "b"), true},
		"all values differ":                               {`"ForAllValues:StringNotEquals":{"k:k":"a"}`, keys("k:k", "a", "k:k", "b"), false},
		"Null true wants the key absent":                  {`"Null":{"k:k":"true"}`, absent, true},
		"Null false wants it there":                       {`"Null":{"k:k":false}`, absent, false},
		"numbers are compared as such":                    {`"NumericLessThanEquals":{"k:n":10}`, keys("k:n", "9.5"), true},
		"not as texts":                                    {`"NumericGreaterThan":{"k:n":"9"}`, keys("k:n", "10"), true},
		"what is no number equals none":                   {`"NumericEquals":{"k:n":"9"}`, keys("k:n", "nine"), false},
		"dates in ISO 8601":                               {`"DateLessThan":{"aws:CurrentTime":"2026-06-30T00:00:00Z"}`, keys("aws:CurrentTime", "2026-06-29T23:59:59Z"), true},
		"dates in seconds":                                {`"DateGreaterThan":{"aws:EpochTime":"1767225600"}`, keys("aws:EpochTime", "1767225600"), false},
		"a bool of any case":                              {`"Bool":{"aws:SecureTransport":"True"}`, keys("aws:SecureTransport", "true"), true},
		"a bool that is missing":                          {`"Bool":{"aws:SecureTransport":"false"}`, absent, false},
		"bytes in base 64":                                {`"BinaryEquals":{"k:b":"QmluYXJ5"}`, keys("k:b", "QmluYXJ5"), true},
		"an address in a network":                         {`"IpAddress":{"aws:SourceIp":"203.0.113.0/24"}`, keys("aws:SourceIp", "203.0.113.7"), true},
		"an address outside":                              {`"NotIpAddress":{"aws:SourceIp":["203.0.113.0/24","2001:DB8:1234:5678::/64"]}`, keys("aws:SourceIp", "2001:DB8:1234:5678::1"), false},
		"an address that is one":                          {`"IpAddress":{"aws:SourceIp":"127.0.0.1"}`, keys("aws:SourceIp", "127.0.0.1"), true},
		"an ARN part by part":                             {`"ArnLike":{"aws:SourceArn":"arn:aws:*:*:111122223333:*"}`, keys("aws:SourceArn", "arn:aws:events:us-east-1:111122223333:rule/a:b"), true},
		"a wildcard reaches over no colon of the front":   {`"ArnEquals":{"aws:SourceArn":"arn:aws:*:rule/a"}`, keys("aws:SourceArn", "arn:aws:events:us-east-1:111122223333:rule/a"), false},
		"an ARN that is not":                              {`"ArnNotLike":{"aws:SourceArn":"arn:aws:events:*"}`, keys("aws:SourceArn", "arn:aws:sqs:us-east-1:111122223333:q"), true},
		"a variable":                                      {`"StringEquals":{"k:k":"home/${aws:username}"}`, keys("k:k", "home/ana", "aws:username", "ana"), true},
		"a variable that the request does not have":       {`"StringEquals":{"k:k":"home/${aws:username}"}`, keys("k:k", "home/"), false},
		"a variable with a default":                       {`"StringEquals":{"k:k":"home/${aws:username, 'all'}"}`, keys("k:k", "home/all"), true},
		"a wildcard in a variable's value means itself":   {`"StringLike":{"k:k":"${aws:username}"}`, keys("k:k", "ana", "aws:username", "*"), false},
		"a dollar sign by its escape":                     {`"StringEquals":{"k:k":"${$}{x}"}`, keys("k:k", "${x}"), true},
		"a tag of the resource":                           {`"StringEquals":{"aws:ResourceTag/Team":"${aws:PrincipalTag/team}"}`, keys("aws:ResourceTag/team", "a", "aws:PrincipalTag/team", "a"), true},
		"a variable in a condition that does not have it": {`"StringNotEquals":{"k:k":"${k:none}"}`, keys("k:k", "x"), true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := identity(t, `{"Effect":"Allow","Action":"*","Resource":"*","Condition":{`+tt.condition+`}}`)
			d := iam.Policies{Identity: []*iam.Policy{p}}.Evaluate(&iam.Request{Action: get, Resource: secret, Context: tt.context})
			if got := d.Verdict == iam.Allow; got != tt.want {
				t.Errorf("{%s} with %v: %v, want %v", tt.condition, tt.context, got, tt.want)
			}
		})
	}
}
