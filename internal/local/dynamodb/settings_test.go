package dynamodb_test

import (
	"errors"
	"strings"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

func newTable(name string) *sdk.CreateTableInput {
	return &sdk.CreateTableInput{
		TableName:            &name,
		KeySchema:            []types.KeySchemaElement{{AttributeName: new("id"), KeyType: types.KeyTypeHash}},
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: new("id"), AttributeType: types.ScalarAttributeTypeS}},
	}
}

func TestSettingsOfATableAreToldAgain(t *testing.T) {
	t.Parallel()
	e := start(t, nil)
	in := newTable("mine")
	in.ProvisionedThroughput = &types.ProvisionedThroughput{ReadCapacityUnits: new(int64(3)), WriteCapacityUnits: new(int64(2))}
	in.SSESpecification = &types.SSESpecification{Enabled: new(true), KMSMasterKeyId: new("1234")}
	in.TableClass = types.TableClassStandardInfrequentAccess
	if _, err := e.CreateTable(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	describe := func() *types.TableDescription {
		out, err := e.DescribeTable(t.Context(), &sdk.DescribeTableInput{TableName: new("mine")})
		if err != nil {
			t.Fatal(err)
		}
		return out.Table
	}
	made := describe()
	if *made.ProvisionedThroughput.ReadCapacityUnits != 3 || *made.ProvisionedThroughput.WriteCapacityUnits != 2 || made.BillingModeSummary != nil ||
		*made.SSEDescription.KMSMasterKeyArn != "arn:aws:kms:us-east-1:123456789012:key/1234" || made.TableClassSummary.TableClass != in.TableClass {
		t.Errorf("the table is %+v", made)
	}
	out, err := e.UpdateTable(t.Context(), &sdk.UpdateTableInput{
		TableName: new("mine"), BillingMode: types.BillingModePayPerRequest, DeletionProtectionEnabled: new(true), SSESpecification: &types.SSESpecification{Enabled: new(false)},
	})
	if err != nil || out.TableDescription.TableStatus != types.TableStatusUpdating {
		t.Fatalf("updating: %+v, %v", out, err)
	}
	if made = describe(); made.BillingModeSummary.BillingMode != types.BillingModePayPerRequest || *made.ProvisionedThroughput.ReadCapacityUnits != 0 ||
		!*made.DeletionProtectionEnabled || made.SSEDescription != nil || made.TableStatus != types.TableStatusActive {
		t.Errorf("the table is %+v", made)
	}
	if _, err := e.DeleteTable(t.Context(), &sdk.DeleteTableInput{TableName: new("mine")}); err == nil {
		t.Error("a protected table was deleted")
	}
}

func TestRecoveryToAPointInTimeIsToldAgain(t *testing.T) {
	t.Parallel()
	e := start(t, nil)
	recovery := func() types.PointInTimeRecoveryStatus {
		out, err := e.DescribeContinuousBackups(t.Context(), &sdk.DescribeContinuousBackupsInput{TableName: new(table)})
		if err != nil {
			t.Fatal(err)
		}
		return out.ContinuousBackupsDescription.PointInTimeRecoveryDescription.PointInTimeRecoveryStatus
	}
	if got := recovery(); got != types.PointInTimeRecoveryStatusDisabled {
		t.Errorf("it is %s of a table that says nothing of it", got)
	}
	if _, err := e.UpdateContinuousBackups(t.Context(), &sdk.UpdateContinuousBackupsInput{
		TableName: new(table), PointInTimeRecoverySpecification: &types.PointInTimeRecoverySpecification{PointInTimeRecoveryEnabled: new(true)},
	}); err != nil {
		t.Fatal(err)
	}
	if got := recovery(); got != types.PointInTimeRecoveryStatusEnabled {
		t.Errorf("it is %s, want ENABLED", got)
	}
	_, err := e.DescribeContinuousBackups(t.Context(), &sdk.DescribeContinuousBackupsInput{TableName: new("none")})
	if _, ok := errors.AsType[*types.TableNotFoundException](err); !ok {
		t.Errorf("of no table: %v, want TableNotFoundException", err)
	}
}

func TestSettingsThatDoNotGoTogether(t *testing.T) {
	t.Parallel()
	e := start(t, nil)
	units := &types.ProvisionedThroughput{ReadCapacityUnits: new(int64(1)), WriteCapacityUnits: new(int64(1))}
	both := newTable("mine")
	both.BillingMode, both.ProvisionedThroughput = types.BillingModePayPerRequest, units
	for name, tt := range map[string]struct {
		call func() error
		want string
	}{
		"capacity on demand": {
			func() error { _, err := e.CreateTable(t.Context(), both); return err },
			"Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST",
		},
		"no capacity": {
			func() error { _, err := e.CreateTable(t.Context(), newTable("mine")); return err },
			"ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED",
		},
		"an update of nothing": {
			func() error {
				_, err := e.UpdateTable(t.Context(), &sdk.UpdateTableInput{TableName: new(table)})
				return err
			},
			"At least one of ProvisionedThroughput, BillingMode, ",
		},
	} {
		if err := tt.call(); err == nil || !strings.Contains(err.Error(), "ValidationException: ") || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}
