package dynamodb

import (
	"context"
	"encoding/json"

	"github.com/rekey-go/rekey/internal/local/wire"
)

// settings are what is said of a table that the engine keeps and tells again,
// and that has no effect here: there is no capacity to run out of, the store is
// encrypted as a whole, and nothing is restored to a point in time.
type settings struct {
	Billing    string
	Throughput throughput
	TableClass string // empty is STANDARD
	// EncryptionKey is the ARN of the key of KMS, and empty for DynamoDB's own.
	EncryptionKey string
	Recovery      bool // to a point in time
}

// throughput are capacity units, zero for a table on demand.
type throughput struct{ ReadCapacityUnits, WriteCapacityUnits int }

// settingsChange is what CreateTable and UpdateTable say of settings. What is left out
// stays as it is.
type settingsChange struct {
	BillingMode           string
	ProvisionedThroughput *throughput
	TableClass            string
	SSESpecification      *struct {
		Enabled        bool
		KMSMasterKeyID string `json:"KMSMasterKeyId"`
	}
}

func (in *settingsChange) empty() bool { return *in == settingsChange{} }

// apply makes of a table's settings what the change says.
func (in *settingsChange) apply(s *Service, have settings) (settings, error) {
	if in.BillingMode != "" {
		have.Billing = in.BillingMode
	}
	switch {
	case have.Billing != onDemand && have.Billing != provisioned:
		return have, validationf("1 validation error detected: Value '%s' at 'billingMode' failed to satisfy constraint: Member must satisfy enum value set: [%s, %s]", have.Billing, provisioned, onDemand)
	case have.Billing == onDemand && in.ProvisionedThroughput != nil:
		return have, validationf("One or more parameter values were invalid: Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST")
	case have.Billing == onDemand:
		have.Throughput = throughput{}
	case in.ProvisionedThroughput != nil:
		have.Throughput = *in.ProvisionedThroughput
	}
	if have.Billing == provisioned && (have.Throughput.ReadCapacityUnits < 1 || have.Throughput.WriteCapacityUnits < 1) {
		return have, validationf("One or more parameter values were invalid: ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED")
	}
	if in.TableClass != "" {
		have.TableClass = in.TableClass
	}
	if sse := in.SSESpecification; sse != nil {
		have.EncryptionKey = ""
		if sse.Enabled {
			have.EncryptionKey = s.keyARN(sse.KMSMasterKeyID)
		}
	}
	return have, nil
}

// keyARN is the ARN of a key that is given by its ARN or id. Without one it is
// that of the key that AWS manages for DynamoDB.
func (s *Service) keyARN(idOrARN string) string {
	const managed = "alias/aws/dynamodb"
	switch {
	case idOrARN == "" || idOrARN == managed:
		return s.kms("key/" + managed[len("alias/"):])
	case len(idOrARN) > 4 && idOrARN[:4] == "arn:":
		return idOrARN
	default:
		return s.kms("key/" + idOrARN)
	}
}

func (s *Service) kms(rest string) string {
	return "arn:aws:kms:" + s.opts.Region + ":" + s.opts.Account + ":" + rest
}

type updateTableInput struct {
	TableName string
	settingsChange
	DeletionProtectionEnabled *bool
	// These are refused.
	GlobalSecondaryIndexUpdates, ReplicaUpdates []json.RawMessage
	StreamSpecification                         *struct{ StreamEnabled bool }
}

// updateTable changes the settings of a table. It answers before AWS would have
// finished, as AWS does.
func (s *Service) updateTable(_ context.Context, c *wire.Call, in *updateTableInput) (*tableOutput, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	t, err := s.tableNamed(c, in.TableName)
	switch {
	case err != nil:
		return nil, errNoTable(in.TableName)
	case len(in.GlobalSecondaryIndexUpdates)+len(in.ReplicaUpdates) > 0:
		return nil, validationf("the embedded engine has no secondary indexes and no replicas")
	case in.StreamSpecification != nil && in.StreamSpecification.StreamEnabled:
		return nil, validationf("the embedded engine has no streams")
	case in.empty() && in.DeletionProtectionEnabled == nil:
		return nil, validationf("At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates or SSESpecification or ReplicaUpdates is required")
	}
	record := t.tableRecord
	if record.settings, err = in.apply(s, record.settings); err != nil {
		return nil, err
	}
	if in.DeletionProtectionEnabled != nil {
		record.Protected = *in.DeletionProtectionEnabled
	}
	if err := s.replace(t, record); err != nil {
		return nil, err
	}
	d := s.describe(t)
	d.TableStatus = "UPDATING"
	return &tableOutput{TableDescription: d}, nil
}

// The statuses of backups.
const (
	enabled  = "ENABLED"
	disabled = "DISABLED"
)

type backups struct {
	ContinuousBackupsDescription struct {
		ContinuousBackupsStatus        string
		PointInTimeRecoveryDescription struct {
			PointInTimeRecoveryStatus string
			RecoveryPeriodInDays      int `json:",omitempty"`
		}
	}
}

const recoveryDays = 35 // as AWS has it by default

func (t *table) backups() *backups {
	out := &backups{}
	d := &out.ContinuousBackupsDescription
	d.ContinuousBackupsStatus, d.PointInTimeRecoveryDescription.PointInTimeRecoveryStatus = enabled, disabled
	if t.Recovery {
		d.PointInTimeRecoveryDescription.PointInTimeRecoveryStatus = enabled
		d.PointInTimeRecoveryDescription.RecoveryPeriodInDays = recoveryDays
	}
	return out
}

func (s *Service) describeBackups(_ context.Context, c *wire.Call, in *tableID) (*backups, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	t, err := s.tableNamed(c, in.TableName)
	if err != nil {
		return nil, errNoBackups(in.TableName)
	}
	return t.backups(), nil
}

func errNoBackups(table string) error {
	return refusal("TableNotFoundException", "Table not found: %s", table)
}

type updateBackupsInput struct {
	TableName                        string
	PointInTimeRecoverySpecification struct{ PointInTimeRecoveryEnabled bool }
}

func (s *Service) updateBackups(_ context.Context, c *wire.Call, in *updateBackupsInput) (*backups, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	t, err := s.tableNamed(c, in.TableName)
	if err != nil {
		return nil, errNoBackups(in.TableName)
	}
	record := t.tableRecord
	record.Recovery = in.PointInTimeRecoverySpecification.PointInTimeRecoveryEnabled
	if err := s.replace(t, record); err != nil {
		return nil, err
	}
	return t.backups(), nil
}
