package secretsmanager_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func filters(key, value string) []types.Filter {
	return []types.Filter{{Key: types.FilterNameStringType(key), Values: []string{value}}}
}

func TestRandomPasswords(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	const lower, upper, digits = "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789"
	tests := map[string]struct {
		in     sdk.GetRandomPasswordInput
		length int
		only   string   // all characters are of these, if not empty
		each   []string // one character is of each
		none   string   // no character is of these
	}{
		"by default 32 characters of every type": {sdk.GetRandomPasswordInput{}, 32, "", []string{lower, upper, digits}, " "},
		"as long as asked": {
			sdk.GetRandomPasswordInput{PasswordLength: aws.Int64(4096)}, 4096, "", []string{lower, upper, digits}, " ",
		},
		"without the excluded characters": {
			sdk.GetRandomPasswordInput{PasswordLength: aws.Int64(2000), ExcludeCharacters: aws.String(`:/@"'\`)}, 2000, "", nil, `:/@"'\`,
		},
		"numbers alone": {
			sdk.GetRandomPasswordInput{ExcludeLowercase: aws.Bool(true), ExcludeUppercase: aws.Bool(true), ExcludePunctuation: aws.Bool(true)},
			32, digits, nil, "",
		},
		"one of each in the shortest": {
			in:     sdk.GetRandomPasswordInput{PasswordLength: aws.Int64(4), ExcludePunctuation: aws.Bool(true), IncludeSpace: aws.Bool(true)},
			length: 4, each: []string{lower, upper, digits, " "},
		},
		"one character, of any type": {
			sdk.GetRandomPasswordInput{PasswordLength: aws.Int64(1), RequireEachIncludedType: aws.Bool(false)}, 1, "", nil, "",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, err := b.GetRandomPassword(t.Context(), &tt.in)
			if err != nil {
				t.Fatal(err)
			}
			got := *out.RandomPassword
			if len(got) != tt.length {
				t.Errorf("%d characters, want %d", len(got), tt.length)
			}
			if tt.only != "" && strings.Trim(got, tt.only) != "" {
				t.Errorf("characters that are not of %q: %q", tt.only, got)
			}
			if tt.none != "" && strings.ContainsAny(got, tt.none) {
				t.Errorf("characters of %q: %q", tt.none, got)
			}
			for _, each := range tt.each {
				if !strings.ContainsAny(got, each) {
					t.Errorf("no character of %q: %q", each, got)
				}
			}
		})
	}
}

func TestTags(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	history(t, b)
	pair := func(key, value string) types.Tag { return types.Tag{Key: &key, Value: &value} }
	ctx, id := t.Context(), aws.String("db")
	if _, err := b.TagResource(ctx, &sdk.TagResourceInput{SecretId: id, Tags: []types.Tag{pair("a", "1"), pair("b", "2"), pair("c", "3")}}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.TagResource(ctx, &sdk.TagResourceInput{SecretId: id, Tags: []types.Tag{pair("b", "new")}}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.UntagResource(ctx, &sdk.UntagResourceInput{SecretId: id, TagKeys: []string{"a", "nope"}}); err != nil {
		t.Fatal(err)
	}
	about, err := b.DescribeSecret(ctx, &sdk.DescribeSecretInput{SecretId: id})
	if err != nil {
		t.Fatal(err)
	}
	want := []types.Tag{pair("b", "new"), pair("c", "3")}
	if diff := cmp.Diff(want, about.Tags, cmpopts.IgnoreUnexported(types.Tag{})); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
	if _, err := b.UntagResource(ctx, &sdk.UntagResourceInput{SecretId: id, TagKeys: []string{"b", "c"}}); err != nil {
		t.Fatal(err)
	}
	b.create(t, "never-tagged", "x")
	for name, want := range map[string]bool{"db": true, "never-tagged": false} {
		if _, answer := b.raw(t, "DescribeSecret", `{"SecretId":"`+name+`"}`); strings.Contains(answer, `"Tags":[]`) != want {
			t.Errorf("an empty list of tags of %s: %v, want %v: %s", name, !want, want, answer)
		}
	}
}

func TestResourcePolicies(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	history(t, b)
	ctx, id := t.Context(), aws.String("db")
	const (
		narrow = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:root"},"Action":"secretsmanager:GetSecretValue","Resource":"*"}]}`
		public = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":["*"]},"Action":"*","Resource":"*"}}`
	)
	if _, err := b.PutResourcePolicy(ctx, &sdk.PutResourcePolicyInput{SecretId: id, ResourcePolicy: aws.String(narrow)}); err != nil {
		t.Fatal(err)
	}
	_, err := b.PutResourcePolicy(ctx, &sdk.PutResourcePolicyInput{SecretId: id, ResourcePolicy: aws.String(public), BlockPublicPolicy: aws.Bool(true)})
	if err == nil || code(err) != "PublicPolicyException" {
		t.Errorf("a public policy: %v, want PublicPolicyException", err)
	}
	got, err := b.GetResourcePolicy(ctx, &sdk.GetResourcePolicyInput{SecretId: id})
	if err != nil || aws.ToString(got.ResourcePolicy) != narrow {
		t.Errorf("GetResourcePolicy: %v, %v", got, err)
	}
	for text, passes := range map[string]bool{narrow: true, public: false} {
		out, err := b.ValidateResourcePolicy(ctx, &sdk.ValidateResourcePolicyInput{ResourcePolicy: &text})
		if err != nil || out.PolicyValidationPassed != passes || (len(out.ValidationErrors) == 0) != passes {
			t.Errorf("ValidateResourcePolicy of %s: %v, %v; want passed %v", text, out, err, passes)
		}
	}
	if _, err := b.DeleteResourcePolicy(ctx, &sdk.DeleteResourcePolicyInput{SecretId: id}); err != nil {
		t.Fatal(err)
	}
	if got, err := b.GetResourcePolicy(ctx, &sdk.GetResourcePolicyInput{SecretId: id}); err != nil || got.ResourcePolicy != nil {
		t.Errorf("GetResourcePolicy after deleting it: %v, %v", got, err)
	}
}
