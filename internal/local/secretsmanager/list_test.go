package secretsmanager_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/google/go-cmp/cmp"

	"github.com/rekey-go/rekey/internal/local/secretsmanager"
)

func TestListSecretsFiltersAndSorts(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, d := range []secretsmanager.Definition{
		{Name: "dev-db", Description: "Login of the orders database", Tags: map[string]string{"team": "Orders"}},
		{Name: "dev-keys", Description: "Provider keys", Tags: map[string]string{"team": "payments", "rekey:grace": "1h"}},
		{Name: "prod-db", Description: "", Tags: map[string]string{"env": "prod"}},
		{Name: "deleted"},
	} {
		if _, err := b.service.Provision(d); err != nil {
			t.Fatal(err)
		}
		b.advance(t, time.Minute)
	}
	if _, err := b.DeleteSecret(t.Context(), &sdk.DeleteSecretInput{SecretId: aws.String("deleted")}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.UpdateSecret(t.Context(), &sdk.UpdateSecretInput{SecretId: aws.String("dev-db"), KmsKeyId: aws.String("alias/k")}); err != nil {
		t.Fatal(err)
	}
	by := func(key string, values ...string) types.Filter {
		return types.Filter{Key: types.FilterNameStringType(key), Values: values}
	}
	tests := map[string]struct {
		in   sdk.ListSecretsInput
		want string
	}{
		"oldest first, none that is deleted": {sdk.ListSecretsInput{}, "dev-db dev-keys prod-db"},
		"with those that are deleted":        {sdk.ListSecretsInput{IncludePlannedDeletion: aws.Bool(true), SortOrder: "desc"}, "deleted prod-db dev-keys dev-db"},
		"by name":                            {sdk.ListSecretsInput{SortBy: "name", SortOrder: "asc"}, "dev-db dev-keys prod-db"},
		"by the last change":                 {sdk.ListSecretsInput{SortBy: "last-changed-date"}, "dev-keys prod-db dev-db"},
		"a name's beginning":                 {sdk.ListSecretsInput{Filters: []types.Filter{by("name", "dev-")}}, "dev-db dev-keys"},
		"a name in another case":             {sdk.ListSecretsInput{Filters: []types.Filter{by("name", "DEV-")}}, ""},
		"not a name's beginning":             {sdk.ListSecretsInput{Filters: []types.Filter{by("name", "!dev-")}}, "prod-db"},
		"one of several values":              {sdk.ListSecretsInput{Filters: []types.Filter{by("name", "dev-k", "prod")}}, "dev-keys prod-db"},
		"all of several filters":             {sdk.ListSecretsInput{Filters: []types.Filter{by("name", "dev-"), by("tag-key", "rekey:")}}, "dev-keys"},
		"a tag's value in its case":          {sdk.ListSecretsInput{Filters: []types.Filter{by("tag-value", "orders")}}, ""},
		"a tag's value":                      {sdk.ListSecretsInput{Filters: []types.Filter{by("tag-value", "Ord", "pay")}}, "dev-db dev-keys"},
		"a description in any case":          {sdk.ListSecretsInput{Filters: []types.Filter{by("description", "LOGIN")}}, "dev-db"},
		"words anywhere":                     {sdk.ListSecretsInput{Filters: []types.Filter{by("all", "orders login")}}, "dev-db"},
		"words of a description":             {sdk.ListSecretsInput{Filters: []types.Filter{by("description", "datab of")}}, "dev-db"},
		"words out of two":                   {sdk.ListSecretsInput{Filters: []types.Filter{by("description", "login keys")}}, ""},
		"the inside of a word":               {sdk.ListSecretsInput{Filters: []types.Filter{by("description", "base")}}, ""},
		"not a word of a description":        {sdk.ListSecretsInput{Filters: []types.Filter{by("description", "!prov")}}, "dev-db prod-db"},
		"a part of a name":                   {sdk.ListSecretsInput{Filters: []types.Filter{by("all", "KEYS")}}, "dev-keys"},
		"nothing but a sign":                 {sdk.ListSecretsInput{Filters: []types.Filter{by("all", "/")}}, ""},
		"the region":                         {sdk.ListSecretsInput{Filters: []types.Filter{by("primary-region", "eu")}}, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			out, err := b.ListSecrets(t.Context(), &tt.in)
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, s := range out.SecretList {
				names = append(names, *s.Name)
			}
			if got := strings.Join(names, " "); got != tt.want {
				t.Errorf("listed %q, want %q", got, tt.want)
			}
		})
	}
}

func TestListsHavePages(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var want, got []string
	for i := range 25 {
		name := fmt.Sprintf("s%02d", i)
		b.create(t, name, "x")
		want = append(want, name)
	}
	pages := sdk.NewListSecretsPaginator(b.Client, &sdk.ListSecretsInput{MaxResults: aws.Int32(10), SortBy: "name", SortOrder: "asc"})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range page.SecretList {
			got = append(got, *s.Name)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("three pages (-want +got):\n%s", diff)
	}
}

func TestAPageGoesOnWhereTheLastEndedWhateverWentMeanwhile(t *testing.T) {
	t.Parallel()
	for _, order := range []types.SortOrderType{"asc", "desc"} {
		b := newBench(t)
		for i := range 9 {
			b.create(t, fmt.Sprintf("s%d", i), "x")
			b.advance(t, time.Second)
		}
		in := &sdk.ListSecretsInput{MaxResults: aws.Int32(3), SortOrder: order}
		var got []string
		for pages := sdk.NewListSecretsPaginator(b.Client, in); pages.HasMorePages(); {
			page, err := pages.NextPage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range page.SecretList {
				got = append(got, *s.Name)
				if _, err := b.DeleteSecret(t.Context(), &sdk.DeleteSecretInput{SecretId: s.ARN, ForceDeleteWithoutRecovery: aws.Bool(true)}); err != nil {
					t.Fatal(err)
				}
			}
		}
		slices.Sort(got)
		if want := strings.Fields("s0 s1 s2 s3 s4 s5 s6 s7 s8"); !slices.Equal(got, want) {
			t.Errorf("%s: listed %v, want %v", order, got, want)
		}
	}
}

func TestATokenIsOfTheOrderThatItWasGivenFor(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.create(t, "a", "x")
	b.create(t, "b", "x")
	out, err := b.ListSecrets(t.Context(), &sdk.ListSecretsInput{MaxResults: aws.Int32(1), SortBy: "name"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.ListSecrets(t.Context(), &sdk.ListSecretsInput{MaxResults: aws.Int32(1), NextToken: out.NextToken})
	if _, ok := errors.AsType[*types.InvalidNextTokenException](err); !ok {
		t.Errorf("a token of names for a listing by age: %v, want InvalidNextTokenException", err)
	}
}

func TestListSecretVersionIDs(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	arn := history(t, b)
	b.advance(t, time.Second)
	b.put(t, tokenC, "c")
	_, answer := b.raw(t, "ListSecretVersionIds", `{"SecretId":"db"}`)
	if strings.Contains(answer, "NextToken") {
		t.Errorf("a NextToken where there is no next page: %s", answer)
	}
	for deprecated, want := range map[bool][]string{false: {tokenB, tokenC}, true: {tokenA, tokenB, tokenC}} {
		out, err := b.ListSecretVersionIds(t.Context(), &sdk.ListSecretVersionIdsInput{SecretId: aws.String("db"), IncludeDeprecated: &deprecated})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, v := range out.Versions {
			got = append(got, *v.VersionId)
			if !slices.Equal(v.KmsKeyIds, []string{"DefaultEncryptionKey"}) || v.LastAccessedDate != nil {
				t.Errorf("version %s: keys %v, accessed %v", *v.VersionId, v.KmsKeyIds, v.LastAccessedDate)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" || *out.ARN != arn {
			t.Errorf("IncludeDeprecated=%v (-want +got):\n%s", deprecated, diff)
		}
	}
}
