package secretsmanager_test

import (
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/google/go-cmp/cmp"

	"github.com/rekey-go/rekey/internal/local/wire"
)

// uses are the uses of KMS in a call, as operation and version.
func uses(kms []wire.KMSUse) []string {
	var list []string
	for _, u := range kms {
		list = append(list, u.Operation+" "+u.Context["SecretVersionId"])
	}
	return list
}

func TestCallsTellTheTrailWhatTheyDid(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	arn := history(t, b)
	want := []wire.Resource{{ARN: arn, Type: "AWS::SecretsManager::Secret", AccountID: account}}

	put := b.heard.last(t, "PutSecretValue")
	if diff := cmp.Diff(want, put.Resources); diff != "" {
		t.Errorf("resources of PutSecretValue (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"GenerateDataKey " + tokenB}, uses(put.KMS)); diff != "" {
		t.Errorf("KMS of PutSecretValue (-want +got):\n%s", diff)
	}

	out, err := b.GetSecretValue(t.Context(), &sdk.GetSecretValueInput{SecretId: aws.String("db")})
	if err != nil {
		t.Fatal(err)
	}
	get := b.heard.last(t, "GetSecretValue")
	if diff := cmp.Diff(want, get.Resources); diff != "" {
		t.Errorf("resources of GetSecretValue (-want +got):\n%s", diff)
	}
	wantKMS := []wire.KMSUse{{
		Operation: "Decrypt", KeyARN: put.KMS[0].KeyARN,
		Context: map[string]string{"SecretARN": arn, "SecretVersionId": *out.VersionId},
	}}
	if diff := cmp.Diff(wantKMS, get.KMS); diff != "" {
		t.Errorf("KMS of GetSecretValue (-want +got):\n%s", diff)
	}

	if b.read(t, "db", tokenC, "") != "ResourceNotFoundException" {
		t.Fatal("a version that is not there was read")
	}
	missed := b.heard.last(t, "GetSecretValue")
	if len(missed.Resources) != 1 || len(missed.KMS) != 0 {
		t.Errorf("a read that was refused: resources %v, KMS %v", missed.Resources, missed.KMS)
	}

	if _, err := b.UpdateSecret(t.Context(), &sdk.UpdateSecretInput{SecretId: aws.String("db"), KmsKeyId: aws.String("alias/mine")}); err != nil {
		t.Fatal(err)
	}
	wantUses := []string{"GenerateDataKey RequestToValidateKeyAccess", "Decrypt RequestToValidateKeyAccess", "Decrypt " + tokenB, "GenerateDataKey " + tokenB, "Decrypt " + tokenA, "GenerateDataKey " + tokenA}
	if diff := cmp.Diff(wantUses, uses(b.heard.last(t, "UpdateSecret").KMS)); diff != "" {
		t.Errorf("KMS of UpdateSecret with a new key (-want +got):\n%s", diff)
	}
	b.read(t, "db", "", "")
	if got := b.heard.last(t, "GetSecretValue").KMS[0].KeyARN; got == put.KMS[0].KeyARN {
		t.Errorf("the key is still %s", got)
	}
}

func TestABatchIsAReadOfEachSecret(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	arn := history(t, b)
	b.create(t, "other", "o")
	out, err := b.BatchGetSecretValue(t.Context(), &sdk.BatchGetSecretValueInput{SecretIdList: []string{"db", "nope", "other"}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, v := range out.SecretValues {
		got = append(got, *v.Name+"="+*v.SecretString)
	}
	for _, e := range out.Errors {
		got = append(got, *e.SecretId+": "+*e.ErrorCode)
	}
	if diff := cmp.Diff([]string{"db=b", "other=o", "nope: ResourceNotFoundException"}, got); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
	var also []string
	for _, c := range b.heard.last(t, "BatchGetSecretValue").Also {
		entry := c.Operation
		for _, r := range c.Resources {
			if r.ARN == arn {
				entry += " of db"
			}
		}
		if c.Err != nil {
			entry += " refused"
		}
		also = append(also, slices.Concat([]string{entry}, uses(c.KMS))...)
	}
	if len(also) != 5 || also[0] != "GetSecretValue of db" || also[1] != "Decrypt "+tokenB || also[2] != "GetSecretValue refused" {
		t.Errorf("companions %q", also)
	}

	byName, err := b.BatchGetSecretValue(t.Context(), &sdk.BatchGetSecretValueInput{
		Filters: filters("name", "o"), MaxResults: aws.Int32(1),
	})
	if err != nil || len(byName.SecretValues) != 1 || *byName.SecretValues[0].Name != "other" {
		t.Errorf("by filter: %v, %v", byName, err)
	}
}

func TestValuesAreKeptFromTheTrail(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	redacted := b.service.Wire().Operations
	for operation, members := range map[string][]string{
		"CreateSecret":        {"SecretString", "SecretBinary"},
		"UpdateSecret":        {"SecretString", "SecretBinary"},
		"PutSecretValue":      {"SecretString", "SecretBinary", "RotationToken"},
		"GetSecretValue":      {"SecretString", "SecretBinary"},
		"BatchGetSecretValue": {"SecretValues"},
		"GetRandomPassword":   {"RandomPassword"},
	} {
		for _, member := range members {
			if !slices.Contains(redacted[operation].Redact, member) {
				t.Errorf("%s does not redact %s", operation, member)
			}
		}
	}
}
