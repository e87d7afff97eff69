package dynamodb

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/rekey-go/rekey/internal/local/wire"
)

// A description is a table on the wire.
type description struct {
	TableName             string
	TableARN              string `json:"TableArn"`
	TableID               string `json:"TableId"`
	TableStatus           string
	CreationDateTime      wire.Timestamp
	KeySchema             []keySchema
	AttributeDefinitions  []attributeDefinition
	ItemCount             int
	TableSizeBytes        int
	ProvisionedThroughput struct {
		NumberOfDecreasesToday int
		throughput
	}
	BillingModeSummary        *billing    `json:",omitempty"`
	TableClassSummary         *tableClass `json:",omitempty"`
	SSEDescription            *encryption `json:",omitempty"`
	DeletionProtectionEnabled bool
}

type (
	billing    struct{ BillingMode string }
	tableClass struct{ TableClass string }
	encryption struct {
		Status, SSEType string
		KMSMasterKeyARN string `json:"KMSMasterKeyArn"`
	}
)

// describe is a table as it is. Every table of the engine is ready at once.
func (s *Service) describe(t *table) *description {
	d := &description{
		TableName: t.Name, TableARN: s.arn(t.Name), TableID: t.ID, TableStatus: "ACTIVE",
		CreationDateTime:          wire.Timestamp(t.Created),
		KeySchema:                 []keySchema{{t.Hash.Name, "HASH"}},
		AttributeDefinitions:      []attributeDefinition{{t.Hash.Name, t.Hash.Type}},
		ItemCount:                 len(t.items),
		DeletionProtectionEnabled: t.Protected,
	}
	if t.Range.Name != "" {
		d.KeySchema = append(d.KeySchema, keySchema{t.Range.Name, "RANGE"})
		d.AttributeDefinitions = append(d.AttributeDefinitions, attributeDefinition{t.Range.Name, t.Range.Type})
	}
	d.ProvisionedThroughput.throughput = t.Throughput
	if t.Billing == onDemand {
		d.BillingModeSummary = &billing{onDemand}
	}
	if t.TableClass != "" {
		d.TableClassSummary = &tableClass{t.TableClass}
	}
	if t.EncryptionKey != "" {
		d.SSEDescription = &encryption{enabled, "KMS", t.EncryptionKey}
	}
	for _, i := range t.items {
		d.TableSizeBytes += i.weight()
	}
	return d
}

type tableOutput struct{ TableDescription *description }

type describeOutput struct{ Table *description }

func (s *Service) describeTable(_ context.Context, c *wire.Call, in *tableID) (*describeOutput, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	t, err := s.tableNamed(c, in.TableName)
	if err != nil {
		return nil, errNoTable(in.TableName)
	}
	return &describeOutput{Table: s.describe(t)}, nil
}

func tagMap(tags []tag) map[string]string {
	m := make(map[string]string, len(tags))
	for _, t := range tags {
		m[t.Key] = t.Value
	}
	return m
}

type tagInput struct {
	ResourceARN string `json:"ResourceArn"`
	Tags        []tag
	TagKeys     []string
}

// editTags replaces a table's tags by what edit makes of a copy.
func (s *Service) editTags(c *wire.Call, arn string, edit func(tags map[string]string)) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	t, err := s.tagged(c, arn)
	if err != nil {
		return err
	}
	record := t.tableRecord
	record.Tags = maps.Clone(record.Tags)
	if record.Tags == nil {
		record.Tags = make(map[string]string)
	}
	edit(record.Tags)
	return s.replace(t, record)
}

func (s *Service) tagged(c *wire.Call, arn string) (*table, error) {
	if !strings.HasPrefix(arn, s.arn("")) {
		return nil, validationf("Invalid TableArn: Invalid ResourceArn provided as input %s", arn)
	}
	return s.tableNamed(c, arn)
}

func (s *Service) tagResource(_ context.Context, c *wire.Call, in *tagInput) (*struct{}, error) {
	return nil, s.editTags(c, in.ResourceARN, func(tags map[string]string) { maps.Copy(tags, tagMap(in.Tags)) })
}

func (s *Service) untagResource(_ context.Context, c *wire.Call, in *tagInput) (*struct{}, error) {
	return nil, s.editTags(c, in.ResourceARN, func(tags map[string]string) {
		for _, key := range in.TagKeys {
			delete(tags, key)
		}
	})
}

type tagsOutput struct{ Tags []tag }

func (s *Service) listTags(_ context.Context, c *wire.Call, in *tagInput) (*tagsOutput, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	t, err := s.tagged(c, in.ResourceARN)
	if err != nil {
		return nil, err
	}
	out := &tagsOutput{Tags: []tag{}}
	for _, key := range slices.Sorted(maps.Keys(t.Tags)) {
		out.Tags = append(out.Tags, tag{key, t.Tags[key]})
	}
	return out, nil
}
