package dynamodb

import "github.com/rekey-go/rekey/internal/local/wire"

// Wire returns the service as the front door sees it.
func (s *Service) Wire() wire.Service {
	return wire.Service{
		Name:        "dynamodb",
		EventSource: "dynamodb.amazonaws.com",
		Protocol:    wire.JSON10,
		Targets:     []string{"DynamoDB_20120810"},
		Operations: map[string]wire.Operation{
			"PutItem":            wire.Op(wire.Data, s.putItem),
			"GetItem":            wire.Op(wire.Data, s.getItem),
			"UpdateItem":         wire.Op(wire.Data, s.updateItem),
			"DeleteItem":         wire.Op(wire.Data, s.deleteItem),
			"Query":              wire.Op(wire.Data, s.query),
			"Scan":               wire.Op(wire.Data, s.scan),
			"BatchWriteItem":     wire.Op(wire.Data, s.batchWriteItem),
			"BatchGetItem":       wire.Op(wire.Data, s.batchGetItem),
			"TransactWriteItems": wire.Op(wire.Data, s.transactWriteItems),

			"CreateTable":   wire.Op(wire.Write, s.createTable),
			"UpdateTable":   wire.Op(wire.Write, s.updateTable),
			"DescribeTable": wire.Op(wire.Read, s.describeTable),
			"DeleteTable":   wire.Op(wire.Write, s.deleteTable),
			"ListTables":    wire.Op(wire.Read, s.listTables),

			"DescribeTimeToLive": wire.Op(wire.Read, s.describeTTL),
			"UpdateTimeToLive":   wire.Op(wire.Write, s.updateTTL),

			"DescribeContinuousBackups": wire.Op(wire.Read, s.describeBackups),
			"UpdateContinuousBackups":   wire.Op(wire.Write, s.updateBackups),

			"TagResource":        wire.Op(wire.Write, s.tagResource),
			"UntagResource":      wire.Op(wire.Write, s.untagResource),
			"ListTagsOfResource": wire.Op(wire.Read, s.listTags),
		},
	}
}
