package sqs

import "github.com/rekey-go/rekey/internal/local/wire"

// Wire returns the service as the front door sees it.
func (s *Service) Wire() wire.Service {
	return wire.Service{
		Name:        "sqs",
		EventSource: "sqs.amazonaws.com",
		Protocol:    wire.JSON10,
		Targets:     []string{"AmazonSQS"},
		Namespace:   "com.amazonaws.sqs",
		Operations: map[string]wire.Operation{
			"SendMessage":                  wire.Op(wire.Data, s.sendMessage),
			"SendMessageBatch":             wire.Op(wire.Data, s.sendBatch),
			"ReceiveMessage":               wire.Op(wire.Data, s.receiveMessage),
			"DeleteMessage":                wire.Op(wire.Data, s.deleteMessage),
			"DeleteMessageBatch":           wire.Op(wire.Data, s.deleteBatch),
			"ChangeMessageVisibility":      wire.Op(wire.Data, s.changeVisibility),
			"ChangeMessageVisibilityBatch": wire.Op(wire.Data, s.changeBatch),

			"CreateQueue": wire.Op(wire.Write, s.createQueue),
			"DeleteQueue": wire.Op(wire.Write, s.deleteQueue),
			"PurgeQueue":  wire.Op(wire.Write, s.purgeQueue),
			"GetQueueUrl": wire.Op(wire.Read, s.getQueueURL),
			"ListQueues":  wire.Op(wire.Read, s.listQueues),

			"ListDeadLetterSourceQueues": wire.Op(wire.Read, s.listSources),

			"GetQueueAttributes": wire.Op(wire.Read, s.getAttributes),
			"SetQueueAttributes": wire.Op(wire.Write, s.setAttributes),

			"TagQueue":      wire.Op(wire.Write, s.tagQueue),
			"UntagQueue":    wire.Op(wire.Write, s.untagQueue),
			"ListQueueTags": wire.Op(wire.Read, s.listTags),
		},
	}
}
