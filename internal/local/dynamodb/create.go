package dynamodb

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/rekey-go/rekey/internal/local/store"
	"github.com/rekey-go/rekey/internal/local/wire"
)

// A Table describes a table to [Service.Provision]. Its keys are strings.
type Table struct {
	Name    string
	HashKey string
	// RangeKey is empty for a table that has a hash key only.
	RangeKey string
	// TTLAttribute holds when an item expires, in seconds since 1970. Empty
	// means never.
	TTLAttribute string
}

// Provision makes a table, or gives the one of that name its TTL attribute; it
// keeps the items. It returns the ARN, or an error if the table that is there
// has other keys.
func (s *Service) Provision(spec Table) (arn string, err error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	record := tableRecord{
		Name: spec.Name, Hash: keyAttribute{Name: spec.HashKey, Type: typeString}, settings: settings{Billing: onDemand}, TTL: spec.TTLAttribute,
	}
	if spec.RangeKey != "" {
		record.Range = keyAttribute{Name: spec.RangeKey, Type: typeString}
	}
	if have, ok := s.tables[spec.Name]; ok {
		if have.Hash != record.Hash || have.Range != record.Range {
			return "", refusal("ResourceInUseException", "Table already exists with other keys: %s", spec.Name)
		}
		record = have.tableRecord
		record.TTL = spec.TTLAttribute
		return s.arn(spec.Name), s.replace(have, record)
	}
	return s.arn(spec.Name), s.create(record)
}

// The billing modes.
const (
	onDemand    = "PAY_PER_REQUEST"
	provisioned = "PROVISIONED"
)

// create makes a table. The caller holds writing.
func (s *Service) create(record tableRecord) error {
	if !validTableName(record.Name) {
		return validationf("1 validation error detected: Value '%s' at 'tableName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+ and have length between 3 and 255", record.Name)
	}
	if _, ok := s.tables[record.Name]; ok {
		return refusal("ResourceInUseException", "Table already exists: %s", record.Name)
	}
	record.Created = s.opts.Clock.Now()
	record.ID = wire.NewID()
	if err := s.opts.Store.Table(tableTable).Put(record.Name, record); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tables[record.Name] = newTable(record)
	return nil
}

// replace gives a table another record. The caller holds writing.
func (s *Service) replace(t *table, record tableRecord) error {
	if err := s.opts.Store.Table(tableTable).Put(record.Name, record); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t.tableRecord = record
	s.expectExpiries(t)
	return nil
}

func validTableName(name string) bool {
	return len(name) >= 3 && len(name) <= 255 &&
		strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-") == ""
}

type keySchema struct {
	AttributeName, KeyType string
}

type attributeDefinition struct {
	AttributeName, AttributeType string
}

type tag struct{ Key, Value string }

type createInput struct {
	TableName            string
	KeySchema            []keySchema
	AttributeDefinitions []attributeDefinition
	settingsChange
	DeletionProtectionEnabled bool
	Tags                      []tag
	// These are refused.
	GlobalSecondaryIndexes, LocalSecondaryIndexes []json.RawMessage
	StreamSpecification                           *struct{ StreamEnabled bool }
}

func (s *Service) createTable(_ context.Context, c *wire.Call, in *createInput) (*tableOutput, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	record := tableRecord{Name: in.TableName, Protected: in.DeletionProtectionEnabled, Tags: tagMap(in.Tags)}
	var err error
	if record.settings, err = in.apply(s, settings{Billing: provisioned}); err != nil {
		return nil, err
	}
	for _, key := range in.KeySchema {
		attribute := keyAttribute{Name: key.AttributeName, Type: in.typeOf(key.AttributeName)}
		if key.KeyType == "HASH" {
			record.Hash = attribute
		} else {
			record.Range = attribute
		}
	}
	c.Resources = append(c.Resources, s.resource(in.TableName))
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := s.create(record); err != nil {
		return nil, err
	}
	return &tableOutput{TableDescription: s.describe(s.tables[in.TableName])}, nil
}

func (in *createInput) typeOf(name string) string {
	for _, a := range in.AttributeDefinitions {
		if a.AttributeName == name {
			return a.AttributeType
		}
	}
	return ""
}

func (in *createInput) check() error {
	if len(in.GlobalSecondaryIndexes)+len(in.LocalSecondaryIndexes) > 0 {
		return validationf("the embedded engine has no secondary indexes")
	}
	if in.StreamSpecification != nil && in.StreamSpecification.StreamEnabled {
		return validationf("the embedded engine has no streams")
	}
	n := len(in.KeySchema)
	if n < 1 || n > 2 || in.KeySchema[0].KeyType != "HASH" || n == 2 && in.KeySchema[1].KeyType != "RANGE" {
		return validationf("Invalid KeySchema: it must have a HASH key and may have a RANGE key after it")
	}
	if n == 2 && in.KeySchema[0].AttributeName == in.KeySchema[1].AttributeName {
		return validationf("Both the Hash Key and the Range Key element in the KeySchema have the same name")
	}
	for _, key := range in.KeySchema {
		if !slices.Contains([]string{typeString, typeNumber, typeBinary}, in.typeOf(key.AttributeName)) {
			return validationf("One or more parameter values were invalid: Some index key attributes are not defined in AttributeDefinitions. Keys: [%s]", key.AttributeName)
		}
	}
	if len(in.AttributeDefinitions) != n {
		return validationf("One or more parameter values were invalid: Number of attributes in KeySchema does not exactly match number of attributes defined in AttributeDefinitions")
	}
	return nil
}

type tableID struct{ TableName string }

// deleteTable removes a table with its items.
func (s *Service) deleteTable(_ context.Context, c *wire.Call, in *tableID) (*tableOutput, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	t, err := s.tableNamed(c, in.TableName)
	if err != nil {
		return nil, errNoTable(in.TableName)
	}
	if t.Protected {
		return nil, validationf("Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection first.")
	}
	if err := s.drop(t); err != nil {
		return nil, err
	}
	d := s.describe(t)
	d.TableStatus = "DELETING"
	return &tableOutput{TableDescription: d}, nil
}

// Has reports whether there is a table of that name.
func (s *Service) Has(name string) bool {
	s.writing.Lock()
	defer s.writing.Unlock()
	_, ok := s.tables[name]
	return ok
}

// Remove removes a table with its items; there need not be one.
func (s *Service) Remove(name string) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	t, ok := s.tables[name]
	if !ok {
		return nil
	}
	return s.drop(t)
}

// drop removes a table with its items. The caller holds writing.
func (s *Service) drop(t *table) error {
	err := s.opts.Store.Update(func(tx *store.Tx) error {
		for _, key := range t.keys {
			if err := tx.Delete(itemTable, change{table: t, key: itemKey{text: key}}.storeKey()); err != nil {
				return err
			}
		}
		return tx.Delete(tableTable, t.Name)
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.tables, t.Name)
	return nil
}

func errNoTable(name string) error {
	return refusal("ResourceNotFoundException", "Requested resource not found: Table: %s not found", name)
}

type listInput struct {
	ExclusiveStartTableName string
	Limit                   *int
}

type listOutput struct {
	TableNames             []string
	LastEvaluatedTableName string `json:",omitempty"`
}

func (s *Service) listTables(_ context.Context, _ *wire.Call, in *listInput) (*listOutput, error) {
	const most = 100
	limit := most
	if in.Limit != nil {
		limit = *in.Limit
	}
	switch {
	case limit < 1:
		return nil, validationf("1 validation error detected: Value '%d' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1", limit)
	case limit > most:
		return nil, validationf("1 validation error detected: Value '%d' at 'limit' failed to satisfy constraint: Member must have value less than or equal to %d", limit, most)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	names := slices.Sorted(maps.Keys(s.tables))
	names = slices.DeleteFunc(names, func(name string) bool { return name <= in.ExclusiveStartTableName })
	out := &listOutput{TableNames: append([]string{}, names[:min(limit, len(names))]...)}
	if len(names) > limit {
		out.LastEvaluatedTableName = names[limit-1]
	}
	return out, nil
}
